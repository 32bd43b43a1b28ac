"""Scores of a classifier's probabilities, each with a bootstrap interval.

To add one: write `name(labels, probabilities) -> float` and put it in METRICS.

The formulas are scikit-learn's (the tests hold them to it); what a confusion matrix tells is in
`confusion`.
"""

import numpy as np

from fer_lib.evaluation import bootstrap, confusion

# Upper edges of the 15 bins of confidence that calibration is judged by (Guo et al. 2017).
BIN_EDGES = np.linspace(0, 1, 16)[1:]


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
    labels, probabilities = checked(labels, probabilities)
    classes = probabilities.shape[1]
    cells = labels * classes + probabilities.argmax(axis=1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def accuracy(labels, probabilities):
    """Return the share of faces whose most probable class is the true one."""
    return float(confusion.accuracy(confusion_matrix(labels, probabilities)))


def balanced_accuracy(labels, probabilities):
    """Return the mean recall over the classes that occur in `labels`."""
    return float(confusion.balanced_accuracy(confusion_matrix(labels, probabilities)))


def macro_f1(labels, probabilities):
    """Return the mean F1 over the classes that occur in `labels`.

    An answer that names another class costs the recall of the face's own, so that a perfect
    answer scores 1 whatever the label set, and no other does.
    """
    return float(confusion.macro_f1(confusion_matrix(labels, probabilities)))


def log_loss(labels, probabilities):
    """Return the mean of -log p(true class), in nats.

    Rows are normalised to sum to 1 and clipped to `[eps, 1 - eps]` with float32's eps (1.2e-7),
    whatever their dtype: a certain mistake costs 15.9, and a float64 copy scores the same.
    """
    return float(_surprisal(*checked(labels, probabilities)).mean())


def top2_accuracy(labels, probabilities):
    """Return the share of faces whose true class is among the two most probable.

    Ties go to the lower class number as in `accuracy`, which therefore is never higher.
    """
    return float(_in_top2(*checked(labels, probabilities)).mean())


def brier_score(labels, probabilities):
    """Return the mean squared distance of the probabilities from the true class, 0 to 2.

    The sum over all classes, as Brier first wrote it (Monthly Weather Review 78, 1950); for two
    classes it is twice the value that is often given. Rows are normalised to sum to 1.
    """
    return float(_squared_distance(*checked(labels, probabilities)).mean())


def expected_calibration_error(labels, probabilities):
    """Return by how much confidence and accuracy differ, on average over the faces, 0 to 1.

    Confidence is the largest probability of a face, in the 15 bins of `reliability` (Guo et al.
    2017, arXiv:1706.04599, sec. 2). Few faces raise the value: even a perfectly calibrated
    classifier scores about 0.02 on 3,500 faces.
    """
    table = {name: np.array(column) for name, column in reliability(labels, probabilities).items()}
    gaps = abs(table["accuracy"] - table["confidence"])
    return float((table["n"] * gaps).sum() / table["n"].sum())


def reliability(labels, probabilities):
    """Tabulate confidence against accuracy, as a reliability diagram shows them.

    Args:
        labels: Integer array of shape `(n,)`.
        probabilities: Float array of shape `(n, classes)`, rows summing to 1.

    Returns:
        Dictionary of lists, one entry per bin of equal width that holds a face: `"low"` and
        `"high"` (its edges, the upper one belongs to it), `"n"` (faces), `"confidence"` (mean of
        their largest probability) and `"accuracy"`.
    """
    labels, probabilities = checked(labels, probabilities)
    right, confidence, bins = _confidence(labels, probabilities)
    n = np.bincount(bins, minlength=len(BIN_EDGES))
    columns = {
        "low": np.r_[0, BIN_EDGES[:-1]],
        "high": BIN_EDGES,
        "n": n,
        "confidence": confusion.divide(np.bincount(bins, confidence, len(n)), n),
        "accuracy": confusion.divide(np.bincount(bins, right, len(n)), n),
    }
    return {name: column[n > 0].tolist() for name, column in columns.items()}


METRICS = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "log_loss": log_loss,
    "top2_accuracy": top2_accuracy,
    "brier_score": brier_score,
    "expected_calibration_error": expected_calibration_error,
}


