"""compare_runs.ipynb on written runs and on the published ones, few of which hold predictions."""

import pytest

from fer_lib.plots import read_captions
from support.finished_runs import write_run
from support.papermill_runs import run_here, text_and_figures
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
    run_here(folder, NOTEBOOK, output, results_dir=results_dir, figures=figures)
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
def test_without_predictions_a_sentence_stands_under_each_heading(written, tmp_path):
    for path in written.glob("*/predictions.npz"):
        path.unlink()
    printed, figures, names, _ = compare(tmp_path, written)
    assert ALWAYS <= names <= ALWAYS | {"reliability"} and figures == len(names)
    assert "No ROC" in printed and "No test between runs" in printed


@pytest.mark.slow
def test_published_runs_are_drawn_and_those_with_predictions_tested(tmp_path):
    printed, figures, names, notebook = compare(tmp_path, ROOT / "figures" / "runs")
    assert names == ALWAYS | {"reliability", "roc", "precision_recall"} and figures == len(names)
    assert set(read_captions(tmp_path / "figures")) == names
    assert "2 of 12 runs hold their predictions" in printed and "p_holm" in notebook
    for table in ("results", "differences"):
        text = (tmp_path / "figures" / f"{table}.tex").read_text()
        assert text.startswith("\\begin{tabular}")
