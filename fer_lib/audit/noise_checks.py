"""Checks of noise: what a score or a difference may mean.

To add one: write it here, on plain arrays, and list it in `CHECKS`.
"""

import numpy as np

from fer_lib.audit.finding import Check, Finding
from fer_lib.evaluation.significance import mcnemar


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


def looks(accuracy, n, configurations):
    """Check how much so many looks at the scored faces bring by chance.

    The best of K equally good classifiers is on average up to σ√(2 ln K) above their mean, with
    σ the standard error of one.

    Args:
        accuracy: Of the one that is reported.
        n: Number of scored faces.
        configurations: K: how many settings were scored on these faces.
    """
    gain = float(np.sqrt(accuracy * (1 - accuracy) / n * 2 * np.log(max(configurations, 1))))
    figures = {"configurations": configurations, "gain by chance": round(gain, 4)}
    figures |= {"accuracy": round(accuracy, 4), "accuracy less that": round(accuracy - gain, 4)}
    text = f"{configurations} settings were scored on these faces"
    if configurations < 3 or gain <= 0.01:
        return Finding("looks at test", "pass", figures, f"{text}.")
    text += f": the best of them is up to {gain:.3f} better by luck, which leaves "
    text += f"{accuracy - gain:.3f} of {accuracy:.3f}. Choose on validation, and say "
    return Finding("looks at test", "warn", figures, f"{text}how many were tried.")


def difference(labels, probabilities, other_probabilities, other, groups=None):
    """Check whether two classifiers differ by more than noise on the same faces, by `mcnemar`.

    Args:
        labels: Integer array of shape `(n,)`.
        probabilities, other_probabilities: Float arrays of shape `(n, classes)`.
        other: Name of the other classifier.
        groups: See `mcnemar`.
    """
    p, only_ours, only_theirs = mcnemar(labels, probabilities, other_probabilities, groups)
    gap = (only_ours - only_theirs) / len(labels)
    figures = {"other": other, "difference": round(gap, 4), "p": p}
    figures |= {"only this one right": only_ours, "only the other right": only_theirs}
    text = f"Accuracy is {gap:+.4f} against {other} on the same {len(labels):,} faces, p = {p:.2g}"
    if p > 0.05:
        return Finding("difference", "warn", figures, f"{text}: inside the noise of the test set.")
    return Finding("difference", "pass", figures, f"{text}.")


def _class_sizes(evidence):
    if evidence.run is not None:
        return class_sizes(evidence.labels, evidence.label_set)
    if "test" not in evidence.parts:
        return None
    test = evidence.parts["test"]
    return class_sizes(test.classes, test.label_set)


def _seeds(evidence):
    same = [
        run for run in evidence.beside if _but_for_the_seed(run) == _but_for_the_seed(evidence.run)
    ]
    return seeds({run.experiment.seed: _accuracy(run) for run in same})


def _looks(evidence):
    run = evidence.run
    same = [other for other in evidence.beside if _on_the_same_faces(run, other)]
    settings = {str(sorted(_but_for_the_seed(other).items(), key=str)) for other in same}
    n = run.scores["test"]["n"]
    return looks(_accuracy(run), n, len(settings))


def _on_the_same_faces(run, other):
    told = [
        (r.experiment.dataset, r.scores["test_name"], r.scores["test"]["n"]) for r in (run, other)
    ]
    return told[0] == told[1]


def _difference(evidence):
    """Compare with the run beside it whose accuracy on the same faces is nearest."""
    run = evidence.run
    rivals = [
        other
        for other in evidence.beside
        if _but_for_the_seed(other) != _but_for_the_seed(run) and _on_the_same_faces(run, other)
    ]
    if not rivals:
        return None
    rival = min(rivals, key=lambda other: (abs(_accuracy(other) - _accuracy(run)), other.folder))
    if not np.array_equal(rival.predictions["ids"], run.predictions["ids"]):
        return None
    answers = evidence.probabilities, rival.predictions["probabilities"]
    groups = run.predictions.get("groups")
    return difference(evidence.labels, *answers, rival.label(), groups)


def _accuracy(run):
    return run.scores["test"]["accuracy"]["value"]


def _but_for_the_seed(run):
    return run.experiment.identity() | {"seed": None}


CHECKS = (
    Check("", ("run",), lambda e: intervals(e.run.scores["test"])),
    Check("", (), _class_sizes),
    Check("", ("run",), _seeds),
    Check("", ("run",), _looks),
    Check("", ("run",), _difference),
)
