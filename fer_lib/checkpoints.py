"""Checkpoints: the state of a training after each epoch, such that a kill at any time is harmless.

An epoch's files are complete before `history.csv` counts it, and older ones go only afterwards.
"""

import csv

import keras
import numpy as np
import pandas as pd

from fer_lib.storage import replacing


def read_history(folder):
    """Return the finished epochs of a training folder as a list of rows, oldest first."""
    path = folder / "history.csv"
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        kinds = {"epoch": int, "stage": str}
        rows = csv.DictReader(file)
        return [{key: kinds.get(key, float)(text) for key, text in row.items()} for row in rows]


def save(folder, history, best, model, trainer):
    """Save the state after the last epoch of `history` and forget all but it and the best one.

    Args:
        folder: Training folder.
        history: List of rows, one an epoch.
        best: Number of the best epoch, from 1.
        model: The whole classifier.
        trainer: The compiled model whose optimizer goes on.
    """
    last = len(history)
    with replacing(_weights(folder, last)) as path:
        model.save_weights(path)
    values = [keras.ops.convert_to_numpy(value) for value in trainer.optimizer.variables]
    with replacing(_optimizer(folder, last)) as path:
        np.savez(path, **{str(number): value for number, value in enumerate(values)})
    with replacing(folder / "history.csv") as path:
        pd.DataFrame(history).to_csv(path, index=False)
    keep = {_weights(folder, last), _optimizer(folder, last), _weights(folder, best)}
    for path in (folder / "checkpoint").iterdir():
        if path not in keep:
            path.unlink()


def load_model(folder, epoch, model):
    """Give a classifier the weights it had after an epoch (from 1)."""
    model.load_weights(_weights(folder, epoch))


def load_optimizer(folder, epoch, trainer):
    """Give a compiled model's optimizer the state it had after an epoch (from 1)."""
    trainer.optimizer.build(trainer.trainable_variables)
    with np.load(_optimizer(folder, epoch)) as values:
        for number, variable in enumerate(trainer.optimizer.variables):
            variable.assign(values[str(number)])


def _weights(folder, epoch):
    return folder / "checkpoint" / f"{epoch:04d}.weights.h5"


def _optimizer(folder, epoch):
    return folder / "checkpoint" / f"{epoch:04d}.optimizer.npz"
