"""Answers of a network at once, and batch normalisation with the statistics of some faces."""

import keras
import numpy as np

from fer_lib.data import synthetic


def answers(model, faces):
    """What `predict` returns, without a graph traced first: that takes seconds a network."""
    return keras.ops.convert_to_numpy(model(faces, training=False))


def normalise(model):
    """Give batch norm the statistics of some faces; with 0 and 1 a random start sees nothing."""
    layers = normalisations(model)
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    faces = synthetic.make_faces(64, seed=9).images
    if len(model.input_shape) == 4:
        faces = np.stack([faces, faces // 2, 255 - faces], axis=-1)
    model(faces, training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def normalisations(model):
    batch_norm = keras.layers.BatchNormalization
    return [layer for layer in model.layers if isinstance(layer, batch_norm)]
