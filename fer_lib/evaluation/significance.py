"""Significance: tests of a difference between two classifiers, and of many at once."""

import numpy as np

from fer_lib.evaluation import metrics

EXACT_BELOW = 25


def mcnemar(labels, probabilities, others, groups=None):
    """Test whether two classifiers are right equally often on the same faces.

    McNemar's test (Psychometrika 12, 1947; for classifiers Dietterich, Neural Computation 10,
    1998): of the faces that only one of the two gets right, each would get half by chance. Exact
    (binomial) below 25 such faces, else chi-square with continuity correction.

    With groups, the two classifiers' answers are exchanged for all faces of a group together, in
    every combination of groups (a permutation test; Good, Permutation Tests, 2000): exact, and
    with groups of one face McNemar's exact test.

    Args:
        labels: Integer array of shape `(n,)`.
        probabilities, others: Float arrays of shape `(n, classes)`.
        groups: Array of shape `(n,)`, equal for faces of one subject, sequence or picture; or
            `None`.

    Returns:
        `(p, only_first, only_second)`: the two-sided p-value, and how many faces only the first
        and only the second of the two gets right.

    Raises:
        ValueError: If the arrays do not fit together; see `metrics.score`.
    """
    from scipy.stats import binomtest, chi2

    (labels, first), (_, second) = (metrics.checked(labels, p) for p in (probabilities, others))
    first, second = first.argmax(axis=1) == labels, second.argmax(axis=1) == labels
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    if discordant == 0:
        p = 1.0
    elif groups is not None:
        p = _exchanged(first.astype(int) - second, groups)
    elif discordant < EXACT_BELOW:
        p = binomtest(only_first, discordant).pvalue
    else:
        p = chi2.sf(max(abs(only_first - only_second) - 1, 0) ** 2 / discordant, 1)
    return float(p), only_first, only_second


def holm(p_values):
    """Return p-values corrected for how many there are (Holm, Scand. J. Statistics 6, 1979).

    Comparing each with 0.05 keeps the chance of even one false difference below 0.05.

    Args:
        p_values: Sequence of n p-values.

    Returns:
        `float64` array of shape `(n,)`, in the same order.
    """
    p_values = np.asarray(p_values, np.float64)
    order = np.argsort(p_values)
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty_like(p_values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def _exchanged(gains, groups):
    """Return how often the sum of the gains is as large if each group's sign is a coin's toss."""
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], gains).astype(np.int64)
    sums = abs(sums[sums != 0])
    # Chances of the sums 0, 2, 4 … of the groups whose coin falls one way, all shifted to >= 0.
    chances = np.ones(1)
    for gain in sums:
        longer = np.zeros(len(chances) + gain)
        longer[: len(chances)] += chances / 2
        longer[gain:] += chances / 2
        chances = longer
    reached = abs(2 * np.arange(len(chances)) - sums.sum())
    return min(float(chances[reached >= abs(int(gains.sum()))].sum()), 1.0)
