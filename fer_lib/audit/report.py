"""The audit: does a data set or a finished run fool its reader?

The checks stand in `data_checks` (splits), `shortcut_checks` (what tells the class beside the
face), `chain_checks` (what a run started from), `score_checks` (classes, metric), `model_checks`
(what the network does) and `noise_checks`; each module lists its own in `CHECKS`.
"""

import importlib
import textwrap
from collections import Counter
from pathlib import Path

from fer_lib import storage
from fer_lib.audit.evidence import Evidence
from fer_lib.audit.finding import LEAKS, Finding
from fer_lib.data import catalogue
from fer_lib.experiments import given, runs

# In the order in which findings of one kind are listed. `model_checks` needs Keras.
MODULES = (
    "data_checks",
    "shortcut_checks",
    "chain_checks",
    "score_checks",
    "model_checks",
    "noise_checks",
)


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
    """Return findings as text: a count, then a line of status, check and sentence for each.

    Those that look for a kind of leakage stand below its name.
    """
    counts = Counter(finding.status for finding in findings)
    summary = ", ".join(f"{counts[status]} {status}" for status in ("pass", "warn", "fail"))
    width, lines, kind = max((len(f.check) for f in findings), default=0), [], ""
    for finding in findings:
        if finding.leak != kind:
            kind = finding.leak
            lines += ["", f"{kind} {LEAKS[kind]}" if kind else "no kind of leakage"]
        lines.append(
            textwrap.fill(
                finding.sentence,
                100,
                initial_indent=f"{finding.status:<5} {finding.check:<{width}}  ",
                subsequent_indent=" " * (width + 8),
            )
        )
    return "\n".join([f"{len(findings)} checks: {summary}", "", *lines])


def write_json(findings, path):
    """Write findings as a JSON list of `check, status, figures, sentence, leak`."""
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
    return _findings(Evidence(parts=parts))


def audit_run(result, parts=None):
    """Audit a finished run, its data and its model.

    Args:
        result: A `Run`.
        parts: Dict of `Faces` it was fitted and scored on; loaded by its data set if `None`.

    Returns:
        List of `Finding`: what could be checked, then by the kind of leakage (see `LEAKS`), then
        the others.

    Raises:
        ValueError: If the run is not finished.
    """
    if not result.finished:
        raise ValueError(f"{result.folder} has no scores.json: finish the run before its audit.")
    first = []
    if parts is None:
        try:
            parts = given.check(result.experiment.load_data())
        except (OSError, ValueError) as error:
            text = f"The data could not be read, so splits and model were not checked: {error}"
            first.append(Finding("data", "warn", {}, " ".join(text.split())))
    if parts is not None:
        first.append(_same_data(result, parts))
        if first[0].status == "fail":
            parts = None
    evidence = Evidence(result, parts)
    if parts is not None and "model" not in evidence.at_hand:
        text = "There is no model.keras: the model was not run."
        first.append(Finding("model", "warn", {}, text))
    return [*first, *_findings(evidence)]


def _findings(evidence):
    """Run every check that has what it needs, and order what they find by the kind of leakage."""
    findings = []
    for name in MODULES:
        if name == "model_checks" and "model" not in evidence.at_hand:
            continue  # and Keras is not imported
        for check in importlib.import_module(f"fer_lib.audit.{name}").CHECKS:
            if evidence.at_hand.issuperset(check.needs):
                found = check.find(evidence)
                findings += [found._replace(leak=check.leak)] if found else []
    order = [*LEAKS, ""]
    return sorted(findings, key=lambda finding: order.index(finding.leak))


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
