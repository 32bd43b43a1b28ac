"""Training: stages of a classifier on plain arrays, one checkpoint an epoch, resumed exactly.

Every epoch's order and randomness depend on `(seed, epoch)` alone, so a run that is killed and
started again ends where an uninterrupted one does.
"""

import math
import time
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from fer_lib import screen
from fer_lib.choices import lookup
from fer_lib.evaluation.metrics import METRICS
from fer_lib.models.classifier import set_trainable
from fer_lib.training import checkpoints
from fer_lib.training.feed import Feed
from fer_lib.training.mixing import MIXING
from fer_lib.training.optimizers import OPTIMIZERS, SCHEDULES, build_optimizer, plateau
from fer_lib.training.targets import (
    CLASS_WEIGHTS,
    class_weights,
    first_accuracy,
    joint_crossentropy,
    smooth,
)

MONITORS = {"val_macro_f1": max, "val_accuracy": max, "val_loss": min}
CACHE = ("auto", "exact", "none")
_COMPILING = "compiling the first step"


class Stage(NamedTuple):
    """One part of a training: what trains, for how long, and how fast.

    Args:
        name: What the history calls it.
        unfreeze: See `classifier.set_trainable`.
        epochs: Number of epochs.
        learning_rate: Peak of the schedule.
    """

    name: str
    unfreeze: str
    epochs: int
    learning_rate: float


def fit(
    model,
    train,
    validation,
    *,
    stages,
    folder,
    batch_size=64,
    optimizer="adamw",
    schedule="cosine",
    weight_decay=1e-4,
    ema=0.0,
    label_smoothing=0.0,
    class_weight=None,
    auxiliary=None,
    teaching=None,
    augmentation="none",
    mixing=None,
    mixing_alpha=0.2,
    batch_norm="adapt",
    monitor="val_macro_f1",
    patience=None,
    cache="auto",
    parallel=1,
    seed=0,
):
    """Train a classifier and leave it with the weights of its best epoch on validation.

    Args:
        model: A classifier of `classifier.build_classifier`.
        train, validation: `(images, targets)`: `uint8` `(n, height, width)` and `float32`
            `(n, classes)` with rows summing to 1.
        stages: List of `Stage`, run one after the other.
        folder: Where `history.csv`, `checkpoint/` and `tensorboard/` are written. A folder with
            a checkpoint is gone on with.
        batch_size: Faces per step.
        optimizer: Key of `OPTIMIZERS`.
        schedule: Key of `SCHEDULES`, run once per stage.
        weight_decay: Decoupled weight decay (not with `"adam"`).
        ema: Momentum of the weights' moving average, or 0. The averages are what is validated,
            saved and handed on to the next stage.
        label_smoothing: Share of the target spread over all classes, in [0, 1).
        class_weight: `None`, or `"balanced"` to weigh each class by the inverse of its frequency.
        auxiliary: Other targets of the training faces, `float32` `(n, k)`, rows summing to 1 or
            to 0 (unknown): a second output learns them beside the first. The model is without it.
        teaching: `targets.Teaching`: teachers who answer about each mixed and augmented face, or
            `None`.
        augmentation: Key of `AUGMENTATIONS`.
        mixing: Key of `mixing.MIXING`, or `None`. Faces are mixed before they are augmented, and
            `accuracy` is that on mixed ones.
        mixing_alpha: See `mixing.mix`.
        batch_norm: See `classifier.set_trainable`.
        monitor: Key of `MONITORS`: the validation figure that chooses the epoch.
        patience: Epochs without a better one after which the last stage ends; `None` for never.
        cache: `"auto"` computes the frozen layers once where that fits in memory (not with
            `mixing` or several devices), on a CPU by LiteRT where it is quicker, whose features
            differ in the sixth digit; `"exact"` does so with Keras alone, to the bit as without;
            `"none"` never.
        parallel: Number of devices of the `devices.data_parallel` block around this call.
        seed: Seed of order, dropout, augmentation and mixing.

    Returns:
        `pandas.DataFrame`, one row an epoch: `epoch` (from 1), `stage, loss, accuracy, val_loss,
        val_accuracy, val_macro_f1, learning_rate, compile_seconds, seconds`. `compile_seconds` are
        those until the first step of a stage was done, nearly all spent on compiling it; 0 in
        later epochs.

    Raises:
        ValueError: If a name is unknown or the loss stops being a number.
    """
    lookup(MONITORS, monitor, "monitor")
    lookup(CACHE, cache, "cache mode")
    lookup(CLASS_WEIGHTS, class_weight, "class_weight")
    lookup((None, *MIXING), mixing, "mixing")
    lookup(OPTIMIZERS, optimizer, "optimizer")
    make_schedule = lookup(SCHEDULES, schedule, "schedule")
    folder, classes = Path(folder), train[1].shape[1]
    if auxiliary is not None:
        model = _with_auxiliary(model, auxiliary.shape[1])
    history = checkpoints.read_history(folder)
    if history:
        checkpoints.load_model(folder, len(history), model)
    steps = math.ceil(len(train[0]) / batch_size)
    weights = class_weights(train[1]) if class_weight == "balanced" else None
    targets = smooth(train[1], label_smoothing) if label_smoothing else train[1]
    if auxiliary is not None:
        targets = np.concatenate([targets, auxiliary], axis=1)
    bar = _progress(sum(stage.epochs for stage in stages), steps, len(history))
    board = _board(folder)
    first = 0
    for stage in stages:
        last = first + stage.epochs
        wait = patience if stage is stages[-1] else None
        started = time.perf_counter()
        if _unfinished(history, first, last, monitor, wait):
            set_trainable(model, stage.unfreeze, batch_norm)
            feed = Feed(
                model,
                train[0],
                validation[0],
                augmentation=augmentation,
                cache=cache,
                epochs=stage.epochs,
                seed=seed,
                mixing=mixing,
                mixing_alpha=mixing_alpha,
                teaching=teaching,
                parallel=parallel,
            )
            bar.set_description(_COMPILING)
            compiled = False
            rate = make_schedule(stage.learning_rate, steps * stage.epochs)
            tuned = build_optimizer(optimizer, rate, weight_decay, ema=ema)
            if auxiliary is None:
                feed.compile(tuned, keras.losses.CategoricalCrossentropy())
            else:
                feed.compile(tuned, joint_crossentropy(classes), first_accuracy(classes))
            if len(history) > first:
                checkpoints.load_optimizer(folder, len(history), feed.trainer)
        while _unfinished(history, first, last, monitor, wait):
            epoch = len(history)
            if schedule == "plateau":
                losses = [row["val_loss"] for row in history[first:]]
                tuned.learning_rate = plateau(stage.learning_rate, losses)
            row = {"epoch": epoch + 1, "stage": stage.name}
            logs, first_step = _train_epoch(feed, targets, weights, epoch, batch_size, bar)
            row |= logs | _validate(feed, validation[1])
            row["learning_rate"] = float(keras.ops.convert_to_numpy(tuned.learning_rate))
            row["compile_seconds"] = 0.0 if compiled else round(first_step, 2)
            compiled = True
            row["seconds"] = round(time.perf_counter() - started, 2)
            started = time.perf_counter()
            history.append(row)
            checkpoints.save(folder, history, best_epoch(history, monitor), model, feed.trainer)
            _log_to_tensorboard(board, row)
            bar.write(_line(row))
        first = last
    bar.close()
    for writer in board.values():
        writer.close()
    checkpoints.load_model(folder, best_epoch(history, monitor), model)
    return pd.DataFrame(history)


