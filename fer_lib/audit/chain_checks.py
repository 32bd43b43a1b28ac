"""Checks of what a run was started from and taught by, back to their own training rows.

To add one: write it here and list it in `CHECKS`.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_lib import storage
from fer_lib.audit.finding import Check, Finding
from fer_lib.data import catalogue, duplicates
from fer_lib.experiments import runs
from fer_lib.inference.predictor import find_model, sidecar
from fer_lib.models.weights import SHIPPED_STARTS


class Ancestor(NamedTuple):
    """A model that a run learned from.

    Args:
        name: What the experiment calls it.
        run: The `Run` that it is of, where that is at hand, or `None`.
        trained_on: Key of the data set that it is said to be trained on, or `None`.
    """

    name: str
    run: object
    trained_on: str | None


def ancestors(run):
    """Return the models that a run started from or was taught by, and theirs, and so on.

    Args:
        run: A `Run`.

    Returns:
        List of `Ancestor`; ImageNet's weights are none.
    """
    found, waiting, seen = [], [run], {run.folder.resolve()}
    while waiting:
        for ancestor in _parents(waiting.pop()):
            if ancestor.run is not None and ancestor.run.folder.resolve() in seen:
                continue
            found.append(ancestor)
            if ancestor.run is not None:
                seen.add(ancestor.run.folder.resolve())
                waiting.append(ancestor.run)
    return found


def _parents(run):
    experiment = run.experiment
    names = [name.strip() for name in (experiment.distill_from or "").split(",") if name.strip()]
    if experiment.weights not in (None, "auto", "imagenet"):
        names.append(experiment.weights)
    shipped = SHIPPED_STARTS.get((experiment.backbone, experiment.alpha))
    return [_ancestor(name, shipped if name == "fer" else name, run.folder) for name in names]


def _ancestor(name, place, beside):
    try:
        path = place if isinstance(place, Path) else find_model(place)
    except (FileNotFoundError, ValueError):
        path = Path(place)  # gone, or weights alone
    if (path.parent / "experiment.json").exists():
        return Ancestor(name, runs.load_run(path.parent), None)
    about = storage.read_json(sidecar(path)) if sidecar(path).is_file() else {}
    source = beside.parent / about.get("source", "-")
    if (source / "experiment.json").exists():
        return Ancestor(name, runs.load_run(source), None)
    return Ancestor(name, None, about.get("trained_on"))


def _faces_of(ancestor):
    """Return the images that an ancestor was fitted on or chosen by, or `None`."""
    try:
        if ancestor.run is not None:
            parts = ancestor.run.experiment.load_data()
        elif ancestor.trained_on in catalogue.DATASETS:
            parts = catalogue.load_dataset(ancestor.trained_on)
        else:
            return None
    except (OSError, ValueError):
        return None
    return np.concatenate([parts[split].images for split in ("train", "validation")])


def inherited_rows(scored, own, theirs, unknown=(), tolerated=0.0, right=None):
    """Check that no scored face is one that the run's start or a teacher learned from.

    Args:
        scored, own: `uint8` arrays of shape `(n, height, width)`: the scored faces, and those of
            the run's own train and validation splits, which other checks compare.
        theirs: `{name of an ancestor: uint8 array of its faces}`.
        unknown: Names of ancestors whose faces are not known.
        tolerated: Share of the scored faces above which it fails.
        right: Boolean array of shape `(n,)`: which of the scored faces the run names rightly; or
            `None`. Then the accuracy without the learned faces stands beside that with them.
    """
    check, figures, worst = "start and teachers", {}, 0.0
    learned = np.zeros(len(scored), bool)
    for name, images in theirs.items():
        same_size = images.shape[1:] == scored.shape[1:]
        numbers = duplicates.duplicate_groups(
            np.concatenate([scored, own, images] if same_size else [scored, own])
        )
        at = len(scored), len(scored) + len(own)
        known = np.isin(numbers[: at[0]], numbers[at[0] : at[1]])
        seen = np.isin(numbers[: at[0]], numbers[at[1] :]) & ~known
        figures[name], worst = int(seen.sum()), max(worst, float(seen.mean()))
        learned |= seen
    if unknown:
        figures["not known"] = list(unknown)
    counts = ", ".join(f"{n:,} by {name}" for name, n in figures.items() if name != "not known")
    text = f"Scored faces that were learned before: {counts or 'none is known'}"
    if right is not None and learned.any() and not learned.all():
        with_them, without = float(right.mean()), float(right[~learned].mean())
        figures |= {"accuracy": round(with_them, 4), "accuracy without them": round(without, 4)}
        text += f"; accuracy is {with_them:.4f} with them and {without:.4f} without"
    if worst > tolerated:
        text += ": the score measures memory. Start from weights that never saw these faces."
        return Finding(check, "fail", figures, text)
    if unknown:
        text += f"; what {', '.join(unknown)} learned from is not known: say so beside the score."
        return Finding(check, "warn", figures, text)
    return Finding(check, "pass", figures, f"{text}.")


def _inherited_rows(evidence):
    chain = ancestors(evidence.run)
    if not chain:
        return None
    faces = {ancestor.name: _faces_of(ancestor) for ancestor in chain}
    parts = evidence.parts
    own = np.concatenate([parts[split].images for split in ("train", "validation")])
    known = {name: images for name, images in faces.items() if images is not None}
    unknown = [name for name in faces if name not in known]
    right, whole = None, np.arange(len(parts["test"]))
    if evidence.run.has_predictions and np.array_equal(evidence.scored, whole):
        right = evidence.probabilities.argmax(axis=1) == evidence.labels
    return inherited_rows(parts["test"].images, own, known, unknown, right=right)


CHECKS = (Check("L1.1", ("data", "run"), _inherited_rows),)
