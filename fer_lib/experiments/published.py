"""Published runs: copies of what a report needs of finished runs, small and without faces."""

import dataclasses
import hashlib
import os
from pathlib import Path, PurePath

import numpy as np

from fer_lib import storage
from fer_lib.experiments import given
from fer_lib.experiments.experiment import Experiment
from fer_lib.experiments.run_files import check_files
from fer_lib.experiments.runs import load_run

# What a report needs of a run: no model, no face and no file name of the data.
PUBLISHED = (
    "experiment.json",
    "environment.json",
    "history.csv",
    "predictions.npz",
    "scores.json",
)
_PATHS = ("dataset", "backbone", "weights", "auxiliary", "distill_from")


def publish(folders: list[str | os.PathLike], to: str | os.PathLike) -> list[Path]:
    """Copy what a report needs of finished runs.

    The copies hold parameters, environment, history, scores, and labels and probabilities of the
    test faces in half precision (about 50 kB for 3,589 faces), but neither model nor faces.
    `find_runs` reads them like the runs themselves: tables, figures and tests between runs can be
    made again without training. Of paths of this machine the last part alone is told; ids that
    are file names are hashed.

    Args:
        folders: Folders of finished runs.
        to: Folder of the copies; each is named like its run.

    Returns:
        List of the copies' folders.

    Raises:
        FileNotFoundError: If a folder holds no finished run.
        FileExistsError: If another result was published under the same name, or two of the runs
            have one name and other scores.
        BlockingIOError: If another process writes one of the copies.
        ValueError: If `to` is the folder that the runs themselves lie in, or a file is damaged.
    """
    found = [load_run(folder) for folder in folders]
    told = [without_places(run.experiment) for run in found]
    copies = [Path(to) / public_name(run) for run in found]
    scores = {}
    for run, copy in zip(found, copies, strict=True):
        if not run.finished:
            raise FileNotFoundError(f"{run.folder} is not finished: it has no scores.json.")
        file = copy / "scores.json"
        if copy.resolve() == run.folder.resolve():
            raise ValueError(f"{run.folder} can not be its own copy: give another folder as `to`.")
        own = _scores(run)
        if scores.setdefault(copy, own) != own:
            raise FileExistsError(
                f"{run.folder} and another of these runs have one name and other scores: publish "
                "them to two folders."
            )
        if file.exists() and storage.read_json(file) != own:
            raise FileExistsError(f"{file} holds other scores; delete its folder to replace it.")
        # Damaged files are named before anything is written.
        _ = run.history, run.has_predictions and run.predictions
        recorded = run.environment.get("files", {})
        check_files(run.folder, {k: v for k, v in recorded.items() if k in PUBLISHED})
    for run, copy, of in zip(found, copies, told, strict=True):
        with storage.locked(copy):
            _write(run, copy, of, scores[copy])
    return copies


def save_answers(model, faces, path):
    """Write what a model answers to faces, in the form in which published copies hold it.

    A copy that lacks its `predictions.npz` gets it from the file that the run was exported to.

    Args:
        model: Anything that has `predict(uint8 faces) → probabilities` and `label_set`.
        faces: The `Faces` of a test set.
        path: Path of the `.npz` file.

    Raises:
        ValueError: If the model and the faces have other emotions or another order of them.
    """
    if tuple(model.label_set) != tuple(faces.label_set):
        raise ValueError(
            f"Model and faces must have the same emotions in one order; the model's are "
            f"{', '.join(model.label_set)}, those of {faces.name} {', '.join(faces.label_set)}."
        )
    groups, _ = given.resampled(faces)
    arrays = {"ids": faces.ids, "labels": faces.classes}
    arrays |= {} if groups is None else {"groups": groups}
    arrays["probabilities"] = np.asarray(model.predict(faces.images))
    with storage.replacing(path) as temporary:
        np.savez_compressed(temporary, **_small(arrays))


def _write(run, copy, of, scores):
    storage.write_json(copy / "experiment.json", dataclasses.asdict(of))
    # Without the hashes of files that the copy does not hold.
    about = {name: value for name, value in run.environment.items() if name != "files"}
    storage.write_json(copy / "environment.json", about)
    with storage.replacing(copy / "history.csv") as temporary:
        temporary.write_bytes((run.folder / "history.csv").read_bytes())
    if run.has_predictions:
        with storage.replacing(copy / "predictions.npz") as temporary:
            np.savez_compressed(temporary, **_small(run.predictions))
    storage.write_json(copy / "scores.json", scores)  # last, as in the run itself


def without_places(experiment):
    """Return an experiment in which paths of this machine are cut to their last part."""
    cut = {name: _last_part(getattr(experiment, name)) for name in _PATHS}
    return dataclasses.replace(experiment, **cut, results_dir=Experiment.results_dir)


def public_name(run):
    """Return a run's name: its folder's, unless a path of this machine stands in it."""
    told = without_places(run.experiment)
    same = all(getattr(told, name) == getattr(run.experiment, name) for name in _PATHS)
    return run.folder.name if same else told.name


def _last_part(value):
    """Return `"faces.csv"` of `"/home/me/faces.csv"`, also of several with commas between.

    What is told from the current folder tells nothing of the machine, and stays.
    """
    parts = [PurePath(part.strip()) for part in (value or "").split(",")]
    if not any(part.is_absolute() for part in parts):
        return value
    return ",".join(part.name if part.is_absolute() else str(part) for part in parts)


def _scores(run):
    """Return a run's scores without the places of its machine."""
    scores = dict(run.scores)
    if "dataset" in scores:
        scores["dataset"] = _last_part(scores["dataset"])
    if "teachers" in scores:
        teachers = scores["teachers"]
        scores["teachers"] = [of | {"name": _last_part(of["name"])} for of in teachers]
    return scores


def _small(predictions):
    """Return the answers to the test faces in half precision, with the same most probable class."""
    whole, ids = predictions["probabilities"], predictions["ids"]
    half, best = whole.astype(np.float16), whole.argmax(axis=1)
    moved = np.flatnonzero(half.argmax(axis=1) != best)
    half[moved, best[moved]] = np.nextafter(half[moved].max(axis=1), np.float16(2))
    if not np.issubdtype(ids.dtype, np.integer):
        digests = (hashlib.blake2b(str(name).encode(), digest_size=8).digest() for name in ids)
        ids = np.frombuffer(b"".join(digests), dtype="<u8")
    small = {"ids": ids, "labels": predictions["labels"].astype(np.int16), "probabilities": half}
    if "groups" in predictions:
        numbers = np.unique(predictions["groups"], return_inverse=True)[1]
        small["groups"] = numbers.astype(np.int32)
    return small
