"""runner: one experiment becomes one folder, once."""

import contextlib
import dataclasses
import functools
import json
import os
import shutil
import signal
import socket
import time

import keras
import numpy as np
import pytest

from fer_lib import storage
from fer_lib.data import catalogue
from fer_lib.evaluation import calibration, metrics
from fer_lib.experiments import holding, locks, runner, runs
from fer_lib.experiments.experiment import Experiment
from fer_lib.models import classifier
from fer_lib.training import checkpoints, devices, frozen, loop
from support.finished_runs import experiment

FILES = [
    "environment.json",
    "experiment.json",
    "history.csv",
    "model.keras",
    "predictions.npz",
    "scores.json",
]


@pytest.fixture(scope="module")
def finished(tiny, tiny_faces, tmp_path_factory):
    """A finished run, and the order in which its files came to be."""
    folder, written = tmp_path_factory.mktemp("runs"), []
    replace = storage.os.replace
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            storage.os, "replace", lambda old, new: (replace(old, new), written.append(new.name))
        )
        result = runner.run(experiment(folder), tiny_faces)
    return result, written


@pytest.mark.slow
def test_a_run_s_folder_is_complete_and_its_scores_come_last(finished):
    result, written = finished
    files = sorted(path.name for path in result.folder.iterdir() if path.is_file())
    assert files == FILES and result.finished
    assert written[0] == "experiment.json" and written[-1] == "scores.json"
    assert not (result.folder / "checkpoint").exists()
    assert result.folder.name == experiment("").name
    recorded = result.environment["files"]
    assert {n: storage.file_hash(result.folder / n) for n in recorded} == recorded
    assert set(recorded) == set(FILES) - {"environment.json"}
    host = socket.gethostname()
    assert not any(host in path.name for path in result.folder.glob("tensorboard/**/*"))


def test_the_history_has_both_stages(finished):
    history = finished[0].history
    assert history.stage.tolist() == ["head", "100"] and history.epoch.tolist() == [1, 2]


def test_the_experiment_comes_back_from_its_folder(finished):
    result = runs.load_run(finished[0].folder)
    assert result.experiment == experiment(result.folder.parent)


def test_scores_say_what_was_measured_on_what_from_where(finished):
    scores = finished[0].scores
    assert scores["dataset"] == "synthetic" and scores["weights"] == "random start"
    assert scores["test_name"] == "synthetic test" and scores["train_n"] == 210
    assert scores["validation_name"] == "synthetic validation"
    assert scores["selected_by"] == "val_macro_f1" and scores["best_epoch"] in (1, 2)
    for metric in runs.HEADLINE:
        score = scores["test"][metric]
        assert score["low"] <= score["value"] <= score["high"]
    assert len(scores["test"]["per_class"]) == 7


def test_validation_scores_are_those_of_the_best_epoch(finished):
    result = finished[0]
    best = result.history.iloc[result.scores["best_epoch"] - 1]
    for metric in ("accuracy", "macro_f1"):
        measured = result.scores["validation"][metric]["value"]
        assert measured == pytest.approx(best[f"val_{metric}"])


def test_the_saved_model_is_calibrated_on_validation(finished, tiny_faces):
    run = finished[0]
    of, temperature = run.predictions, run.scores["temperature"]
    raw = calibration.apply_temperature(of["validation_probabilities"], 1 / temperature)
    best = run.history.val_loss[run.scores["best_epoch"] - 1]
    assert metrics.log_loss(of["validation_labels"], raw) == pytest.approx(best, abs=1e-3)
    assert temperature == pytest.approx(calibration.fit_temperature(of["validation_labels"], raw))
    assert run.scores["validation"]["log_loss"]["value"] < best
    assert run.scores["multiply_adds"] > run.scores["parameters"] > 1000


def test_predictions_are_those_of_the_saved_model(finished, tiny_faces):
    result = finished[0]
    model = result.model()
    for split, prefix in (("test", ""), ("validation", "validation_")):
        faces = tiny_faces[split]
        predicted = model.predict(faces.images, batch_size=256, verbose=0)
        saved = result.predictions
        np.testing.assert_allclose(saved[f"{prefix}probabilities"], predicted, atol=1e-5)
        np.testing.assert_array_equal(saved[f"{prefix}labels"], faces.classes)
        np.testing.assert_array_equal(saved[f"{prefix}ids"], faces.ids)


