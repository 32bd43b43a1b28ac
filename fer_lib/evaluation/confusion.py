"""Confusion matrices: what they tell of a classifier and of each class, with intervals.

The formulas are scikit-learn's (the tests hold them to it) written over the last two axes, rows
true, so that thousands of resampled matrices are scored in one call.
"""

import numpy as np

from fer_lib.evaluation import bootstrap

# A class of fewer faces gets no intervals. Of 9 that are all right, a percentile interval would be
# [1, 1], and the exact one of their recall begins at 0.66.
FEW = 10


def per_class(counts, label_set, *, drawn=None, resamples=2000, seed=0, confidence=0.95):
    """Score each class by a confusion matrix, with percentile bootstrap intervals.

    Args:
        counts: Integer array of shape `(classes, classes)`, rows true: of
            `metrics.confusion_matrix`, or `"confusion"` of `metrics.score`.
        label_set: Emotion names in the order of the class numbers.
        drawn: Resampled matrices of shape `(resamples, classes, classes)`; by default `counts`
            are resampled over faces.
        resamples, seed, confidence: As of `metrics.score`.

    Returns:
        `{emotion: {...}}` with `"precision"`, `"recall"` and `"f1"` (0 where a denominator is
        0), the ends of the interval of each, `"f1_low"` and `"f1_high"` and so on, and `"n"`,
        the class's faces. A class of fewer than `FEW` faces has `None` for the ends. Resamples
        that drew no face of a class (or, for its precision, no such answer) say nothing of it
        and are left out of its interval.

    Raises:
        ValueError: If the matrix is not square, empty or does not fit the label set.
    """
    counts = np.asarray(counts)
    if counts.shape != (len(label_set), len(label_set)) or not counts.sum():
        raise ValueError(
            f"counts must have shape {(len(label_set),) * 2} and a face; got {counts.shape} "
            f"with {counts.sum()} faces."
        )
    drawn = bootstrap.resample_counts(counts, resamples, seed) if drawn is None else drawn
    of, labelled, answered = rates(drawn), drawn.sum(axis=-1), drawn.sum(axis=-2)
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    columns = {"n": counts.sum(axis=1).tolist()}
    for name, values in rates(counts).items():
        told = (answered if name == "precision" else labelled) > 0
        pairs = [
            np.quantile(of[name][told[:, c], c], ends) if told[:, c].any() else values[[c, c]]
            for c in range(len(label_set))
        ]
        low, high = (
            [end if n >= FEW else None for end, n in zip(side, columns["n"], strict=True)]
            for side in np.transpose(pairs).tolist()
        )
        columns |= {name: values.tolist(), f"{name}_low": low, f"{name}_high": high}
    return {
        emotion: {name: column[place] for name, column in columns.items()}
        for place, emotion in enumerate(label_set)
    }


def accuracy(counts):
    """Return the share of faces on the diagonal of matrices `(..., classes, classes)`."""
    return _diagonal(counts).sum(axis=-1) / counts.sum(axis=(-2, -1))


def balanced_accuracy(counts):
    """Return the mean recall over the classes that occur, of matrices `(..., classes, classes)`."""
    support = counts.sum(axis=-1)
    # The recall of an absent class is 0 here, so only the denominator has to leave it out.
    return divide(_diagonal(counts), support).sum(axis=-1) / (support > 0).sum(axis=-1)


def macro_f1(counts):
    """Return the mean F1 over the classes that occur, of matrices `(..., classes, classes)`."""
    occurs = counts.sum(axis=-1) > 0
    return (rates(counts)["f1"] * occurs).sum(axis=-1) / occurs.sum(axis=-1)


def divide(numerator, denominator):
    """Divide arrays, giving 0 where the denominator is 0."""
    return numerator / np.where(denominator == 0, 1, denominator)


def _diagonal(counts):
    return np.diagonal(counts, axis1=-2, axis2=-1)


def rates(counts):
    """Return precision, recall and F1 of each class, arrays of shape `(..., classes)`."""
    true, labelled, answered = _diagonal(counts), counts.sum(axis=-1), counts.sum(axis=-2)
    return {
        "precision": divide(true, answered),
        "recall": divide(true, labelled),
        "f1": divide(2 * true, labelled + answered),
    }
