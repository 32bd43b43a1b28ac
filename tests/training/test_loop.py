"""training: it learns, keeps the best epoch, and goes on after a kill as if nothing had been."""

import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest

from fer_lib import storage
from fer_lib.models import classifier
from fer_lib.training import checkpoints, feed, loop
from fer_lib.training.loop import Stage
from support.places import ROOT

on_tensorflow = keras.backend.backend() == "tensorflow"
COLUMNS = """epoch stage loss accuracy val_loss val_accuracy val_macro_f1 learning_rate
compile_seconds seconds""".split()


def fit(tiny, data, folder, *, stages, model_seed=0, **options):
    """Train a fresh classifier; return it and its history."""
    keras.utils.set_random_seed(model_seed)
    model = classifier.build_classifier(tiny, weights=None, classes=data[0][1].shape[1])
    return model, loop.fit(
        model, *data, stages=stages, folder=folder, **{"batch_size": 32} | options
    )


@pytest.fixture(scope="module")
def data(tiny_faces):
    """`(images, targets)` of training and validation."""
    return [(tiny_faces[s].images, tiny_faces[s].targets) for s in ("train", "validation")]


@pytest.fixture(scope="module")
def grey(tiny_faces):
    """Faces without a face, nine of class 0 for one of class 1: only frequencies can be learned."""
    images = np.full((100, 48, 48), 128, np.uint8)
    targets = np.eye(2, dtype=np.float32)[(np.arange(100) % 10 == 0).astype(int)]
    return [(images, targets), (images, targets)]


def script(monkeypatch, values):
    """Have validation's macro-F1 take these values, one an epoch."""
    left = iter(values)
    metrics = dict(loop.METRICS) | {"macro_f1": lambda labels, probabilities: next(left)}
    monkeypatch.setattr(loop, "METRICS", metrics)


def note_weights(monkeypatch):
    """Return a list that receives the weights after each epoch."""
    seen, save = [], checkpoints.save

    def noting(folder, history, best, model, trainer):
        seen.append(model.get_weights())
        save(folder, history, best, model, trainer)

    monkeypatch.setattr(checkpoints, "save", noting)
    return seen


def assert_same(ones, others, atol=0.0):
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


# learning


@pytest.mark.slow
def test_fit_learns_and_reports_every_epoch(tiny, data, tmp_path, capsys):
    stages = [Stage("head", "top", 1, 1e-2), Stage("all", "all", 12, 1e-2)]
    model, history = fit(tiny, data, tmp_path, stages=stages, seed=1)
    assert list(history.columns) == COLUMNS
    assert history.epoch.tolist() == list(range(1, 14))
    assert history.stage.tolist() == ["head"] + ["all"] * 12
    assert history.loss.iloc[-1] < 0.5 * history.loss.iloc[0]
    assert history.val_accuracy.max() > 2 / 7
    # the model is the best epoch's, and the numbers are those anyone computes from it
    probabilities = model.predict(data[1][0], verbose=0)
    best = history.iloc[loop.best_epoch(history, "val_macro_f1") - 1]
    right = probabilities.argmax(1) == data[1][1].argmax(1)
    assert best.val_accuracy == pytest.approx(right.mean())
    log_loss = -np.log((probabilities * data[1][1]).sum(1)).mean()
    assert best.val_loss == pytest.approx(log_loss, rel=1e-4)
    # what is on disk
    saved = pd.read_csv(tmp_path / "history.csv", dtype={"stage": str})
    pd.testing.assert_frame_equal(saved, history)
    if on_tensorflow:
        events = list((tmp_path / "tensorboard").rglob("events*"))
        assert sorted(path.parent.name for path in events) == ["train", "validation"]
    # and in the log: a line an epoch, not a line a step
    log = capsys.readouterr().out
    assert all(f"epoch {epoch:3d}" in log for epoch in range(1, 14))
    assert log.count("epoch") == 13 and log.count("\r") < 13 * 7


