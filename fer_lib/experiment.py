"""The parameters of one experiment, the same in the notebook, in code and on disk."""

import ast
import dataclasses
import hashlib
import json
import math
import types
import typing

from fer_lib.emotions import lookup

_KINDS = {int: "a whole number", float: "a number", str: "text"}

MIXED_PRECISION = ("auto", "none", "bfloat16")

_RANGES = {
    "alpha": (0.05, 4),
    "image_size": (32, 1024),
    "dense": (0, 65536),
    "dropout": (0, 0.95),
    "epochs": (1, 10_000),
    "head_epochs": (0, 10_000),
    "batch_size": (1, 65536),
    "learning_rate": (0, 10),
    "head_learning_rate": (0, 10),
    "weight_decay": (0, 10),
    "label_smoothing": (0, 0.95),
    "patience": (1, 10_000),
    "seed": (0, 2**31 - 1),
}


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The parameters of one run; the same list as the parameters cell of `run_experiment.ipynb`.

    Text that papermill passes for a number (`-y 1e-4`) is read as one.

    Args:
        dataset: Key of `datasets.DATASETS`, a path, or `"auto"`: FER-2013 if it can be had, else
            synthetic faces.
        backbone: Key of `models.BACKBONES`.
        alpha: Width of the backbone.
        weights: `"auto"`, `"imagenet"`, `"fer"`, a file, or `None`; see
            `pretrained.find_weights`.
        unfreeze: `"top"`, `"100"` or `"all"`; see `models.set_trainable`.
        batch_norm: `"adapt"`, `"frozen"` or `"original"`; see `models.set_trainable`.
        image_size: Side in pixels at which the backbone sees the face.
        dense: Units of a dense layer before the output, or 0.
        dropout: Share of features dropped before each dense layer.
        epochs: Epochs in all.
        head_epochs: How many of them train the head alone, before `unfreeze` takes effect.
        batch_size: Faces per step.
        learning_rate: Peak learning rate after the head's epochs.
        head_learning_rate: Peak learning rate while the head trains alone.
        optimizer: Key of `training.OPTIMIZERS`.
        schedule: Key of `training.SCHEDULES`.
        weight_decay: Decoupled weight decay.
        label_smoothing: Share of the target spread over all classes.
        class_weight: `None` or `"balanced"`.
        augmentation: Key of `augmentation.AUGMENTATIONS`.
        monitor: Key of `training.MONITORS`: what chooses the epoch, on validation.
        patience: Epochs without a better one before the run ends, or `None`.
        mixed_precision: `"auto"` (bfloat16 on a GPU), `"none"` or `"bfloat16"`.
        cache: `"auto"` or `"none"`: whether frozen layers are computed once.
        seed: Seed of weights, order and augmentation. Splits do not depend on it.
        results_dir: Where the run's folder goes.

    Raises:
        ValueError: If a value can not be what its parameter needs; the message names both.
    """

    dataset: str = "auto"
    backbone: str = "mobilenet_v2"
    alpha: float = 1.0
    weights: str | None = "auto"
    unfreeze: str = "all"
    batch_norm: str = "adapt"
    image_size: int = 48
    dense: int = 0
    dropout: float = 0.2
    epochs: int = 15
    head_epochs: int = 1
    batch_size: int = 64
    learning_rate: float = 1e-3
    head_learning_rate: float = 1e-3
    optimizer: str = "adamw"
    schedule: str = "cosine"
    weight_decay: float = 1e-4
    label_smoothing: float = 0.0
    class_weight: str | None = None
    augmentation: str = "standard"
    monitor: str = "val_macro_f1"
    patience: int | None = None
    mixed_precision: str = "auto"
    cache: str = "auto"
    seed: int = 0
    results_dir: str = "runs"

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = _coerce(field.name, getattr(self, field.name), field.type)
            object.__setattr__(self, field.name, value)
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} must lie in [{low}, {high}]; got {value}.")

    @property
    def name(self):
        """Name of the run's folder: what tells runs apart, then a hash of every parameter."""
        text = json.dumps(self.identity(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        dataset = "".join(c if c.isalnum() else "_" for c in self.dataset.rstrip("/"))[-40:]
        return (
            f"{dataset}-{self.backbone}-{self.unfreeze}-{self.image_size}px-s{self.seed}-{digest}"
        )

    def identity(self):
        """Return the parameters that make the result, as a dict: all but `results_dir`."""
        parameters = dataclasses.asdict(self)
        del parameters["results_dir"]
        return parameters

    def validate(self):
        """Check every name against the library's tables and return the experiment.

        Raises:
            ValueError: If a name is unknown; the message lists the known ones.
        """
        from fer_lib import augmentation, models, training

        lookup(models.BACKBONES, self.backbone, "backbone")
        lookup(dict.fromkeys(models.UNFREEZE), self.unfreeze, "unfreeze mode")
        lookup(dict.fromkeys(models.BATCH_NORM), self.batch_norm, "batch_norm mode")
        lookup(training.OPTIMIZERS, self.optimizer, "optimizer")
        lookup(training.SCHEDULES, self.schedule, "schedule")
        lookup(training.MONITORS, self.monitor, "monitor")
        lookup(dict.fromkeys(training.CLASS_WEIGHTS), self.class_weight, "class_weight")
        lookup(dict.fromkeys(training.CACHE), self.cache, "cache mode")
        lookup(augmentation.AUGMENTATIONS, self.augmentation, "augmentation")
        lookup(dict.fromkeys(MIXED_PRECISION), self.mixed_precision, "mixed_precision mode")
        return self


def from_notebook(namespace):
    """Return the experiment of a notebook's parameters cell.

    papermill only warns about a parameter that the notebook does not have; this refuses it.

    Args:
        namespace: The notebook's `globals()`, in which every parameter is a variable.

    Raises:
        ValueError: If papermill passed an unknown parameter, or a value does not fit.
    """
    names = [field.name for field in dataclasses.fields(Experiment)]
    for name in _injected(namespace):
        lookup(dict.fromkeys(names), name, "parameter")
    missing = [name for name in names if name not in namespace]
    if missing:
        raise ValueError(f"The parameters cell must define {', '.join(missing)}.")
    return Experiment(**{name: namespace[name] for name in names}).validate()


def _injected(namespace):
    """Return the names that papermill's own cell assigned (it starts with `# Parameters`)."""
    sources = [text for text in namespace.get("In", []) if text.startswith("# Parameters\n")]
    return [
        target.id
        for source in sources
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
    ]


def _coerce(name, value, kind):
    optional = isinstance(kind, types.UnionType)
    if optional:
        kind = next(k for k in typing.get_args(kind) if k is not types.NoneType)
        if value is None or value == "None":
            return None
    try:
        if isinstance(value, bool):
            raise ValueError
        if kind is str:
            return _text(value)
        number = float(value)
        if not math.isfinite(number) or (kind is int and number != int(number)):
            raise ValueError
        return kind(number)
    except (TypeError, ValueError, OverflowError):
        also = " or None" if optional else ""
        raise ValueError(f"{name} must be {_KINDS[kind]}{also}; got {value!r}.") from None


def _text(value):
    if not isinstance(value, str | int):  # papermill reads `-p unfreeze 100` as a number
        raise ValueError
    return str(value)
