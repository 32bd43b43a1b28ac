"""Taggers: what one of the people who voted on each face would score, beside a model.

A face was seen by several taggers. One of them is drawn; the label is what most of the others
voted for, of equals each in part. Every tagger may be the one who is drawn, so all scores are
expected values and nothing is simulated. A model is scored against the same labels.
"""

import numpy as np

from fer_lib.evaluation import bootstrap, confusion, metrics

NO_EMOTION = "no emotion"


def tagger_score(
    votes, label_set, *, labels=None, majority=False, groups=None, resamples=2000, seed=0
):
    """Score one tagger, with percentile bootstrap intervals over the faces.

    Args:
        votes: Integer array of shape `(n, classes + others)`: how many taggers named each emotion
            of the label set, then votes for anything else, which are answers that are not right.
            Each face has two votes or more.
        label_set: Emotion names in the order of the first columns.
        labels: Integer array of shape `(n,)` to score against. By default the emotion that most
            of the other taggers voted for.
        majority: Whether a face counts only where more than half of the others' votes, single
            ones apart, are for one emotion: FER+'s rule (Barsoum et al. 2016), by the others
            alone. Faces that were chosen by all votes agree with the drawn tagger more often.
        groups: Array of shape `(n,)`, equal for faces that are drawn together; or `None`.
        resamples, seed: As of `metrics.score`.

    Returns:
        `{"n", "accuracy", "macro_f1", "per_class"}`, as of `metrics.score`; `"n"` is the expected
        number of faces with a label. A face of which no other tagger named an emotion has no
        label and counts for nothing.

    Raises:
        ValueError: If votes and label set do not fit, or a face has fewer than two votes.
    """
    votes = _checked(votes, label_set)
    tables = _answered_by_taggers(votes, len(label_set), labels, majority)
    return _score(tables, label_set, groups, resamples, seed)


def model_score(
    votes, probabilities, label_set, *, majority=False, groups=None, resamples=2000, seed=0
):
    """Score a model against what most taggers but one voted for, beside that one.

    Args:
        votes, label_set, majority, groups, resamples, seed: As of `tagger_score`.
        probabilities: Float array of shape `(n, classes)`, rows summing to 1.

    Returns:
        What `tagger_score` returns, and `"difference"`: the model's accuracy minus the tagger's,
        with a paired interval.

    Raises:
        ValueError: As `tagger_score`, or if probabilities do not fit.
    """
    votes, classes = _checked(votes, label_set), len(label_set)
    first = np.zeros(len(votes), np.int64)
    _, probabilities = metrics.checked(first, probabilities, label_set)
    theirs = _answered_by_taggers(votes, classes, None, majority)
    tables = np.zeros_like(theirs)
    tables[np.arange(len(votes)), :, probabilities.argmax(axis=1)] = theirs.sum(axis=2)
    gain = _right(tables) - _right(theirs)
    columns = np.stack([gain, tables.sum(axis=(1, 2))], axis=1)
    drawn = _drawn(columns, groups, resamples, seed)
    value = float(gain.sum() / columns[:, 1].sum())
    difference = bootstrap.interval(value, drawn[:, 0] / drawn[:, 1])
    return _score(tables, label_set, groups, resamples, seed) | {"difference": difference}


def accepted_errors(votes, answers, labels, *, least=2, groups=None, resamples=2000, seed=0):
    """Tell how many of the errors are answers that taggers gave too.

    Args:
        votes: Integer array of shape `(n, columns)`, a column for each class, then any others.
        answers, labels: Integer arrays of shape `(n,)`, values in `[0, classes)`.
        least: How many taggers must have given an answer to accept it.
        groups, resamples, seed: As of `tagger_score`.

    Returns:
        `{"value", "low", "high", "errors"}`: the share of the errors that are accepted with its
        95 % interval, and the number of errors. The share is NaN where there is no error.
    """
    votes, answers = np.asarray(votes), np.asarray(answers)
    wrong = answers != np.asarray(labels)
    if not wrong.any():
        return {"value": np.nan, "low": np.nan, "high": np.nan, "errors": 0}
    accepted = wrong & (votes[np.arange(len(votes)), answers] >= least)
    drawn = _drawn(np.stack([accepted, wrong], axis=1).astype(float), groups, resamples, seed)
    shares = (drawn[:, 0] / drawn[:, 1])[drawn[:, 1] > 0]
    return bootstrap.interval(float(accepted.sum() / wrong.sum()), shares) | {
        "errors": int(wrong.sum())
    }


def _checked(votes, label_set):
    votes = np.asarray(votes)
    if votes.ndim != 2 or votes.shape[1] < len(label_set) or not len(votes):
        raise ValueError(
            f"votes must have a row per face and at least {len(label_set)} columns, one for each "
            f"of {tuple(label_set)}; got shape {votes.shape}."
        )
    sums = votes.sum(axis=1)
    if (votes < 0).any() or sums.min() < 2:
        row = int(np.argmin(np.where((votes < 0).any(axis=1), -1, sums)))
        raise ValueError(
            "Each face must have two votes or more, none negative, to set one tagger against the "
            f"others; row {row} holds {votes[row].tolist()}."
        )
    return votes


def _answered_by_taggers(votes, classes, labels, majority):
    """Return each face's expected table of the drawn tagger's answer, the rows its label.

    Shape `(n, classes + 1, classes + 1)`; the last row stays empty, the last column holds answers
    that are none of the emotions.
    """
    n, columns = votes.shape
    tables = np.zeros((n, classes + 1, classes + 1))
    chances = votes / votes.sum(axis=1, keepdims=True)
    for column in range(columns):
        others = votes - (np.arange(columns) == column)
        if labels is None:
            most = others[:, :classes].max(axis=1, keepdims=True)
            label = (others[:, :classes] == most) & (most > 0)
            if majority:
                counted = np.where(others > 1, others, 0).sum(axis=1, keepdims=True)
                label &= (most > 1) & (2 * most > counted)
            label = label / np.maximum(label.sum(axis=1, keepdims=True), 1)
        else:
            label = np.eye(classes)[labels]
        tables[:, :classes, min(column, classes)] += chances[:, [column]] * label
    return tables


def _right(tables):
    return np.diagonal(tables, axis1=1, axis2=2).sum(axis=1)


def _score(tables, label_set, groups, resamples, seed):
    counts, names = tables.sum(axis=0), (*label_set, NO_EMOTION)
    drawn = _drawn(tables.reshape(len(tables), -1), groups, resamples, seed)
    drawn = drawn[drawn.sum(axis=1) > 0].reshape(-1, *counts.shape)  # with a label at least
    of = {"accuracy": confusion.accuracy, "macro_f1": confusion.macro_f1}
    scores = {name: bootstrap.interval(float(m(counts)), m(drawn)) for name, m in of.items()}
    per_class = confusion.per_class(counts, names, drawn=drawn)
    del per_class[NO_EMOTION]
    return {"n": float(counts.sum())} | scores | {"per_class": per_class}


def _drawn(columns, groups, resamples, seed):
    groups = bootstrap.checked_groups(groups, len(columns))
    groups = np.arange(len(columns)) if groups is None else groups
    return bootstrap.resample_groups(columns, groups, resamples, seed)
