"""Carrying out an experiment: from its parameters to the folder of a finished run."""

import dataclasses
import datetime
import functools
import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras
import numpy as np

from fer_lib import datasets, metrics, models, pretrained, storage, training
from fer_lib.runs import Run

PACKAGES = ("fer_lib", "keras", "tensorflow", "jax", "torch", "numpy", "scikit-learn", "pandas")


def resolve(experiment):
    """Replace `"auto"` in an experiment by what can be had.

    Returns:
        `(experiment, notices)`: notices are sentences the reader must see, a list of `str`.
    """
    notices = []
    if experiment.dataset == "auto":
        name, notice = datasets.resolve_auto()
        experiment = dataclasses.replace(experiment, dataset=name)
        notices.append(notice)
    if experiment.weights == "auto":
        application = models.BACKBONES[experiment.backbone].application
        name, notice = pretrained.resolve_auto(experiment.backbone, application, experiment.alpha)
        experiment = dataclasses.replace(experiment, weights=name)
        notices += [notice] if notice else []
    return experiment, notices


def build_model(experiment, data):
    """Build the classifier of a resolved experiment for its data, from its seed.

    Args:
        experiment: A resolved `Experiment`.
        data: Dict of `Faces` from `datasets.load_dataset`.
    """
    on_gpu = any("gpu" in device.lower() for device in keras.distribution.list_devices())
    mixed = experiment.mixed_precision == "bfloat16" or (
        experiment.mixed_precision == "auto" and on_gpu
    )
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed else "float32")
    keras.utils.set_random_seed(experiment.seed)
    try:
        return _build_classifier(experiment, data)
    finally:
        keras.config.set_dtype_policy(policy)


def _build_classifier(experiment, data):
    return models.build_classifier(
        experiment.backbone,
        classes=len(data["train"].label_set),
        alpha=experiment.alpha,
        weights=experiment.weights,
        unfreeze=experiment.unfreeze,
        batch_norm=experiment.batch_norm,
        image_size=experiment.image_size,
        face_size=data["train"].images.shape[1:],
        dense=experiment.dense,
        dropout=experiment.dropout,
    )


def run(experiment, data=None, model=None):
    """Carry out an experiment, or go on where it was stopped, or return it if it is finished.

    Fits on train, selects the epoch on validation, and scores test once.

    Args:
        experiment: An `Experiment`; `"auto"` in it is resolved first.
        data: Dict of `Faces`; loaded by the experiment's `dataset` if `None`.
        model: The untrained classifier of `build_model`; built if `None`.

    Returns:
        The finished `Run`.

    Raises:
        ValueError: If the run's folder holds another experiment or was made with other faces.
    """
    experiment, _ = resolve(experiment.validate())
    result = Run(Path(experiment.results_dir) / experiment.name)
    _claim(result.folder, experiment)
    if result.finished and data is None:
        return result
    data = data or datasets.load_dataset(experiment.dataset)
    _record_environment(result, data)
    if result.finished:
        return result
    model = model or build_model(experiment, data)
    history = training.fit(
        model,
        (data["train"].images, data["train"].targets),
        (data["validation"].images, data["validation"].targets),
        stages=_stages(experiment),
        folder=result.folder,
        batch_size=experiment.batch_size,
        optimizer=experiment.optimizer,
        schedule=experiment.schedule,
        weight_decay=experiment.weight_decay,
        label_smoothing=experiment.label_smoothing,
        class_weight=experiment.class_weight,
        augmentation=experiment.augmentation,
        batch_norm=experiment.batch_norm,
        monitor=experiment.monitor,
        patience=experiment.patience,
        cache=experiment.cache,
        seed=experiment.seed,
    )
    with storage.replacing(result.folder / "model.keras") as path:
        model.save(path)
    best = training.best_epoch(history, experiment.monitor)
    _write_results(result.folder, experiment, data, model, best)
    shutil.rmtree(result.folder / "checkpoint")
    return result


def _claim(folder, experiment):
    path = folder / "experiment.json"
    if path.exists():
        if Run(folder).experiment.identity() != experiment.identity():
            raise ValueError(f"{path} holds another experiment; move the folder away.")
    else:
        storage.write_json(path, dataclasses.asdict(experiment))


def _record_environment(result, data):
    """Write what the run runs on, or, where it has begun, check that its data is still the same."""
    path, now = result.folder / "environment.json", environment(data)
    if not path.exists():
        storage.write_json(path, now)
        return
    before = storage.read_json(path)
    for split, made_with in before["data"].items():
        if made_with["sha256"] != now["data"][split]["sha256"]:
            raise ValueError(
                f"{result.folder} was begun with other {split} faces ({made_with['name']}, "
                f"n = {made_with['n']}) than now ({now['data'][split]['name']}, "
                f"n = {now['data'][split]['n']}): restore the data, or move the folder away."
            )
    if not result.finished:
        storage.write_json(path, before | {"resumed": [*before.get("resumed", []), now]})


def _stages(experiment):
    head = 0 if experiment.unfreeze == "top" else min(experiment.head_epochs, experiment.epochs - 1)
    rest = experiment.epochs - head
    stages = [training.Stage("head", "top", head, experiment.head_learning_rate)] if head else []
    mode = experiment.unfreeze
    return [*stages, training.Stage(mode, mode, rest, experiment.learning_rate)]


def _write_results(folder, experiment, data, model, best):
    predictions, scores = (
        {},
        {
            "dataset": experiment.dataset,
            "train_name": data["train"].name,
            "train_n": len(data["train"]),
            "weights": model.origin,
            "best_epoch": best,
            "selected_by": experiment.monitor,
        },
    )
    for split, prefix in (("test", ""), ("validation", "validation_")):
        faces = data[split]
        probabilities = model.predict(faces.images, batch_size=256, verbose=0)
        predictions |= {
            f"{prefix}ids": faces.ids,
            f"{prefix}labels": faces.classes,
            f"{prefix}probabilities": probabilities,
        }
        scores |= {
            f"{split}_name": faces.name,
            split: metrics.score(faces.classes, probabilities, faces.label_set),
        }
    with storage.replacing(folder / "predictions.npz") as path:
        np.savez_compressed(path, **predictions)
    storage.write_json(folder / "scores.json", scores)


def machine():
    """Return one line that says which backend, devices and versions a run will use."""
    backend, devices = keras.backend.backend(), ", ".join(keras.distribution.list_devices())
    return f"Keras {keras.__version__} on {backend} ({devices}), fer_lib {version('fer_lib')}"


def environment(data):
    """Return what a run ran on: versions, devices, git state and the data's content hashes."""
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "backend": keras.backend.backend(),
        "devices": keras.distribution.list_devices(),
        "packages": {name: _version(name) for name in PACKAGES if _version(name)},
        "git": _git_state(),
        "data": {
            split: {"name": faces.name, "n": len(faces), "sha256": faces.content_hash}
            for split, faces in data.items()
        },
    }


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_state():
    """Return commit and whether files differ from it, or `None` outside a checkout."""
    git = functools.partial(
        subprocess.run, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
    )
    try:
        commit = git(["git", "rev-parse", "HEAD"]).stdout.strip()
        changed = git(["git", "status", "--porcelain", "--", "."]).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"commit": commit, "changed": bool(changed)} if commit else None