def test_the_rate_warms_up_and_decays_to_nothing(tiny, grey, tmp_path):
    _, history = fit(tiny, grey, tmp_path, stages=[Stage("top", "top", 10, 0.1)], batch_size=50)
    assert history.learning_rate.iloc[0] == pytest.approx(0.1, rel=0.05)  # after a tenth
    assert (np.diff(history.learning_rate) < 0).all()
    assert history.learning_rate.iloc[-1] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [
        name if name == "adamw" else pytest.param(name, marks=pytest.mark.slow)
        for name in loop.OPTIMIZERS
    ],
)
def test_every_optimizer_lowers_the_loss(tiny, grey, tmp_path, optimizer):
    stages = [Stage("top", "top", 3, 0.05)]
    _, history = fit(tiny, grey, tmp_path, stages=stages, optimizer=optimizer, schedule="constant")
    assert history.loss.iloc[-1] < history.loss.iloc[0]
    assert history.learning_rate.tolist() == pytest.approx([0.05] * 3)


LONG = [Stage("top", "top", 25, 0.1)]


@pytest.mark.slow
def test_without_class_weights_a_model_learns_the_frequencies(tiny, grey, tmp_path):
    model, _ = fit(tiny, grey, tmp_path, stages=LONG, monitor="val_loss")
    np.testing.assert_allclose(model.predict(grey[0][0][:1], verbose=0), [[0.9, 0.1]], atol=0.03)


@pytest.mark.slow
def test_balanced_class_weights_make_rare_classes_count_as_much(tiny, grey, tmp_path, monkeypatch):
    script(monkeypatch, range(25))  # the last epoch
    model, _ = fit(tiny, grey, tmp_path, stages=LONG, class_weight="balanced")
    np.testing.assert_allclose(model.predict(grey[0][0][:1], verbose=0), [[0.5, 0.5]], atol=0.05)


@pytest.mark.slow
def test_label_smoothing_holds_probabilities_back(tiny, grey, tmp_path, monkeypatch):
    script(monkeypatch, range(25))
    one_class = [(images, np.eye(2, dtype=np.float32)[[0] * 100]) for images, _ in grey]
    model, _ = fit(tiny, one_class, tmp_path, stages=LONG, label_smoothing=0.2)
    np.testing.assert_allclose(model.predict(grey[0][0][:1], verbose=0), [[0.9, 0.1]], atol=0.03)


def test_the_loss_of_smoothed_labels_is_lowered(tiny, grey, tmp_path):
    stages = [Stage("top", "top", 5, 0.05)]
    _, history = fit(tiny, grey, tmp_path, stages=stages, label_smoothing=0.1)
    assert history.loss.iloc[-1] < history.loss.iloc[0]
    assert history.val_loss.iloc[-1] < history.val_loss.iloc[0]


@pytest.mark.slow
def test_mixed_targets_keep_a_model_from_certainty(tiny, grey, tmp_path, monkeypatch):
    seen = []

    def noting(way, faces, targets, weights, **options):
        seen.append((way, len(faces), options["alpha"]))
        return faces, targets * 0 + 0.5, weights  # stands for a mixture of the classes

    monkeypatch.setattr(feed.mixing, "mix", noting)
    options = {"mixing": "mixup", "mixing_alpha": 0.4, "monitor": "val_loss"}
    model, _ = fit(tiny, grey, tmp_path, stages=[Stage("top", "top", 15, 0.1)], **options)
    assert seen == [("mixup", 100, 0.4)] * 15
    script(monkeypatch, range(25))
    np.testing.assert_allclose(model.predict(grey[0][0][:1], verbose=0).sum(), 1, atol=1e-5)


