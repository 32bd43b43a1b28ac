"""Comparison: what several finished runs answered about the same faces, tested and averaged.

Works from the runs' `predictions.npz`; no model is opened.
"""

import typing

import numpy as np
import pandas as pd

from fer_lib.choices import lookup
from fer_lib.evaluation import bootstrap, calibration, metrics
from fer_lib.evaluation.significance import holm, mcnemar


def best_of(found):
    """Return the label of the run with the highest validation macro-F1 in `{label: Run}`."""
    return max(found, key=lambda label: found[label].scores["validation"]["macro_f1"]["value"])


def compare_runs(found, best, *, resamples=2000, seed=0):
    """Test each run against one run on the test faces that all of them scored.

    By groups (subjects, sequences, nearly identical pictures) where the runs know them.

    The faces' noise alone is tested: another seed of the same experiment may differ as well.

    Args:
        found: `{label: Run}` with predictions of the same faces; see `comparison.comparable`.
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

    reference = lookup(found, best, "run")
    labels, probabilities, _, groups = same_faces({best: reference} | found)
    rows = {}
    for label, of in probabilities.items():
        row = {name: metrics.METRICS[name](labels, of) for name in ("accuracy", "macro_f1")}
        if label != best:
            paired = metrics.paired_difference(
                labels, of, probabilities[best], groups=groups, resamples=resamples, seed=seed
            )
            for name in ("accuracy", "macro_f1"):
                text = bootstrap.in_words(paired[name], digits=4, signed=True)
                row[f"{name} − best [95 % interval]"] = text
            p, only_it, only_best = mcnemar(labels, of, probabilities[best], groups)
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


def latex(table):
    """Return a table of runs as LaTeX's `tabular`, for the package booktabs.

    Args:
        table: `pandas.DataFrame`, such as of `compare_runs`. Its index names the rows.
    """
    named = table.rename_axis(index=None, columns=None)
    text = named.to_latex(escape=True, float_format="{:.4g}".format, na_rep="--")
    return text.replace("−", "$-$").replace("±", r"$\pm$")  # not every LaTeX knows the characters


class SharedFaces(typing.NamedTuple):
    """What several runs answered about the same faces; see `same_faces`."""

    labels: np.ndarray
    probabilities: dict
    label_set: tuple
    groups: np.ndarray | None = None


def same_faces(found, split="test"):
    """Return what runs answered about the faces that all of them scored.

    Args:
        found: `{label: Run}`, such as from `find_runs` or `comparable`.
        split: `"test"` or `"validation"`.

    Returns:
        `(labels, probabilities, label_set, groups)`: `int64` array of shape `(n,)`, `{label:
        float32 array of shape (n, classes)}`, emotion names, and an array of shape `(n,)`, equal
        for the faces of one group, or `None`.

    Raises:
        ValueError: If the runs scored other faces, labels or label orders.
        FileNotFoundError: If a run holds no predictions.
    """
    first, *others = found
    for other in others:
        if reason := _unlike(found[first], found[other], split):
            raise ValueError(
                f"{other} can not be compared with {first} on {split}: the runs have other "
                f"{reason}. Compare runs of one data set and split (comparison.comparable finds "
                "them)."
            )
    prefix = "" if split == "test" else "validation_"
    probabilities = {k: run.predictions[f"{prefix}probabilities"] for k, run in found.items()}
    labels, label_set = found[first].predictions[f"{prefix}labels"], found[first].label_set
    known = (run.predictions.get(f"{prefix}groups") for run in found.values())
    groups = next((groups for groups in known if groups is not None), None)
    return SharedFaces(labels, probabilities, label_set, groups)


def comparable(found, label):
    """Return those of `{label: Run}` whose predictions are of the same test faces as one run's.

    Args:
        found: `{label: Run}`.
        label: The run to compare with. Without predictions of its own the result is empty.
    """
    with_them = {k: run for k, run in found.items() if run.has_predictions}
    if label not in with_them:
        return {}
    return {k: run for k, run in with_them.items() if not _unlike(found[label], run, "test")}


def by_test(found):
    """Sort runs by the faces that they report on: scores on other faces are not to be ranked.

    Args:
        found: `{label: Run}`.

    Returns:
        `{name of the test faces: {label: Run}}`, the set of most runs first. Where two sets have
        one name, the number of faces and of emotions stands behind it.
    """
    sets = {}
    for label, run in found.items():
        sets.setdefault(_report(run), {})[label] = run
    names = [name for name, *_ in sets]
    called = {
        report: report[0]
        if names.count(report[0]) == 1
        else f"{report[0]} (n = {report[1]:,}, {len(report[2])} emotions)"
        for report in sets
    }
    ordered = sorted(sets.items(), key=lambda item: -len(item[1]))
    return {called[report]: runs for report, runs in ordered}


def _report(run):
    return run.scores["test_name"], run.scores["test"]["n"], run.label_set


def rivals(found, label):
    """Return the labels of the other runs that report on the same faces as one does.

    By the name and number of the test faces and their emotions, which published copies hold too.

    Args:
        found: `{label: Run}`.
        label: The run to compare with.

    Returns:
        List of labels, best macro-F1 on validation first.
    """
    own = _report(found[label])
    same = [k for k, run in found.items() if k != label and _report(run) == own]
    return sorted(same, key=lambda k: -found[k].scores["validation"]["macro_f1"]["value"])


def _unlike(run, other, split):
    """Return in what the faces that two runs scored differ, or `None`."""
    if run.label_set != other.label_set:
        return "emotions or another order of them"
    prefix = "" if split == "test" else "validation_"
    for kind in ("ids", "labels"):
        ours, theirs = (r.predictions.get(f"{prefix}{kind}") for r in (run, other))
        if ours is None or not np.array_equal(ours, theirs):
            return f"{kind} of the faces"
    return None


def ensemble(found, split="test", *, resamples=2000, seed=0):
    """Return the scores of the mean of the probabilities of several runs, all of equal weight.

    Args:
        found: `{label: Run}` of two or more finished runs that scored the same faces, such as
            runs that differ in the seed.
        split: `"test"` or `"validation"`, which published copies do not hold.
        resamples, seed: As of `metrics.score`, which makes the dict that is returned.

    Raises:
        ValueError: If there are fewer than two runs, or ids, labels or label order differ.
        FileNotFoundError: If a run holds no predictions.
    """
    if len(found) < 2:
        raise ValueError(f"An ensemble needs two or more runs; got {list(found)}.")
    faces = same_faces(found, split)
    mean = sum(p.astype(np.float64) for p in faces.probabilities.values()) / len(found)
    how = {"groups": faces.groups, "resamples": resamples, "seed": seed}
    return metrics.score(faces.labels, mean, faces.label_set, **how)


def reliability_of(run):
    """Return the reliability of a finished run on test, for `plots.plot_reliability`.

    Args:
        run: A `Run`. Where it holds its predictions, a temperature is fitted to the labels of
            the validation faces.

    Returns:
        `{name: table of metrics.reliability}`: as the run was scored, and after that temperature;
        each name ends with its expected calibration error. Empty for a run that was scored
        before reliability was recorded and holds no predictions.
    """
    if not run.has_predictions:
        test = run.scores["test"]
        if "reliability" not in test:
            return {}
        error = test["expected_calibration_error"]["value"]
        return {f"as scored, ECE {error:.3f}": test["reliability"]}
    of = run.predictions
    answers = of["probabilities"]
    shown = {"as scored": answers}
    if len(of.get("validation_labels", ())):
        validation = of["validation_labels"], of["validation_probabilities"]
        fitted = calibration.fit_temperature(*validation)
        shown[f"temperature {fitted:.2f}"] = calibration.apply_temperature(answers, fitted)
    tables = {}
    for name, probabilities in shown.items():
        error = metrics.expected_calibration_error(of["labels"], probabilities)
        table = metrics.reliability(of["labels"], probabilities)
        tables[f"{name}, ECE {error:.3f}"] = table
    return tables


def pooled(found, *, resamples=2000, seed=0):
    """Score the folds of a cross-validation together: every face once.

    Args:
        found: `{label: Run}` of two or more finished runs whose test faces are parts of one data
            set, such as a sweep over `fold`.
        resamples, seed: As of `metrics.score`. Whole subjects or sequences are resampled where
            the runs know them.

    Returns:
        `(scores, spread)`: what `metrics.score` returns of all test faces, and a
        `pandas.DataFrame` of the folds' accuracy and macro-F1: `mean` and `sd` over the folds.

    Raises:
        ValueError: If there are fewer than two runs, their emotions differ, or a face is in two
            of them.
        FileNotFoundError: If a run holds no predictions.
    """
    runs = list(found.values())
    if len(runs) < 2 or len({run.label_set for run in runs}) > 1:
        raise ValueError("Folds are two or more runs with the same emotions in the same order.")
    of = [run.predictions for run in runs]
    ids = np.concatenate([part["ids"] for part in of])
    if len(set(ids.tolist())) < len(ids):
        raise ValueError("A face stands in the test set of two runs: they are no folds.")
    groups = None
    if all("groups" in part for part in of):  # numbered within each fold
        groups = np.unique(
            np.concatenate([[f"{k} {g}" for g in part["groups"]] for k, part in enumerate(of)]),
            return_inverse=True,
        )[1]
    labels, answers = (
        np.concatenate([part[name] for part in of]) for name in ("labels", "probabilities")
    )
    how = {"groups": groups, "resamples": resamples, "seed": seed}
    scores = metrics.score(labels, answers, runs[0].label_set, **how)
    table = pd.DataFrame(
        {name: run.scores["test"][name]["value"] for name in ("accuracy", "macro_f1")}
        for run in runs
    )
    return scores, table.agg(["mean", "std"]).rename(index={"std": "sd"})
