"""Own networks: a function of a Python file, or a `.keras` file, as a backbone.

`"net.py:build"` is the function `build` of the file `net.py`. It returns a functional or sequential
Keras model and is given what it has parameters for, of `image_size`, `classes`, `channels` (1 for
grey faces, 3 for colour) and `dropout`:

    import keras

    def build(image_size, classes):
        return keras.Sequential([
            keras.Input((image_size, image_size, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(classes, activation="softmax"),
        ])

Pixels come from 0 to 255, so a network rescales them itself. What its layers say of `trainable`
stays as it is.
"""

import importlib.util
import inspect
import zipfile
from pathlib import Path

import numpy as np

from fer_lib.models.transfer import Backbone, prepare_pixels
from fer_lib.storage import file_hash

_OPTIONS = ("image_size", "classes", "channels", "dropout")


def is_own(backbone):
    """Return whether a backbone is a file's and not a key of `classifier.BACKBONES`."""
    path, _, function = backbone.partition("#")[0].rpartition(":")
    return (path or function).endswith((".py", ".keras"))


def with_hash(backbone):
    """Return the name of an own network with its file's hash: `"net.py:build#1f0c…"`.

    Raises:
        ValueError: If no function is named.
        FileNotFoundError: If there is no such file.
    """
    if "#" in backbone:
        return backbone
    if backbone.endswith(".py"):
        raise ValueError(f"backbone={backbone!r} must name a function: {backbone}:build.")
    return f"{backbone}#{file_hash(_file(backbone))[:12]}"


def title(backbone):
    """Return `"net.py:build"` of `"own/net.py:build#1f0c…"`."""
    return Path(backbone.partition("#")[0]).name


def build(backbone, *, classes, image_size, face_size, dropout, start=None):
    """Build a classifier from an own network.

    Args:
        backbone: As of `with_hash`.
        classes, image_size, face_size, dropout: As of `classifier.build_classifier`.
        start: `.keras` file of a run with the same network, whose weights are taken; or `None`.

    Returns:
        A `keras.Model` whose layers are copies of the network's, without models inside of it.

    Raises:
        ValueError: If the file is another one than the name's hash says, lacks the function, or
            the network does not fit the faces or the classes.
        FileNotFoundError: If there is no such file.
    """
    import keras

    called, channels = title(backbone), 3 if len(face_size) == 3 else 1
    options = dict(zip(_OPTIONS, (image_size, classes, channels, dropout), strict=True))
    network = _made(_checked_file(backbone), backbone, called, options)
    size, channels = _checked_shapes(network, called, classes, image_size, channels)
    inputs = keras.Input(face_size, dtype="uint8", name="face")
    x = prepare_pixels(inputs, size, Backbone(None, 1.0, 0.0, channels=channels))
    copies = {}
    x = _spliced(network, x, copies, {layer.name for layer in keras.Model(inputs, x).layers})
    model = keras.Model(inputs, x, name=f"own_{Path(called.partition(':')[0]).stem}")
    for old, new in copies.values():
        if getattr(old, "weights", None):
            new.set_weights(old.get_weights())
    _check_sums(model, called)
    model.origin, model.notice = f"own network {called}, sha256 {backbone.partition('#')[2]}", ""
    model.goes_on = True  # no head is to be trained before the rest
    if start:
        saved = keras.models.load_model(start, compile=False)
        shapes = [[weight.shape for weight in of.weights] for of in (model, saved)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"weights: {start} is not of the network {called}.")
        model.set_weights(saved.get_weights())
        model.origin = f"run {Path(start).parent.name}, sha256 {file_hash(start)[:12]}"
    return model


def _file(backbone):
    named = backbone.partition("#")[0]
    path = Path(named.rpartition(":")[0] if ".py:" in named else named)
    if not path.is_file():
        raise FileNotFoundError(f"backbone={named!r}: there is no file {path}.")
    return path


def _checked_file(backbone):
    path, digest = _file(backbone), backbone.partition("#")[2]
    if not file_hash(path).startswith(digest):
        raise ValueError(
            f"{path} is not the file that the run was begun with (its sha256 began with "
            f"{digest}): restore it, or start a run of its own."
        )
    return path