@pytest.mark.slow
def test_a_second_output_learns_beside_the_first_and_is_left_out(tiny, data, tmp_path):
    """The second labels tell happy from the rest, and half of the faces lack them."""
    happy = data[0][1][:, 3] > 0
    second = np.eye(2, dtype=np.float32)[happy.astype(int)]
    second[::2] = 0
    stages = [Stage("all", "all", 2, 1e-2)]
    options = {"stages": stages, "label_smoothing": 0.1, "mixing": "mixup", "ema": 0.5}
    model, history = fit(tiny, data, tmp_path / "both", auxiliary=second, **options)
    assert model.output_shape == (None, 7)
    assert not any(layer.name == "auxiliary" for layer in model.layers)
    answers = model.predict(data[1][0], verbose=0)
    right = (answers.argmax(1) == data[1][1].argmax(1)).mean()
    best = history.iloc[loop.best_epoch(history, "val_macro_f1") - 1]
    assert best.val_accuracy == pytest.approx(right)
    alone, _ = fit(tiny, data, tmp_path / "alone", **options)
    assert any(
        abs(a - b).max() > 1e-4
        for a, b in zip(model.get_weights(), alone.get_weights(), strict=True)
    )


@pytest.mark.slow
def test_a_training_with_a_second_output_goes_on_to_the_bit(tiny, data, tmp_path):
    second = data[0][1][:, :3] / np.maximum(data[0][1][:, :3].sum(1, keepdims=True), 1)
    whole, _ = fit(
        tiny, data, tmp_path / "a", stages=[Stage("all", "all", 2, 1e-2)], auxiliary=second
    )
    stages = [Stage("all", "all", 1, 1e-2), Stage("all", "all", 1, 1e-2)]
    first, _ = fit(tiny, data, tmp_path / "b", stages=stages, auxiliary=second)
    stopped = tmp_path / "c"
    fit(tiny, data, stopped, stages=stages[:1], auxiliary=second)
    again, history = fit(tiny, data, stopped, stages=stages, auxiliary=second)
    assert len(history) == 2
    assert_same(first.get_weights(), again.get_weights())
    assert any(
        (a != b).any() for a, b in zip(first.get_weights(), whole.get_weights(), strict=True)
    )


@pytest.mark.slow
def test_the_plateau_lowers_the_rate_after_three_epochs(tiny, grey, tmp_path):
    # With a rate of 0 no epoch is better than the first.
    frozen = [Stage("head", "top", 5, 0.0), Stage("top", "top", 5, 1e-12)]
    _, history = fit(tiny, grey, tmp_path, stages=frozen, schedule="plateau")
    assert history.learning_rate.tolist() == pytest.approx([0.0] * 5 + [1e-12] * 4 + [5e-13])


@pytest.mark.slow
def test_the_averaged_weights_are_what_is_validated_saved_and_returned(
    tiny, grey, tmp_path, monkeypatch
):
    seen = note_weights(monkeypatch)
    stages = [Stage("top", "top", 3, 0.05)]
    options = {"stages": stages, "monitor": "val_loss", "schedule": "constant"}
    model, history = fit(tiny, grey, tmp_path / "ema", ema=0.9, **options)
    averaged = list(seen)
    seen.clear()
    _, plain = fit(tiny, grey, tmp_path / "plain", **options)
    # The steps are the same with and without, so training is too; validation is not.
    np.testing.assert_allclose(history.loss, plain.loss, rtol=1e-4)
    assert (np.abs(history.val_loss - plain.val_loss) > 1e-3).all()
    best = loop.best_epoch(history, "val_loss")
    assert_same(model.get_weights(), averaged[best - 1])
    probabilities = model.predict(grey[1][0], verbose=0)
    log_loss = -np.log((probabilities * grey[1][1]).sum(1)).mean()
    assert history.val_loss[best - 1] == pytest.approx(log_loss, rel=1e-4)


# the best epoch