def test_the_environment_says_on_what_it_ran(finished, tiny_faces):
    environment = finished[0].environment
    assert environment["backend"] == keras.backend.backend() and environment["devices"]
    assert environment["packages"]["keras"] == keras.__version__
    assert set(environment) >= {"python", "platform", "cpus", "git", "started"}
    for split, faces in tiny_faces.items():
        assert environment["data"][split]["sha256"] == faces.content_hash
    json.dumps(environment)


def test_a_finished_run_is_returned_without_training_again(finished, tiny_faces, monkeypatch):
    result = finished[0]
    before = {path.name: path.stat().st_mtime_ns for path in result.folder.iterdir()}
    monkeypatch.setattr(loop, "fit", None)
    monkeypatch.setattr(catalogue, "load_dataset", None)
    again = runner.run(experiment(result.folder.parent))
    assert again == result and again.scores == result.scores
    assert before == {path.name: path.stat().st_mtime_ns for path in result.folder.iterdir()}


def test_the_run_appears_in_the_table(finished):
    result = finished[0]
    (row,) = runs.runs_table(result.folder.parent).to_dict("records")
    assert row["run"] == result.folder.name and row["state"] == "finished"
    assert row["accuracy"] == result.scores["test"]["accuracy"]["value"]
    assert list(runs.find_runs(result.folder.parent).values()) == [result]


def test_a_folder_of_another_experiment_is_not_touched(tiny, tiny_faces, tmp_path):
    wanted = experiment(tmp_path)
    other = dataclasses.asdict(dataclasses.replace(wanted, seed=9))
    storage.write_json(tmp_path / wanted.name / "experiment.json", other)
    with pytest.raises(ValueError, match="holds another experiment; move the folder away"):
        runner.run(wanted, tiny_faces)
    assert [path.name for path in (tmp_path / wanted.name).iterdir()] == ["experiment.json"]


