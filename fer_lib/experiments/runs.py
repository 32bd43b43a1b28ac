"""Runs: an experiment carried out, and the folder of results it leaves.

A run's folder holds `experiment.json environment.json history.csv model.keras predictions.npz
scores.json` and its figures; `scores.json` is written last, so a folder that has it is finished.
"""

import csv
import dataclasses
import functools
import itertools
import os
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from fer_lib import storage
from fer_lib.evaluation import bootstrap
from fer_lib.experiments.experiment import NAMES, from_record
from fer_lib.experiments.run_files import holding, run_folders

HEADLINE = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "log_loss",
    "brier_score",
    "expected_calibration_error",
)
COSTS = ("parameters", "multiply_adds")
_NAMED = re.compile(r"-s\d+-([0-9a-f]{8})$")  # a folder that still has the name of its run


@dataclasses.dataclass(frozen=True)
class Run:
    """The results of one experiment, read from its folder when asked for."""

    folder: Path

    def __repr__(self):
        state = "finished" if self.finished else "not finished"
        return f"Run({str(self.folder)!r}, {state})"

    @functools.cached_property
    def experiment(self):
        """The `Experiment` that was run; a parameter that its version did not have is at default.

        Raises:
            ValueError: If the file is damaged or of a version with other parameters.
        """
        with storage.reading(self.folder / "experiment.json") as path:
            return from_record(storage.read_json(path))

    @functools.cached_property
    def environment(self):
        """Dict of versions, devices, git state and data hashes."""
        with storage.reading(self.folder / "environment.json") as path:
            return holding(storage.read_json(path), "data")

    @functools.cached_property
    def scores(self):
        """Dict of `scores.json`; its `"test"` and `"validation"` are `metrics.score`'s."""
        with storage.reading(self.folder / "scores.json") as path:
            scores = holding(storage.read_json(path), "test", "test_name", "validation", "weights")
            for split in ("test", "validation"):
                holding(scores[split], "n", "accuracy", "macro_f1")
            return scores

    @functools.cached_property
    def history(self):
        """DataFrame with one row per epoch; see `loop.fit`."""
        with storage.reading(self.folder / "history.csv") as path:
            return holding(pd.read_csv(path, dtype={"stage": str}), "epoch", "seconds")

    @functools.cached_property
    def progress(self):
        """`(epochs, seconds)`: how many are done and how long they took.

        Read without pandas, which would take longer than all else of a table of many runs.
        """
        with storage.reading(self.folder / "history.csv") as path:
            with open(path, encoding="utf-8", newline="") as file:
                rows = csv.reader(file)
                names = next(rows, [])
                holding(dict.fromkeys(names), "epoch", "seconds")
                place = names.index("seconds")
                seconds = [float(row[place]) for row in rows]
            return len(seconds), sum(seconds)

    @functools.cached_property
    def predictions(self):
        """Dict of arrays: `ids, labels, probabilities` of the test faces, their `groups` where
        they are known, and the same of the validation faces with `validation_` before the name.
        A published copy holds the test faces alone.

        Raises:
            FileNotFoundError: If the folder has none, as older published copies have.
            ValueError: If the file is damaged.
        """
        if not self.has_predictions:
            raise FileNotFoundError(
                f"{self.folder} holds no predictions.npz (older published copies leave it out): "
                "use the folder that the run wrote."
            )
        with storage.reading(self.folder / "predictions.npz") as path:
            with np.load(path, allow_pickle=False) as arrays:
                found = holding(dict(arrays), "ids", "labels", "probabilities")
            halves = [k for k, v in found.items() if v.dtype == np.float16]  # published
            return found | {name: found[name].astype(np.float32) for name in halves}

    @property
    def has_predictions(self):
        """Whether the run's folder holds its predictions; older published copies do not."""
        return self._has("predictions.npz")

    @property
    def begun(self):
        """Whether the run has an epoch behind it."""
        return self._has("history.csv")

    @property
    def finished(self):
        """Whether the run has its scores."""
        return self._has("scores.json")

    def _has(self, name):
        return os.path.exists(os.path.join(self.folder, name))  # five times as fast as a Path's

    @property
    def label_set(self):
        """Emotion names in the order of the classes, a tuple."""
        return tuple(self.scores["test"]["per_class"])

    def model(self):
        """Load the classifier: raw `uint8` faces in, probabilities out."""
        import keras

        with storage.reading(self.folder / "model.keras") as path:
            return keras.models.load_model(path, compile=False)

    def title(self):
        """Return what a figure of this run is headed with: data, weights, and what trained."""
        return f"{self.scores['test_name']}\n{self.label()}, from {self.started_from()}"

    def label(self):
        """Return what tells this run from others in a figure: backbone, mode, size, seed."""
        e = self.experiment
        return f"{e.network} {e.alpha}, {e.unfreeze}, {e.image_size} px, seed {e.seed}"

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
        scored = {"ids": faces.ids, "labels": faces.classes}
        if not all(np.array_equal(v, self.predictions[k]) for k, v in scored.items()):
            raise ValueError(f"{faces.name} does not hold the faces that {self.folder} predicted.")
        probabilities, labels = self.predictions["probabilities"], self.predictions["labels"]
        predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
        order = np.argsort(-confidence, kind="stable")
        worst = order[predicted[order] != labels[order]][:count]
        return {
            "images": faces.images[worst],
            "labels": faces.classes[worst],
            "predicted": predicted[worst],
            "confidence": confidence[worst],
            "label_set": faces.label_set,
            "ids": faces.ids[worst],
        }

    def save_figure(self, ax, name, caption=None):
        """Save a figure as PNG and PDF in the run's `figures/` and return the Axes."""
        from fer_lib import plots

        plots.save_figure(ax, self.folder / "figures" / name, caption=caption)
        return ax

    def scores_table(self):
        """Return the headline scores on test and validation with their intervals, as a table.

        A score that the run's version of fer_lib did not have shows a dash.
        """
        rows = {}
        for split in ("test", "validation"):
            name = f"{self.scores[split + '_name']} (n = {self.scores[split]['n']:,})"
            scores = self.scores[split]
            rows[name] = {metric: bootstrap.in_words(scores.get(metric)) for metric in HEADLINE}
        return pd.DataFrame(rows)


