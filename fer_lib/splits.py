"""Splits that are stratified by class and keep groups and duplicates on one side."""

import fractions
import hashlib
import warnings

import numpy as np


def duplicate_groups(images):
    """Number the groups of exactly identical images.

    Args:
        images: `uint8` array of shape `(n, height, width)`.

    Returns:
        `int64` array of shape `(n,)`: equal where the images are equal, numbered from 0 in order
        of first appearance.
    """
    numbers = {}
    digests = (hashlib.blake2b(np.ascontiguousarray(image), digest_size=16) for image in images)
    groups = [numbers.setdefault(digest.digest(), len(numbers)) for digest in digests]
    return np.array(groups, dtype=np.int64)


def holdout(faces, fraction, *, seed=0):
    """Split off a stratified part that shares no group and no identical image with the rest.

    Args:
        faces: `Faces`. Their `groups`, where given, and exact duplicates stay on one side.
        fraction: Part of the faces to hold out, between 0 and 1. With large groups it is met as
            nearly as the groups allow.
        seed: Integer; the same seed gives the same split on every machine.

    Returns:
        `(rest, held)`: two `Faces` in the order of the source, `held` with about
        `fraction * len(faces)`.

    Raises:
        ValueError: If a class has too few independent groups to stand on both sides.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1; got {fraction!r}.")
    groups, classes = _joint_groups(faces), faces.classes
    sizes = np.bincount(groups)
    _check_groups(faces, groups, classes)
    # Drawing whole groups like single faces is fast; it meets the fraction if none is large.
    small = sizes.max() == 1 or sizes.max() <= 0.1 * fraction * len(faces)
    draw = _draw_groups if small else _draw_folds
    held = draw(groups, classes, fraction, seed)
    for side, part in (("held-out", held), ("remaining", ~held)):
        missing = np.setdiff1d(classes, classes[part])
        if missing.size:
            raise ValueError(
                f"Each class must stand on both sides of the split; {faces.name} has no "
                f"{faces.label_set[missing[0]]!r} in the {side} part for fraction {fraction} and "
                f"seed {seed}. It needs more faces or another fraction."
            )
    return faces[np.flatnonzero(~held)], faces[np.flatnonzero(held)]


def class_count_table(splits):
    """Return a DataFrame of face counts: one row per class, one column per split.

    Args:
        splits: Dict of split name → `Faces` of one label set.
    """
    import pandas as pd

    return pd.DataFrame(
        {name: pd.Series(faces.class_counts()) for name, faces in splits.items()}
    ).rename_axis(index="class", columns="split")


def _joint_groups(faces):
    """Number the connected components of "same group or identical image"."""
    duplicates = duplicate_groups(faces.images)
    if faces.groups is None:
        return duplicates
    from scipy import sparse

    groups = np.unique(faces.groups, return_inverse=True)[1]
    nodes = duplicates.max() + 1 + groups.max() + 1
    links = (np.ones(len(faces)), (duplicates, duplicates.max() + 1 + groups))
    graph = sparse.coo_matrix(links, shape=(nodes, nodes))
    component = sparse.csgraph.connected_components(graph, directed=False)[1]
    return np.unique(component[duplicates], return_inverse=True)[1]


def _check_groups(faces, groups, classes):
    for number in np.unique(classes):
        count = len(np.unique(groups[classes == number]))
        if count < 2:
            raise ValueError(
                "Each class must have at least 2 groups of faces that are not duplicates of one "
                f"another; {faces.name} has {count} of {faces.label_set[number]!r}."
            )


def _draw_groups(groups, classes, fraction, seed):
    """Draw groups, stratified by their commonest class; a `bool` array of shape `(n,)`."""
    from sklearn.model_selection import train_test_split

    counts = np.zeros((groups.max() + 1, classes.max() + 1), np.int64)
    np.add.at(counts, (groups, classes), 1)
    commonest = counts.argmax(axis=1)
    # A class that leads one group only cannot be stratified: it is drawn with the commonest.
    rare = np.flatnonzero(np.bincount(commonest) == 1)
    commonest[np.isin(commonest, rare)] = np.bincount(commonest).argmax()
    try:
        held = train_test_split(
            np.arange(len(counts)), test_size=fraction, stratify=commonest, random_state=seed
        )[1]
    except ValueError as error:
        raise ValueError(
            f"{len(counts)} groups of faces are too few to hold out {fraction:.3g} of them with "
            f"every class on both sides ({error})"
        ) from None
    return np.isin(groups, held)


def _draw_folds(groups, classes, fraction, seed):
    """Draw folds of few, large groups; a `bool` array of shape `(n,)`."""
    from sklearn.model_selection import StratifiedGroupKFold

    part = fractions.Fraction(fraction).limit_denominator(10)
    part = min(max(part, fractions.Fraction(1, 10)), fractions.Fraction(9, 10))
    if min(groups.max() + 1, np.bincount(classes).max()) < part.denominator:
        raise ValueError(
            f"Holding out {part} of the faces by whole groups needs {part.denominator} groups and "
            f"a class of {part.denominator} faces or more; there are {groups.max() + 1} groups "
            f"and at most {np.bincount(classes).max()} faces of one class."
        )
    folds = StratifiedGroupKFold(part.denominator, shuffle=True, random_state=seed)
    held = np.zeros(len(groups), bool)
    with warnings.catch_warnings():
        # scikit-learn warns of classes that cannot reach every fold; `holdout` checks its own two.
        warnings.simplefilter("ignore", UserWarning)
        parts = [test for _, test in folds.split(groups, classes, groups)]
    # The first fold always gets the most lopsided group, whatever the seed: draw the folds too.
    drawn = np.random.RandomState(seed).permutation(part.denominator)[: part.numerator]
    held[np.concatenate([parts[fold] for fold in drawn])] = True
    return held
