"""story: the sentences before and after a run."""

import dataclasses

import pytest

from fer_lib.experiments import story
from fer_lib.experiments.experiment import Experiment
from fer_lib.experiments.runs import find_runs
from support.finished_runs import write_run


def test_the_plan_says_what_is_trained_and_where_it_goes(tmp_path):
    results = str(tmp_path / "runs")
    experiment = Experiment(dataset="synthetic", weights=None, epochs=3, results_dir=results)
    told = story.plan(experiment)
    assert "mobilenet_v2 (all) on synthetic for 3 epochs" in told and "random weights" in told
    assert f"Results go to {results}/{experiment.name}" in told
    assert "finished" not in told and "goes on" not in told


def test_the_plan_knows_a_run_that_was_stopped_or_finished(tmp_path):
    write_run(tmp_path / "runs", results_dir=str(tmp_path / "runs"))
    (run,) = find_runs(tmp_path / "runs").values()
    assert "not trained again" in story.plan(run.experiment)
    (run.folder / "scores.json").unlink()
    assert "stopped after epoch 3 and goes on" in story.plan(run.experiment)


@pytest.mark.parametrize(
    "unfreeze, epochs, told",
    [("all", 15, "20 minutes"), ("top", 15, "1 minute "), ("all", 99, "2.1 hours")],
)
def test_the_duration_is_that_of_the_published_measurements(unfreeze, epochs, told, monkeypatch):
    monkeypatch.setattr(story.cost, "multiply_adds", lambda model: 13e6)
    experiment = dataclasses.replace(Experiment(), unfreeze=unfreeze, epochs=epochs)
    assert told in story.duration(experiment, {"train": range(25_890)}, None)


def test_the_conclusion_has_the_score_the_epoch_the_folder_and_four_commands(tmp_path):
    write_run(tmp_path / "runs")
    (run,) = find_runs(tmp_path / "runs").values()
    told = story.conclusion(run)
    accuracy = run.scores["test"]["accuracy"]
    assert "accuracy {value:.3f} [{low:.3f}, {high:.3f}]".format(**accuracy) in told
    assert f"Epoch {run.scores['best_epoch']} of" in told and str(run.folder) in told
    assert len(told.split("What next:\n")[1].splitlines()) == 5