def _made(path, backbone, called, options):
    """Return the model that the file holds or its function returns."""
    import keras

    if path.suffix == ".keras":
        if not zipfile.is_zipfile(path):
            raise ValueError(f"{path} is no .keras file, or is damaged.")
        network = keras.models.load_model(path, compile=False)
    else:
        spec = importlib.util.spec_from_file_location(f"own_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        name = called.rpartition(":")[2]
        function = getattr(module, name, None)
        if not callable(function):
            there = [n for n, of in vars(module).items() if inspect.isfunction(of)]
            raise ValueError(
                f"{path} has no function {name}; its functions are {', '.join(there) or 'none'}."
            )
        network = function(**_given(function, called, options))
    # A model of a class of its own has neither.
    ends = (getattr(network, name, None) or () for name in ("inputs", "outputs"))
    if not isinstance(network, keras.Model) or [len(tensors) for tensors in ends] != [1, 1]:
        raise ValueError(
            f"{called} must be a functional or sequential Keras model of one input and one "
            f"output; got {type(network).__name__}."
        )
    return network


def _given(function, called, options):
    parameters = inspect.signature(function).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    if unknown := [name for name in needed if name not in options]:
        raise ValueError(
            f"{called} needs {', '.join(unknown)}; it can have {', '.join(options)} from here. "
            "Give its other parameters defaults."
        )
    named = [p.name for p in parameters]
    return {name: value for name, value in options.items() if name in named}


def _checked_shapes(network, called, classes, image_size, channels):
    """Return the side and the channels of the network's input."""
    taken, given = network.input_shape, network.output_shape
    if given[1:] != (classes,):
        raise ValueError(
            f"{called} must answer with one probability for each of the {classes} classes of the "
            f"data; its output has the shape {given}."
        )
    if len(taken) != 4 or taken[3] not in (1, 3) or taken[3] < channels:
        raise ValueError(
            f"{called} must take faces of shape (n, height, width, {channels}"
            f"{' or 3' * (channels == 1)}); its input has the shape {taken}. The model.keras of a "
            "run is no backbone: give its backbone, and weights=FILE."
        )
    if set(taken[1:3]) - {None, image_size}:
        raise ValueError(f"{called} takes {taken[1]} x {taken[2]} pixels: set image_size to that.")
    return image_size, taken[3]


def _spliced(network, x, copies, taken):
    """Call copies of a network's layers, and of those of networks inside of it, on a tensor."""
    import keras

    outputs = []

    def copy(layer):
        if isinstance(layer, keras.Model):
            return layer
        if id(layer) not in copies:
            copies[id(layer)] = layer, _renamed(layer, taken)
        return copies[id(layer)][1]

    def call(layer, *arguments, **options):
        if isinstance(layer, keras.Model):
            outputs.append(_spliced(layer, arguments[0], copies, taken))
        else:
            outputs.append(layer(*arguments, **options))
        return outputs[-1]

    network = keras.Model(network.inputs[0], network.outputs[0])  # also of a Sequential
    keras.models.clone_model(network, x, clone_function=copy, call_function=call)
    return outputs[-1]


def _renamed(layer, taken):
    """Return a copy of a layer, under another name where its own is taken."""
    if type(layer).__module__.split(".")[0] != "keras" or type(layer).__name__ == "Lambda":
        raise ValueError(
            f"The layer {layer.name} is a {type(layer).__name__}, which a saved model cannot be "
            "opened with elsewhere: build the network of Keras's own layers and keras.ops."
        )
    config = layer.get_config()
    while config["name"] in taken:
        config["name"] = f"own_{config['name']}"
    taken.add(config["name"])
    return type(layer).from_config(config)


def _check_sums(model, called):
    faces = np.random.default_rng(0).integers(0, 256, (2, *model.input_shape[1:]), np.uint8)
    answers = model.predict_on_batch(faces)
    if answers.min() < 0 or np.abs(answers.sum(axis=1) - 1).max() > 1e-3:
        raise ValueError(
            f"{called} must end in a softmax: its answers to a face must be probabilities that "
            f"sum to 1; got {np.round(answers[0], 3).tolist()}."
        )