def load_run(folder: str | os.PathLike) -> Run:
    """Return the run in a folder.

    Raises:
        FileNotFoundError: If there is none.
    """
    if not (Path(folder) / "experiment.json").exists():
        raise FileNotFoundError(f"{folder} is not a run's folder: it has no experiment.json.")
    return Run(Path(folder))


def find_runs(results_dir: str | os.PathLike = "runs", pattern: str = "*") -> dict[str, Run]:
    """Return the finished runs below a folder as `{label: Run}`, ordered as a table reads.

    Runs with the same label are told apart by the one or two parameters in which they differ;
    where there are more, by the hash at the end of their folder's name; and two copies of one
    experiment by the folders that they lie in. A run whose files are damaged is left out, with a
    warning that names the file.

    Args:
        results_dir: Folder of runs, or of folders of runs.
        pattern: What the run folders' names must match, e.g. `"fer2013-*-48px-*"`.

    Raises:
        FileNotFoundError: If there is none.
    """
    finished = [run for run in map(Run, run_folders(results_dir, pattern)) if run.finished]
    if not finished:
        raise FileNotFoundError(f"No finished run in {results_dir}/ matches {pattern!r}.")
    found = sorted((run for run in finished if not damage(run, warn=True)), key=_table_order)
    labels = [result.label() for result in found]
    names = [
        label if labels.count(label) == 1 else f"{label}, {_peculiarity(result, label, found)}"
        for label, result in zip(labels, found, strict=True)
    ]
    return {
        name if names.count(name) == 1 else f"{name}, in {result.folder.parent}": result
        for name, result in zip(names, found, strict=True)
    }


def damage(result, warn=False):
    """Return what is wrong with a run's files, or `""`."""
    try:
        with storage.reading(result.folder / "experiment.json"):
            experiment, named = result.experiment, _NAMED.search(result.folder.name)
            if named and experiment.name[-8:] != named[1]:
                raise ValueError(f"by its parameters it is of {experiment.name}")
        _ = result.finished and result.scores
        _ = result.begun and result.progress
    except ValueError as error:
        if warn:
            warnings.warn(f"{error} It is left out.", stacklevel=3)
        return str(error)
    return ""


def finished_runs(folders):
    """Return the finished runs of folders as `{folder: Run}`.

    Args:
        folders: List of runs' folders, or of folders of runs; of the latter all finished runs.

    Raises:
        FileNotFoundError: If a folder holds no run.
        ValueError: If a run that is named is not finished, or its files are damaged.
    """
    found = {}
    for folder in folders:
        alone = (Path(folder) / "experiment.json").exists()
        for run in [load_run(folder)] if alone else find_runs(folder).values():
            if not run.finished:
                raise ValueError(f"{folder} is not finished: repeat the command that began it.")
            if alone and (wrong := damage(run)):
                raise ValueError(wrong)
            found[str(run.folder)] = run
    return found


