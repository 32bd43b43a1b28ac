"""Splits by the source's own split names; what it lacks is made and named so."""

import dataclasses

import numpy as np

from fer_lib.data import splits
from fer_lib.data.datasets.cards import SPLITS

# Split names of the sources, the best one to report on first.
_TRAINING = ("Training", "train")
_HELD_OUT = ("PrivateTest", "test", "PublicTest", "validation")


def split_by_usage(faces, name, *, split_seed=0):
    """Split faces by the source's own split names, and make the splits that it lacks.

    The test faces are, of those there are, PrivateTest, test, PublicTest or validation; the
    validation faces are the next. Where only the test faces have a name, 10 % of the training
    faces are held out for validation; without names the split is 80/10/10. What is held out is
    stratified and shares no group, no identical and no nearly identical image with the rest
    (`splits.holdout`).

    Args:
        faces: `Faces`.
        name: What the data is called; each split's `name` begins with it.
        split_seed: Seed of the faces held out.

    Returns:
        Dict of `Faces` with the keys `"train"`, `"validation"` and `"test"`.

    Raises:
        ValueError: If there are several split names and none for training.
    """
    usages = [] if faces.usage is None else np.unique(faces.usage).tolist()
    training = [usage for usage in usages if usage in _TRAINING]
    held = [usage for usage in _HELD_OUT if usage in usages]
    if held and not training and len(held) > 1:
        raise ValueError(f"{name} must hold training faces; its splits are {usages}.")
    if not (held and training):
        rest, test = splits.holdout(faces, 0.1, near_duplicates=True, seed=split_seed)
        train, validation = splits.holdout(rest, 1 / 9, near_duplicates=True, seed=split_seed)
        names = (f"80 % of {name}", f"10 % of {name} for validation", f"10 % of {name} for test")
        return named((train, validation, test), names)
    train, test = _with_usage(faces, training[0]), _with_usage(faces, held[0])
    names = [f"{name} {usage}" for usage in (training[0], held[0])]
    if len(held) > 1:
        validation = _with_usage(faces, held[1])
        return named((train, validation, test), (names[0], f"{name} {held[1]}", names[1]))
    train, validation = splits.holdout(train, 0.1, near_duplicates=True, seed=split_seed)
    made = (f"{names[0]} (90 %)", f"{names[0]} (10 % held out)", names[1])
    return named((train, validation, test), made)


def _with_usage(faces, usage):
    rows = np.flatnonzero(faces.usage == usage)
    if rows[-1] - rows[0] == len(rows) - 1:  # a slice stays memory-mapped
        return faces[rows[0] : rows[-1] + 1]
    return faces[rows]


def named(parts, names):
    """Return train, validation and test faces as a dict, each with its name."""
    named = zip(SPLITS, parts, names, strict=True)
    return {split: dataclasses.replace(faces, name=name) for split, faces, name in named}
