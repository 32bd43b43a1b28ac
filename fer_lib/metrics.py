"""Scores of a classifier's probabilities, each with a bootstrap interval.

To add one: write `name(labels, probabilities) -> float` and put it in METRICS.

The formulas are scikit-learn's (the tests hold them to it) written over the last two axes of a
confusion matrix, so that thousands of resampled matrices are scored in one call.
"""

import numpy as np


def confusion_matrix(labels, probabilities):
    """Count faces by true and predicted class.

    Args:
        labels: Integer array of shape `(n,)`, values in `[0, classes)`.
        probabilities: Float array of shape `(n, classes)`, rows summing to 1. The predicted
            class is the most probable one, the lower number where two tie.

    Returns:
        `int64` array of shape `(classes, classes)`: rows are true classes, columns predicted
        ones. A class that does not occur keeps its row and column of zeros.

    Raises:
        ValueError: If the two do not fit together; see `score`.
    """
    labels, probabilities = _checked(labels, probabilities)
    classes = probabilities.shape[1]
    cells = labels * classes + probabilities.argmax(axis=1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def accuracy(labels, probabilities):
    """Return the share of faces whose most probable class is the true one."""
    return float(_accuracy(confusion_matrix(labels, probabilities)))


def balanced_accuracy(labels, probabilities):
    """Return the mean recall over the classes that occur in `labels`."""
    return float(_balanced_accuracy(confusion_matrix(labels, probabilities)))


def macro_f1(labels, probabilities):
    """Return the mean F1 over all classes.

    A class that is neither labelled nor predicted counts as 0 (`zero_division=0`), so the value
    on a label set of which a class is missing cannot reach 1.
    """
    return float(_macro_f1(confusion_matrix(labels, probabilities)))


def log_loss(labels, probabilities):
    """Return the mean of -log p(true class), in nats.

    Rows are normalised to sum to 1 and clipped to `[eps, 1 - eps]` with float32's eps (1.2e-7),
    whatever their dtype: a certain mistake costs 15.9, and a float64 copy scores the same.
    """
    return float(_surprisal(*_checked(labels, probabilities)).mean())


def top2_accuracy(labels, probabilities):
    """Return the share of faces whose true class is among the two most probable.

    Ties go to the lower class number as in `accuracy`, which therefore is never higher.
    """
    return float(_in_top2(*_checked(labels, probabilities)).mean())


METRICS = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "log_loss": log_loss,
    "top2_accuracy": top2_accuracy,
}


def score(labels, probabilities, label_set, *, resamples=2000, seed=0, confidence=0.95):
    """Score probabilities by every metric, with percentile bootstrap intervals over faces.

    The intervals answer "what if other faces of this kind had been drawn"; they hold nothing of
    the spread between training runs. Method: Efron & Tibshirani, An Introduction to the
    Bootstrap, 1993, chapter 13.

    Args:
        labels: Integer array of shape `(n,)`, values in `[0, classes)`.
        probabilities: Float array of shape `(n, classes)`, rows summing to 1 within 1e-3.
        label_set: Emotion names in the order of the class numbers.
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling.
        confidence: Coverage of the intervals, between 0 and 1.

    Returns:
        Dictionary of plain Python values: `"n"`; for each of METRICS a `{"value", "low",
        "high"}`; `"per_class"`: `{emotion: {"precision", "recall", "f1", "n"}}` (0 where a
        denominator is 0); `"confusion"`: counts, rows true; `"resamples"`, `"confidence"` and
        `"seed"`.

    Raises:
        ValueError: If there are no faces, shapes or label set do not fit, a label is out of
            range, a row is not finite or does not sum to 1, or an option is out of range.
    """
    labels, probabilities = _checked(labels, probabilities)
    if len(label_set) != probabilities.shape[1]:
        raise ValueError(
            f"label_set must name each of the {probabilities.shape[1]} columns of "
            f"probabilities; got {len(label_set)} names: {tuple(label_set)}."
        )
    if resamples < 1 or not 0 < confidence < 1:
        raise ValueError(
            "resamples must be at least 1 and confidence between 0 and 1; "
            f"got resamples={resamples}, confidence={confidence}."
        )
    counts = confusion_matrix(labels, probabilities)
    drawn = _bootstrap(labels, probabilities, resamples, seed)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    result = {"n": len(labels)}
    for name, metric in METRICS.items():
        low, high = np.quantile(drawn[name], tails).tolist()
        result[name] = {"value": metric(labels, probabilities), "low": low, "high": high}
    return result | {
        "per_class": _per_class(counts, label_set),
        "confusion": counts.tolist(),
        "resamples": resamples,
        "confidence": confidence,
        "seed": seed,
    }


