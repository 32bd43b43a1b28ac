"""Runs of a moment, and folders that look like those of finished ones."""

import dataclasses

import numpy as np
import pandas as pd

from fer_lib import storage
from fer_lib.emotions import FER7
from fer_lib.evaluation import metrics
from fer_lib.experiments import runs
from fer_lib.experiments.experiment import Experiment
from support.places import write_fer2013_csv


def probabilities(n, seed=0):
    """Rows summing to 1 whose largest entry is the label in two of three cases."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 7
    guesses = np.where(np.arange(n) % 3 == 0, (labels + 1) % 7, labels)
    values = rng.uniform(0, 0.1, (n, 7))
    values[np.arange(n), guesses] += rng.uniform(0.2, 2, n)
    return labels, (values / values.sum(1, keepdims=True)).astype(np.float32)


def write_run(
    folder,
    *,
    epochs=3,
    finished=True,
    answers=0,
    validation=False,
    shuffled=False,
    label_set=FER7,
    **parameters,
):
    """Write the folder of a run, as far as it has come.

    `answers` seeds its probabilities; `validation` adds those of the validation faces;
    `shuffled` puts the faces in another order.
    """
    experiment = Experiment(dataset="synthetic", weights=None, **parameters)
    folder = folder / experiment.name
    storage.write_json(folder / "experiment.json", dataclasses.asdict(experiment))
    if epochs:
        rows = {"epoch": range(1, epochs + 1), "stage": experiment.unfreeze}
        rows |= {"val_accuracy": 0.1, "seconds": 30.0}
        pd.DataFrame(rows).to_csv(folder / "history.csv", index=False)
    if finished:
        labels, test = probabilities(140, seed=answers)
        scores = {"weights": "ImageNet, some_file.h5, sha256 0123", "best_epoch": 2}
        for split in ("test", "validation"):
            scores |= {f"{split}_name": f"synthetic {split}"}
            scores |= {split: metrics.score(labels, test, label_set, resamples=50)}
        ids = np.arange(140)[:: -1 if shuffled else 1]
        arrays = {"ids": ids, "labels": labels, "probabilities": test}
        if validation:
            arrays |= {f"validation_{name}": values for name, values in arrays.items()}
        np.savez(folder / "predictions.npz", **arrays)
        storage.write_json(folder / "scores.json", scores)
    return runs.load_run(folder)


def experiment(results_dir, **parameters):
    """A tiny experiment with a head stage and a `"100"` stage."""
    defaults = {
        "dataset": "synthetic",
        "backbone": "tiny",
        "weights": None,
        "unfreeze": "100",
        "epochs": 2,
        "batch_size": 32,
        "mixed_precision": "none",
        "results_dir": str(results_dir),
    }
    return Experiment(**defaults | parameters)


def tiny_run(folder, tiny):
    """Train a tiny classifier for an epoch on synthetic faces in FER-2013's form."""
    from fer_lib.experiments import runner

    data = str(write_fer2013_csv(folder / "faces.csv"))
    experiment = Experiment(
        dataset=data, backbone=tiny, weights=None, epochs=1, results_dir=str(folder / "runs")
    )
    return data, runner.run(experiment)
