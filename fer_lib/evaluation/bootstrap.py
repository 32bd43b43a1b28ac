"""Bootstrap: scores of resampled faces, many at once (Efron & Tibshirani 1993).

Drawing as many faces as there are, with replacement, shows how far a score would move on other
faces of this kind. Faces of one person or sequence are alike, so that drawing them one by one
makes intervals too narrow: where groups are known, whole groups are drawn (Davison & Hinkley,
Bootstrap Methods and their Application, 1997, section 3.8). The same seed draws the same faces in
every function but `resample_counts`.
"""

import numpy as np


def interval(value, drawn, confidence=0.95):
    """Return a score with its percentile interval: `{"value", "low", "high"}`.

    Args:
        value: The score on the faces themselves.
        drawn: Float array of shape `(resamples,)`: the score on each resample.
        confidence: Coverage of the interval, between 0 and 1.
    """
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    return {"value": value, "low": low, "high": high}


def in_words(score, digits=3, signed=False):
    """Return a score as text, `"0.683 [0.668, 0.698]"`.

    Args:
        score: `{"value", "low", "high"}`, as `interval` returns, or `None` for a dash. Where the
            ends are `None`, it says that there are too few faces, `"0.667 (too few)"`.
        digits: How many after the point.
        signed: Whether a plus stands before what is not negative, as for differences.
    """
    if score is None:
        return "–"
    kind = f"{'+' if signed else ''}.{digits}f"
    if score["low"] is None:
        return f"{format(score['value'], kind)} (too few)"
    value, low, high = (format(score[name], kind) for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def resample_counts(counts, resamples, seed):
    """Draw tables of counts of resampled faces, shape `(resamples, *counts.shape)`.

    Drawing n faces with replacement and counting them is a multinomial draw over the cells.
    """
    n = counts.sum()
    drawn = np.random.default_rng(seed).multinomial(n, counts.ravel() / n, size=resamples)
    return drawn.reshape(resamples, *counts.shape)


def resample_groups(columns, groups, resamples, seed):
    """Draw sums of per-face columns by resampling whole groups.

    Args:
        columns: Float array of shape `(n, k)`. A column of ones counts the faces drawn.
        groups: Array of shape `(n,)`: equal for the faces of one group.
        resamples, seed: Number of resamples, and their seed.

    Returns:
        `float64` array of shape `(resamples, k)`.
    """
    numbers = np.unique(groups, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    sums = np.zeros((count, columns.shape[1]))
    np.add.at(sums, numbers, columns)
    generator, step = np.random.default_rng(seed), max(1, 4_000_000 // count)
    blocks = [min(step, resamples - start) for start in range(0, resamples, step)]
    chances = np.full(count, 1 / count)
    return np.concatenate([generator.multinomial(count, chances, size=b) @ sums for b in blocks])


def resample_cells(cells, shape, groups, resamples, seed):
    """Draw tables of counts of resampled groups, shape `(resamples, *shape)`.

    Args:
        cells: Integer array of shape `(n,)`: the flat place of each face in the table.
        shape: Of the table.
        groups, resamples, seed: See `resample_groups`.
    """
    there = np.unique(cells)  # most places of a large table stay empty
    tables = np.zeros((resamples, np.prod(shape)))
    found = (cells[:, None] == there).astype(np.float64)
    tables[:, there] = resample_groups(found, groups, resamples, seed)
    return tables.reshape(resamples, *shape)


def checked_groups(groups, n):
    """Return groups as an array, or `None` where there are not two to draw from.

    Raises:
        ValueError: If there is not one entry for each of n faces.
    """
    if groups is None:
        return None
    groups = np.asarray(groups)
    if groups.shape != (n,):
        raise ValueError(f"groups must have shape ({n},), one for each face; got {groups.shape}.")
    return groups if len(np.unique(groups)) > 1 else None


def resample_means(values, resamples, seed):
    """Draw means of per-face values, in: rows of shape `(n,)`, out: rows of `(resamples,)`."""
    blocks = _drawn_rows(len(values[0]), resamples, seed)
    means = [[value[rows].mean(axis=1) for value in values] for rows in blocks]
    return np.concatenate(means, axis=1)


def resample_sums(values, bins, count, resamples, seed):
    """Draw sums of per-face values within bins, shape `(resamples, count)`.

    Args:
        values: Float array of shape `(n,)`.
        bins: Integer array of shape `(n,)`, values in `[0, count)`.
        count: Number of bins.
    """
    drawn = []
    for rows in _drawn_rows(len(values), resamples, seed):
        cells = np.arange(len(rows))[:, None] * count + bins[rows]
        drawn.append(np.bincount(cells.ravel(), values[rows].ravel(), len(rows) * count))
    return np.concatenate(drawn).reshape(resamples, count)


def resample_rows(metric, labels, probabilities, resamples, seed, groups=None):
    """Draw a metric by resampling faces or, with groups, these: slow, and right for any metric."""
    generator, n = np.random.default_rng(seed), len(labels)
    numbers = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    order, count = np.argsort(numbers, kind="stable"), int(numbers.max()) + 1
    members = np.split(order, np.cumsum(np.bincount(numbers))[:-1])
    draws = (generator.integers(count, size=count) for _ in range(resamples))
    rows = (np.concatenate([members[number] for number in draw]) for draw in draws)
    return np.array([metric(labels[row], probabilities[row]) for row in rows])


def _drawn_rows(n, resamples, seed):
    """Yield the drawn faces of all resamples in blocks of shape `(some, n)` of about 4 MB."""
    generator, step = np.random.default_rng(seed), max(1, 1_000_000 // n)
    for start in range(0, resamples, step):
        yield generator.integers(n, size=(min(step, resamples - start), n), dtype=np.int32)