def test_an_unknown_name_leaves_no_folder(tiny, tiny_faces, tmp_path):
    with pytest.raises(ValueError, match="Unknown monitor"):
        runner.run(experiment(tmp_path / "runs", monitor="val_f1"), tiny_faces)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_run_stopped_after_an_epoch_goes_on_to_the_same_scores(
    finished, tiny_faces, tmp_path, monkeypatch
):
    save = checkpoints.save

    def killing(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    wanted = experiment(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoints, "save", killing)
        runner.run(wanted, tiny_faces)
    (row,) = runs.runs_table(tmp_path).to_dict("records")
    assert row["state"] == "epoch 1 of 2"
    result = runner.run(wanted, tiny_faces)
    assert result.scores == finished[0].scores
    np.testing.assert_array_equal(
        result.predictions["probabilities"], finished[0].predictions["probabilities"]
    )


@pytest.mark.parametrize(
    "parameters, stages",
    [
        ({"unfreeze": "top", "epochs": 5}, [("top", "top", 5)]),
        ({"unfreeze": "all", "epochs": 5}, [("head", "top", 1), ("all", "all", 4)]),
        ({"unfreeze": "100", "epochs": 5, "head_epochs": 0}, [("100", "100", 5)]),
        (
            {"unfreeze": "all", "epochs": 3, "head_epochs": 9},
            [("head", "top", 2), ("all", "all", 1)],
        ),
        ({"unfreeze": "all", "epochs": 1}, [("all", "all", 1)]),
        (
            {"unfreeze": "progressive", "epochs": 8},
            [("head", "top", 1), ("100", "100", 3), ("all", "all", 4)],
        ),
        ({"unfreeze": "progressive", "epochs": 2}, [("head", "top", 1), ("all", "all", 1)]),
        ({"backbone": "mini_xception", "unfreeze": "all", "epochs": 5}, [("all", "all", 5)]),
        (
            {"backbone": "cnn4", "weights": "mine.keras", "unfreeze": "all", "epochs": 5},
            [("head", "top", 1), ("all", "all", 4)],
        ),
    ],
)
def test_the_stages_add_up_to_the_epochs(parameters, stages):
    made = runner._stages(experiment("", learning_rate=0.1, **parameters), None)
    assert [stage[:3] for stage in made] == stages
    rates = [0.001 if stage.name == "head" else 0.1 for stage in made]
    assert [stage.learning_rate for stage in made] == rates


# "auto"


def test_auto_says_what_could_not_be_had(tiny, monkeypatch):
    monkeypatch.delenv("FER_WEIGHTS", raising=False)
    monkeypatch.setattr(
        catalogue, "resolve_auto", lambda: ("synthetic", "These are synthetic faces.")
    )
    resolved, notices = runner.resolve(experiment("", dataset="auto", weights="auto"))
    assert (resolved.dataset, resolved.weights) == ("synthetic", None)
    assert notices[0] == "These are synthetic faces." and "RANDOM START" in notices[1]
    assert len(notices) == 2


def test_what_is_named_is_left_as_it_is(tiny):
    named = experiment("", weights="mine.weights.h5")
    assert runner.resolve(named) == (named, [])


def test_auto_and_what_it_came_to_share_a_folder(tiny, tiny_faces, finished, monkeypatch):
    monkeypatch.delenv("FER_WEIGHTS", raising=False)
    monkeypatch.setattr(catalogue, "resolve_auto", lambda: ("synthetic", "Synthetic faces."))
    result = finished[0]
    wanted = experiment(result.folder.parent, dataset="auto", weights="auto")
    assert runner.run(wanted).folder == result.folder  # faces that are passed in have own names


def test_the_seed_decides_the_model_s_random_start(tiny, tiny_faces):
    starts = [
        runner.build_model(experiment("", seed=seed), tiny_faces).get_weights()
        for seed in (1, 1, 2)
    ]
    for one, again in zip(starts[0], starts[1], strict=True):
        np.testing.assert_array_equal(one, again)
    assert any((one != other).any() for one, other in zip(starts[0], starts[2], strict=True))


def test_other_faces_than_the_run_was_made_with_are_refused(finished, tiny_faces):
    result, _ = finished
    other = tiny_faces | {"validation": tiny_faces["validation"][::-1]}
    with pytest.raises(ValueError, match="begun with other validation faces"):
        runner.run(result.experiment, other)
    assert runner.run(result.experiment, tiny_faces).folder == result.folder


def test_a_resumed_run_keeps_the_record_of_its_beginning(tiny, tiny_faces, tmp_path, monkeypatch):
    this = experiment(tmp_path)
    monkeypatch.setattr(loop, "fit", lambda *a, **k: 1 / 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            runner.run(this, tiny_faces)
    record = runs.load_run(tmp_path / this.name).environment
    assert len(record["resumed"]) == 1 and record["resumed"][0]["started"] >= record["started"]


def test_building_a_model_leaves_the_dtype_policy_alone(tiny, tiny_faces, tmp_path):
    before = keras.config.dtype_policy()
    mixed = runner.build_model(experiment(tmp_path, mixed_precision="bfloat16"), tiny_faces)
    assert any(layer.compute_dtype == "bfloat16" for layer in mixed.layers)
    assert keras.config.dtype_policy() == before


@pytest.mark.slow
def test_a_run_in_bfloat16_saves_a_model_in_single_precision(tiny, tiny_faces, tmp_path):
    asked = experiment(tmp_path, mixed_precision="bfloat16", unfreeze="all", epochs=1)
    result = runner.run(asked, tiny_faces)
    model = result.model()
    assert {layer.compute_dtype for layer in model.layers if layer.weights} == {"float32"}
    answers = model.predict(tiny_faces["test"].images, verbose=0)
    np.testing.assert_allclose(answers, result.predictions["probabilities"], atol=1e-4)


# recipes

RECIPES = {
    "unfreeze": "progressive",
    "epochs": 4,
    "attention": "se",
    "mixing": "cutmix",
    "mixing_alpha": 1.0,
    "class_weight": "balanced",
    "schedule": "plateau",
    "ema": 0.5,
    "distill_weight": 0.3,
    "distill_on": "augmented",
}


@pytest.mark.slow
def test_all_recipes_at_once_go_on_after_a_stop_and_write_the_teacher_down(
    finished, tiny_faces, tmp_path, monkeypatch
):
    with_attention = classifier.BACKBONES["tiny"]._replace(stride_32="conv_4")
    monkeypatch.setitem(classifier.BACKBONES, "tiny", with_attention)
    teacher = finished[0].folder
    recipes = RECIPES | {"distill_from": str(teacher)}
    whole = runner.run(experiment(tmp_path / "whole", **recipes), tiny_faces)
    assert whole.history.stage.tolist() == ["head", "100", "all", "all"]
    assert any(layer.name.startswith("attention") for layer in whole.model().layers)
    (about,) = whole.scores["teachers"]
    assert about["sha256"] == storage.file_hash(teacher / "model.keras")
    assert about["trained_on"] == "synthetic train"

    save = checkpoints.save

    def killing(folder, history, *arguments):
        save(folder, history, *arguments)
        if len(history) == 3:  # in the middle of the last stage
            raise KeyboardInterrupt

    wanted = experiment(tmp_path / "stopped", **recipes)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoints, "save", killing)
        runner.run(wanted, tiny_faces)
    result = runner.run(wanted, tiny_faces)
    assert result.scores == whole.scores
    np.testing.assert_array_equal(
        result.predictions["probabilities"], whole.predictions["probabilities"]
    )


def test_the_teachers_answers_are_what_is_fitted(finished, tiny_faces, tmp_path, monkeypatch):
    given = []

    def fit(model, train, validation, **options):
        given.extend((train[1], validation[1]))
        raise KeyboardInterrupt

    teacher = finished[0]
    this = experiment(tmp_path, distill_from=str(teacher.folder), distill_weight=0.25)
    monkeypatch.setattr(loop, "fit", fit)
    with pytest.raises(KeyboardInterrupt):
        runner.run(this, tiny_faces)
    answers = teacher.model().predict(tiny_faces["train"].images, verbose=0) ** 0.5
    answers /= answers.sum(axis=1, keepdims=True)
    expected = 0.75 * tiny_faces["train"].targets + 0.25 * answers
    np.testing.assert_allclose(given[0], expected, atol=1e-4)
    np.testing.assert_array_equal(given[1], tiny_faces["validation"].targets)


@pytest.mark.slow
def test_a_teacher_that_is_gone_when_training_ends_costs_nothing(
    finished, tiny_faces, tmp_path, monkeypatch
):
    teacher = tmp_path / "teacher"
    shutil.copytree(finished[0].folder, teacher)
    fit = loop.fit

    @functools.wraps(fit)
    def fit_and_lose(*arguments, **options):
        shutil.rmtree(teacher)
        return fit(*arguments, **options)

    monkeypatch.setattr(loop, "fit", fit_and_lose)
    result = runner.run(experiment(tmp_path / "runs", distill_from=str(teacher)), tiny_faces)
    assert result.scores["teachers"][0]["trained_on"] == "synthetic train"


def test_a_step_that_does_not_fit_into_memory_says_what_may(
    tiny, tiny_faces, tmp_path, monkeypatch
):
    def fit(*arguments, **options):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.")

    monkeypatch.setattr(keras.Model, "fit", fit)
    with pytest.raises(MemoryError, match="batch_size=32 does not fit .*: try batch_size=16"):
        runner.run(experiment(tmp_path), tiny_faces)


def test_a_teacher_that_is_not_there_is_missed_before_anything_is_trained():
    with pytest.raises(FileNotFoundError, match="'nowhere' is neither a file"):
        runner.set_up(experiment("", distill_from="nowhere"))


def test_several_devices_are_announced_with_the_rule_for_the_rate(monkeypatch):
    @contextlib.contextmanager
    def four(mode):
        yield 4

    assert runner.set_up(experiment("")) == []
    monkeypatch.setattr(devices, "data_parallel", four)
    (sentence,) = runner.set_up(experiment(""))
    assert "32 faces are shared by 4 devices" in sentence and "n times the rate" in sentence
    with pytest.raises(ValueError, match="multiple of the 4 devices; got 30"):
        runner.set_up(experiment("", batch_size=30))


def test_the_model_is_saved_after_its_calibration_and_before_its_test(
    tiny, tiny_faces, tmp_path, monkeypatch
):
    events, answer, save = [], frozen.compute_features, keras.Model.save

    def answering(model, images, **options):
        split = [name for name, faces in tiny_faces.items() if images is faces.images]
        events.append(split[0] if split else "other")
        return answer(model, images, **options)

    def saving(self, *arguments, **options):
        events.append("save")
        return save(self, *arguments, **options)

    monkeypatch.setattr(frozen, "compute_features", answering)
    monkeypatch.setattr(keras.Model, "save", saving)
    runner.run(experiment(tmp_path, epochs=1), tiny_faces)
    assert events[-4:] == ["validation", "save", "test", "validation"]


@pytest.mark.slow
def test_each_state_of_a_run_is_said_in_a_sentence(
    finished, tiny_faces, tmp_path, monkeypatch, capsys
):
    result, _ = finished
    again = experiment(result.folder.parent)
    for faces in (None, tiny_faces):
        assert runner.run(again, faces).folder == result.folder
        assert f"Finished before: read from {result.folder}." in capsys.readouterr().out

    def stop(folder, history, *rest):
        save(folder, history, *rest)
        raise KeyboardInterrupt

    save = checkpoints.save
    monkeypatch.setattr(checkpoints, "save", stop)
    this = experiment(tmp_path)
    said = "Stopped after 1 finished epochs; the same"
    with pytest.raises(holding.Stopped, match=said) as caught:
        runner.run(this, tiny_faces)
    assert caught.value._render_traceback_() == [str(caught.value)]  # all that a notebook shows
    folder = tmp_path / this.name
    name = f".fer-{storage._host()}-999999999-0a1b2c.loss.png"  # of a process that was killed
    left = folder / "figures" / name
    left.parent.mkdir()
    left.touch()
    monkeypatch.setattr(checkpoints, "save", save)
    capsys.readouterr()
    assert runner.run(this, tiny_faces).finished and not left.exists()
    assert f"Going on at epoch 2 of 2 in {folder}." in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == FILES


def test_a_second_process_is_refused_while_the_first_one_trains(tiny_faces, tmp_path, tiny):
    this = experiment(tmp_path)
    lock = locks.Lock(tmp_path / this.name / "run.lock")
    lock.path.parent.mkdir()
    assert lock.acquire()
    with pytest.raises(RuntimeError, match=f"is being written by process {os.getpid()} on"):
        runner.run(this, tiny_faces)
    lock.release()


@pytest.mark.slow
def test_a_folder_that_is_removed_ends_the_training(tiny_faces, tmp_path, tiny, monkeypatch):
    this = experiment(tmp_path)

    def fit(*arguments, **options):
        shutil.rmtree(tmp_path / this.name)
        for _ in range(300):  # an interrupt from another thread comes between two naps
            time.sleep(0.1)

    monkeypatch.setattr(locks, "BEAT", 0.05)
    monkeypatch.setattr(loop, "fit", fit)
    # A shell's background jobs inherit that they ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(RuntimeError, match="was removed, or another process took it over"):
        runner.run(this, tiny_faces)
    signal.signal(signal.SIGINT, before)


def test_faces_that_do_not_fit_are_refused_before_training(tiny_faces, tmp_path, tiny):
    missing = {split: tiny_faces[split] for split in ("train", "test")}
    with pytest.raises(ValueError, match="validation is missing"):
        runner.run(experiment(tmp_path), missing)
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_passed_in_faces_is_called_by_their_name_and_says_that_they_are_not_kept(
    tiny_faces, tmp_path, tiny, monkeypatch
):
    monkeypatch.setattr(loop, "fit", lambda *a, **k: 1 / 0)
    monkeypatch.setattr(catalogue, "resolve_auto", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        runner.run(experiment(tmp_path, dataset="auto"), tiny_faces)
    (folder,) = tmp_path.iterdir()
    begun = runs.load_run(folder)
    assert begun.experiment.dataset == "given: synthetic" and "given" in folder.name
    with pytest.raises(ValueError, match="faces that were passed in .*pass the same ones in again"):
        begun.experiment.load_data()


@pytest.fixture
def nothing_at_hand(monkeypatch):
    """A machine without data and ImageNet's weights; our own face model is there as always."""
    told = {"auto": ("synthetic", "Synthetic faces.")}
    monkeypatch.setattr(catalogue, "resolve_auto", lambda: told["auto"])
    monkeypatch.setattr(runner, "resolve_auto", lambda *network: ("fer", "The face model."))


def test_a_demonstration_never_starts_from_the_face_model(nothing_at_hand):
    resolved, notices = runner.resolve(Experiment())
    assert (resolved.dataset, resolved.weights) == ("synthetic", None)
    assert resolved.backbone == runner.DEMO and runner.DEMO in notices[-1]
    assert "RANDOM START" in notices[-1]


def test_a_network_that_was_asked_for_stays(nothing_at_hand):
    for asked in (Experiment(dataset="synthetic"), Experiment(attention="se")):
        resolved, notices = runner.resolve(asked)
        assert (resolved.backbone, resolved.weights) == (runner.BACKBONE, None)
    real = Experiment(dataset="fer2013")
    assert runner.resolve(real)[0].weights == "fer"
