"""Given data: the faces of a run, checked before anything is trained, in one order of classes."""

import dataclasses
import os
import warnings

import numpy as np

from fer_lib import emotions
from fer_lib.data import combine, duplicates, splits
from fer_lib.data.faces import Splits

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


def in_fold(data, folds, fold, *, seed=0):
    """Split all faces of a data set anew, with one fold as the test set.

    Args:
        data: Dict of `Faces` of one label set.
        folds: Number of folds. No subject, sequence or identical image stands in two; where no
            groups are known, no nearly identical picture either.
        fold: Which of them is the test set, from 1.
        seed: Of the folds.

    Returns:
        Dict of `Faces`. Validation is a share of `1 / folds` of the other faces, held out by the
        same rules.

    Raises:
        ValueError: If there are fewer subjects than folds; see `splits.kfold`.
    """
    name = name_of(data).removeprefix(f"{GIVEN}: ")
    faces = combine.whole_set(_own_ids(data), name)
    how = {"near_duplicates": faces.groups is None, "seed": seed}
    pairs = splits.kfold(faces, folds, **how)
    rest, test = next(pair for number, pair in enumerate(pairs, start=1) if number == fold)
    train, validation = splits.holdout(rest, 1 / folds, **how)
    parts = {"train": train, "validation": validation, "test": test}
    called = f"{name}, fold {fold} of {folds}"
    return Splits(
        {s: dataclasses.replace(part, name=f"{called}: {s}") for s, part in parts.items()}
    )


def with_fraction(data, fraction, *, seed=0):
    """Return a data set with a share of its training faces, of each class alike.

    Args:
        data: Dict of `Faces`.
        fraction: The share, between 0 and 1.
        seed: Of the draw.
    """
    train = data["train"]
    part = splits.holdout(train, fraction, seed=seed)[1]
    part = dataclasses.replace(part, name=f"{100 * fraction:g} % of {train.name}")
    return Splits(data | {"train": part})


def with_validation(data, fraction, *, seed=0):
    """Return a data set with a share of its validation faces; the others go to train.

    Args:
        data: Dict of `Faces`.
        fraction: The share that stays, between 0 and 1. No nearly identical picture stands in
            both.
        seed: Of the draw.

    Returns:
        Dict of `Faces`, train's labels `float32` `(n, classes)` if they were.

    Raises:
        ValueError: If too few faces would stay to have some of each class; see `splits.holdout`.
    """
    train, validation = data["train"], data["validation"]
    rest, part = splits.holdout(
        validation, fraction, near_duplicates=validation.groups is None, seed=seed
    )
    if train.labels.ndim == 2:
        rest = dataclasses.replace(rest, labels=rest.targets)
    more = combine.whole_set(_own_ids({"train": train, "validation": rest}), train.name)
    more = dataclasses.replace(more, name=f"{train.name}, and {len(rest):,} more")
    part = dataclasses.replace(part, name=f"{100 * fraction:g} % of {validation.name}")
    return Splits(data | {"train": more, "validation": part})


def _own_ids(data):
    """Return faces whose ids tell them apart where each split counts its own from 0."""
    ids = np.concatenate([part.ids for part in data.values()])
    if len(set(ids.tolist())) == len(ids):
        return data
    return {
        split: dataclasses.replace(part, ids=np.array([f"{split} {face}" for face in part.ids]))
        for split, part in data.items()
    }


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