def test_the_best_epoch_s_weights_are_restored(tiny, grey, tmp_path, monkeypatch):
    script(monkeypatch, [0.1, 0.7, 0.3, 0.7])
    seen = note_weights(monkeypatch)
    model, history = fit(tiny, grey, tmp_path, stages=[Stage("top", "top", 4, 0.01)])
    assert loop.best_epoch(history, "val_macro_f1") == 2  # the first of the two
    assert_same(model.get_weights(), seen[1])
    assert any((a != b).any() for a, b in zip(seen[1], seen[3], strict=True))


@pytest.mark.parametrize(
    "monitor, best", [("val_macro_f1", 2), ("val_accuracy", 1), ("val_loss", 3)]
)
def test_each_monitor_knows_its_direction(monitor, best):
    rows = [
        {"val_macro_f1": 0.1, "val_accuracy": 0.9, "val_loss": 1.0},
        {"val_macro_f1": 0.3, "val_accuracy": 0.2, "val_loss": 2.0},
        {"val_macro_f1": 0.2, "val_accuracy": 0.3, "val_loss": 0.5},
    ]
    assert loop.best_epoch(rows, monitor) == best
    assert loop.best_epoch(pd.DataFrame(rows), monitor) == best


@pytest.mark.slow
def test_patience_ends_the_last_stage_alone(tiny, grey, tmp_path, monkeypatch):
    script(monkeypatch, [0.9, 0.8, 0.7, 0.6, 0.3, 0.4, 0.4, 0.4])
    stages = [Stage("head", "top", 4, 0.01), Stage("all", "top", 9, 0.01)]
    _, history = fit(tiny, grey, tmp_path, stages=stages, patience=2)
    assert history.stage.tolist() == ["head"] * 4 + ["all"] * 4  # best 6th, two more
    again = fit(tiny, grey, tmp_path, stages=stages, patience=2)[1]
    assert len(again) == 8  # started again, it does not train on


# what is refused


@pytest.mark.parametrize(
    "options, message",
    [
        ({"monitor": "val_f1"}, "Unknown monitor 'val_f1'.*did you mean 'val_macro_f1'"),
        ({"optimizer": "adamm"}, "Unknown optimizer 'adamm'.*did you mean 'adam"),
        ({"schedule": "linear"}, "Unknown schedule 'linear'"),
        ({"class_weight": "balance"}, "Unknown class_weight 'balance'.*did you mean 'balanced'"),
        ({"cache": "all"}, "Unknown cache mode 'all'"),
        ({"mixing": "mix"}, "Unknown mixing 'mix'.*did you mean 'mixup'"),
        ({"augmentation": "flips"}, "Unknown augmentation 'flips'.*did you mean 'flip'"),
        ({"batch_norm": "freeze"}, "Unknown batch_norm mode 'freeze'.*did you mean 'frozen'"),
    ],
)
def test_an_unknown_name_is_refused_before_anything_is_written(
    tiny, grey, tmp_path, options, message
):
    with pytest.raises(ValueError, match=message):
        fit(tiny, grey, tmp_path / "run", stages=[Stage("top", "top", 1, 0.1)], **options)
    assert not (tmp_path / "run" / "history.csv").exists()


def test_a_loss_that_is_no_number_is_an_error_and_not_an_epoch(tiny, data, tmp_path):
    stages = [Stage("all", "all", 2, 1e38)]
    with pytest.raises(ValueError, match="The loss is (nan|inf) in epoch [12]: lower learning_r"):
        fit(tiny, data, tmp_path, stages=stages, optimizer="sgd", schedule="constant")
    history = checkpoints.read_history(tmp_path)
    assert all(np.isfinite(row["loss"]) for row in history)


# going on after a kill

STAGES = [Stage("head", "top", 2, 3e-3), Stage("100", "100", 3, 3e-3)]
OPTIONS = {"augmentation": "standard", "class_weight": "balanced", "seed": 7, "cache": "none"}


