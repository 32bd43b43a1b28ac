"""Published copies: what a report needs of runs, and nothing of a face or a machine."""

import dataclasses

import pandas as pd
import pytest

from fer_lib import storage
from fer_lib.experiments import publish, runs
from support.finished_runs import write_run


def test_published_copies_hold_what_a_report_needs_and_no_model_or_face(tmp_path):
    result = write_run(tmp_path / "runs")
    storage.write_json(result.folder / "environment.json", {"python": "3"})
    (result.folder / "model.keras").write_bytes(b"weights")
    (copy,) = publish.publish([result.folder], tmp_path / "figures" / "runs")
    assert sorted(path.name for path in copy.iterdir()) == sorted(publish.PUBLISHED)
    assert runs.load_run(copy).experiment == dataclasses.replace(
        result.experiment, results_dir="runs"
    )
    table = runs.runs_table(tmp_path / "runs")
    pd.testing.assert_frame_equal(runs.runs_table(tmp_path / "figures" / "runs"), table)
    assert publish.publish([result.folder], copy.parent) == [copy]  # the same again changes nothing


def test_other_scores_are_not_published_over(tmp_path):
    result = write_run(tmp_path / "runs")
    storage.write_json(result.folder / "environment.json", {})
    (copy,) = publish.publish([result.folder], tmp_path / "copies")
    storage.write_json(result.folder / "scores.json", result.scores | {"best_epoch": 3})
    with pytest.raises(FileExistsError, match="holds other scores"):
        publish.publish([result.folder], tmp_path / "copies")
    assert storage.read_json(copy / "scores.json")["best_epoch"] == 2


def test_a_run_is_not_published_over_itself(tmp_path):
    result = write_run(tmp_path, results_dir="elsewhere")
    with pytest.raises(ValueError, match="can not be its own copy: give another folder"):
        publish.publish([result.folder], tmp_path)
    assert runs.load_run(result.folder).experiment.results_dir == "elsewhere"


def test_an_unfinished_run_is_not_published(tmp_path):
    result = write_run(tmp_path / "runs", finished=False)
    with pytest.raises(FileNotFoundError, match="is not finished"):
        publish.publish([result.folder], tmp_path / "copies")
    assert not (tmp_path / "copies").exists()
