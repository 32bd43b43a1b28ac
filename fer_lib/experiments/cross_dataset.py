"""Across data sets: what a classifier that was trained on one scores on the others.

A model and a data set are scored over the emotions that both have, matched by name. What either
has beyond these is left out and counted, and so are test faces that stand among the faces that the
model was trained on.
"""

import os

import numpy as np
import pandas as pd

from fer_lib import emotions
from fer_lib.choices import lookup
from fer_lib.data import catalogue, duplicates
from fer_lib.data.combine import whole_set, without
from fer_lib.evaluation import metrics
from fer_lib.experiments import human, runs, values
from fer_lib.experiments.experiment import DATA_OPTIONS, Experiment
from fer_lib.experiments.given import resampled
from fer_lib.inference import peers
from fer_lib.inference.predictor import Predictor, load_predictor, read_sidecar, sidecar
from fer_lib.screen import progress

SCORES = ("accuracy", "macro_f1")


def cross_table(models, loaded, *, whole=(), trained_on=None, resamples=2000, seed=0):
    """Score every model on every data set.

    Args:
        models: `{name: model}`: a `Run` with its `model.keras`, a `Predictor`, a `Peer`, or
            anything else that has `predict(uint8 faces) → probabilities` and `label_set`.
        loaded: `{data set: dict of Faces}`, as `catalogue.load_dataset` returns them.
        whole: Keys of `loaded` that are scored on all their faces instead of their test split:
            data that no model was trained on.
        trained_on: Optional `{name: data set}`, a key of `loaded` or `catalogue.DATASETS`, for
            models that do not know; a `Run`, a `Peer` and a shipped model do.
        resamples, seed: Of the bootstrap; see `metrics.score`.

    Returns:
        `pandas.DataFrame`, one row per model and data set, and last one for what one of FER+'s
        taggers scores (`human.human_score`), where the votes for the scored faces are at hand:

        - `model`, `trained_on` (missing where it is not known), `dataset`, `test` (the name of
          the scored faces, and their new size if they had to be resized), `n`, `emotions` (number
          of emotions scored over);
        - `accuracy`, `macro_f1`, each with the ends `_low` and `_high` of its 95 % interval, by
          subjects, sequences or nearly identical pictures;
        - `left_out`: the data set's emotions that the model does not know, with their faces, as
          in `"contempt (54)"`, and `left_out_faces`, their number;
        - `removed`: the model's emotions that the data set lacks. Their probabilities are taken
          away and the others divided by their sum; `unanswered` counts the faces of which
          nothing is left, which get equal probabilities;
        - `seen`: scored faces that are identical to a training or validation face of
          `trained_on`, missing where those are not at hand. A peer may have been split
          otherwise: `Peer.about` says that the XCEPTIONs' epochs were chosen on FER-2013's
          test faces, which this number does not hold.

    Raises:
        ValueError: If a key is unknown, a model is none, or fewer than two emotions are shared.
        FileNotFoundError: If a run holds no model.
    """
    for name in whole:
        lookup(loaded, name, "data set to score as a whole (whole)")
    for name in trained_on or {}:
        lookup(models, name, "model (trained_on)")
    sources = {name: _source(name, model, trained_on) for name, model in models.items()}
    training = {name: _training_images(models[name], sources[name], loaded) for name in models}
    pairs = [(name, dataset) for name in models for dataset in loaded]
    answering, rows = {name: _answering(name, model) for name, model in models.items()}, []
    for name, dataset in progress(pairs, "models on data sets"):
        parts = loaded[dataset]
        test = whole_set(parts, f"{dataset}, all of it") if dataset in whole else parts["test"]
        row = {"model": name, "trained_on": sources[name], "dataset": dataset}
        row |= _scored(name, answering[name], test, training[name], resamples, seed)
        rows.append(row)
    for dataset in loaded if rows else ():
        rows += _one_tagger(dataset, loaded[dataset], dataset in whole, resamples, seed)
    return pd.DataFrame(rows).astype({"trained_on": "string", "seen": "Int64"})