def kl_divergence(targets, probabilities):
    """Return the mean Kullback-Leibler divergence of the probabilities from targets, in nats.

    0 where the probabilities are the targets; the log loss where each target is one class. It is
    what training on votes by cross-entropy makes small (Barsoum et al. 2016, arXiv:1608.01041).

    Args:
        targets: Float array of shape `(n, classes)`, rows summing to 1, such as `Faces.targets`.
        probabilities: Float array of the same shape; normalised and clipped as in `log_loss`.

    Raises:
        ValueError: If the shapes differ, or a row is not finite, negative or does not sum to 1.
    """
    return float(_divergence(targets, probabilities).mean())


def score(
    labels,
    probabilities,
    label_set,
    *,
    targets=None,
    groups=None,
    resamples=2000,
    seed=0,
    confidence=0.95,
):
    """Score probabilities by every metric, with percentile bootstrap intervals.

    The intervals answer "what if other faces of this kind had been drawn", or, with groups, other
    people; they hold nothing of the spread between training runs. Method: `bootstrap`.

    Args:
        labels: Integer array of shape `(n,)`, values in `[0, classes)`.
        probabilities: Float array of shape `(n, classes)`, rows summing to 1 within 1e-3.
        label_set: Emotion names in the order of the class numbers.
        targets: Float array of shape `(n, classes)`, rows summing to 1, where the faces have a
            distribution of votes; adds `"kl_divergence"`.
        groups: Array of shape `(n,)`, equal for faces of one subject, sequence or picture: whole
            groups are resampled, and their number is in `"groups"`. `None`, and one group for
            all, resample the faces.
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling.
        confidence: Coverage of the intervals, between 0 and 1.

    Returns:
        Dictionary of plain Python values: `"n"`; for each of METRICS a `{"value", "low",
        "high"}`; `"per_class"`: what `confusion.per_class` returns; `"confusion"`: counts, rows
        true; `"reliability"`: that table; `"resamples"`, `"confidence"` and `"seed"`.

    Raises:
        ValueError: If there are no faces, shapes or label set do not fit, a label is out of
            range, a row is not finite or does not sum to 1, or an option is out of range.
    """
    labels, probabilities = checked(labels, probabilities, label_set)
    if resamples < 1 or not 0 < confidence < 1:
        raise ValueError(
            "resamples must be at least 1 and confidence between 0 and 1; "
            f"got resamples={resamples}, confidence={confidence}."
        )
    counts = confusion_matrix(labels, probabilities)
    values = {name: metric(labels, probabilities) for name, metric in METRICS.items()}
    result, means = {"n": len(labels)}, dict(_MEANS)
    if targets is not None:
        divergence = _divergence(targets, probabilities)
        values["kl_divergence"] = float(divergence.mean())
        means["kl_divergence"] = lambda labels, probabilities: divergence
    groups = bootstrap.checked_groups(groups, len(labels))
    if groups is None:
        drawn, tables = _bootstrap(labels, probabilities, means, resamples, seed)
    else:
        result["groups"] = len(np.unique(groups))
        drawn, tables = _bootstrap_groups(labels, probabilities, groups, means, resamples, seed)
    for name in values.keys() - drawn.keys():  # a metric that has no quicker way
        faces, how = (labels, probabilities), (resamples, seed, groups)
        drawn[name] = bootstrap.resample_rows(METRICS[name], *faces, *how)
    for name, value in values.items():
        result[name] = bootstrap.interval(value, drawn[name], confidence)
    return result | {
        "per_class": confusion.per_class(counts, label_set, drawn=tables, confidence=confidence),
        "confusion": counts.tolist(),
        "reliability": reliability(labels, probabilities),
        "resamples": resamples,
        "confidence": confidence,
        "seed": seed,
    }


