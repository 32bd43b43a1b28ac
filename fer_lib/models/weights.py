"""Pretrained weights: where they are looked for, and which file a model started from."""

import os
import warnings
from pathlib import Path
from typing import NamedTuple

from fer_lib.storage import SHIPPED, fer_home, file_hash, temporary_folder

# How Keras calls the files that it downloads, where that is not by backbone and width.
_KERAS_FILES = {
    "mobilenet_v2": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_*_no_top.h5",
    "mobilenet_v3_small": "weights_mobilenet_v3_small_224_{alpha}_float_no_top_v2.h5",
    "mobilenet_v3_large": "weights_mobilenet_v3_large_224_{alpha}_float_no_top_v2.h5",
    "efficientnet_b0": "efficientnetb0_notop.h5",
    "vgg16": "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "resnet50": "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
}

# Where Keras downloads them from, below `_KERAS`, and for which side where there are several.
_KERAS = "https://storage.googleapis.com/"
_DOWNLOADS = {
    "mobilenet": ("tensorflow/keras-applications/mobilenet/", 224),
    "mobilenet_v2": ("tensorflow/keras-applications/mobilenet_v2/", 96),
    "mobilenet_v3_small": ("tensorflow/keras-applications/mobilenet_v3/", 224),
    "mobilenet_v3_large": ("tensorflow/keras-applications/mobilenet_v3/", 224),
    "efficientnet_b0": ("keras-applications/", 224),
    "vgg16": ("tensorflow/keras-applications/vgg16/", 224),
    "resnet50": ("tensorflow/keras-applications/resnet/", 224),
}

# Backbone and width → run of this project's own whose backbone `weights="fer"` starts from.
SHIPPED_STARTS = {("mobilenet_v2", 1.0): SHIPPED / "mobilenet_v2.keras"}


class Start(NamedTuple):
    """Where a backbone starts.

    Args:
        values: List of weight arrays in Keras's order, or `None` for a random start.
        origin: One line that says what they are, for results and figures.
        notice: What the reader must know, or `""`.
        lacking: Names of the layers that the file lacks and that stay at random: the last ones
            of a run with attention, whose network was cut there.
        head: `{name: weight arrays}` of a run's layers after the backbone, where its folder was
            named: then the run is gone on with.
    """

    values: list | None
    origin: str
    notice: str = ""
    lacking: tuple = ()
    head: dict = {}


def find_weights(backbone, application, alpha, weights, *, channels=None):
    """Find the weights that a backbone starts from.

    ImageNet's are looked for in `$FER_WEIGHTS` (if set), in `$FER_HOME/weights`, in Keras's own
    cache, and then downloaded by Keras.

    Args:
        backbone: Name of the backbone, as in the file names.
        application: Its name in `keras.applications`, or the function of a network from scratch.
        alpha: Width.
        weights: `"imagenet"`, `"fer"` (trained on faces, shipped with the package), `"auto"`
            (ImageNet's where they can be had, else the shipped ones, else a random start, with
            a notice), a file (`.weights.h5` of the backbone, or `.keras` of a run with the same
            backbone), the folder of such a run, whose head is taken too, or `None` for a random
            start.
        channels: Of the map that the backbone takes, 1 or 3; defaults to 1 for a network from
            scratch, else 3.

    Returns:
        A `Start`.

    Raises:
        FileNotFoundError: If the weights can not be had; the message says where to put them.
        ValueError: If a file does not fit the backbone.
    """
    if weights is None or (weights == "auto" and callable(application)):
        return Start(None, "random start")
    if weights == "imagenet" and callable(application):
        raise FileNotFoundError(
            f"{backbone} was never trained on ImageNet: use weights=None, or a run's .keras file."
        )
    if weights == "imagenet":
        return _imagenet(backbone, application, alpha)
    shipped = SHIPPED_STARTS.get((backbone, alpha))
    if weights == "fer":
        if shipped is None:
            known = ", ".join(f"{name} {width}" for name, width in SHIPPED_STARTS)
            raise FileNotFoundError(
                f"No face-expression weights of {backbone} {alpha} are shipped (those of {known} "
                'are): use weights="imagenet", a file, or None.'
            )
        return _from_file(shipped, application, alpha, f"face expressions, {shipped.name}")
    if weights == "auto":
        try:
            return _imagenet(backbone, application, alpha)
        except FileNotFoundError as error:
            notice = _instead(shipped, error)
            if shipped:
                start = find_weights(backbone, application, alpha, "fer")
                return start._replace(notice=notice)
            return Start(None, "random start (no ImageNet weights to be had)", notice)
    path = file_of(weights)
    in_run = (path.parent / "experiment.json").is_file()
    label = f"run {path.parent.name}" if in_run else path.name
    start = _from_file(path, application, alpha, label, channels)
    return start if Path(weights).is_dir() else start._replace(head={})


def file_of(weights):
    """Return the file that `weights` names: itself, or a run's `model.keras`.

    Raises:
        FileNotFoundError: If there is none.
    """
    path = Path(weights)
    if path.is_dir():
        if not (path / "model.keras").is_file():
            raise FileNotFoundError(
                f"weights={str(weights)!r} is a folder without model.keras: give the folder of a "
                "finished run that holds its model, or a file."
            )
        return path / "model.keras"
    if not path.is_file():
        raise FileNotFoundError(
            "weights must be 'auto', 'imagenet', 'fer', None, a run's folder or a file; "
            f"{str(weights)!r} is no file."
        )
    return path


