"""Carrying out an experiment: from its parameters to the folder of a finished run."""

import dataclasses
import hashlib
import shutil
import typing
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fer_lib import storage
from fer_lib.data import catalogue
from fer_lib.data.faces import Faces
from fer_lib.evaluation import calibration, metrics
from fer_lib.experiments import environment, given, holding
from fer_lib.experiments.experiment import Experiment
from fer_lib.experiments.run_files import check_files
from fer_lib.experiments.runs import Run
from fer_lib.experiments.values import RETIRED
from fer_lib.inference.formats import in_float32
from fer_lib.models import classifier, cost, own_network
from fer_lib.models.weights import file_of, resolve_auto
from fer_lib.training.teachers import (
    ask_teachers,
    asking,
    describe_teacher,
    find_teachers,
    load_teachers,
)

if typing.TYPE_CHECKING:  # `help(fer_lib)` comes here, and must not wait for Keras
    import keras

# Splits that are predicted and scored, and what their arrays' names begin with.
_SCORED = {"test": "", "validation": "validation_"}
_HASHED = ("experiment.json", "model.keras", "predictions.npz", "history.csv")

# MobileNetV2 learns nothing from random weights and a few thousand drawn faces in a demonstration's
# minutes. This network does, where neither data nor ImageNet's weights can be had.
BACKBONE, DEMO = Experiment.backbone, "mini_xception"

HEAD_RATE = RETIRED["head_learning_rate"]  # peak learning rate while the head trains alone


def resolve(experiment):
    """Replace `"auto"` in an experiment by what can be had.

    Returns:
        `(experiment, notices)`: notices are sentences the reader must see, a list of `str`.
    """
    notices, plain = [], experiment.dataset == "auto" and _is_plain(experiment)
    if experiment.dataset == "auto":
        name, notice = catalogue.resolve_auto()
        experiment = dataclasses.replace(experiment, dataset=name)
        notices.append(notice)
    if experiment.weights == "auto" and own_network.is_own(experiment.backbone):
        experiment = dataclasses.replace(experiment, weights=None)
    if experiment.weights == "auto":
        application = classifier.BACKBONES[experiment.backbone].application
        name, notice = resolve_auto(experiment.backbone, application, experiment.alpha)
        if name != "imagenet" and experiment.dataset == "synthetic":
            # Drawn faces are no test of a model that knows photographs of faces already.
            name, notice = None, "RANDOM START: ImageNet's weights cannot be had."
            if plain:
                experiment = dataclasses.replace(experiment, backbone=DEMO)
                notice += f" {DEMO} takes the place of {BACKBONE}: it learns quickly from scratch."
        experiment = dataclasses.replace(experiment, weights=name)
        notices += [notice] if notice else []
    return experiment, notices


def _is_plain(experiment):
    """Return whether the network is the default one, with nothing about it changed."""
    return all(
        getattr(experiment, name) == getattr(Experiment, name)
        for name in ("backbone", "alpha", "unfreeze", "attention", "image_size", "weights")
    )


def set_up(experiment):
    """Prepare this process for an experiment; before TensorFlow or JAX computes anything.

    Args:
        experiment: An `Experiment`.

    Returns:
        List of sentences that the reader must see.

    Raises:
        ValueError: If this machine can not do what `distribute` or `deterministic` ask for; the
            message says why.
        FileNotFoundError: If a teacher of `distill_from` is not there.
    """
    from fer_lib.training import devices

    devices.share_memory()
    devices.keep_programs()
    find_teachers(experiment.distill_from)
    if experiment.deterministic:
        devices.make_deterministic()
    with devices.data_parallel(experiment.distribute) as count:
        devices.check_batch(experiment.batch_size, count)
    if count == 1:
        return []
    return [
        f"Each step's {experiment.batch_size} faces are shared by {count} devices. learning_rate "
        "stays as it is: for a batch_size n times as large, the linear rule (Goyal et al. "
        "2017, arXiv:1706.02677) is n times the rate."
    ]


def build_model(experiment, data):
    """Build the classifier of a resolved experiment for its data, from its seed.

    Args:
        experiment: A resolved `Experiment`.
        data: Dict of `Faces` from `catalogue.load_dataset`.
    """
    import keras

    from fer_lib.training import devices

    own = own_network.is_own(experiment.backbone)  # it says itself in what it computes
    dense = classifier.spec_of(experiment.backbone).dense
    mixed = experiment.mixed_precision == "bfloat16" or (
        experiment.mixed_precision == "auto" and not own and devices.quick_in_bfloat16(dense)
    )
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed else "float32")
    keras.utils.set_random_seed(experiment.seed)
    try:
        return _build_classifier(experiment, data)
    finally:
        keras.config.set_dtype_policy(policy)


