"""Runs: an experiment carried out, and the folder of results it leaves.

A run's folder holds `experiment.json environment.json history.csv model.keras predictions.npz
scores.json` and its figures; `scores.json` is written last, so a folder that has it is finished.
"""

import dataclasses
import datetime
import functools
import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from fer_lib import metrics, storage
from fer_lib.experiment import Experiment

HEADLINE = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")
PACKAGES = ("fer_lib", "keras", "tensorflow", "jax", "torch", "numpy", "scikit-learn", "pandas")


@dataclasses.dataclass(frozen=True)
class Run:
    """The results of one experiment, read from its folder when asked for."""

    folder: Path

    @functools.cached_property
    def experiment(self):
        """The `Experiment` that was run."""
        return Experiment(**storage.read_json(self.folder / "experiment.json"))

    @functools.cached_property
    def environment(self):
        """Dict of versions, devices, git state and data hashes."""
        return storage.read_json(self.folder / "environment.json")

    @functools.cached_property
    def scores(self):
        """Dict of `scores.json`; its `"test"` and `"validation"` are `metrics.score`'s."""
        return storage.read_json(self.folder / "scores.json")

    @functools.cached_property
    def history(self):
        """DataFrame with one row per epoch; see `training.fit`."""
        return pd.read_csv(self.folder / "history.csv", dtype={"stage": str})

    @functools.cached_property
    def predictions(self):
        """Dict of arrays: `ids, labels, probabilities` of the test faces, and the same of the
        validation faces with `validation_` before the name."""
        with np.load(self.folder / "predictions.npz", allow_pickle=False) as arrays:
            return dict(arrays)

    @property
    def finished(self):
        """Whether the run has its scores."""
        return (self.folder / "scores.json").exists()

    def model(self):
        """Load the classifier: raw `uint8` faces in, probabilities out."""
        import keras

        return keras.models.load_model(self.folder / "model.keras", compile=False)

    def title(self):
        """Return what a figure of this run is headed with: data, weights, and what trained."""
        return f"{self.scores['test_name']}\n{self.label()}, from {self.started_from()}"

    def label(self):
        """Return what tells this run from others in a figure: backbone, mode, size, seed."""
        e = self.experiment
        return f"{e.backbone} {e.alpha}, {e.unfreeze}, {e.image_size} px, seed {e.seed}"

    def started_from(self):
        """Return the kind of weights the run started from: `"ImageNet"`, `"random start"` …"""
        return self.scores["weights"].split(",")[0]

    def mistakes(self, faces, count=16):
        """Return the most confident mistakes on test, as `plots.plot_mistakes` takes them.

        Args:
            faces: The test `Faces` of the run's data set.
            count: How many at most.

        Raises:
            ValueError: If the faces are not the ones that the run predicted.
        """
        if not np.array_equal(faces.ids, self.predictions["ids"]):
            raise ValueError(f"{faces.name} does not hold the faces that {self.folder} predicted.")
        probabilities = self.predictions["probabilities"]
        predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
        order = np.argsort(-confidence, kind="stable")
        worst = order[predicted[order] != self.predictions["labels"][order]][:count]
        return {
            "images": faces.images[worst],
            "labels": faces.classes[worst],
            "predicted": predicted[worst],
            "confidence": confidence[worst],
            "label_set": faces.label_set,
            "ids": faces.ids[worst],
        }

    def save_figure(self, ax, name):
        """Save a figure as PNG and PDF in the run's `figures/` and return the Axes."""
        from fer_lib import plots

        plots.save_figure(ax, self.folder / "figures" / name)
        return ax

    def scores_table(self):
        """Return the headline scores on test and validation with their intervals, as a table."""
        rows = {}
        for split in ("test", "validation"):
            name = f"{self.scores[split + '_name']} (n = {self.scores[split]['n']:,})"
            rows[name] = {metric: _interval(self.scores[split][metric]) for metric in HEADLINE}
        return pd.DataFrame(rows)


def _interval(score):
    return f"{score['value']:.4f} [{score['low']:.4f}, {score['high']:.4f}]"