def _peculiarity(result, label, found):
    """Return what tells a run from those with its label: a parameter or two, else its hash."""
    told = [dataclasses.asdict(other.experiment) for other in found if other.label() == label]
    own = dataclasses.asdict(result.experiment)
    names = [name for name in own if name != "results_dir" and len({e[name] for e in told}) > 1]
    parts = [f"{name} {own[name]}" for name in names]
    alone = sum(all(e[name] == own[name] for name in names) for e in told) == 1
    return ", ".join(parts) if alone and len(parts) <= 2 else result.folder.name[-8:]


def _table_order(result):
    e = result.experiment
    mode = ("top", "100", "progressive", "all").index(e.unfreeze)
    return e.dataset, e.backbone, e.alpha, e.image_size, mode, e.seed, result.folder.name


def runs_table(results_dir="runs", pattern="*"):
    """Return one row per run below a folder: parameters, scores with intervals, time and state.

    Args:
        results_dir: Folder of runs, or of folders of runs; or a list of such folders.
        pattern: What the run folders' names must match.

    Returns:
        `pandas.DataFrame`, by data set, backbone, size and mode; empty if there are no runs. Of a
        run whose files are damaged it says which, in `state`.
    """
    several = not isinstance(results_dir, str | os.PathLike)
    places = [run_folders(place, pattern) for place in (results_dir if several else [results_dir])]
    damages = {run: damage(run) for run in map(Run, itertools.chain(*places))}
    found = [run for run, damage in damages.items() if not damage]
    # A later parameter has a column as soon as one run does not have it at its default.
    told = set().union(*(result.experiment.identity() for result in found))
    names = [name for name in NAMES if name in told]
    rows = [_row(result, names) for result in sorted(found, key=_table_order)]
    rows += [{"run": r.folder.name, "state": f"damaged: {d}"} for r, d in damages.items() if d]
    table = pd.DataFrame(rows)
    whole = {name: "Int64" for name in ("n", "best_epoch", "patience") if name in table}
    return table.astype(whole)  # whole numbers stay whole beside runs that have none yet


def _row(result, names):
    experiment = result.experiment
    row = {"run": result.folder.name} | {name: getattr(experiment, name) for name in names}
    if not result.begun:
        return row | {"state": "not started"}
    epochs, seconds = result.progress
    row["minutes"] = round(seconds / 60, 1)
    if not result.finished:
        return row | {"state": f"epoch {epochs} of {experiment.epochs}"}
    scores = result.scores
    row |= {"state": "finished", "started_from": scores["weights"]}
    row |= {"best_epoch": scores["best_epoch"]}
    row |= {name: scores[name] for name in COSTS if name in scores}
    return row | score_columns(scores)


def score_columns(scores):
    """Return the columns of `runs_table` that hold scores, as a dict.

    Args:
        scores: Dict of a run's `scores.json`. A headline score that it lacks has no column.
    """
    columns = {"test": scores["test_name"], "n": scores["test"]["n"]}
    for metric in HEADLINE:
        if score := scores["test"].get(metric):
            columns[metric] = score["value"]
            columns |= {f"{metric}_{end}": score[end] for end in ("low", "high")}
    for metric in ("accuracy", "macro_f1"):
        columns[f"validation_{metric}"] = scores["validation"][metric]["value"]
    return columns


def summary_table(table):
    """Return what a reader compares of `runs_table`: one line per run, intervals in brackets.

    Args:
        table: DataFrame of `runs_table`.
    """
    parameters = ["dataset", "backbone", "alpha", "attention", "unfreeze", "image_size", "epochs"]
    columns = [*parameters, "seed", "test", "n", "minutes", "started_from", "hash", "state"]
    short = table.reindex(columns=columns)
    short["attention"] = short["attention"].astype("string").fillna("")
    short["hash"] = table["run"].str.rsplit("-", n=1).str[-1]
    short["started_from"] = (
        short["started_from"].astype("string").str.replace(r", sha256 \w+$", "", regex=True)
    )
    for metric in ("accuracy", "macro_f1"):
        place = short.columns.get_loc("minutes")
        short.insert(place, f"{metric} [95 % interval]", table.apply(_cell, axis=1, metric=metric))
    return short


def _cell(row, metric):
    if not row.get("state") == "finished":
        return ""
    ends = {"value": "", "low": "_low", "high": "_high"}
    return bootstrap.in_words({name: row[metric + end] for name, end in ends.items()})