def _build_classifier(experiment, data):
    own = {
        "classes": len(data["train"].label_set),
        "face_size": data["train"].images.shape[1:],
        "unfreeze": "all" if experiment.unfreeze == "progressive" else experiment.unfreeze,
        "weights": _start(experiment.weights, data["train"].label_set),
    }
    build = classifier.build_classifier
    return build(**experiment.options(build) | own)


def _start(weights, label_set):
    """Return the weights to start from: of a run with other classes its file, without its head."""
    if weights is None or not (Path(weights) / "scores.json").is_file():
        return weights
    return weights if Run(Path(weights)).label_set == tuple(label_set) else file_of(weights)


def run(
    experiment: Experiment,
    data: dict[str, Faces] | None = None,
    model: "keras.Model | None" = None,
) -> Run:
    """Carry out an experiment, or go on where it was stopped, or return it if it is finished.

    Fits on train, selects the epoch on validation, and scores test once.

    Args:
        experiment: An `Experiment`; `"auto"` in it is resolved first.
        data: Dict of `Faces`; loaded by the experiment's `dataset` if `None`. With
            `dataset="auto"` the run is called by the faces' own name.
        model: The untrained classifier of `build_model`; built if `None`.

    Returns:
        The finished `Run`.

    Raises:
        ValueError: If the data does not fit (see `given.check`), the run's folder holds another
            experiment or was made with other faces, a finished run's file was changed, or the
            machine or a teacher does not fit; see `set_up` and `teachers`.
        RuntimeError: If another process writes to the run's folder, or the folder was removed
            while it trained.
        holding.Stopped: After Ctrl-C; the same call goes on from the last finished epoch.
        MemoryError: If a step does not fit into the device's memory.
    """
    experiment.validate()
    if data is not None:
        data = given.check(data)
        if experiment.dataset == "auto":
            experiment = dataclasses.replace(experiment, dataset=given.name_of(data))
    experiment, _ = resolve(experiment)
    result = Run(Path(experiment.results_dir) / experiment.name)
    _claim(result.folder, experiment)
    if result.finished and data is None:
        return _as_it_was(result)
    set_up(experiment)
    data = data or given.check(experiment.load_data())
    _check_data(result, data)
    if result.finished:
        return _as_it_was(result)
    with holding.one_process(result.folder):
        # By another process, which this one has waited for.
        return result if result.finished else _train(experiment, result, data, model)


def _as_it_was(result):
    """Return a finished run whose files are those that it wrote."""
    recorded = result.folder / "environment.json"
    check_files(result.folder, result.environment.get("files", {}) if recorded.exists() else {})
    _say(f"Finished before: read from {result.folder}.")
    return result


def _train(experiment, result, data, model):
    """Train, or go on, and leave the folder of a finished run."""
    from fer_lib.training import checkpoints, devices, loop

    _record_environment(result, data)
    if done := len(checkpoints.read_history(result.folder)):
        total = experiment.epochs
        _say(f"Going on at epoch {min(done + 1, total)} of {total} in {result.folder}.")
    model = model or build_model(experiment, data)
    teachers = load_teachers(experiment.distill_from)
    described = [describe_teacher(teacher) for teacher in teachers]
    with devices.explaining_memory(experiment.batch_size):
        history = _fit(experiment, data, model, teachers, result.folder)
        origin, model = model.origin, in_float32(model)  # whoever loads it may lack bfloat16
        temperature = _calibrate(model, data["validation"])
        with storage.replacing(result.folder / "model.keras") as path:
            model.save(path)
        answers = {split: _predict(model, data[split]) for split in _SCORED}
    about = {
        "dataset": experiment.dataset,
        "train_name": data["train"].name,
        "train_n": len(data["train"]),
        "weights": origin,
        "best_epoch": loop.best_epoch(history, experiment.monitor),
        "selected_by": experiment.monitor,
        "temperature": temperature,
        "parameters": model.count_params(),
        "multiply_adds": cost.multiply_adds(model),
    }
    if teachers:
        about["teachers"] = described
    _write_results(result.folder, about, data, answers)
    shutil.rmtree(result.folder / "checkpoint")
    return result


def _say(sentence):
    tqdm.write(sentence)


def _predict(model, faces):
    from fer_lib.training import frozen

    return frozen.compute_features(model, faces.images)  # one program for every split


def _calibrate(model, faces):
    """Fit a temperature on the validation faces, put it into the model and return it."""
    temperature = calibration.fit_temperature(faces.targets, _predict(model, faces))
    try:
        calibration.store_temperature(model, temperature)
    except ValueError as error:  # an own network of another form
        _say(f"The answers are not calibrated: {error}")
        return 1.0
    return temperature