def paired_difference(
    labels, probabilities, others, *, groups=None, resamples=2000, seed=0, confidence=0.95
):
    """Score the difference of two classifiers on the same faces, with bootstrap intervals.

    Each resample draws faces (or groups) with both answers: what makes a face hard for both
    cancels out, and the interval is narrower than the two classifiers' own suggest.

    Args:
        labels: Integer array of shape `(n,)`.
        probabilities: Float array of shape `(n, classes)`, rows summing to 1.
        others: The other classifier's, of the same shape.
        groups, resamples, seed, confidence: As of `score`.

    Returns:
        `{metric: {"value", "low", "high"}}` of accuracy, balanced accuracy and macro-F1: the
        score of `probabilities` minus that of `others`.

    Raises:
        ValueError: If the three do not fit together; see `score`.
    """
    labels, probabilities = checked(labels, probabilities)
    _, others = checked(labels, others)
    if others.shape != probabilities.shape:
        raise ValueError(
            "probabilities and others must have one shape; "
            f"got {probabilities.shape} and {others.shape}."
        )
    classes = probabilities.shape[1]
    answers = (labels, probabilities.argmax(axis=1), others.argmax(axis=1))
    cells = np.ravel_multi_index(answers, (classes,) * 3)
    counts = np.bincount(cells, minlength=classes**3).reshape((classes,) * 3)
    groups = bootstrap.checked_groups(groups, len(labels))
    if groups is None:
        drawn = bootstrap.resample_counts(counts, resamples, seed)
    else:
        drawn = bootstrap.resample_cells(cells, counts.shape, groups, resamples, seed)
    result = {}
    for name, metric in _OF_COUNTS.items():
        value, values = (metric(c.sum(axis=-1)) - metric(c.sum(axis=-2)) for c in (counts, drawn))
        result[name] = bootstrap.interval(float(value), values, confidence)
    return result


def checked(labels, probabilities, label_set=None, *, name="probabilities"):
    """Return labels as `int64` and probabilities as `float64`, or say what does not fit.

    Raises:
        ValueError: See `score`; the message calls the probabilities by `name`.
    """
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
    _reject(~np.isfinite(probabilities).all(axis=1), f"{name} must be finite", probabilities)
    _reject((probabilities < 0).any(axis=1), f"{name} must not be negative", probabilities)
    sums = probabilities.sum(axis=1)
    _reject(abs(sums - 1) > 1e-3, f"rows of {name} must sum to 1 within 1e-3", sums)
    if label_set is not None and len(label_set) != classes:
        raise ValueError(
            f"label_set must name each of the {classes} columns of {name}; "
            f"got {len(label_set)} names: {tuple(label_set)}."
        )
    return labels, probabilities


def _reject(wrong, rule, values):
    """Raise the rule with the first wrong row."""
    rows = np.flatnonzero(wrong)
    if rows.size:
        raise ValueError(f"{rule}; row {rows[0]} holds {values[rows[0]]} ({rows.size} such rows).")


def _surprisal(labels, probabilities):
    """Return -log p(true class) of each face."""
    true = probabilities[np.arange(len(labels)), labels] / probabilities.sum(axis=1)
    eps = np.finfo(np.float32).eps
    return -np.log(np.clip(true, eps, 1 - eps))


def _in_top2(labels, probabilities):
    """Tell of each face whether its class is among the two most probable."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
    return (best == labels[:, None]).any(axis=1)


def _squared_distance(labels, probabilities):
    """Return the squared distance of each face's probabilities from its class."""
    distances = probabilities / probabilities.sum(axis=1, keepdims=True)
    distances[np.arange(len(labels)), labels] -= 1
    return (distances**2).sum(axis=1)


