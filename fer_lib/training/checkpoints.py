"""Checkpoints: the state of a training after each epoch, such that a kill at any time is harmless.

An epoch's files are complete before `history.csv` counts it, and older ones go only afterwards.
"""

import csv

import keras
import numpy as np
import pandas as pd

from fer_lib import storage


def read_history(folder):
    """Return the finished epochs of a training folder as a list of rows, oldest first.

    Raises:
        ValueError: If the file is damaged; the message names it.
    """
    path = folder / "history.csv"
    if not path.exists():
        return []
    with storage.reading(path), open(path, newline="", encoding="utf-8") as file:
        text = file.read()
        if not text.endswith("\n") or not "".join(text.split()).isprintable():
            raise ValueError("it is cut short, or is no text")
        names, *rows = csv.reader(text.splitlines())
        kinds = {"epoch": int, "stage": str}
        # Empty is what an older version did not write down.
        return [
            {k: kinds.get(k, float)(v or "nan") for k, v in zip(names, row, strict=True)}
            for row in rows
        ]


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
    # Not HDF5: on a full disk its library ends the whole process (segmentation fault).
    _write(_weights(folder, last), model.weights)
    _write(_optimizer(folder, last), trainer.optimizer.variables)
    storage.write_csv(folder / "history.csv", pd.DataFrame(history))
    keep = {_weights(folder, last), _optimizer(folder, last), _weights(folder, best)}
    for path in (folder / "checkpoint").iterdir():
        if path not in keep:
            path.unlink()


def load_model(folder, epoch, model):
    """Give a classifier the weights it had after an epoch (from 1).

    Raises:
        ValueError: If the file is damaged; the message names it.
    """
    _read(_weights(folder, epoch), model.weights)


def load_optimizer(folder, epoch, trainer):
    """Give a compiled model's optimizer the state it had after an epoch (from 1).

    Raises:
        ValueError: If the file is damaged; the message names it.
    """
    trainer.optimizer.build(trainer.trainable_variables)
    _read(_optimizer(folder, epoch), trainer.optimizer.variables)


def _write(path, variables):
    values = [keras.ops.convert_to_numpy(variable) for variable in variables]
    with storage.replacing(path) as temporary:
        np.savez(temporary, **{str(number): value for number, value in enumerate(values)})


def _read(path, variables):
    with storage.reading(path), np.load(path) as values:
        for number, variable in enumerate(variables):
            variable.assign(values[str(number)])


def _weights(folder, epoch):
    return folder / "checkpoint" / f"{epoch:04d}.weights.npz"


def _optimizer(folder, epoch):
    return folder / "checkpoint" / f"{epoch:04d}.optimizer.npz"