def align(probabilities, label_set, to):
    """Give the columns of probabilities the order of a smaller label set.

    Args:
        probabilities: Float array of shape `(n, classes)`, rows summing to 1.
        label_set: Emotion names in the order of its columns.
        to: The emotion names that are kept, in their new order; `label_set` has them all.

    Returns:
        `(probabilities, unanswered)`: `float64` array of shape `(n, len(to))`, rows divided by
        their sum, and how many rows had nothing left; these are equal in all columns.

    Raises:
        ValueError: If an emotion is not in the label set.
    """
    if missing := [name for name in to if name not in label_set]:
        raise ValueError(f"label_set must hold {', '.join(missing)}; it is {tuple(label_set)}.")
    kept = np.asarray(probabilities, np.float64)[:, emotions.translate(to, label_set)]
    sums = kept.sum(axis=1, keepdims=True)
    empty = sums[:, 0] <= 0
    kept = np.where(empty[:, None], 1 / len(to), kept / np.where(sums > 0, sums, 1))
    return kept, int(empty.sum())


def load_at_hand(names):
    """Load the data sets that are on this machine.

    Args:
        names: Keys of `catalogue.DATASETS` or paths, as a list or joined by commas.

    Returns:
        `(loaded, notices)`: `{name: dict of Faces}`, and a sentence for each that is left out.

    Raises:
        FileNotFoundError: If none can be had.
    """
    loaded, notices = {}, []
    for name in names.split(",") if isinstance(names, str) else names:
        name = name.strip() if isinstance(name, str) else name
        if name == "auto":
            name, notice = catalogue.resolve_auto()
            notices.append(notice)
        try:
            loaded[str(name)] = catalogue.load_dataset(name)
        except FileNotFoundError as error:
            notices.append(f"{name} is left out: {str(error).splitlines()[0]}")
    if not loaded:
        raise FileNotFoundError("\n".join(["None of the data sets can be had.", *notices]))
    return loaded, notices


def load_for(model, name):
    """Load a data set in the form that a model takes, a run's own folder as the run read it.

    Args:
        model: A `Run`, or a `Predictor`.
        name: Key of `catalogue.DATASETS`, or a path.

    Returns:
        Dict of `Faces`.
    """
    if not isinstance(model, runs.Run):
        return catalogue.load_for(name, model.face_size)
    own = model.experiment.dataset
    if name not in catalogue.DATASETS and os.path.exists(own) and os.path.samefile(own, name):
        return model.experiment.load_data()
    options = values.options(model.experiment.data_options, DATA_OPTIONS)
    size = options.get("size", 48)
    return catalogue.load_for(name, (size, size, 3) if options.get("colour") else (size, size))


def find_models(results_dir="runs", pattern="*", *, predictors="", peers_folder=None):
    """Return the models to compare: finished runs that hold one, predictors, and peers.

    Args:
        results_dir: Folder of runs, or of folders of runs.
        pattern: What the run folders' names must match.
        predictors: Names or files as of `predictor.load_predictor`, joined by commas; `""` or
            `None` for none.
        peers_folder: Folder of the peers' files, or `None` for no peers.

    Returns:
        `{label: Run, Predictor or Peer}`.

    Raises:
        FileNotFoundError: If there is none, a predictor is none, or the peers' folder holds none.
    """
    try:
        found = runs.find_runs(results_dir, pattern)
    except FileNotFoundError:
        found = {}
    found = {label: run for label, run in found.items() if _model_file(run).is_file()}
    for name in filter(None, map(str.strip, (predictors or "").split(","))):
        found[name] = load_predictor(name)
    if peers_folder is not None:
        found |= peers.find_peers(peers_folder)
    if not found:
        raise FileNotFoundError(
            f"No run in {results_dir}/ matches {pattern!r} and holds a model.keras (published "
            "copies hold none). Make one: papermill notebooks/run_experiment.ipynb out.ipynb; or "
            'name a predictor, such as "default", or the folder of peers\' models.'
        )
    return found


def _model_file(run):
    return run.folder / "model.keras"


def _answering(name, model):
    """Return what answers for a model, with `predict` and `label_set`."""
    if isinstance(model, runs.Run):
        if not _model_file(model).is_file():
            raise FileNotFoundError(f"{name}: {model.folder} holds no model.keras to predict with.")
        return load_predictor(model.folder)
    if not hasattr(model, "predict") or not hasattr(model, "label_set"):
        raise ValueError(
            f"models must be runs or have predict and label_set; {name!r} is {model!r}. "
            "fer_lib.inference.predictor.load_predictor opens an exported file."
        )
    return model


