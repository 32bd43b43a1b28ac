"""Checkpoints: the state of a training after each epoch, such that a kill at any time is harmless.

An epoch's files are complete before `history.csv` counts it, and older ones go only afterwards.
"""

import csv
import zipfile

import keras
import numpy as np
import pandas as pd

from fer_lib import storage


def read_history(folder):
    """Return the finished epochs of a training folder as a list of rows, oldest first."""
    path = folder / "history.csv"
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        kinds = {"epoch": int, "stage": str}
        rows = csv.DictReader(file)
        # Empty is what an older version did not write down.
        return [
            {key: kinds.get(key, float)(text or "nan") for key, text in row.items()} for row in rows
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
    try:
        with np.load(path) as values:
            for number, variable in enumerate(variables):
                variable.assign(values[str(number)])
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} can not be read ({error}): move the run's folder away and run again."
        ) from None


def _weights(folder, epoch):
    return folder / "checkpoint" / f"{epoch:04d}.weights.npz"


def _optimizer(folder, epoch):
    return folder / "checkpoint" / f"{epoch:04d}.optimizer.npz"
