"""The notebooks: thin, clean, and executed by papermill as a user does."""

import ast
import dataclasses
import json
import sys

import nbformat
import papermill
import pytest

from fer_lib.experiments.experiment import Experiment
from fer_lib.experiments.runs import find_runs
from fer_lib.sweeps import points
from support.papermill_runs import code_cells, run_here, run_papermill, text_and_figures
from support.places import ROOT, write_fer2013_csv
from support.stub_notebook import write_stub

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RUN_EXPERIMENT = ROOT / "notebooks" / "run_experiment.ipynb"
TINY = {"backbone": "tiny", "weights": None, "image_size": 32, "epochs": 2, "batch_size": 32}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def test_a_notebook_is_committed_clean(notebook):
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in code_cells(notebook):
        assert not cell.outputs and cell.execution_count is None


def test_a_notebook_holds_no_logic(notebook):
    tagged = [
        cell for cell in code_cells(notebook) if "parameters" in cell.metadata.get("tags", [])
    ]
    assert len(tagged) == 1
    for cell in code_cells(notebook):
        assert cell in tagged or len(cell.source.splitlines()) <= 15
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.While, ast.For))


def test_the_parameters_cell_is_the_experiment():
    inspected = papermill.inspect_notebook(str(RUN_EXPERIMENT))
    defaults = {name: ast.literal_eval(entry["default"]) for name, entry in inspected.items()}
    assert defaults == dataclasses.asdict(Experiment())
    assert all(entry["help"] for entry in inspected.values())


@pytest.mark.slow
def test_an_experiment_runs_in_the_folder_of_the_notebooks(tmp_path, tiny_in_kernels):
    """Elsewhere it runs in the tests of sweeps."""
    data = write_fer2013_csv(tmp_path / "fer2013.csv")
    folder, path = RUN_EXPERIMENT.parent, RUN_EXPERIMENT.name
    output = tmp_path / "out.ipynb"
    results = tmp_path / "runs"
    done = run_papermill(folder, path, output, dataset=data, results_dir=results, **TINY)
    assert done.returncode == 0, done.stderr[-3000:]
    (result,) = find_runs(results).values()
    assert result.scores["test"]["n"] == len(result.predictions["ids"]) > 0
    names = {figure.stem for figure in (result.folder / "figures").glob("*.png")}
    assert names == {"curves", "confusion", "confusion_counts", "class_f1", "mistakes"}
    assert "random weights" in output.read_text() and "PublicTest" in output.read_text()

    figures = tmp_path / "figures"
    compare = ROOT / "notebooks" / "compare_runs.ipynb"
    run_here(tmp_path, compare, output, results_dir=results, figures=figures)
    names = {path.name for path in figures.iterdir()}
    assert names >= {"results.csv", "curves.png", "accuracy.pdf"}


@pytest.fixture
def with_votes(fer_home):
    """A FER_HOME with synthetic faces as FER-2013, and votes of FER+'s form for them."""
    from fer_lib.data.datasets.ferplus import COLUMNS
    from fer_lib.emotions import FER7, FERPLUS8

    (fer_home / "datasets" / "fer2013").mkdir(parents=True)
    (fer_home / "datasets" / "ferplus").mkdir()
    data = write_fer2013_csv(fer_home / "datasets" / "fer2013" / "fer2013.csv")
    lines = [",".join(["Usage", "Image name", *COLUMNS])]
    for row, line in enumerate(data.read_text().splitlines()[1:]):
        place = FERPLUS8.index(FER7[int(line[0])])
        votes = [8 * (column == place) + 2 * (column == 9) for column in range(10)]
        lines.append(f"{line.rpartition(',')[2]},fer{row}.png,{','.join(map(str, votes))}")
    (fer_home / "datasets" / "ferplus" / "fer2013new.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.slow
def test_a_data_set_is_explored(with_votes, tmp_path):
    path, output = ROOT / "notebooks" / "explore_dataset.ipynb", tmp_path / "out.ipynb"
    tiny = {"per_class": 2, "map_faces": 5}
    run_here(tmp_path, path, output, dataset="fer2013", **tiny)
    printed, figures = text_and_figures(output)
    assert figures == 9 and "168 faces have votes (fer2013new.csv" in printed

    data = write_fer2013_csv(tmp_path / "faces.csv")
    run_here(tmp_path, path, output, dataset=data, map_method="tsne", **tiny)
    printed, figures = text_and_figures(output)
    assert figures == 7 and "faces.csv has no votes" in printed


@pytest.mark.slow
def test_a_grid_is_ranked_on_validation_alone(tmp_path, monkeypatch):
    """Its runs are a stub's; the real notebook runs in test_local.py."""
    stub = write_stub(tmp_path / "stub.ipynb")
    monkeypatch.setattr(points, "find_notebook", lambda notebook=None: stub)
    path, output = ROOT / "notebooks" / "tune.ipynb", tmp_path / "out.ipynb"
    grid = "dataset=synthetic weights=None epochs=1 dropout=0.1,0.3"
    run_here(tmp_path, path, output, grid=grid, results_dir=tmp_path / "runs")
    printed, figures = text_and_figures(output)
    assert "2 points of dropout" in printed and figures == 1
    assert "-p dataset" in printed and len(find_runs(tmp_path / "runs")) == 2
    tables = [out for cell in code_cells(nbformat.read(output, 4)) for out in cell.outputs]
    shown = "".join(str(out.get("data", {}).get("text/html", "")) for out in tables)
    assert "validation_macro_f1" in shown and "<th>macro_f1" not in shown


@pytest.mark.slow
def test_labels_are_judged_by_votes(with_votes, tmp_path):
    pytest.importorskip("cleanlab")
    path, output = ROOT / "notebooks" / "label_quality.ipynb", tmp_path / "out.ipynb"
    tiny = {"features": "pixels", "folds": 2, "contact_sheet": 4}
    run_here(tmp_path, path, output, **tiny)
    printed, figures = text_and_figures(output)
    assert figures == 2 and "126 faces have a majority; 0.0% of them another label" in printed


@pytest.mark.slow
def test_a_wrong_parameter_is_refused(tmp_path):  # wrong values: test_experiment.py
    with pytest.raises(ValueError, match="did you mean 'epochs'"):
        run_here(tmp_path, RUN_EXPERIMENT, tmp_path / "out.ipynb", epoch=3)
    assert not (tmp_path / "runs").exists()


def test_the_default_notice_names_the_synthetic_faces(monkeypatch):
    from fer_lib.data import catalogue

    monkeypatch.setitem(sys.modules, "kagglehub", None)
    name, notice = catalogue.resolve_auto()
    assert name == "synthetic" and "say nothing about real ones" in notice


def test_notebooks_are_valid_json_without_widgets(notebook):
    assert "widgets" not in notebook.metadata
    json.dumps(notebook)