def _checked(labels, probabilities):
    """Return both as arrays, probabilities as float64, or say what does not fit."""
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not labels.size:
        raise ValueError(
            "labels must have shape (n,) and probabilities (n, classes) with n > 0; "
            f"got {labels.shape} and {probabilities.shape}."
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be integer class numbers; got {labels.dtype}.")
    # A small unsigned dtype would overflow when cells of the confusion matrix are numbered.
    labels = labels.astype(np.int64)
    classes = probabilities.shape[1]
    _reject((labels < 0) | (labels >= classes), f"labels must lie in [0, {classes})", labels)
    _reject(~np.isfinite(probabilities).all(axis=1), "probabilities must be finite", probabilities)
    _reject((probabilities < 0).any(axis=1), "probabilities must not be negative", probabilities)
    sums = probabilities.sum(axis=1)
    _reject(abs(sums - 1) > 1e-3, "rows of probabilities must sum to 1 within 1e-3", sums)
    return labels, probabilities


def _reject(wrong, rule, values):
    """Raise the rule with the first wrong row."""
    rows = np.flatnonzero(wrong)
    if rows.size:
        raise ValueError(f"{rule}; row {rows[0]} holds {values[rows[0]]} ({rows.size} such rows).")


def _divide(numerator, denominator):
    """Divide, giving 0 where the denominator is 0."""
    return numerator / np.where(denominator == 0, 1, denominator)


def _diagonal(counts):
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _accuracy(counts):
    return _diagonal(counts).sum(axis=-1) / counts.sum(axis=(-2, -1))


def _balanced_accuracy(counts):
    support = counts.sum(axis=-1)
    # The recall of an absent class is 0 here, so only the denominator has to leave it out.
    return _divide(_diagonal(counts), support).sum(axis=-1) / (support > 0).sum(axis=-1)


def _f1(counts):
    return _divide(2 * _diagonal(counts), counts.sum(axis=-1) + counts.sum(axis=-2))


def _macro_f1(counts):
    return _f1(counts).mean(axis=-1)


def _surprisal(labels, probabilities):
    """Return -log p(true class) of each face."""
    true = probabilities[np.arange(len(labels)), labels] / probabilities.sum(axis=1)
    eps = np.finfo(np.float32).eps
    return -np.log(np.clip(true, eps, 1 - eps))


def _in_top2(labels, probabilities):
    """Tell of each face whether its class is among the two most probable."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
    return (best == labels[:, None]).any(axis=1)


def _per_class(counts, label_set):
    true, support = _diagonal(counts), counts.sum(axis=1)
    columns = {
        "precision": _divide(true, counts.sum(axis=0)).tolist(),
        "recall": _divide(true, support).tolist(),
        "f1": _f1(counts).tolist(),
        "n": support.tolist(),
    }
    return {
        emotion: {name: column[place] for name, column in columns.items()}
        for place, emotion in enumerate(label_set)
    }


_OF_COUNTS = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "macro_f1": _macro_f1,
}
_MEANS = {"log_loss": _surprisal, "top2_accuracy": _in_top2}


def _bootstrap(labels, probabilities, resamples, seed):
    """Return `{metric: float array of shape (resamples,)}`, each by the quickest exact way."""
    counts = _resample_counts(confusion_matrix(labels, probabilities), resamples, seed)
    means = [values(labels, probabilities) for values in _MEANS.values()]
    drawn = {name: metric(counts) for name, metric in _OF_COUNTS.items()}
    drawn |= zip(_MEANS, _resample_means(means, resamples, seed), strict=True)
    for name in METRICS.keys() - drawn.keys():
        drawn[name] = _resample_rows(METRICS[name], labels, probabilities, resamples, seed)
    return drawn


def _resample_counts(counts, resamples, seed):
    """Draw confusion matrices of resampled faces, shape `(resamples, classes, classes)`.

    Drawing n faces with replacement and counting them is a multinomial draw over the cells.
    """
    n = counts.sum()
    drawn = np.random.default_rng(seed).multinomial(n, counts.ravel() / n, size=resamples)
    return drawn.reshape(resamples, *counts.shape)


def _resample_means(values, resamples, seed):
    """Draw means of per-face values, in: rows of shape `(n,)`, out: rows of `(resamples,)`."""
    generator, n = np.random.default_rng(seed), len(values[0])
    drawn = np.empty((len(values), resamples))
    step = max(1, 1_000_000 // n)  # bounds the table of drawn rows to some 8 MB
    for start in range(0, resamples, step):
        rows = generator.integers(n, size=(min(step, resamples - start), n), dtype=np.int32)
        for place, value in enumerate(values):
            drawn[place, start : start + step] = value[rows].mean(axis=1)
    return drawn


def _resample_rows(metric, labels, probabilities, resamples, seed):
    """Draw a metric by resampling faces: slow, and right for any metric."""
    generator, n = np.random.default_rng(seed), len(labels)
    rows = (generator.integers(n, size=n) for _ in range(resamples))
    return np.array([metric(labels[row], probabilities[row]) for row in rows])
