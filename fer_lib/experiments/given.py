"""Given data: the faces of a run, checked before anything is trained, in one order of classes."""

import dataclasses
import os
import warnings

import numpy as np

from fer_lib import emotions
from fer_lib.data import duplicates

SPLITS = ("train", "validation", "test")
GIVEN = "given"  # what `Experiment.dataset` begins with where faces were passed in under "auto"


def check(data):
    """Return the splits of a data set with the class numbers of train, or say what is wrong.

    Args:
        data: Dict of `Faces` with the keys `"train"`, `"validation"` and `"test"`. Their label
            sets may stand in any order: classes are matched by name.

    Returns:
        Dict of `Faces` of train's label set. A class that test has faces of and train has not is
        a warning.

    Raises:
        ValueError: If a split is missing or empty, faces differ in size, or a split has faces of
            a class that train does not know.
    """
    missing = [split for split in SPLITS if split not in data]
    if missing:
        raise ValueError(
            f"A run needs the splits {', '.join(SPLITS)}; {', '.join(missing)} is missing. "
            "splits.holdout makes one out of train."
        )
    train = data["train"]
    for split in SPLITS:
        faces = data[split]
        if not len(faces):
            raise ValueError(f"{split} ({faces.name}) has no faces.")
        if faces.images.shape[1:] != train.images.shape[1:]:
            raise ValueError(
                f"Faces of all splits must have one size; train's are {train.images.shape[1:]}, "
                f"those of {split} {faces.images.shape[1:]}."
            )
    counts, test = train.class_counts(), data["test"].class_counts()
    unseen = [name for name, n in test.items() if n and not counts.get(name)]
    if unseen and set(unseen) <= set(train.label_set):
        warnings.warn(
            f"Train has no face of {', '.join(unseen)}, test has: a network trained on these "
            "faces never answers so.",
            stacklevel=2,
        )
    return dict(data) | {s: _renumbered(data[s], train.label_set, s) for s in SPLITS}


def _renumbered(faces, label_set, split):
    """Return faces with the class numbers of a label set, matched by name."""
    if tuple(faces.label_set) == tuple(label_set):
        return faces
    numbers = emotions.translate(faces.label_set, label_set)
    votes = faces.labels if faces.labels.ndim == 2 else np.eye(len(numbers))[faces.labels]
    unknown = [
        name
        for name, number, n in zip(faces.label_set, numbers, votes.sum(axis=0), strict=True)
        if number < 0 and n
    ]
    if unknown:
        raise ValueError(
            f"{split} ({faces.name}) has faces of {', '.join(unknown)}, which train does not "
            f"know ({', '.join(label_set)}): leave them out (drop=), or add them to train."
        )
    if faces.labels.ndim == 1:
        return dataclasses.replace(faces, labels=numbers[faces.labels], label_set=label_set)
    known = np.flatnonzero(numbers >= 0)
    labels = np.zeros((len(faces), len(label_set)), faces.labels.dtype)
    labels[:, numbers[known]] = faces.labels[:, known]
    return dataclasses.replace(faces, labels=labels, label_set=label_set)


def name_of(data):
    """Return what an experiment calls faces that were passed in: what their names share."""
    names = [faces.name for faces in data.values()]
    shared = os.path.commonprefix(names).rstrip(" :,(-_") or names[0]
    return f"{GIVEN}: {shared}"


def resampled(faces):
    """Return the groups by which a score's interval is drawn, and what they are.

    Args:
        faces: `Faces`.

    Returns:
        `(groups, what)`: subjects or sequences where they are known, else nearly identical
        pictures; `(None, "")` where every face stands alone.
    """
    if faces.groups is not None:
        groups, what = np.unique(faces.groups, return_inverse=True)[1], "subjects or sequences"
    else:
        groups, what = duplicates.near_duplicate_groups(faces.images), "nearly identical pictures"
    return (groups, what) if len(np.unique(groups)) < len(groups) else (None, "")
