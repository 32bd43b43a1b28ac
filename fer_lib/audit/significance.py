"""Noise: what a difference between two scores may mean, as tests and as checks of the audit."""

import numpy as np

from fer_lib.audit.checks import Finding
from fer_lib.choices import lookup
from fer_lib.evaluation import metrics
from fer_lib.experiments import runs

EXACT_BELOW = 25


def mcnemar(labels, probabilities, others):
    """Test whether two classifiers are right equally often on the same faces.

    McNemar's test (Psychometrika 12, 1947; for classifiers Dietterich, Neural Computation 10,
    1998): of the faces that only one of the two gets right, each would get half by chance. Exact
    (binomial) below 25 such faces, else chi-square with continuity correction.

    Args:
        labels: Integer array of shape `(n,)`.
        probabilities, others: Float arrays of shape `(n, classes)`.

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


def compare_runs(found, best, *, resamples=2000, seed=0):
    """Test each run against one run on the test faces that all of them scored.

    The faces' noise alone is tested: another seed of the same experiment may differ as well.

    Args:
        found: `{label: Run}` with predictions of the same faces; see `runs.comparable`.
        best: Label of the run to compare with, chosen on validation.
        resamples, seed: As of `metrics.paired_difference`.

    Returns:
        `pandas.DataFrame`, one row a run, the best one first: `accuracy` and `macro_f1`; the
        difference of each from the best run's with its paired 95 % interval; `only_it_right` and
        `only_best_right` (faces); `p` of McNemar's test, `p_holm` corrected for the number of
        runs compared; `mark`: `"best"`, `"differs"` (p_holm < 0.05) or `"not told apart"`.

    Raises:
        ValueError: If `best` is unknown, or the runs did not score the same faces.
        FileNotFoundError: If a run holds no predictions.
    """
    import pandas as pd

    reference = lookup(found, best, "run")
    labels, probabilities, _ = runs.same_faces({best: reference} | found)
    rows = {}
    for label, of in probabilities.items():
        row = {name: metrics.METRICS[name](labels, of) for name in ("accuracy", "macro_f1")}
        if label != best:
            paired = metrics.paired_difference(
                labels, of, probabilities[best], resamples=resamples, seed=seed
            )
            for name in ("accuracy", "macro_f1"):
                text = "{value:+.4f} [{low:+.4f}, {high:+.4f}]".format(**paired[name])
                row[f"{name} − best [95 % interval]"] = text
            p, only_it, only_best = mcnemar(labels, of, probabilities[best])
            row |= {"only_it_right": only_it, "only_best_right": only_best, "p": p}
        rows[label] = row
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")
    others = table.index != best
    table["mark"] = "best"
    if others.any():
        table.loc[others, "p_holm"] = holm(table.loc[others, "p"])
        differs = table.loc[others, "p_holm"] < 0.05
        table.loc[others, "mark"] = np.where(differs, "differs", "not told apart")
        whole = ["only_it_right", "only_best_right"]
        table = table.astype(dict.fromkeys(whole, "Int64"))
        table["mark"] = table.pop("mark")  # the verdict stands last
    return table


def intervals(scores):
    """Check that each score has an interval that holds it.

    Args:
        scores: Dict of `metrics.score`.
    """
    named = {k: v for k, v in scores.items() if isinstance(v, dict) and "value" in v}
    bare = [k for k, v in named.items() if not v.get("low", 2) <= v["value"] <= v.get("high", -2)]
    text = "Every score has an interval."
    if named and not bare:
        low, high = (scores.get("accuracy", {}).get(end) for end in ("low", "high"))
        figures = {"scores": list(named), "accuracy": [low, high]}
        return Finding("intervals", "pass", figures, text)
    text = f"Without an interval: {', '.join(bare) or 'all scores'}. Use metrics.score."
    return Finding("intervals", "fail", {"scores": list(named), "without": bare}, text)


def class_sizes(labels, label_set, least=30):
    """Check that each class has faces enough for a score of its own.

    Args:
        labels: Integer array of shape `(n,)`.
        label_set: Emotion names in the order of the class numbers.
        least: Number of faces; of 30, the 95 % interval of a recall still spans up to 0.36.
    """
    counts = np.bincount(labels, minlength=len(label_set)).tolist()
    figures = dict(zip(label_set, counts, strict=True))
    small = [f"{emotion} ({n})" for emotion, n in figures.items() if n < least]
    if not small:
        text = f"The smallest class has {min(counts)} test faces."
        return Finding("class sizes", "pass", figures, text)
    text = f"Fewer than {least} test faces: {', '.join(small)}. Their own scores say little."
    return Finding("class sizes", "warn", figures, text)


def seeds(accuracies, least=3):
    """Check that the run was repeated with other seeds.

    Args:
        accuracies: Dict of seed → accuracy of runs that differ in nothing else.
        least: Number of seeds.
    """
    values = list(accuracies.values())
    figures = {"seeds": {str(seed): round(value, 4) for seed, value in accuracies.items()}}
    text = f"{len(values)} run(s) of this experiment differ in the seed alone"
    if len(values) > 1:
        figures["standard deviation"] = round(float(np.std(values, ddof=1)), 4)
        text += f"; accuracy {np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"
    if len(values) >= least:
        return Finding("seeds", "pass", figures, f"{text}.")
    text += f". With fewer than {least}, luck and method cannot be told apart."
    return Finding("seeds", "warn", figures, text)


def difference(labels, probabilities, other_probabilities, other):
    """Check whether two classifiers differ by more than noise on the same faces, by `mcnemar`.

    Args:
        labels: Integer array of shape `(n,)`.
        probabilities, other_probabilities: Float arrays of shape `(n, classes)`.
        other: Name of the other classifier.
    """
    p, only_ours, only_theirs = mcnemar(labels, probabilities, other_probabilities)
    gap = (only_ours - only_theirs) / len(labels)
    figures = {"other": other, "difference": round(gap, 4), "p": p}
    figures |= {"only this one right": only_ours, "only the other right": only_theirs}
    text = f"Accuracy is {gap:+.4f} against {other} on the same {len(labels):,} faces, p = {p:.2g}"
    if p > 0.05:
        return Finding("difference", "warn", figures, f"{text}: inside the noise of the test set.")
    return Finding("difference", "pass", figures, f"{text}.")
