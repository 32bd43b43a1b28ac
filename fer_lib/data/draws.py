"""Draws of whole groups of faces, stratified by class: what `splits` holds out."""

import fractions
import warnings

import numpy as np

_FEW_GROUPS = 12  # of which every choice can be looked at
_MANY_GROUPS = 10_000  # of which folds would take minutes


def _part(fraction):
    part = fractions.Fraction(fraction).limit_denominator(10)
    return min(max(part, fractions.Fraction(1, 10)), fractions.Fraction(9, 10))


def enough_groups(groups, classes, fraction):
    """Whether there are enough groups to draw folds of them."""
    least = _part(fraction).denominator
    return groups.max() + 1 >= least and np.bincount(classes).max() >= least


def all_small(groups, fraction):
    """Whether whole groups may be drawn like single faces: fast, and it meets the fraction."""
    largest = np.bincount(groups).max()
    return largest == 1 or largest <= 0.1 * fraction * len(groups)


def many(groups):
    """Whether there are so many groups that the large ones can be left out of the draw."""
    return groups.max() + 1 >= _MANY_GROUPS


def draw_small(groups, classes, fraction, seed):
    """Draw from the small groups of many, the large ones stay; a `bool` array of shape `(n,)`."""
    small = np.bincount(groups)[groups] <= 0.1 * fraction * len(groups)
    numbers = np.unique(groups[small], return_inverse=True)[1]
    held = np.zeros(len(groups), bool)
    part = min(fraction * len(groups) / small.sum(), 0.9)
    held[small] = draw_groups(numbers, classes[small], part, seed)
    return held


def _commonest_classes(groups, classes):
    counts = np.zeros((groups.max() + 1, classes.max() + 1), np.int64)
    np.add.at(counts, (groups, classes), 1)
    return counts.argmax(axis=1)


def number_folds(groups, classes, folds, seed):
    """Return the fold of each face, `int64` of shape `(n,)`."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    number = np.empty(len(groups), np.int64)
    with warnings.catch_warnings():
        # scikit-learn warns of classes that cannot reach every fold; `kfold` checks them itself.
        warnings.simplefilter("ignore", UserWarning)
        if all_small(groups, 1 / folds):
            parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
            commonest = _commonest_classes(groups, classes)
            fold_of_group = np.empty(len(commonest), np.int64)
            for fold, (_, held) in enumerate(parts.split(commonest, commonest)):
                fold_of_group[held] = fold
            return fold_of_group[groups]
        parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        for fold, (_, held) in enumerate(parts.split(groups, classes, groups)):
            number[held] = fold
    return number


def draw_groups(groups, classes, fraction, seed):
    """Draw groups, stratified by their commonest class; a `bool` array of shape `(n,)`."""
    from sklearn.model_selection import train_test_split

    commonest = _commonest_classes(groups, classes)
    # A class that leads one group only cannot be stratified: it is drawn with the commonest.
    rare = np.flatnonzero(np.bincount(commonest) == 1)
    commonest[np.isin(commonest, rare)] = np.bincount(commonest).argmax()
    try:
        held = train_test_split(
            np.arange(len(commonest)), test_size=fraction, stratify=commonest, random_state=seed
        )[1]
    except ValueError as error:
        raise ValueError(
            f"{len(commonest)} groups of faces are too few to hold out {fraction:.3g} of them with "
            f"every class on both sides ({error})"
        ) from None
    return np.isin(groups, held)


def draw_folds(groups, classes, fraction, seed):
    """Draw folds of few, large groups; a `bool` array of shape `(n,)`."""
    from sklearn.model_selection import StratifiedGroupKFold

    part = _part(fraction)
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


def draw_few(groups, classes, fraction, seed):
    """Draw from few, large groups: those nearest to the fraction with every class on both sides.

    Returns a `bool` array of shape `(n,)`; nothing is drawn where no choice has every class.
    """
    number = groups.max() + 1
    counts = np.zeros((number, classes.max() + 1), np.int64)
    np.add.at(counts, (groups, classes), 1)
    generator = np.random.default_rng(seed)
    if number <= _FEW_GROUPS:
        choices = (np.arange(1, 2**number - 1)[:, None] >> np.arange(number)) & 1
        generator.shuffle(choices)
    else:
        choices = generator.random((4000, number)) < fraction
    held = choices.astype(np.int64) @ counts
    total = counts.sum(axis=0)
    whole = ((held > 0) & (held < total) | (total == 0)).all(axis=1)
    if not whole.any():
        return np.zeros(len(groups), bool)
    distance = np.abs(held.sum(axis=1) / len(groups) - fraction)
    distance[~whole] = np.inf
    near = np.flatnonzero(distance <= distance.min() + 0.02)
    return choices[near[0]].astype(bool)[groups]