def _source(name, model, trained_on):
    """Return the data set that a model was trained on, or `None` if it is not known."""
    if name in (trained_on or {}):
        return trained_on[name]
    if isinstance(model, runs.Run):
        return model.experiment.dataset
    if isinstance(model, Predictor):
        about = read_sidecar(model.path) if sidecar(model.path).is_file() else {}
        return about.get("trained_on")
    return getattr(model, "trained_on", None)


def _training_images(model, source, loaded):
    """Return the faces that a model was fitted on or chosen by, or `None` if not at hand."""
    if source is None:
        return None
    try:
        if isinstance(model, runs.Run) and not _reads_plainly(model.experiment):
            parts = model.experiment.load_data()
        else:
            parts = loaded[source] if source in loaded else catalogue.load_dataset(source)
    except (OSError, ValueError):
        return None
    used = [parts[split] for split in ("train", "validation")]
    if isinstance(model, runs.Run) and not _are_those_of(model, used):
        return None  # the data has changed since
    return np.concatenate([faces.images for faces in used])


def _reads_plainly(experiment):
    """Return whether an experiment takes its data set as it is."""
    names = ("classes", "data_options", "train_fraction", "validation_fraction")
    names += ("folds", "split_seed")
    return all(getattr(experiment, name) == getattr(Experiment, name) for name in names)


def _are_those_of(run, used):
    made_with = run.environment["data"]
    return [faces.content_hash for faces in used] == [
        made_with[split]["sha256"] for split in ("train", "validation")
    ]


def _scored(name, model, test, training, resamples, seed):
    """Return what a row says of one model's answers on one set of faces."""
    unknown = [emotion for emotion in test.label_set if emotion not in model.label_set]
    counts = test.class_counts()
    shared = [emotion for emotion in test.label_set if emotion not in unknown]
    if len(shared) < 2:
        raise ValueError(f"{name} and {test.name} must share two emotions or more; got {shared}.")
    faces = without({"test": test}, unknown)["test"]
    taken = faces.resized(getattr(model, "face_size", faces.images.shape[1:]))
    answers = np.asarray(model.predict(taken.images))
    probabilities, unanswered = align(answers, model.label_set, faces.label_set)
    how = {"groups": resampled(faces)[0], "resamples": resamples, "seed": seed}
    scores = metrics.score(faces.classes, probabilities, faces.label_set, **how)
    row = {"test": taken.name, "n": len(faces), "emotions": len(faces.label_set)}
    for metric in SCORES:
        row[metric] = scores[metric]["value"]
        row |= {f"{metric}_{end}": scores[metric][end] for end in ("low", "high")}
    removed = [emotion for emotion in model.label_set if emotion not in test.label_set]
    return row | {
        "left_out": ", ".join(f"{emotion} ({counts[emotion]:,})" for emotion in unknown),
        "left_out_faces": len(test) - len(faces),
        "removed": ", ".join(removed),
        "unanswered": unanswered,
        "seen": _overlap(faces.images, training),
    }


def _one_tagger(dataset, parts, whole, resamples, seed):
    """Return a list of what a row says of one FER+ tagger, empty where there are no votes."""
    test = whole_set(parts, f"{dataset}, all of it") if whole else parts["test"]
    score = human.human_score(test, resamples=resamples, seed=seed)
    if score is None:
        return []
    row = {"model": human.NAME, "trained_on": None, "dataset": dataset, "test": test.name}
    row |= {"n": len(test), "emotions": len(test.label_set)}
    for metric in SCORES:
        row[metric] = score[metric]["value"]
        row |= {f"{metric}_{end}": score[metric][end] for end in ("low", "high")}
    left = {"left_out": "", "left_out_faces": 0, "removed": "", "unanswered": 0, "seen": None}
    return [row | left]


def _overlap(images, training):
    """Return how many faces are identical to one of the training faces, or `None`."""
    if training is None or training.shape[1:] != images.shape[1:]:
        return None
    groups = duplicates.duplicate_groups(np.concatenate([training, images]))
    return int(np.isin(groups[len(training) :], groups[: len(training)]).sum())
