"""Values: what papermill, YAML and people pass for a number, a truth or text, as that type."""

import math
import types
import typing

from fer_lib.choices import lookup

# Parameters of earlier versions, with the value that every experiment has now. No published number
# ever came of another one. Some are still in the names of runs.
RETIRED = {
    "dense": 0,
    "head_learning_rate": 1e-3,
    "cache": "auto",
    "loss": "crossentropy",
    "sampling": None,
    "layer_decay": 1.0,
    "auxiliary_weight": 1.0,
    "test_time_augmentation": "none",
    "device": "auto",
}

RANGES = {
    "train_fraction": (0.001, 1),
    "validation_fraction": (0.01, 1),
    "folds": (0, 100),
    "fold": (0, 100),
    "alpha": (0.05, 4),
    "image_size": (32, 1024),
    "dropout": (0, 0.95),
    "epochs": (1, 10_000),
    "head_epochs": (0, 10_000),
    "batch_size": (1, 65536),
    "learning_rate": (0, 10),
    "weight_decay": (0, 10),
    "ema": (0, 0.99999),
    "label_smoothing": (0, 0.95),
    "mixing_alpha": (0.01, 100),
    "distill_weight": (0, 1),
    "distill_temperature": (0.1, 100),
    "patience": (1, 10_000),
    "seed": (0, 2**31 - 1),
    "split_seed": (0, 2**31 - 1),
}

_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def options(text, known):
    """Return the options that a text names, `"size=96 on_error=skip"`, as a dict.

    Args:
        text: name=value with spaces between, or `None` for none. Whole numbers, `true` and
            `false` are read as such.
        known: Names that it may hold.

    Raises:
        ValueError: If a word is no name=value, or a name is unknown or there twice.
    """
    found = {}
    for word in (text or "").split():
        name, equals, value = word.partition("=")
        if not equals or not value or name in found:
            raise ValueError(
                f"data_options is name=value with spaces between, each name once; got {word!r}."
            )
        lookup(known, name, "option of data_options")
        truth = {"true": True, "false": False}.get(value.lower())
        found[name] = int(value) if value.isdecimal() else value if truth is None else truth
    return found


def current(record):
    """Return the parameters of any version as a dict without the retired ones.

    Args:
        record: Dict of names and values.

    Raises:
        ValueError: If a retired parameter has another value than all experiments have now.
    """
    record = {**record}
    for name, value in RETIRED.items():
        if (found := record.pop(name, value)) != value:
            raise ValueError(
                f"{name}={found!r} is of an earlier version of fer_lib; now {name} is always "
                f"{value!r}."
            )
    return record


def coerce(name, value, kind):
    """Return a parameter's value as its type.

    Args:
        name: Of the parameter, for the message.
        value: What was passed; text is read as a number or a truth where one is wanted.
        kind: `int`, `float`, `str` or `bool`, or one of them `| None`.

    Raises:
        ValueError: If the value cannot be of this type.
    """
    optional = isinstance(kind, types.UnionType)
    if optional:
        kind = next(k for k in typing.get_args(kind) if k is not types.NoneType)
        if value is None or str(value).lower() == "none":
            return None
    try:
        if kind is bool:
            return _truth(value)
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
        raise ValueError(f"{name} must be {_KINDS[kind]}{also}; got {value!r:.200}.") from None


def check_range(name, value):
    """Refuse a number out of its parameter's range.

    Raises:
        ValueError: If it is.
    """
    if value is None or name not in RANGES:
        return
    low, high = RANGES[name]
    if not low <= value <= high:
        raise ValueError(f"{name} must lie in [{low}, {high}]; got {value}.")


def _truth(value):
    """Return a `bool`, also from the text that papermill passes for `true`."""
    try:
        return {"true": True, "false": False}[str(value).lower()]
    except KeyError:
        raise ValueError from None


def _text(value):
    if not isinstance(value, str | int):  # papermill reads `-p unfreeze 100` as a number
        raise ValueError
    return str(value)