def _fit(experiment, data, model, teachers, folder):
    """Train the model on the devices that are asked for and return the history."""
    from fer_lib.training import devices, loop, targets

    aims, teaching = data["train"].targets, None
    how = {"weight": experiment.distill_weight, "temperature": experiment.distill_temperature}
    if teachers and experiment.distill_on == "clean":
        aims = targets.distill(aims, ask_teachers(teachers, data["train"]), **how)
    elif teachers:
        teaching = targets.Teaching(asking(teachers, data["train"]), **how)
    auxiliary = None
    if experiment.auxiliary:
        others = experiment.load_data(experiment.auxiliary)["train"]
        auxiliary = targets.align(others.targets, others.ids, data["train"].ids)
    with devices.data_parallel(experiment.distribute) as count:
        # A model that was built outside of this block is on one device only.
        trained = model if count == 1 else build_model(experiment, data)
        own = {"stages": _stages(experiment, trained), "folder": folder}
        own |= {"auxiliary": auxiliary, "teaching": teaching, "parallel": count}
        history = loop.fit(
            trained,
            (data["train"].images, aims),
            (data["validation"].images, data["validation"].targets),
            **experiment.options(loop.fit) | own,
        )
        weights = trained.get_weights()
    if trained is not model:
        model.set_weights(weights)
    return history


def _claim(folder, experiment):
    path = folder / "experiment.json"
    if path.exists():
        if Run(folder).experiment.identity() != experiment.identity():
            raise ValueError(f"{path} holds another experiment; move the folder away.")
    else:
        storage.write_json(path, dataclasses.asdict(experiment))


def _check_data(result, data):
    """Check that the data of a run that was begun is still the same."""
    if not (result.folder / "environment.json").exists():
        return
    for split, made_with in result.environment["data"].items():
        now = data[split]
        if made_with["sha256"] != now.content_hash:
            raise ValueError(
                f"{result.folder} was begun with other {split} faces ({made_with['name']}, "
                f"n = {made_with['n']}) than now ({now.name}, n = {len(now)}): restore the data, "
                "or move the folder away."
            )


def _record_environment(result, data):
    """Write what the run runs on, after what it ran on before it was stopped."""
    path, now = result.folder / "environment.json", environment.record(data)
    if path.exists():
        before = storage.read_json(path)
        now = before | {"resumed": [*before.get("resumed", []), now]}
    storage.write_json(path, now)


def _stages(experiment, model):
    from fer_lib.training import loop

    mode, rate = experiment.unfreeze, experiment.learning_rate
    head = min(experiment.head_epochs, experiment.epochs - 1)
    # On top of features that are random the head has nothing to learn.
    at_random = experiment.backbone in classifier.NETWORKS and experiment.weights is None
    if mode == "top" or at_random or getattr(model, "goes_on", False):
        head = 0
    rest = experiment.epochs - head
    stages = [loop.Stage("head", "top", head, HEAD_RATE)]
    if mode == "progressive":
        stages += [loop.Stage("100", "100", rest // 2, rate)]
        mode, rest = "all", rest - rest // 2
    stages += [loop.Stage(mode, mode, rest, rate)]
    return [stage for stage in stages if stage.epochs]


def _write_results(folder, about, data, answers):
    """Write the predictions and, last, their scores.

    Args:
        folder: The run's folder.
        about: Dict that `scores.json` begins with.
        data: Dict of `Faces`.
        answers: Dict of the model's probabilities for `"test"` and `"validation"`.
    """
    predictions, scores = {}, dict(about)
    for split, prefix in _SCORED.items():
        faces, probabilities = data[split], answers[split]
        groups, what = given.resampled(faces)
        arrays = {"ids": faces.ids, "labels": faces.classes, "probabilities": probabilities}
        if groups is not None:
            arrays["groups"] = groups
            scores[f"{split}_groups"] = what
        predictions |= {f"{prefix}{name}": array for name, array in arrays.items()}
        scores |= {
            f"{split}_name": faces.name,
            split: metrics.score(
                faces.classes,
                probabilities,
                faces.label_set,
                targets=faces.targets if faces.labels.ndim == 2 else None,
                groups=groups,
            ),
        }
    with storage.replacing(folder / "predictions.npz") as path:
        np.savez_compressed(path, **predictions)
    # A model or answers of another run are told by these. They are not among the scores, which
    # are the same wherever the run is repeated: the files hold times.
    made = storage.read_json(folder / "environment.json")
    made["peak_memory"] = environment.peak_memory()
    made["files"] = {name: storage.file_hash(folder / name) for name in _HASHED}
    made["files"]["scores.json"] = hashlib.sha256(storage.as_json(scores).encode()).hexdigest()
    storage.write_json(folder / "environment.json", made)
    storage.write_json(folder / "scores.json", scores)