def train(tiny, data, folder, **options):
    """The training that is killed and resumed below, there in another process."""
    model, history = fit(tiny, data, folder, stages=STAGES, **OPTIONS | options)
    return history.drop(columns=["seconds", "compile_seconds"]), model.get_weights()


@pytest.fixture(scope="module")
def uninterrupted(tiny, data, tmp_path_factory):
    """History and weights of the training that nothing stopped, and its folder."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    return *train(tiny, data, folder), folder


def assert_same_training(one, other):
    pd.testing.assert_frame_equal(one[0], other[0], check_exact=True)
    assert_same(one[1], other[1])


class Killed(BaseException):
    """Stands for the end of the process."""


def kill_when_saved(monkeypatch, epoch):
    save = checkpoints.save

    def killing(folder, history, *arguments):
        save(folder, history, *arguments)
        if len(history) == epoch:
            raise Killed

    monkeypatch.setattr(checkpoints, "save", killing)


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 4])  # in the head's stage, in the last
def test_a_training_stopped_after_an_epoch_ends_as_an_uninterrupted_one(
    tiny, data, tmp_path, uninterrupted, monkeypatch, epoch
):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_when_saved(patch, epoch)
        train(tiny, data, tmp_path)
    assert len(checkpoints.read_history(tmp_path)) == epoch
    assert_same_training(train(tiny, data, tmp_path), uninterrupted)


@pytest.mark.slow
def test_a_stop_between_checkpoint_and_history_is_harmless(
    tiny, data, tmp_path, uninterrupted, monkeypatch
):
    replacing = storage.replacing
    saved = []

    def killing(path):
        saved.append(path.name)
        if saved.count("history.csv") == 4:
            raise Killed
        return replacing(path)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(storage, "replacing", killing)
        train(tiny, data, tmp_path)
    assert len(checkpoints.read_history(tmp_path)) == 3
    assert (tmp_path / "checkpoint" / "0004.weights.npz").exists()
    assert_same_training(train(tiny, data, tmp_path), uninterrupted)


@pytest.mark.slow
def test_a_finished_training_is_returned_as_it_is(tiny, data, uninterrupted, monkeypatch):
    monkeypatch.setattr(loop, "_train_epoch", None)
    assert_same_training(train(tiny, data, uninterrupted[2]), uninterrupted)


@pytest.mark.slow
def test_another_seed_is_another_training(tiny, data, tmp_path, uninterrupted):
    history, _ = train(tiny, data, tmp_path, seed=8)
    assert (history.loss != uninterrupted[0].loss).any()


def kill_this_process_at_step(number):
    """Have the training kill its own process, as `kill -9` does, in the middle of an epoch."""
    make = loop._progress

    def progress(*arguments):
        bar = make(*arguments)
        update = bar.update

        def counting(count=1):
            if bar.n + count >= number:
                os.kill(os.getpid(), signal.SIGKILL)
            return update(count)

        bar.update = counting
        return bar

    loop._progress = progress


@pytest.mark.slow
def test_kill_9_in_the_middle_of_an_epoch_changes_no_bit_of_the_result(
    tiny, data, tmp_path, uninterrupted
):
    program = (
        "import numpy as np\nfrom support import tiny_backbone\n"
        "from training import test_loop as t\n"
        "t.kill_this_process_at_step(25)\n"  # seven steps an epoch: in the fourth
        f"arrays = np.load({str(tmp_path / 'data.npz')!r})\n"
        "data = [(arrays['x'], arrays['y']), (arrays['vx'], arrays['vy'])]\n"
        "with tiny_backbone.installed() as tiny:\n"
        f"    t.train(tiny, data, {str(tmp_path / 'run')!r})\n"
    )
    (x, y), (vx, vy) = data
    np.savez(tmp_path / "data.npz", x=x, y=y, vx=vx, vy=vy)
    killed = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(checkpoints.read_history(tmp_path / "run")) == 3
    assert_same_training(train(tiny, data, tmp_path / "run"), uninterrupted)
