"""A backbone small enough to train in a test, shaped like MobileNetV2 where that is hard."""

from contextlib import contextmanager

import pytest


def tiny_network(
    input_tensor=None, input_shape=None, include_top=False, weights=None, alpha=1.0, fill=None
):
    """Stand in for a function of `keras.applications`; it has no ImageNet weights to give."""
    import keras
    from keras import layers

    if weights == "imagenet":
        raise Exception("URL fetch failure on https://example.org/tiny.h5: no network")
    inputs = keras.Input(input_shape) if input_tensor is None else input_tensor
    x = _block(inputs, 8, 2, "1")
    shortcut = x = _block(x, 16, 2, "2")
    x = _block(x, 32, 1, "3_expand")
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv_3_project")(x)
    x = layers.BatchNormalization(name="bn_3_project")(x)
    x = layers.Add(name="add_3")([shortcut, x])
    x = _block(x, int(32 * alpha), 2, "4")
    network = keras.Model(keras.utils.get_source_inputs(inputs), x)
    if fill is not None:
        network.set_weights([value * 0 + fill for value in network.get_weights()])
    return network


def _block(x, channels, strides, name):
    from keras import layers

    convolution = layers.Conv2D(
        channels, 3, strides, padding="same", use_bias=False, name=f"conv_{name}"
    )
    x = layers.BatchNormalization(momentum=0.999, name=f"bn_{name}")(convolution(x))
    return layers.ReLU(name=f"relu_{name}")(x)


def install():
    """Make `"tiny"` a backbone; like MobileNetV2 it is cut inside a residual block."""
    import keras

    from fer_lib.models import classifier

    entry = classifier.BACKBONES["mobilenet_v2"]._replace(
        application="Tiny", alphas=(1.0,), trains_from="relu_3_expand"
    )
    patch = pytest.MonkeyPatch()
    patch.setattr(keras.applications, "Tiny", tiny_network, raising=False)
    patch.setitem(classifier.BACKBONES, "tiny", entry)
    return patch


@contextmanager
def installed():
    """Make `"tiny"` a backbone for a while."""
    patch = install()
    try:
        yield "tiny"
    finally:
        patch.undo()
