"""Human: what FER+'s taggers score on the faces that models are scored on.

FER-2013's faces have one label, and the votes of FER+'s ten taggers beside it. So on FER-2013 one
tagger is scored against the label, and on FER+ against what most of the other nine say.
"""

import numpy as np

from fer_lib import emotions
from fer_lib.data.datasets import ferplus
from fer_lib.evaluation import taggers
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
    if not np.issubdtype(faces.ids.dtype, np.integer):
        return None
    try:
        known, votes, _, _ = ferplus.read_joined()
    except (FileNotFoundError, ValueError):
        return None
    places = np.searchsorted(known.ids, faces.ids).clip(max=len(known) - 1)
    there = faces.images.shape[1:] == known.images.shape[1:]
    if not there or not np.array_equal(known.images[places], faces.images):
        return None
    own = emotions.translate(faces.label_set, emotions.FERPLUS8)
    if (own < 0).any():
        return None
    others = [column for column in range(votes.shape[1]) if column not in own]
    return votes[known.ids[places]][:, [*own, *others]]


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
    most = votes[:, : len(faces.label_set)].argmax(axis=1)
    return bool((most == faces.classes).mean() > 0.95)  # 0.64 of FER-2013's


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
