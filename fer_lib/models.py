"""Classifiers: a backbone between the pixels and a small head, frozen as deep as asked.

A model takes raw faces, `uint8` of shape `(n, height, width)`, and returns probabilities; resizing,
grey to RGB and the rescaling its backbone was trained with are its own layers. To add a backbone:
one entry in `BACKBONES`.
"""

import math
from typing import NamedTuple

import keras
from keras import layers

from fer_lib.emotions import lookup
from fer_lib.pretrained import find_weights

INPUT_LAYERS = ("face", "face_channel", "resize", "grey_to_rgb", "rescale")
UNFREEZE = ("top", "100", "all")
BATCH_NORM = ("adapt", "frozen", "original")


class Backbone(NamedTuple):
    """How a network of `keras.applications` is fed, and where it is cut.

    Args:
        application: Name in `keras.applications`.
        scale, offset: Its preprocessing: `pixels * scale + offset`.
        alphas: The widths for which ImageNet weights are published.
        trains_from: First layer that `unfreeze="100"` trains. MobileNetV2's is its layer 100 of
            154; the others are cut at the block boundary at the same share of their depth.
        momentum: Momentum of its batch normalisation in `keras.applications`.
    """

    application: str
    scale: float
    offset: float
    alphas: tuple
    trains_from: str
    momentum: float


BACKBONES = {
    "mobilenet": Backbone(
        "MobileNet",
        1 / 127.5,
        -1.0,
        (0.25, 0.5, 0.75, 1.0),
        trains_from="conv_dw_9",
        momentum=0.99,
    ),
    "mobilenet_v2": Backbone(
        "MobileNetV2",
        1 / 127.5,
        -1.0,
        (0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
        trains_from="block_11_expand_relu",
        momentum=0.999,
    ),
}


def build_classifier(
    backbone="mobilenet_v2",
    *,
    classes=7,
    alpha=1.0,
    weights="auto",
    unfreeze="all",
    batch_norm="adapt",
    image_size=48,
    face_size=(48, 48),
    dense=0,
    dropout=0.2,
):
    """Build a face-expression classifier on a pretrained backbone.

    MobileNetV1 is Howard et al. 2017 (arXiv:1704.04861), MobileNetV2 Sandler et al. 2018
    (arXiv:1801.04381).

    Args:
        backbone: Key of `BACKBONES`.
        classes: Number of emotions.
        alpha: Width of the backbone, 1.0 the published one.
        weights: Where the backbone starts: `"auto"`, `"imagenet"`, `"fer"`, a file, or `None`
            (at random); see `pretrained.find_weights`.
        unfreeze: What trains: `"top"`, `"100"` or `"all"`; see `set_trainable`.
        batch_norm: How unfrozen batch normalisation adapts; see `set_trainable`.
        image_size: Side in pixels to which the model resizes the face, at least 32.
        face_size: `(height, width)` of the faces that the model takes, in pixels.
        dense: Units of a dense ReLU layer before the output, or 0 for none.
        dropout: Share of the features dropped before each dense layer, in [0, 1).

    Returns:
        A `keras.Model` from `uint8` `(n, height, width)`, values 0 to 255, to `float32`
        `(n, classes)`, rows summing to 1. Its attribute `origin` says which weights it started
        from, `notice` what `"auto"` had to do without (or `""`).

    Raises:
        ValueError: If a name is unknown, or the weights do not fit the backbone.
        FileNotFoundError: If the weights asked for can not be had.
    """
    spec = lookup(BACKBONES, backbone, "backbone")
    start = find_weights(backbone, spec.application, alpha, weights)
    inputs, x = _pixels_to_network(face_size, image_size, spec)
    application = getattr(keras.applications, spec.application)
    base = application(input_tensor=x, include_top=False, weights=None, alpha=alpha)
    if start.values is not None:
        base.set_weights(start.values)
    x = layers.GlobalAveragePooling2D(name="pool")(base.output)
    if dense:
        x = layers.Dropout(dropout, name="dropout_features")(x)
        x = layers.Dense(dense, activation="relu", name="dense")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    # float32 keeps probabilities whole under mixed precision.
    outputs = layers.Dense(classes, activation="softmax", dtype="float32", name="emotion")(x)
    model = keras.Model(inputs, outputs, name=backbone)
    model.origin, model.notice = start.origin, start.notice
    set_trainable(model, unfreeze, batch_norm)
    return model


def _pixels_to_network(face_size, image_size, spec):
    inputs = keras.Input(tuple(face_size), dtype="uint8", name="face")
    x = layers.Reshape((*face_size, 1), name="face_channel")(inputs)
    if tuple(face_size) != (image_size, image_size):
        x = layers.Resizing(image_size, image_size, name="resize")(x)
    x = layers.Rescaling(spec.scale, spec.offset, name="rescale")(x)
    return inputs, layers.Concatenate(name="grey_to_rgb")([x, x, x])


def backbone_layers(model):
    """Return the layers between pixel preparation and head, in order."""
    names = [layer.name for layer in model.layers]
    body = model.layers[: names.index("pool")]
    return [layer for layer in body if layer.name not in INPUT_LAYERS]


def set_trainable(model, unfreeze, batch_norm="adapt"):
    """Choose which layers of a classifier train; compile it afterwards.

    Frozen batch normalisation is frozen by the layers' own `trainable=False`: in Keras 3 `fit`
    overrides a `training=False` given in the call (keras issue 20285).

    Args:
        model: A classifier of `build_classifier`.
        unfreeze: `"top"` (the head alone), `"100"` (from MobileNetV2's layer 100 on; in other
            backbones from the block boundary at the same depth) or `"all"`.
        batch_norm: What unfrozen batch normalisation does: `"adapt"` trains with momentum 0.9, so
            that its statistics follow a short fine-tuning; `"original"` keeps the backbone's
            momentum (0.999 in MobileNetV2); `"frozen"` keeps scale, shift and statistics.

    Raises:
        ValueError: If a name is unknown.
    """
    lookup(dict.fromkeys(UNFREEZE), unfreeze, "unfreeze mode")
    lookup(dict.fromkeys(BATCH_NORM), batch_norm, "batch_norm mode")
    spec, trains = BACKBONES[model.name], unfreeze == "all"
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
    height, width = model.input_shape[1:]
    rows, columns, channels = model.get_layer("pool").input.shape[1:]
    where = "the head alone" if first is None else f"from layer {first + 1}, {body[first].name}, on"
    return (
        f"{model.name}: faces {height}x{width}, {len(body) + 1} backbone layers, "
        f"last map {rows}x{columns}x{channels}\n"
        f"starts from: {getattr(model, 'origin', 'a saved model')}\n"
        f"trains: {where} ({trained:,} of {total:,} parameters)"
    )