def resolve(experiment):
    """Replace `"auto"` in an experiment by what can be had.

    Returns:
        `(experiment, notices)`: notices are sentences the reader must see, a list of `str`.
    """
    from fer_lib import datasets, models, pretrained

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
    import keras

    from fer_lib import models

    on_gpu = any("gpu" in device.lower() for device in keras.distribution.list_devices())
    mixed = experiment.mixed_precision == "bfloat16" or (
        experiment.mixed_precision == "auto" and on_gpu
    )
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed else "float32")
    keras.utils.set_random_seed(experiment.seed)
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
        ValueError: If the run's folder holds another experiment.
    """
    from fer_lib import datasets, training

    experiment, _ = resolve(experiment.validate())
    result = Run(Path(experiment.results_dir) / experiment.name)
    _claim(result.folder, experiment)
    if result.finished:
        return result
    data = data or datasets.load_dataset(experiment.dataset)
    model = model or build_model(experiment, data)
    storage.write_json(result.folder / "environment.json", environment(data))
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


def _stages(experiment):
    from fer_lib.training import Stage

    head = 0 if experiment.unfreeze == "top" else min(experiment.head_epochs, experiment.epochs - 1)
    rest = experiment.epochs - head
    stages = [Stage("head", "top", head, experiment.head_learning_rate)] if head else []
    mode = experiment.unfreeze
    return [*stages, Stage(mode, mode, rest, experiment.learning_rate)]


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
    import keras

    backend, devices = keras.backend.backend(), ", ".join(keras.distribution.list_devices())
    return f"Keras {keras.__version__} on {backend} ({devices}), fer_lib {version('fer_lib')}"


def environment(data):
    """Return what a run ran on: versions, devices, git state and the data's content hashes."""
    import keras

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
    except ModuleNotFoundError:
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


def load_run(folder):
    """Return the run in a folder.

    Raises:
        FileNotFoundError: If there is none.
    """
    if not (Path(folder) / "experiment.json").exists():
        raise FileNotFoundError(f"{folder} is not a run's folder: it has no experiment.json.")
    return Run(Path(folder))


def runs_table(results_dir="runs"):
    """Return one row per run below a folder: parameters, scores with intervals, time and state.

    Args:
        results_dir: Folder of runs, or of folders of runs.

    Returns:
        `pandas.DataFrame`, sorted by folder name; empty if there are no runs.
    """
    paths = sorted(Path(results_dir).glob("**/experiment.json"))
    return pd.DataFrame([_row(Run(path.parent)) for path in paths])


def _row(result):
    experiment = result.experiment
    row = {"run": result.folder.name} | experiment.identity()
    if not (result.folder / "history.csv").exists():
        return row | {"state": "not started"}
    row["minutes"] = round(result.history.seconds.sum() / 60, 1)
    if not result.finished:
        return row | {"state": f"epoch {len(result.history)} of {experiment.epochs}"}
    scores = result.scores
    row |= {"state": "finished", "started_from": scores["weights"], "test": scores["test_name"]}
    row |= {"n": scores["test"]["n"], "best_epoch": scores["best_epoch"]}
    for metric in HEADLINE:
        row[metric] = scores["test"][metric]["value"]
        row[f"{metric}_low"] = scores["test"][metric]["low"]
        row[f"{metric}_high"] = scores["test"][metric]["high"]
    return row


def summary_table(table):
    """Return what a reader compares of `runs_table`: one line per run, intervals in brackets.

    Args:
        table: DataFrame of `runs_table`.
    """
    columns = ["backbone", "alpha", "unfreeze", "image_size", "epochs", "seed", "test", "n"]
    short = table.reindex(columns=[*columns, "minutes", "state"]).copy()
    for metric in ("accuracy", "macro_f1"):
        place = short.columns.get_loc("minutes")
        short.insert(place, f"{metric} [95 % interval]", table.apply(_cell, axis=1, metric=metric))
    return short


def _cell(row, metric):
    if not row.get("state") == "finished":
        return ""
    low, high = row[f"{metric}_low"], row[f"{metric}_high"]
    return f"{row[metric]:.3f} [{low:.3f}, {high:.3f}]"
