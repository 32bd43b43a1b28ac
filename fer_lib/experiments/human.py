"""Human: what FER+'s taggers score on the faces that models are scored on.

FER-2013's faces have one label, and the votes of FER+'s ten taggers beside it. So on FER-2013 one
tagger is scored against the label, and on FER+ against what most of the other nine say.
"""

import numpy as np

from fer_lib import emotions
from fer_lib.data.datasets import ferplus
from fer_lib.evaluation import bootstrap, taggers
from fer_lib.experiments.given import resampled

NAME = "one FER+ tagger"


def votes_for(faces):
    """Return FER+'s votes for faces that are rows of FER-2013.

    Args:
        faces: `Faces` whose `ids` are rows of FER-2013's CSV file.

    Returns:
        `int64` array of shape `(n, 10)`, the emotions of the faces' label set first and the other
        columns of `ferplus.COLUMNS` after them. `None` where the votes are not on disk or a face
        is no row of FER-2013.
    """
    known, votes = _of_rows(faces.ids, faces.label_set)
    there = known is not None and faces.images.shape[1:] == known.images.shape[1:]
    return votes if there and np.array_equal(known.images, faces.images) else None


def _of_rows(ids, label_set):
    """Return FER-2013's faces of rows and their votes, or `(None, None)`."""
    own = emotions.translate(label_set, emotions.FERPLUS8)
    if not np.issubdtype(ids.dtype, np.integer) or (own < 0).any():
        return None, None
    try:
        known, votes, _, _ = ferplus.read_joined()
    except (FileNotFoundError, ValueError):
        return None, None
    places = np.searchsorted(known.ids, ids).clip(max=len(known) - 1)
    if not np.array_equal(known.ids[places], ids):
        return None, None
    others = [column for column in range(votes.shape[1]) if column not in own]
    return known[places], votes[ids][:, [*own, *others]]


def all_rows(faces):
    """Return the faces of FER-2013's same splits, with those that a protocol of FER+ left out.

    Args:
        faces: `Faces` for which `votes_for` finds votes.

    Returns:
        `Faces` with FER-2013's labels.
    """
    known = ferplus.read_joined()[0]
    used = np.unique(known.usage[np.searchsorted(known.ids, faces.ids)])
    return known[np.isin(known.usage, used)]


def by_votes(faces, votes):
    """Return whether the faces' labels are what most of the votes say, as FER+'s are."""
    return _voted(votes, faces.classes, len(faces.label_set))


def _voted(votes, labels, classes):
    return bool((votes[:, :classes].argmax(axis=1) == labels).mean() > 0.95)  # 0.64 of FER-2013's


def human_score(faces, *, resamples=2000, seed=0):
    """Score one FER+ tagger on faces, or return `None` where there are no votes for them.

    Args:
        faces: `Faces`.
        resamples, seed: As of `metrics.score`.

    Returns:
        What `taggers.tagger_score` returns: against the faces' labels or, where these are what
        most votes say, against the votes of the other taggers.
    """
    votes = votes_for(faces)
    if votes is None:
        return None
    labels = None if by_votes(faces, votes) else faces.classes
    how = {"groups": resampled(faces)[0], "resamples": resamples, "seed": seed}
    return taggers.tagger_score(votes, faces.label_set, labels=labels, **how)


def score_of(run, *, resamples=2000, seed=0):
    """Score one FER+ tagger on the test faces of a run, or return `None` where there are no votes.

    The faces are told by their rows and labels, so a published copy will do.

    Args:
        run: A finished `Run`.
        resamples, seed: As of `metrics.score`.

    Returns:
        As of `human_score`.
    """
    if not run.has_predictions:
        return None
    ids, labels, label_set = run.predictions["ids"], run.predictions["labels"], run.label_set
    known, votes = _of_rows(ids, label_set)
    if known is None:
        return None
    voted = _voted(votes, labels, len(label_set))
    theirs = emotions.translate(known.label_set, label_set)[known.classes]
    if not voted and not np.array_equal(theirs, labels):
        return None
    how = {"groups": run.predictions.get("groups"), "resamples": resamples, "seed": seed}
    return taggers.tagger_score(votes, label_set, labels=None if voted else labels, **how)


def in_words(run):
    """Return what one FER+ tagger scores on a run's test faces, in a line, or `""`."""
    score = score_of(run)
    if score is None:
        return ""
    accuracy, macro_f1 = (bootstrap.in_words(score[name]) for name in ("accuracy", "macro_f1"))
    return f"{NAME} on these faces: accuracy {accuracy}, macro-F1 {macro_f1}"
