"""Training: stages of a classifier on plain arrays, one checkpoint an epoch, resumed exactly.

Every epoch's order and randomness depend on `(seed, epoch)` alone, so a run that is killed and
started again ends where an uninterrupted one does.
"""

import math
import sys
import time
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
from tqdm import tqdm

from fer_lib import checkpoints
from fer_lib.emotions import lookup
from fer_lib.feed import Feed
from fer_lib.metrics import METRICS
from fer_lib.models import set_trainable

MONITORS = {"val_macro_f1": max, "val_accuracy": max, "val_loss": min}
CACHE = ("auto", "none")
CLASS_WEIGHTS = (None, "balanced")

OPTIMIZERS = {
    "adamw": lambda rate, decay: keras.optimizers.AdamW(rate, weight_decay=decay),
    "adam": lambda rate, decay: keras.optimizers.Adam(rate),
    "sgd": lambda rate, decay: keras.optimizers.SGD(
        rate, momentum=0.9, nesterov=True, weight_decay=decay
    ),
    "rmsprop": lambda rate, decay: keras.optimizers.RMSprop(rate, weight_decay=decay),
}


def _cosine(rate, steps):
    """Return a cosine decay to 0 after a linear warm-up over a tenth of the steps."""
    warmup = steps // 10
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), warmup_target=rate, warmup_steps=warmup
    )


# Cosine: Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts.
SCHEDULES = {"constant": lambda rate, steps: rate, "cosine": _cosine}


class Stage(NamedTuple):
    """One part of a training: what trains, for how long, and how fast.

    Args:
        name: What the history calls it.
        unfreeze: See `models.set_trainable`.
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
    label_smoothing=0.0,
    class_weight=None,
    augmentation="none",
    batch_norm="adapt",
    monitor="val_macro_f1",
    patience=None,
    cache="auto",
    seed=0,
):
    """Train a classifier and leave it with the weights of its best epoch on validation.

    Args:
        model: A classifier of `models.build_classifier`.
        train, validation: `(images, targets)`: `uint8` `(n, height, width)` and `float32`
            `(n, classes)` with rows summing to 1.
        stages: List of `Stage`, run one after the other.
        folder: Where `history.csv`, `checkpoint/` and `tensorboard/` are written. A folder with
            a checkpoint is gone on with.
        batch_size: Faces per step.
        optimizer: Key of `OPTIMIZERS`.
        schedule: Key of `SCHEDULES`, run once per stage.
        weight_decay: Decoupled weight decay (not with `"adam"`).
        label_smoothing: Share of the target spread over all classes, in [0, 1).
        class_weight: `None`, or `"balanced"` to weigh each class by the inverse of its frequency.
        augmentation: Key of `AUGMENTATIONS`.
        batch_norm: See `models.set_trainable`.
        monitor: Key of `MONITORS`: the validation figure that chooses the epoch.
        patience: Epochs without a better one after which the last stage ends; `None` for never.
        cache: `"auto"` computes the frozen layers once where that fits in memory; `"none"` never.
        seed: Seed of order, dropout and augmentation.

    Returns:
        `pandas.DataFrame`, one row an epoch: `epoch` (from 1), `stage, loss, accuracy, val_loss,
        val_accuracy, val_macro_f1, learning_rate, seconds`.

    Raises:
        ValueError: If a name is unknown or the loss stops being a number.
    """
    lookup(MONITORS, monitor, "monitor")
    lookup(dict.fromkeys(CACHE), cache, "cache mode")
    lookup(dict.fromkeys(CLASS_WEIGHTS), class_weight, "class_weight")
    make_optimizer = lookup(OPTIMIZERS, optimizer, "optimizer")
    make_schedule = lookup(SCHEDULES, schedule, "schedule")
    folder = Path(folder)
    history = checkpoints.read_history(folder)
    if history:
        checkpoints.load_model(folder, len(history), model)
    steps = math.ceil(len(train[0]) / batch_size)
    weights = _class_weights(train[1]) if class_weight == "balanced" else None
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing)
    bar = _progress(sum(stage.epochs for stage in stages), steps, len(history))
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
            )
            rate = make_schedule(stage.learning_rate, steps * stage.epochs)
            feed.compile(make_optimizer(rate, weight_decay), loss)
            if len(history) > first:
                checkpoints.load_optimizer(folder, len(history), feed.trainer)
        while _unfinished(history, first, last, monitor, wait):
            epoch = len(history)
            row = {"epoch": epoch + 1, "stage": stage.name}
            row |= _train_epoch(feed, train[1], weights, epoch, batch_size, bar)
            row |= _validate(feed, validation[1])
            row["learning_rate"] = float(feed.trainer.optimizer.learning_rate)
            row["seconds"] = round(time.perf_counter() - started, 2)
            started = time.perf_counter()
            history.append(row)
            checkpoints.save(folder, history, best_epoch(history, monitor), model, feed.trainer)
            _log_to_tensorboard(folder, feed.trainer, row)
            bar.write(_line(row), file=bar.fp)
        first = last
    bar.close()
    checkpoints.load_model(folder, best_epoch(history, monitor), model)
    return pd.DataFrame(history)


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
    before = bar.n
    logs = feed.train_epoch(
        targets,
        weights,
        epoch,
        batch_size,
        on_steps=lambda done: bar.update(before + done - bar.n),
    )
    if not math.isfinite(logs["loss"]):
        raise ValueError(f"The loss is {logs['loss']} in epoch {epoch + 1}: lower learning_rate.")
    return logs


def _validate(feed, targets):
    probabilities = feed.predict()
    labels = targets.argmax(axis=1)
    log_probabilities = np.log(np.clip(probabilities, 1e-7, 1))
    return {
        "val_loss": float(-(targets * log_probabilities).sum(axis=1).mean()),
        "val_accuracy": METRICS["accuracy"](labels, probabilities),
        "val_macro_f1": METRICS["macro_f1"](labels, probabilities),
    }


def _class_weights(targets):
    """Return one weight per face: inverse class frequency, 1 on average."""
    counts = targets.sum(axis=0)
    per_class = np.where(counts > 0, counts.sum() / (len(counts) * np.maximum(counts, 1)), 0)
    return (targets @ per_class).astype(np.float32)


def _log_to_tensorboard(folder, trainer, row):
    if keras.backend.backend() != "tensorflow":
        return  # Keras's callback writes through TensorFlow
    board = keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False)
    board.set_model(trainer)
    epoch = row["epoch"] - 1
    board.on_epoch_end(epoch, {k: v for k, v in row.items() if isinstance(v, float)})
    board.on_train_end()


def _progress(epochs, steps, done):
    # Every ten seconds is often enough for a log file, and one line an epoch follows anyway.
    interval = 0.5 if sys.stdout.isatty() else 10
    return tqdm(
        total=epochs * steps,
        initial=done * steps,
        desc="training",
        unit="step",
        mininterval=interval,
        file=sys.stdout,
    )


def _line(row):
    return (
        f"epoch {row['epoch']:3d} {row['stage']:>5}  loss {row['loss']:.3f} "
        f"accuracy {row['accuracy']:.3f}  validation: loss {row['val_loss']:.3f} "
        f"accuracy {row['val_accuracy']:.3f} macro-F1 {row['val_macro_f1']:.3f}  "
        f"{row['seconds']:.0f} s"
    )
