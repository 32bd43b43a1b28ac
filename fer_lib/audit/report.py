"""The audit: does a data set or a finished run fool its reader?

It gathers what the checks need and puts their findings in one report: `checks` (splits, classes,
metric), `significance` (noise) and `model_checks` (what the network does).
"""

import textwrap
from collections import Counter
from pathlib import Path

import numpy as np

from fer_lib import storage
from fer_lib.audit import data_checks, noise_checks
from fer_lib.audit.finding import Finding
from fer_lib.audit.score_checks import (
    class_collapse,
    class_order,
    macro_f1_gap,
    monitored,
    reported_accuracy,
    score_without_duplicates,
    scored_subset,
    selection,
)
from fer_lib.data import catalogue, duplicates
from fer_lib.experiments import runs

FACES_TO_TRY = 32


def audit(target):
    """Audit a run or a data set.

    Args:
        target: Folder of a finished run, or key of `catalogue.DATASETS`, or path of a data set.

    Returns:
        List of `Finding`.

    Raises:
        ValueError: If the run is not finished, the folder one of runs, or the data set unknown.
        FileNotFoundError: If there is nothing at the path.
    """
    folder = Path(target)
    if (folder / "experiment.json").exists():
        return audit_run(runs.load_run(folder))
    if within := sorted(path.parent for path in folder.glob("*/experiment.json")):
        raise ValueError(f"{folder} is a folder of {len(within)} runs; audit one: {within[0]}")
    return audit_data(catalogue.load_dataset(target))


def report(findings):
    """Return findings as text: a count, then a line of status, check and sentence for each."""
    counts = Counter(finding.status for finding in findings)
    summary = ", ".join(f"{counts[status]} {status}" for status in ("pass", "warn", "fail"))
    width = max((len(finding.check) for finding in findings), default=0)
    lines = [
        textwrap.fill(
            finding.sentence,
            100,
            initial_indent=f"{finding.status:<5} {finding.check:<{width}}  ",
            subsequent_indent=" " * (width + 8),
        )
        for finding in findings
    ]
    return "\n".join([f"{len(findings)} checks: {summary}", "", *lines])


def write_json(findings, path):
    """Write findings as a JSON list of `check, status, figures, sentence`."""
    storage.write_json(path, [finding._asdict() for finding in findings])


def failed(findings):
    """Return whether a check failed."""
    return any(finding.status == "fail" for finding in findings)


def audit_data(parts):
    """Audit the splits of a data set.

    Args:
        parts: Dict of `Faces` with some of the keys `"train"`, `"validation"` and `"test"`.

    Returns:
        List of `Finding`.
    """
    findings = _data_findings(parts, _Numbers(parts))
    if "test" in parts:
        test = parts["test"]
        findings.append(noise_checks.class_sizes(test.classes, test.label_set))
    return findings


def audit_run(result, parts=None):
    """Audit a finished run, its data and its model.

    Args:
        result: A `Run`.
        parts: Dict of `Faces` it was fitted and scored on; loaded by its data set if `None`.

    Returns:
        List of `Finding`.

    Raises:
        ValueError: If the run is not finished.
    """
    if not result.finished:
        raise ValueError(f"{result.folder} has no scores.json: finish the run before its audit.")
    findings = []
    if parts is None:
        try:
            parts = result.experiment.load_data()
        except (OSError, ValueError) as error:
            text = f"The data could not be read, so splits and model were not checked: {error}"
            findings.append(Finding("data", "warn", {}, " ".join(text.split())))
    if parts is not None:
        findings.append(_same_data(result, parts))
        if findings[0].status != "fail":
            numbers = _Numbers(parts)
            findings += _data_findings(parts, numbers)
            findings += _with_data(result, parts, numbers)
            findings += _of_model(result, parts)
    return [*findings, *_of_scores(result), *_of_noise(result)]


class _Numbers:
    """Group numbers of each split's faces: equal across splits for one image or subject."""

    def __init__(self, parts):
        images = np.concatenate([faces.images for faces in parts.values()])
        self.ends = np.cumsum([len(faces) for faces in parts.values()])[:-1]
        self.splits = list(parts)
        self.exact = self._by_split(duplicates.duplicate_groups(images))
        self.near = self._by_split(duplicates.near_duplicate_groups(images))
        self.groups = None
        if all(faces.groups is not None for faces in parts.values()):
            groups = np.concatenate([faces.groups for faces in parts.values()])
            self.groups = self._by_split(np.unique(groups, return_inverse=True)[1])

    def _by_split(self, numbers):
        return dict(zip(self.splits, np.split(numbers, self.ends), strict=True))


def _data_findings(parts, numbers):
    exact = np.concatenate(list(numbers.exact.values()))
    classes = np.concatenate([faces.classes for faces in parts.values()])
    findings = [
        data_checks.shared_between_splits(
            "identical images", numbers.exact, data_checks.IDENTICAL_TOLERATED
        ),
        data_checks.shared_between_splits(
            "near-duplicates", numbers.near, data_checks.NEAR_TOLERATED
        ),
        data_checks.conflicting_labels(exact, classes),
    ]
    if numbers.groups is not None:
        findings.append(
            data_checks.shared_between_splits("subjects or sequences", numbers.groups, 0)
        )
    return findings


