"""What a replayed trap comes to: scores with their intervals, and the table of all traps."""

from typing import NamedTuple

import numpy as np

from fer_lib.evaluation import bootstrap

RESAMPLES = 2000


class Pitfall(NamedTuple):
    """What a trap shows, and what is true.

    Args:
        trap: What is done wrong.
        scores: `{what was scored: {"accuracy": {"value", "low", "high"}}}`, as
            `plots.plot_scores` draws them.
        shown, honest: Keys of `scores`: the number that the trap shows, and the honest one.
        instead: What to do instead.
        findings: What the audit's checks say of it, a list of `Finding`.
        note: A sentence on what the intervals are of, or what else was measured.
        table: `DataFrame` of further numbers, or `None`.
        curves: `{run: DataFrame}` with columns as in `Training.history`, or `None`.
    """

    trap: str
    scores: dict
    shown: str
    honest: str
    instead: str
    findings: list
    note: str = ""
    table: object = None
    curves: dict | None = None


def over_faces(values, seed=0):
    """Return the mean of per-face values with its bootstrap 95 % interval.

    Args:
        values: Array of shape `(n,)`: whether each face is recognised, or a share.
        seed: Seed of the resampling.

    Returns:
        `{"accuracy": {"value", "low", "high"}}`.
    """
    values = np.asarray(values, np.float64)
    (drawn,) = bootstrap.resample_means([values], RESAMPLES, seed)
    return {"accuracy": bootstrap.interval(float(values.mean()), drawn)}


def over_seeds(values):
    """Return the mean over seeds with its 95 % interval by Student's t.

    Args:
        values: Sequence of one score per seed, at least 2.

    Returns:
        `{"accuracy": {"value", "low", "high"}}`.

    Raises:
        ValueError: If there are fewer than 2.
    """
    from scipy import stats

    if len(values) < 2:
        raise ValueError(f"seeds must be at least 2 for an interval over them; got {len(values)}.")
    mean, spread = float(np.mean(values)), stats.sem(values)
    reach = float(stats.t.ppf(0.975, len(values) - 1) * spread)
    return {"accuracy": {"value": mean, "low": mean - reach, "high": mean + reach}}


def summary(pitfalls):
    """Tabulate pitfalls: the number that each shows, the honest one and what the audit says.

    Args:
        pitfalls: Sequence of `Pitfall`; `None` among them is left out.

    Returns:
        `DataFrame`, one row a trap, with the columns `number it shows`, `honest number` (both with
        their 95 % interval), `what to do instead` and `audit` (the checks that are not passed).
    """
    import pandas as pd

    rows = []
    for each in filter(None, pitfalls):
        caught = [f"{f.status}: {f.check}" for f in each.findings if f.status != "pass"]
        shown, honest = (each.scores[key]["accuracy"] for key in (each.shown, each.honest))
        row = {"trap": each.trap, "number it shows": bootstrap.in_words(shown)}
        row |= {"honest number": bootstrap.in_words(honest)}
        row |= {"what to do instead": each.instead, "audit": "; ".join(caught) or "not caught"}
        rows.append(row)
    return pd.DataFrame(rows).set_index("trap")
