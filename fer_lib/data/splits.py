"""Splits: the source's own, or stratified by class with groups and duplicates on one side.

The clean protocol, `drop_duplicates`, takes out of train what the held-out faces hold already.
"""

import dataclasses
import warnings

import numpy as np

from fer_lib.choices import lookup
from fer_lib.data import draws
from fer_lib.data.duplicates import duplicate_groups, near_duplicate_groups

SPLITS = ("train", "validation", "test")

# Split names of the sources, the best one to report on first.
_TRAINING = ("Training", "train")
_HELD_OUT = ("PrivateTest", "test", "PublicTest", "validation")
# Where an image stands in two splits, the first of them keeps it.
_PRECEDENCE = ("test", "validation", "train")


def split_by_usage(faces, name, *, split_seed=0):
    """Split faces by the source's own split names, and make the splits that it lacks.

    The test faces are, of those there are, PrivateTest, test, PublicTest or validation; the
    validation faces are the next. Where only the test faces have a name, 10 % of the training
    faces are held out for validation; without names the split is 80/10/10. What is held out is
    stratified and shares no group, no identical and no nearly identical image with the rest
    (`holdout`).

    Args:
        faces: `Faces`.
        name: What the data is called; each split's `name` begins with it.
        split_seed: Seed of the faces held out.

    Returns:
        Dict of `Faces` with the keys `"train"`, `"validation"` and `"test"`.

    Raises:
        ValueError: If there are several split names and none for training.
    """
    parts = _by_usage(faces, name, split_seed)
    _warn_of_missing(parts)
    return parts


def _by_usage(faces, name, split_seed):
    usages = [] if faces.usage is None else np.unique(faces.usage).tolist()
    training = [usage for usage in usages if usage in _TRAINING]
    held = [usage for usage in _HELD_OUT if usage in usages]
    if held and not training and len(held) > 1:
        raise ValueError(f"{name} must hold training faces; its splits are {usages}.")
    if not (held and training):
        near = near_duplicate_groups(faces.images)
        held = _held_out(faces, 0.1, near, split_seed)
        rest, test = _divided(faces, held)
        if np.isin(near[held], near[~held]).any():
            near = near_duplicate_groups(rest.images)
        else:  # nothing of what is left goes with what is gone: no need to compare it again
            near = np.unique(near[~held], return_inverse=True)[1]
        train, validation = _divided(rest, _held_out(rest, 1 / 9, near, split_seed))
        shares = [round(100 * len(part) / len(faces)) for part in (train, validation, test)]
        shares = (80, 10, 10) if max(np.abs(np.subtract(shares, (80, 10, 10)))) < 5 else shares
        names = [f"{share} % of {name}" for share in shares]
        names[1:] = [f"{names[1]} for validation", f"{names[2]} for test"]
        return named((train, validation, test), names)
    train, test = _with_usage(faces, training[0]), _with_usage(faces, held[0])
    names = [f"{name} {usage}" for usage in (training[0], held[0])]
    if len(held) > 1:
        validation = _with_usage(faces, held[1])
        return named((train, validation, test), (names[0], f"{name} {held[1]}", names[1]))
    train, validation = holdout(train, 0.1, near_duplicates=True, seed=split_seed)
    made = (f"{names[0]} (90 %)", f"{names[0]} (10 % held out)", names[1])
    return named((train, validation, test), made)


def _warn_of_missing(parts):
    train = parts["train"].class_counts()
    for split in ("validation", "test"):
        counts = parts[split].class_counts()
        missing = [f"{name} ({n})" for name, n in counts.items() if n and not train[name]]
        if missing:
            warnings.warn(
                f"{parts[split].name} has faces of {', '.join(missing)}, of which there are none "
                "to train on: no model can get them right. Leave the class out with drop=.",
                stacklevel=4,
            )


def _with_usage(faces, usage):
    rows = np.flatnonzero(faces.usage == usage)
    if rows[-1] - rows[0] == len(rows) - 1:  # a slice stays memory-mapped
        return faces[rows[0] : rows[-1] + 1]
    return faces[rows]


def named(parts, names):
    """Return train, validation and test faces as a dict, each with its name."""
    named = zip(SPLITS, parts, names, strict=True)
    return {split: dataclasses.replace(faces, name=name) for split, faces, name in named}


