"""Classifiers: a backbone between the pixels and a small head, frozen as deep as asked.

A model takes raw faces, `uint8` of shape `(n, height, width)` or, in colour,
`(n, height, width, 3)`, and returns probabilities; resizing, grey to RGB and the rescaling its
backbone was trained with are its own layers. To add a backbone: one entry in `transfer.TRANSFER`
or `from_scratch.NETWORKS`.
"""

import itertools
import math
import os
import typing

from fer_lib.choices import lookup
from fer_lib.models import own_network
from fer_lib.models.attention import ATTENTION
from fer_lib.models.from_scratch import NETWORKS
from fer_lib.models.transfer import TRANSFER, Backbone, build_network, check_width, prepare_pixels
from fer_lib.models.weights import file_of, find_weights

if typing.TYPE_CHECKING:  # `help(fer_lib)` comes here, and must not wait for Keras
    import keras

INPUT_LAYERS = ("face", "face_channel", "resize", "grey_to_rgb", "rescale")
UNFREEZE = ("top", "100", "all")
BATCH_NORM = ("adapt", "frozen", "original")


BACKBONES = TRANSFER | NETWORKS


def spec_of(backbone):
    """Return the `Backbone` of a key of `BACKBONES` or of an own network.

    Raises:
        ValueError: If it is neither; the message lists the keys.
    """
    if own_network.is_own(backbone):
        return Backbone(None, 1.0, 0.0)
    return lookup(BACKBONES, backbone, "backbone")


def build_classifier(
    backbone: str = "mobilenet_v2",
    *,
    classes: int = 7,
    alpha: float = 1.0,
    weights: str | os.PathLike | None = "auto",
    unfreeze: str = "all",
    batch_norm: str = "adapt",
    image_size: int = 48,
    face_size: tuple[int, ...] = (48, 48),
    dropout: float = 0.2,
    attention: str | None = None,
) -> "keras.Model":
    """Build a face-expression classifier on a backbone.

    MobileNetV1 is Howard et al. 2017 (arXiv:1704.04861), V2 Sandler et al. 2018
    (arXiv:1801.04381), V3 Howard et al. 2019 (arXiv:1905.02244), EfficientNet Tan and Le 2019
    (arXiv:1905.11946), VGG Simonyan and Zisserman 2015 (arXiv:1409.1556), ResNet He et al. 2016
    (arXiv:1512.03385). `from_scratch.NETWORKS` names the sources of the others.

    Args:
        backbone: Key of `BACKBONES`: of a transfer backbone, or of a network from scratch; or a
            network of your own, `"net.py:build"` or `"net.keras"`: see `own_network`.
        classes: Number of emotions.
        alpha: Width of the backbone, 1.0 the published one; only the MobileNets have others.
        weights: Where the backbone starts: `"auto"`, `"imagenet"`, `"fer"`, a file, or `None`
            (at random); see `weights.find_weights`.
        unfreeze: What trains: `"top"`, `"100"` or `"all"`; see `set_trainable`.
        batch_norm: How unfrozen batch normalisation adapts; see `set_trainable`.
        image_size: Side in pixels to which the model resizes the face, at least 32.
        face_size: `(height, width)` of the faces that the model takes, in pixels; with a third
            number, 3, they are RGB.
        dropout: Share of the features dropped before the output, in [0, 1).
        attention: Key of `attention.ATTENTION`, or `None`. It works on the map of stride 16; the
            backbone's blocks of stride 32 are left out, for at 48 px their map is one or two
            pixels wide. Transfer backbones only.

    Returns:
        A `keras.Model` from `uint8` `(n, *face_size)`, values 0 to 255, to `float32`
        `(n, classes)`, rows summing to 1. Its attribute `origin` says which weights it started
        from, `notice` what `"auto"` had to do without (or `""`), and `goes_on` whether its head
        is trained already.

    Raises:
        ValueError: If a name is unknown, the weights do not fit the backbone, or the backbone
            has no such width, attention or part to train.
        FileNotFoundError: If the weights asked for can not be had.
    """
    import keras
    from keras import layers

    if own_network.is_own(backbone):
        sizes = {"classes": classes, "image_size": image_size, "face_size": tuple(face_size)}
        start = None if weights in (None, "auto") else file_of(weights)
        name = own_network.with_hash(backbone)
        return own_network.build(name, **sizes, dropout=dropout, start=start)
    spec = lookup(BACKBONES, backbone, "backbone")
    check_width(backbone, spec, alpha)
    attend = _attention(backbone, spec, attention)
    face_size = _checked_size(backbone, spec, face_size)
    channels = 3 if len(face_size) == 3 else spec.channels
    start = find_weights(backbone, spec.application, alpha, weights, channels=channels)
    if callable(spec.application) and start.values is None and unfreeze != "all":
        lookup(UNFREEZE, unfreeze, "unfreeze mode")
        raise ValueError(
            f'{backbone} starts at random, so all of it must train: unfreeze="all"; '
            f"got {unfreeze!r}."
        )
    inputs = keras.Input(face_size, dtype="uint8", name="face")
    x = prepare_pixels(inputs, image_size, spec)
    base = build_network(spec.application, alpha, values=start.values, input_tensor=x)
    x = attend(base.get_layer(spec.stride_32).input) if attend else base.output
    x = spec.head(x, dropout) if spec.head else layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    # float32 keeps probabilities whole under mixed precision.
    outputs = layers.Dense(classes, activation="softmax", dtype="float32", name="emotion")(x)
    model = keras.Model(inputs, outputs, name=backbone)
    _check_start(start, model)
    model.origin, model.notice = start.origin, start.notice
    model.goes_on = bool(start.head) and _fits(start.head, model)
    if model.goes_on:
        for name, values in start.head.items():
            model.get_layer(name).set_weights(values)
    set_trainable(model, unfreeze, batch_norm)
    return model