def resolve_auto(backbone, application, alpha):
    """Say what `weights="auto"` comes to, downloading the file where there is none; no network
    is built for it.

    Returns:
        `("imagenet", "fer" or None, notice)`: the notice is `""` where ImageNet's weights can be
        had.
    """
    if callable(application):
        return None, ""
    if _local_file(backbone, alpha):
        return "imagenet", ""
    try:
        _from_keras(backbone, alpha, lambda: _download(backbone, application, alpha))
    except FileNotFoundError as error:
        shipped = (backbone, alpha) in SHIPPED_STARTS
        return ("fer" if shipped else None), _instead(shipped, error)
    return "imagenet", ""


def _instead(shipped, error):
    """Return the sentence that says what a network starts from instead of ImageNet's weights."""
    if shipped:
        return f"Starts from the shipped face model: {error}"
    return f"RANDOM START, no pretrained weights: {error}"


def _weight_folders():
    named = os.environ.get("FER_WEIGHTS")
    return [*([Path(named)] if named else []), fer_home() / "weights"]


def _file_patterns(backbone, alpha):
    """Return how a file of weights may be called: as saved by a user, or as Keras's download."""
    patterns = [f"{backbone}_{float(alpha)}_*_no_top*.weights.h5"]
    if backbone == "mobilenet":  # keras.applications writes width 0.75 as 7_5 and 1.0 as 1_0
        width = f"{alpha if alpha == 1 else 10 * alpha:.1f}".replace(".", "_")
        patterns.append(f"mobilenet_{width}_*_tf_no_top.h5")
    if backbone in _KERAS_FILES:
        patterns.append(_KERAS_FILES[backbone].format(alpha=float(alpha)))
    return patterns


def _local_file(backbone, alpha):
    """Return the first file there is: an exact one of 224 px before others."""
    found = (
        path
        for folder in _weight_folders()
        for pattern in _file_patterns(backbone, alpha)
        for path in sorted(folder.glob(pattern), key=lambda p: ("_224_" not in p.name, p.name))
    )
    return next(found, None)


def _imagenet(backbone, application, alpha):
    path = _local_file(backbone, alpha)
    if path:
        return _from_file(path, application, alpha, f"ImageNet, {path.name}")
    _from_keras(backbone, alpha, lambda: _download(backbone, application, alpha))
    base = _from_keras(backbone, alpha, lambda: _base(application, alpha, "imagenet"))
    return Start(base.get_weights(), f"ImageNet, keras.applications.{application} {alpha}")


def _download(backbone, application, alpha):
    """Have Keras put its file of weights into its cache, if it is not there.

    Keras writes under the file's own name, and would take what a kill left of it for the file.
    """
    if backbone not in _DOWNLOADS:
        return _base(application, alpha, "imagenet")
    from keras.utils import get_file

    folder, side = _DOWNLOADS[backbone]
    name = _file_patterns(backbone, alpha)[-1].replace("_*_", f"_{side}_")
    home = Path.home() if os.access(Path.home(), os.W_OK) else Path("/tmp")  # as Keras does
    path = Path(os.environ.get("KERAS_HOME", home / ".keras"), "models", name)
    if not path.exists():
        with temporary_folder(path) as place:
            got = get_file(name, f"{_KERAS}{folder}{name}", cache_dir=place, cache_subdir=".")
            os.replace(got, path)
    return path


def _from_keras(backbone, alpha, ask):
    """Return what Keras answers, or raise the error that names the places looked in."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a size without own weights takes those of 224
            return ask()
    except Exception as error:  # Keras raises a bare Exception when the download fails
        names = [
            name.replace("_*_", "_224_").replace("*", "")
            for name in _file_patterns(backbone, alpha)
        ]
        raise FileNotFoundError(
            f"no ImageNet weights for {backbone} {alpha} ({_first_line(error)}).\n"
            f"Looked for {' or '.join(names)} in "
            f"{', '.join(map(str, _weight_folders()))}, then in Keras's cache "
            "(~/.keras/models), then tried to download it.\n"
            "Put the file there, connect this machine, or choose weights=None (random start)."
        ) from None


def _from_file(path, application, alpha, label, channels=None):
    origin = f"{label}, sha256 {file_hash(path)[:12]}"
    base = _base(application, alpha, None, channels)
    try:
        if path.suffix == ".keras":
            lacking, head = _take_backbone(path, base)
            return Start(base.get_weights(), origin, lacking=lacking, head=head)
        base.load_weights(path)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} does not hold weights of {_title(application)} {alpha}: {_first_line(error)}"
        ) from None
    return Start(base.get_weights(), origin)


def _first_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0]


def _take_backbone(path, base):
    """Give a backbone the layers of a run's model.

    Returns:
        `(lacking, head)`, as of `Start`.
    """
    import keras

    saved = {layer.name: layer for layer in keras.models.load_model(path, compile=False).layers}
    layers = [layer for layer in base.layers if layer.trainable_weights]  # no state that rescales
    while len(layers) > 1 and layers[-1].name not in saved:
        layers.pop()
    for layer in layers:
        layer.set_weights(saved[layer.name].get_weights())
    after = base.layers.index(layers[-1]) + 1
    lacking = tuple(layer.name for layer in base.layers[after:] if layer.weights)
    own = {layer.name for layer in base.layers}
    head = {k: of.get_weights() for k, of in saved.items() if of.weights and k not in own}
    return lacking, head


def _title(application):
    return application.__name__.strip("_") if callable(application) else application


def _base(application, alpha, weights, channels=None):
    from fer_lib.models.transfer import build_network

    channels = channels or (1 if callable(application) else 3)
    return build_network(application, alpha, input_shape=(96, 96, channels), weights=weights)