def _same_data(result, parts):
    """Check that the data on disk is what the run was fitted and scored on."""
    recorded = result.environment["data"]
    found = {split: faces.content_hash for split, faces in parts.items()}
    figures = {
        split: {"recorded": recorded.get(split, {}).get("sha256"), "found": digest}
        for split, digest in found.items()
    }
    other = [split for split, both in figures.items() if both["recorded"] != both["found"]]
    if not other:
        return Finding("data", "pass", figures, "The data on disk is what the run used.")
    text = f"The {', '.join(other)} faces on disk are not those of the run: splits and model were "
    return Finding("data", "fail", figures, f"{text}not checked. Audit it where its data is.")


def _with_data(result, parts, numbers):
    """Compare what was scored with what there is to score and what was trained on."""
    predictions, train, test = result.predictions, parts["train"], parts["test"]
    labels, probabilities = predictions["labels"], predictions["probabilities"]
    model_labels = list(result.scores["test"]["per_class"])
    scored = _rows_of(predictions["ids"], test.ids)
    findings = [
        scored_subset(len(labels), len(test), len(test.skipped)),
        class_order(labels, probabilities, model_labels, test.label_set),
    ]
    # Rows that are not among the test faces may be found in train by their ids.
    unknown = predictions["ids"][scored < 0]
    ids = np.concatenate([test.ids[scored[scored >= 0]], unknown])
    strangers = _rows_of(unknown, train.ids)
    exact = np.concatenate(
        [
            numbers.exact["test"][scored[scored >= 0]],
            np.where(strangers >= 0, numbers.exact["train"][strangers], -1),
        ]
    )
    findings.append(
        data_checks.trained_on_evaluation_rows((train.ids, numbers.exact["train"]), (ids, exact))
    )
    if not len(unknown):
        copies = np.isin(numbers.near["test"][scored], numbers.near["train"])
        findings.append(score_without_duplicates(labels, probabilities, copies))
    return findings


def _rows_of(ids, known):
    """Return the row of each id among the known ones, -1 where there is none."""
    rows = {identity: row for row, identity in enumerate(known.tolist())}
    return np.array([rows.get(identity, -1) for identity in ids.tolist()], dtype=np.int64)


def _of_model(result, parts):
    if not (result.folder / "model.keras").exists():
        return [Finding("model", "warn", {}, "There is no model.keras: the model was not run.")]
    pass

    from fer_lib.audit import model_checks

    model, test = result.model(), parts["test"]
    images = test.examples(-(-FACES_TO_TRY // len(test.label_set))).images[:FACES_TO_TRY]
    return [model_checks.batch_dependence(model, images), model_checks.input_range(model, images)]


def _of_scores(result):
    scores, predictions = result.scores, result.predictions
    labels, probabilities = predictions["labels"], predictions["probabilities"]
    label_set, monitor = list(scores["test"]["per_class"]), result.experiment.monitor
    findings = [
        selection(scores, predictions),
        class_collapse(labels, probabilities, label_set),
        reported_accuracy(
            scores["test"]["accuracy"]["value"], labels, probabilities, "scores.json"
        ),
        monitored(monitor, result.history.columns),
        macro_f1_gap(labels, probabilities),
    ]
    if len(predictions.get("validation_ids", ())) and "val_accuracy" in result.history:
        reported = float(result.history.val_accuracy[scores["best_epoch"] - 1])
        validation = [predictions[f"validation_{name}"] for name in ("labels", "probabilities")]
        findings.append(reported_accuracy(reported, *validation, "history.csv"))
    return findings


def _of_noise(result):
    """Compare a run with those beside it."""
    scores, predictions = result.scores, result.predictions
    label_set = list(scores["test"]["per_class"])
    findings = [
        noise_checks.intervals(scores["test"]),
        noise_checks.class_sizes(predictions["labels"], label_set),
    ]
    beside = [
        runs.Run(path.parent) for path in result.folder.resolve().parent.glob("*/scores.json")
    ]
    same = [run for run in beside if _but_for_the_seed(run) == _but_for_the_seed(result)]
    findings.append(noise_checks.seeds({run.experiment.seed: _accuracy(run) for run in same}))
    rivals = [
        run
        for run in beside
        if run not in same
        and run.experiment.dataset == result.experiment.dataset
        and run.scores["test_name"] == scores["test_name"]
        and run.scores["test"]["n"] == scores["test"]["n"]
    ]
    if rivals:
        rival = min(rivals, key=lambda run: (abs(_accuracy(run) - _accuracy(result)), run.folder))
        if np.array_equal(rival.predictions["ids"], predictions["ids"]):
            ours, theirs = predictions["probabilities"], rival.predictions["probabilities"]
            findings.append(
                noise_checks.difference(predictions["labels"], ours, theirs, rival.label())
            )
    return findings


def _accuracy(run):
    return run.scores["test"]["accuracy"]["value"]


def _but_for_the_seed(run):
    return run.experiment.identity() | {"seed": None}
