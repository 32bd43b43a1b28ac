"""compare_runs.ipynb on written runs and on the published ones, which hold no predictions."""

import pytest

from support.finished_runs import write_run
from support.papermill_runs import run_papermill, text_and_figures
from support.places import ROOT

NOTEBOOK = ROOT / "notebooks" / "compare_runs.ipynb"
ALWAYS = {"accuracy", "cost", "curves", "confusion", "confusion_difference", "class_f1"}


@pytest.fixture
def written(tmp_path):
    """Three runs, two of which differ in the seed alone, and one of other faces."""
    for seed, mode in ((0, "all"), (1, "all"), (0, "100")):
        write_run(tmp_path / "runs", seed=seed, unfreeze=mode, answers=seed, validation=True)
    write_run(tmp_path / "runs", image_size=96, answers=5, shuffled=True, validation=True)
    return tmp_path / "runs"


def compare(folder, results_dir):
    output, figures = folder / "out.ipynb", folder / "figures"
    done = run_papermill(folder, NOTEBOOK, output, results_dir=results_dir, figures=figures)
    assert done.returncode == 0, done.stderr[-3000:]
    names = {path.stem for path in figures.glob("*.png")}
    return (*text_and_figures(output), names, output.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_runs_with_predictions_are_tested_against_the_best(written, tmp_path):
    printed, figures, names, notebook = compare(tmp_path, written)
    assert names == ALWAYS | {"reliability", "roc", "precision_recall"} and figures == 9
    assert "No " not in printed
    assert "4 finished runs" in printed
    for part in ("p_holm", "macro_f1_sd", "roc_auc", "not told apart"):
        assert part in notebook


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "figures" / "runs").exists(), reason="no runs are published yet")
def test_published_runs_are_drawn_and_say_what_they_can_not_tell(tmp_path):
    printed, figures, names, _ = compare(tmp_path, ROOT / "figures" / "runs")
    assert ALWAYS <= names <= ALWAYS | {"reliability"} and figures == len(names)
    assert (tmp_path / "figures" / "results.tex").read_text().startswith("\\begin{tabular}")
    assert "No ROC" in printed and "No test between runs" in printed
