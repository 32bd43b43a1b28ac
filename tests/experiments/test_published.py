"""Published: what a report needs of runs, and nothing of a face or a machine."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fer_lib import storage
from fer_lib.data import catalogue
from fer_lib.evaluation import metrics
from fer_lib.experiments import published, runs
from fer_lib.experiments.experiment import Experiment
from fer_lib.experiments.published import PUBLISHED, publish, save_answers
from support.finished_runs import write_run


def test_published_copies_hold_what_a_report_needs_and_no_model_or_face(tmp_path):
    result = write_run(tmp_path / "runs")
    storage.write_json(result.folder / "environment.json", {"data": {}})
    (result.folder / "model.keras").write_bytes(b"weights")
    (copy,) = publish([result.folder], tmp_path / "figures" / "runs")
    assert sorted(path.name for path in copy.iterdir()) == sorted(PUBLISHED)
    assert runs.load_run(copy).experiment == dataclasses.replace(
        result.experiment, results_dir="runs"
    )
    table = runs.runs_table(tmp_path / "runs")
    pd.testing.assert_frame_equal(runs.runs_table(tmp_path / "figures" / "runs"), table)
    assert publish([result.folder], copy.parent) == [copy]  # the same again changes nothing


def test_other_scores_are_not_published_over(tmp_path):
    result = write_run(tmp_path / "runs")
    storage.write_json(result.folder / "environment.json", {"data": {}})
    (copy,) = publish([result.folder], tmp_path / "copies")
    storage.write_json(result.folder / "scores.json", result.scores | {"best_epoch": 3})
    with pytest.raises(FileExistsError, match="holds other scores"):
        publish([result.folder], tmp_path / "copies")
    assert storage.read_json(copy / "scores.json")["best_epoch"] == 2


def test_a_run_is_not_published_over_itself(tmp_path):
    result = write_run(tmp_path, results_dir="elsewhere")
    with pytest.raises(ValueError, match="can not be its own copy: give another folder"):
        publish([result.folder], tmp_path)
    assert runs.load_run(result.folder).experiment.results_dir == "elsewhere"


def test_an_unfinished_run_is_not_published(tmp_path):
    result = write_run(tmp_path / "runs", finished=False)
    with pytest.raises(FileNotFoundError, match="is not finished"):
        publish([result.folder], tmp_path / "copies")
    assert not (tmp_path / "copies").exists()


def test_published_answers_are_small_and_name_the_same_classes(tmp_path):
    result = write_run(tmp_path / "runs", validation=True)
    storage.write_json(result.folder / "environment.json", {"data": {}})
    answers = result.predictions["probabilities"].copy()
    answers[0] = [0.25, 0.25 - 1e-6, *[0.1] * 5]  # equal in half precision
    answers[1] = [0.25 - 1e-6, 0.25, *[0.1] * 5]
    ids = np.array([f"/home/me/anna/{n}.png" for n in range(140)])
    arrays = result.predictions | {"ids": ids, "probabilities": answers}
    arrays["groups"] = np.repeat(np.arange(70), 2)
    np.savez(result.folder / "predictions.npz", **arrays)
    (copy,) = publish([result.folder], tmp_path / "copies")
    small = runs.load_run(copy).predictions
    assert set(small) == {"ids", "labels", "probabilities", "groups"}
    assert (small["labels"] == arrays["labels"]).all()
    assert (small["groups"] == arrays["groups"]).all()
    assert small["probabilities"].dtype == np.float32
    np.testing.assert_allclose(small["probabilities"], answers, atol=5e-4)
    assert (small["probabilities"].argmax(1) == answers.argmax(1)).all()
    assert len(set(small["ids"].tolist())) == 140 and b"anna" not in b"".join(
        path.read_bytes() for path in copy.iterdir()
    )
    metrics.checked(small["labels"], small["probabilities"])  # rows still sum to 1
    assert (copy / "predictions.npz").stat().st_size < 20 * 140 + 2000


def test_paths_of_this_machine_are_cut_to_their_last_part(tmp_path):
    result = write_run(tmp_path / "runs")
    storage.write_json(result.folder / "environment.json", {"data": {}})
    told = dataclasses.asdict(result.experiment) | {
        "dataset": "/home/me/faces.csv",
        "weights": "/home/me/start.keras",
        "distill_from": "/home/me/runs/one,default",
    }
    storage.write_json(result.folder / "experiment.json", told)
    teachers = [{"name": "/home/me/runs/one/model.keras", "sha256": "0", "trained_on": "x"}]
    scores = result.scores | {"dataset": "/home/me/faces.csv", "teachers": teachers}
    storage.write_json(result.folder / "scores.json", scores)
    folder = result.folder.rename(tmp_path / "runs" / Experiment(**told).name)
    (copy,) = publish([folder], tmp_path / "copies")
    again = runs.load_run(copy).experiment
    assert (again.dataset, again.weights) == ("faces.csv", "start.keras")
    assert again.distill_from == "one,default" and copy.name == again.name
    assert not any("home" in path.read_text() for path in copy.glob("*.json"))
    assert "home" not in copy.name


def test_published_runs_keep_their_names():
    for path in (Path(__file__).parents[2] / "figures" / "runs").glob("*/experiment.json"):
        run = runs.load_run(path.parent)
        assert published.public_name(run) == run.experiment.name == run.folder.name


def test_two_runs_of_one_name_and_other_scores_are_not_published_over_one_another(tmp_path):
    both = [write_run(tmp_path / place, answers=seed) for seed, place in enumerate("ab")]
    for result in both:
        storage.write_json(result.folder / "environment.json", {"data": {}})
    with pytest.raises(FileExistsError, match="one name and other scores"):
        publish([result.folder for result in both], tmp_path / "copies")
    assert not (tmp_path / "copies").exists()


@pytest.mark.parametrize("name", ["environment.json", "history.csv", "scores.json"])
def test_a_damaged_file_is_named_and_nothing_is_published(tmp_path, name):
    result = write_run(tmp_path / "runs")
    storage.write_json(result.folder / "environment.json", {"data": {}})
    (result.folder / name).write_text("{}")
    with pytest.raises(ValueError, match=f"{name} is damaged"):
        publish([result.folder], tmp_path / "copies")
    assert not (tmp_path / "copies").exists()


@pytest.mark.parametrize(
    "name", ["experiment.json", "history.csv", "predictions.npz", "scores.json"]
)
def test_a_file_of_another_run_is_named_and_nothing_is_published(tmp_path, name):
    result = write_run(tmp_path / "runs", validation=True)
    other = write_run(tmp_path / "other", answers=1, epochs=2, seed=1, validation=True)
    files = {path.name: storage.file_hash(path) for path in result.folder.iterdir()}
    storage.write_json(result.folder / "environment.json", {"data": {}, "files": files})
    (result.folder / name).write_bytes((other.folder / name).read_bytes())
    with pytest.raises(ValueError, match=f"{name} is not the file that the run wrote"):
        publish([result.folder], tmp_path / "copies")
    assert not (tmp_path / "copies").exists()


def test_answers_need_the_emotions_of_the_faces_in_their_order(tmp_path):
    faces = catalogue.load_synthetic(train=14, validation=14, test=14)["test"]
    model = SimpleNamespace(label_set=faces.label_set[::-1])
    with pytest.raises(ValueError, match="same emotions in one order"):
        save_answers(model, faces, tmp_path / "predictions.npz")
    assert not (tmp_path / "predictions.npz").exists()