def holdout(faces, fraction, *, near_duplicates=False, seed=0):
    """Split off a stratified part that shares no group and no identical image with the rest.

    Args:
        faces: `Faces`. Their `groups`, where given, and exact duplicates stay on one side.
        fraction: Part of the faces to hold out, between 0 and 1. With large groups it is met as
            nearly as the groups allow.
        near_duplicates: Whether near-duplicates stay on one side too; see
            `duplicates.near_duplicate_pairs`. It takes seconds for tens of thousands of faces.
        seed: Integer; the same seed gives the same split on every machine.

    Returns:
        `(rest, held)`: two `Faces` in the order of the source, `held` with about
        `fraction * len(faces)`.

    Raises:
        ValueError: If a class has too few independent groups to stand on both sides.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1; got {fraction!r}.")
    near = near_duplicate_groups(faces.images) if near_duplicates else None
    return _divided(faces, _held_out(faces, fraction, near, seed))


def _divided(faces, held):
    return faces[np.flatnonzero(~held)], faces[np.flatnonzero(held)]


def _held_out(faces, fraction, near, seed):
    """Return which faces `holdout` holds out; `near` numbers near-duplicates, or is None."""
    classes = faces.classes
    groups = _groups_apart(faces, near, 3)
    if faces.groups is not None and len(np.unique(faces.groups)) == 1:
        groups = _groups_apart(_ungrouped(faces), near, 2)
    _check_groups(faces, groups, classes, 2)
    draw = draws.draw_few
    if draws.all_small(groups, fraction):
        draw = draws.draw_groups
    elif draws.many(groups):
        draw = draws.draw_small
    elif draws.enough_groups(groups, classes, fraction):
        draw = draws.draw_folds
    held = draw(groups, classes, fraction, seed)
    for side, part in (("held-out", held), ("remaining", ~held)):
        missing = np.setdiff1d(classes, classes[part])
        if missing.size:
            raise ValueError(
                f"Each class must stand on both sides of the split; {faces.name} has no "
                f"{faces.label_set[missing[0]]!r} in the {side} part for fraction {fraction} and "
                f"seed {seed}. It needs more faces or another fraction."
            )
    return held


def kfold(faces, folds=10, *, near_duplicates=False, seed=0):
    """Split into stratified folds that share no group and no identical image.

    Args:
        faces: `Faces`. Their `groups`, where given, and exact duplicates stay in one fold.
        folds: Number of folds, at least 2.
        near_duplicates: Whether near-duplicates stay in one fold too; see `holdout`.
        seed: Integer; the same seed gives the same folds on every machine.

    Returns:
        Iterator of `folds` pairs `(rest, held)` of `Faces` in the order of the source. Every face
        is held out once.

    Raises:
        ValueError: If a class has fewer independent groups than there are folds.
    """
    if not isinstance(folds, int | np.integer) or folds < 2:
        raise ValueError(f"folds must be a whole number of 2 or more; got {folds!r}.")
    near = near_duplicate_groups(faces.images) if near_duplicates else None
    groups, classes = _groups_apart(faces, near, folds), faces.classes
    _check_groups(faces, groups, classes, folds)
    number = draws.number_folds(groups, classes, folds, seed)
    for fold in range(folds):
        missing = np.setdiff1d(classes, classes[number != fold])
        if missing.size or not (number == fold).any():
            what = faces.label_set[missing[0]] if missing.size else "face"
            raise ValueError(
                f"{faces.name} does not fill {folds} folds with seed {seed}: its groups leave no "
                f"{what!r} on one side of fold {fold + 1}. Ask for fewer folds."
            )
    return (
        (faces[np.flatnonzero(number != fold)], faces[np.flatnonzero(number == fold)])
        for fold in range(folds)
    )


def drop_duplicates(parts, *, near_duplicates=True):
    """Drop what training must not know of the faces it is scored on: the clean protocol.

    Test stays as published. Validation loses what is identical or nearly so to a test face, train
    what is so to a test or validation face. Of identical images within train one stays: the first
    of the class that most of them have; where classes tie, none of them, for their class is
    unknown. Near-duplicates within train stay, being ordinary augmentation.

    Args:
        parts: Dict of `Faces` with some of the keys `"train"`, `"validation"` and `"test"`.
        near_duplicates: Whether near-duplicates go too, or identical images only; see
            `duplicates.near_duplicate_pairs`.

    Returns:
        `(clean, dropped)`: a dict like `parts`, and a dict of split → `{reason: number of faces}`
        with the keys `"identical to <split>"`, `"near-duplicate of <split>"` and, for train,
        `"repeated"` and `"conflicting labels"` (all copies of an image of unknown class).
    """
    for split in parts:
        lookup(_PRECEDENCE, split, "split")
    present = [split for split in _PRECEDENCE if split in parts]
    images = np.concatenate([parts[split].images for split in present])
    exact = duplicate_groups(images)
    near = near_duplicate_groups(images) if near_duplicates else exact
    ends = np.cumsum([len(parts[split]) for split in present])[:-1]
    exact, near = (dict(zip(present, np.split(g, ends), strict=True)) for g in (exact, near))
    clean, dropped = {}, {}
    for place, split in enumerate(present):
        keep, counts = np.ones(len(parts[split]), bool), {}
        for kind, groups in (("identical to", exact), ("near-duplicate of", near)):
            for other in present[:place]:
                counts[f"{kind} {other}"] = _drop(keep, np.isin(groups[split], groups[other]))
        if split == "train":
            repeated, conflicting = _repeated(exact[split], parts[split].classes)
            counts["conflicting labels"] = _drop(keep, conflicting)
            counts["repeated"] = _drop(keep, repeated)
        dropped[split] = counts
        clean[split] = parts[split]
        if not keep.all():
            name = f"{parts[split].name}, without duplicates"
            clean[split] = dataclasses.replace(parts[split][np.flatnonzero(keep)], name=name)
    return {split: clean[split] for split in parts}, dropped


def _drop(keep, rows):
    """Take rows out of `keep` and return how many of them were in it."""
    count = int((keep & rows).sum())
    keep &= ~rows
    return count


def _repeated(groups, classes):
    """Mark the copies that may go, and all copies of an image whose class is a tie."""
    repeated, conflicting = np.zeros((2, len(groups)), bool)
    order = np.argsort(groups, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        if len(rows) > 1:
            counts = np.bincount(classes[rows])
            best = np.flatnonzero(counts == counts.max())
            repeated[rows] = True
            repeated[rows[classes[rows] == best[0]][0]] = False
            conflicting[rows] = len(best) > 1
    return repeated, conflicting


def class_count_table(splits):
    """Return a DataFrame of face counts: one row per class, one column per split.

    Args:
        splits: Dict of split name → `Faces` of one label set.
    """
    import pandas as pd

    return pd.DataFrame(
        {name: pd.Series(faces.class_counts()) for name, faces in splits.items()}
    ).rename_axis(index="class", columns="split")


def _groups_apart(faces, near, least):
    """Return the groups that stay on one side: joined by near-duplicates, unless too few are left.

    Pictures of one laboratory can be so alike that most subjects would be joined: then the
    subjects alone decide.
    """
    groups = _joint_groups(faces, near)
    if near is not None and faces.groups is not None:
        exact = _joint_groups(faces, None)
        if not _divisible(groups, faces.classes, least) and _divisible(exact, faces.classes, least):
            return exact
    return groups


def _joint_groups(faces, near):
    """Number the connected components of "same group or same image"."""
    duplicates = duplicate_groups(faces.images) if near is None else near
    if faces.groups is None:
        return duplicates
    from scipy import sparse

    groups = np.unique(faces.groups, return_inverse=True)[1]
    nodes = duplicates.max() + 1 + groups.max() + 1
    links = (np.ones(len(faces)), (duplicates, duplicates.max() + 1 + groups))
    graph = sparse.coo_matrix(links, shape=(nodes, nodes))
    component = sparse.csgraph.connected_components(graph, directed=False)[1]
    return np.unique(component[duplicates], return_inverse=True)[1]


def _check_groups(faces, groups, classes, least):
    for number in np.unique(classes):
        count = len(np.unique(groups[classes == number]))
        if count < least:
            raise ValueError(
                f"Each class must have at least {least} groups of faces that are not duplicates of "
                f"one another; {faces.name} has {count} of {faces.label_set[number]!r}."
            )


def _divisible(groups, classes, least):
    """Whether each class stands in that many groups."""
    return all(len(np.unique(groups[classes == c])) >= least for c in np.unique(classes))


def _ungrouped(faces):
    """Return faces of one subject without it: no split of them can be by subject."""
    warnings.warn(
        f"{faces.name} shows one subject only: validation and training share it, so validation "
        "says nothing of other people.",
        stacklevel=5,
    )
    return dataclasses.replace(faces, groups=None)