def _confidence(labels, probabilities):
    """Return of each face whether it is right, its largest probability, and the bin of that."""
    confidence = probabilities.max(axis=1) / probabilities.sum(axis=1)
    right = probabilities.argmax(axis=1) == labels
    return right, confidence, np.searchsorted(BIN_EDGES, confidence)


def _divergence(targets, probabilities):
    """Return the Kullback-Leibler divergence of each face's probabilities from its target."""
    from scipy.special import rel_entr

    targets, shape = np.asarray(targets, np.float64), np.shape(probabilities)
    if targets.shape != shape:
        raise ValueError(
            f"targets must have the shape of probabilities, {shape}; got {targets.shape}."
        )
    first = np.zeros(len(targets), np.int64)
    _, probabilities = checked(first, probabilities)
    checked(first, targets, name="targets")
    targets, probabilities = (p / p.sum(axis=1, keepdims=True) for p in (targets, probabilities))
    eps = np.finfo(np.float32).eps
    return rel_entr(targets, np.clip(probabilities, eps, 1 - eps)).sum(axis=1)


_OF_COUNTS = {
    "accuracy": confusion.accuracy,
    "balanced_accuracy": confusion.balanced_accuracy,
    "macro_f1": confusion.macro_f1,
}
_MEANS = {
    "log_loss": _surprisal,
    "top2_accuracy": _in_top2,
    "brier_score": _squared_distance,
}


def _gaps(labels, probabilities, resamples, seed):
    """Draw expected calibration errors, shifted to lie around the error itself.

    The error is a sum of absolute values, so resampling noise only adds to it: unshifted, the
    interval of a well calibrated classifier would lie above its own value.
    """
    right, confidence, bins = _confidence(labels, probabilities)
    sums = bootstrap.resample_sums(right - confidence, bins, len(BIN_EDGES), resamples, seed)
    drawn = abs(sums).sum(axis=1) / len(labels)
    return _around(drawn, expected_calibration_error(labels, probabilities))


def _around(drawn, value):
    return np.maximum(drawn - drawn.mean() + value, 0)


def _bootstrap_groups(labels, probabilities, groups, means, resamples, seed):
    """Return what `_bootstrap` does, from resamples of whole groups."""
    classes, n = probabilities.shape[1], len(labels)
    cells = labels * classes + probabilities.argmax(axis=1)
    right, confidence, bins = _confidence(labels, probabilities)
    gaps = np.zeros((n, len(BIN_EDGES)))
    gaps[np.arange(n), bins] = right - confidence
    columns = [np.ones((n, 1)), gaps, np.eye(classes * classes)[cells]]
    columns += [values(labels, probabilities)[:, None].astype(float) for values in means.values()]
    ends = np.cumsum([column.shape[1] for column in columns])[:-1]
    drawn = bootstrap.resample_groups(np.hstack(columns), groups, resamples, seed)
    count, gaps, counts, *sums = np.split(drawn, ends, axis=1)
    tables = counts.reshape(resamples, classes, classes)
    result = {name: metric(tables) for name, metric in _OF_COUNTS.items()}
    result |= {name: (s / count)[:, 0] for name, s in zip(means, sums, strict=True)}
    errors = abs(gaps).sum(axis=1) / count[:, 0]
    error = expected_calibration_error(labels, probabilities)
    return result | {"expected_calibration_error": _around(errors, error)}, tables


def _bootstrap(labels, probabilities, means, resamples, seed):
    """Return `{metric: float array of shape (resamples,)}` and resampled confusion matrices."""
    counts = bootstrap.resample_counts(confusion_matrix(labels, probabilities), resamples, seed)
    columns = [values(labels, probabilities) for values in means.values()]
    drawn = {name: metric(counts) for name, metric in _OF_COUNTS.items()}
    drawn |= zip(means, bootstrap.resample_means(columns, resamples, seed), strict=True)
    drawn["expected_calibration_error"] = _gaps(labels, probabilities, resamples, seed)
    return drawn, counts
