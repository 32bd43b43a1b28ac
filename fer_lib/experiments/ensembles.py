"""Ensembles: the mean of what several finished runs answered, scored like a run."""

import numpy as np
import pandas as pd

from fer_lib.evaluation import metrics
from fer_lib.experiments import runs


def ensemble(found, *, resamples=2000, seed=0):
    """Score the mean of the probabilities of several runs, every run with equal weight.

    Works from the runs' `predictions.npz`; no model is opened.

    Args:
        found: `{label: Run}` of two or more finished runs that scored the same faces, such as
            runs that differ in the seed.
        resamples, seed: As of `metrics.score`.

    Returns:
        `(scores, row)`: scores as a run's `scores.json` has them (`"test"`, `"validation"`, their
        names, `"members"`), and a `pandas.DataFrame` of one row to put below `runs.runs_table`;
        parameters in which the runs differ are missing in it, minutes are the sum.

    Raises:
        ValueError: If there are fewer than two runs, or ids, labels or label order differ.
        FileNotFoundError: If a run holds no predictions.
    """
    if len(found) < 2:
        raise ValueError(f"An ensemble needs two or more runs; got {list(found)}.")
    first = next(iter(found.values()))
    scores = {"members": [run.folder.name for run in found.values()]}
    for split in ("test", "validation"):
        faces = runs.same_faces(found, split)
        mean = sum(p.astype(np.float64) for p in faces.probabilities.values()) / len(found)
        scored = metrics.score(faces.labels, mean, faces.label_set, resamples=resamples, seed=seed)
        scores |= {f"{split}_name": first.scores[f"{split}_name"], split: scored}
    return scores, pd.DataFrame([_row(found, scores)])


def _row(found, scores):
    # A parameter at its default may be missing in an identity; see `Experiment.name`.
    first, *others = (run.experiment.identity() for run in found.values())
    shared = {k: v for k, v in first.items() if all(k in o and o[k] == v for o in others)}
    row = {"run": f"mean of {len(found)} runs"} | shared | runs.score_columns(scores)
    minutes = sum(run.history.seconds.sum() for run in found.values()) / 60
    return row | {"minutes": round(minutes, 1), "state": "finished"}