def _with_auxiliary(model, classes):
    """Return the classifier with a second output beside its own, from the same features."""
    features = model.layers[-1].input
    second = keras.layers.Dense(classes, activation="softmax", dtype="float32", name="auxiliary")
    both = keras.layers.Concatenate(name="both", dtype="float32")([model.output, second(features)])
    return keras.Model(model.input, both, name=model.name)


def best_epoch(history, monitor):
    """Return the number (from 1) of the first epoch with the best monitored value.

    Args:
        history: List of rows, or DataFrame, as `fit` returns.
        monitor: Key of `MONITORS`.
    """
    values = (
        list(history[monitor]) if hasattr(history, "columns") else [r[monitor] for r in history]
    )
    return values.index(MONITORS[monitor](values)) + 1


def _unfinished(history, first, last, monitor, patience):
    rows = history[first:]
    if len(history) >= last or (rows and math.isnan(rows[-1]["loss"])):
        return False
    return not (patience and rows and len(rows) - best_epoch(rows, monitor) >= patience)


def _train_epoch(feed, targets, weights, epoch, batch_size, bar):
    """Train an epoch; return its means and the seconds until its first step was done."""
    before, started, reached = bar.n, time.perf_counter(), []

    def show(done):
        reached.append(time.perf_counter())
        bar.set_description("training", refresh=False)
        bar.update(before + done - bar.n)

    logs = feed.train_epoch(targets, weights, epoch, batch_size, on_steps=show)
    if not math.isfinite(logs["loss"]):
        raise ValueError(f"The loss is {logs['loss']} in epoch {epoch + 1}: lower learning_rate.")
    return logs, reached[0] - started


def _validate(feed, targets):
    probabilities = feed.predict()[:, : targets.shape[1]]
    labels = targets.argmax(axis=1)
    log_probabilities = np.log(np.clip(probabilities, 1e-7, 1))
    return {
        "val_loss": float(-(targets * log_probabilities).sum(axis=1).mean()),
        "val_accuracy": METRICS["accuracy"](labels, probabilities),
        "val_macro_f1": METRICS["macro_f1"](labels, probabilities),
    }


def _board(folder):
    """Return the writers of TensorBoard's two curves by what the names of their figures begin with.

    Keras's callback would write two files for each of its models.
    """
    if keras.backend.backend() != "tensorflow":
        return {}
    from tensorflow import summary

    names = {"": "train", "val_": "validation"}
    return {
        begin: summary.create_file_writer(str(folder / "tensorboard" / name))
        for begin, name in names.items()
    }


def _log_to_tensorboard(board, row):
    if board:
        from tensorflow import summary
    for begin, writer in board.items():
        with writer.as_default(step=row["epoch"] - 1):
            for name, value in row.items():
                if isinstance(value, float) and name.startswith("val_") == bool(begin):
                    summary.scalar(f"epoch_{name.removeprefix(begin)}", value)
        writer.flush()  # for whoever watches


def _progress(epochs, steps, done):
    settings = {"initial": done * steps, "unit": "step", "delay": 0, "leave": True}
    return screen.progress(text=_COMPILING, total=epochs * steps, **settings)


def _line(row):
    return (
        f"epoch {row['epoch']:3d} {row['stage']:>5}  loss {row['loss']:.3f} "
        f"accuracy {row['accuracy']:.3f}  validation: loss {row['val_loss']:.3f} "
        f"accuracy {row['val_accuracy']:.3f} macro-F1 {row['val_macro_f1']:.3f}  "
        f"{row['seconds']:.0f} s"
    )
