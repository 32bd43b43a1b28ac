"""FER-2013 with training targets that also tell what ten taggers saw in each face."""

import dataclasses

import numpy as np

from fer_lib.data.datasets.cards import Dataset
from fer_lib.data.datasets.fer2013 import FER2013
from fer_lib.data.datasets.ferplus import read_joined
from fer_lib.data.splits import split_by_usage

# Half of a target is the face's own label, half what its votes let expect.
VOTES_SHARE = 0.5


def load_fer2013_soft(*, votes_file=None, on_error="raise", split_seed=0):
    """Load FER-2013, its training labels softened by what FER+'s taggers voted for.

    FER-2013's labels are noisy, and FER+'s are others: its taggers call twice as many faces
    neutral. A logistic regression, fitted on the training faces, says how likely each of
    FER-2013's labels is for a face with such votes, so that the targets keep FER-2013's own class
    shares. This is generalized distillation (Lopez-Paz et al. 2016, arXiv:1511.03643) from a
    teacher that sees the votes and not the face. Validation and test faces keep their labels.

    Args:
        votes_file: See `ferplus.load_ferplus`.
        on_error: `"raise"`, or `"skip"` to drop rows of pixels that cannot be read.
        split_seed: Seed of the faces held out where the copy lacks a split.

    Returns:
        Dict of `Faces` of FER-7: those of `load_fer2013` with the same faces in each split, the
        labels of `"train"` `float32` of shape `(n, 7)`, rows summing to 1, of which the label
        has more than `1 - VOTES_SHARE`.

    Raises:
        FileNotFoundError: If FER-2013's CSV file or the votes are not on disk.
        ValueError: If the two files do not belong together.
    """
    faces, votes, _, version = read_joined(votes_file=votes_file, on_error=on_error)
    parts = split_by_usage(faces, "FER-2013", split_seed=split_seed)
    train = parts["train"]
    expected = _expected_labels(votes[train.ids], train.labels, len(train.label_set))
    targets = (1 - VOTES_SHARE) * train.targets + VOTES_SHARE * expected
    name = f"{train.name}, half of the target by FER+ votes {version}"
    return parts | {"train": dataclasses.replace(train, labels=targets, name=name)}


def _expected_labels(votes, labels, classes):
    """Return how likely each label is given the votes, `float32` `(n, classes)`."""
    from sklearn.linear_model import LogisticRegression

    shares = votes / votes.sum(axis=1, keepdims=True)
    regression = LogisticRegression(max_iter=1000).fit(shares, labels)
    expected = np.zeros((len(votes), classes), np.float32)
    expected[:, regression.classes_] = regression.predict_proba(shares)
    return expected


FER2013_SOFT = Dataset(
    load_fer2013_soft,
    FER2013.card._replace(
        title="FER-2013, training labels softened by FER+'s votes: half of each target is what "
        "the votes let expect",
        access="as for ferplus: fer2013new.csv in datasets/ferplus and fer2013.csv in "
        "datasets/ferplus or datasets/fer2013",
        notes=f"{FER2013.card.notes}; validation and test faces keep FER-2013's labels; the votes "
        "are of https://github.com/microsoft/FERPlus (MIT)",
    ),
    "ferplus",
)