def _checked_size(backbone, spec, face_size):
    face_size = tuple(face_size)
    if len(face_size) not in (2, 3) or face_size[2:] not in ((), (3,)):
        raise ValueError(
            f"face_size must be (height, width), or (height, width, 3) for colour; got {face_size}."
        )
    if len(face_size) == 3 and not spec.colour:
        raise ValueError(
            f"{backbone} takes grey faces here: its ImageNet weights want BGR. Leave colour off, "
            "or take a MobileNet."
        )
    return face_size


def _check_start(start, model):
    lacking = [layer.name for layer in model.layers if layer.name in start.lacking]
    if lacking:
        raise ValueError(
            f"weights: {start.origin} was cut for its attention: it lacks "
            f"{len(lacking)} layers from {lacking[0]} on. Set attention, or give another file."
        )


def _fits(head, model):
    """Return whether a run's head is that of a classifier."""
    own = {layer.name: layer for layer in model.layers if layer.name in head}
    return own.keys() == head.keys() and all(
        [weight.shape for weight in layer.weights] == [value.shape for value in head[name]]
        for name, layer in own.items()
    )


def _attention(backbone, spec, attention):
    if attention is None:
        return None
    attend = lookup(ATTENTION, attention, "attention")
    if not spec.stride_32:
        raise ValueError(
            f"attention={attention!r} needs a transfer backbone with a map of stride 16; "
            f"{backbone} is none: use attention=None."
        )
    return attend


def backbone_layers(model):
    """Return the layers between pixel preparation and attention or head, in order."""
    body = itertools.takewhile(lambda layer: not _begins_head(layer.name), model.layers)
    return [layer for layer in body if layer.name not in INPUT_LAYERS]


def _begins_head(name):
    return name in ("pool", "flatten") or name.startswith("attention_")


def set_trainable(model, unfreeze, batch_norm="adapt"):
    """Choose which layers of a classifier train; compile it afterwards.

    Frozen batch normalisation is frozen by the layers' own `trainable=False`: in Keras 3 `fit`
    overrides a `training=False` given in the call (keras issue 20285).

    Args:
        model: A classifier of `build_classifier`.
        unfreeze: `"top"` (the head alone), `"100"` (from MobileNetV2's layer 100 on; in other
            backbones from the block boundary at the same depth) or `"all"`. Attention is of the
            head. A network from scratch has no `"100"`.
        batch_norm: What unfrozen batch normalisation does: `"adapt"` trains with momentum 0.9, so
            that its statistics follow a short fine-tuning; `"original"` keeps the backbone's
            momentum (0.999 in MobileNetV2); `"frozen"` keeps scale, shift and statistics.

    Raises:
        ValueError: If a name is unknown, or the backbone has no such part.
    """
    from keras import layers

    lookup(UNFREEZE, unfreeze, "unfreeze mode")
    lookup(BATCH_NORM, batch_norm, "batch_norm mode")
    if model.name not in BACKBONES:  # an own network says itself what trains
        return
    spec, trains = BACKBONES[model.name], unfreeze == "all"
    if unfreeze == "100" and not spec.trains_from:
        raise ValueError(f'{model.name} has no layer 100 to train from: use unfreeze="all".')
    for layer in backbone_layers(model):
        if unfreeze == "100" and layer.name == spec.trains_from:
            trains = True
        normalises = isinstance(layer, layers.BatchNormalization)
        layer.trainable = trains and not (normalises and batch_norm == "frozen")
        if normalises:
            layer.momentum = 0.9 if batch_norm == "adapt" else spec.momentum


def trainable_summary(model):
    """Return a few lines that say what the model is made of and which part of it trains."""
    body = backbone_layers(model)
    first = next((i for i, layer in enumerate(body) if layer.trainable and layer.weights), None)
    trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    total = model.count_params()
    height, width = model.input_shape[1:3]
    kind = "colour faces" if len(model.input_shape) == 4 else "faces"
    maps = [shape for shape in (layer.output.shape for layer in body) if len(shape) == 4]
    rows, columns, channels = maps[-1][1:]
    where = "the head alone" if first is None else f"from layer {first + 1}, {body[first].name}, on"
    return (
        f"{model.name}: {kind} {height}x{width}, {len(body) + 1} backbone layers, "
        f"last map {rows}x{columns}x{channels}\n"
        f"starts from: {getattr(model, 'origin', 'a saved model')}\n"
        f"trains: {where} ({trained:,} of {total:,} parameters)"
    )
