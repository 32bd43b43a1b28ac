"""Backbones with ImageNet weights: how each network of `keras.applications` is fed and cut."""

import inspect
from typing import NamedTuple

# Of RGB pixels between 0 and 1, as ImageNet's networks are fed; caffe's are BGR from 0 to 255.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
_CAFFE_MEAN = (103.939, 116.779, 123.68)


class Backbone(NamedTuple):
    """How a network is fed, and where it is cut.

    Args:
        application: Name in `keras.applications`, or a function from a map to a map.
        scale, offset: Its preprocessing, `pixels * scale + offset`; a tuple for one per channel.
        alphas: The widths for which ImageNet weights are published; empty if it has one width.
        trains_from: First layer that `unfreeze="100"` trains. MobileNetV2's is its layer 100 of
            154; the others are cut at the block boundary nearest to the same share of their depth.
        momentum: Momentum of its batch normalisation where it is defined.
        stride_32: First layer that reads the map of stride 16 only to halve it: attention takes
            its input. `None` where there is no such map.
        channels: 3 where grey is repeated for a network made for RGB, else 1: such a network
            takes as many channels as its faces have.
        colour: Whether it may be given RGB; caffe's networks were made for BGR.
        head: Function `(map, dropout)` to features, or `None` for average pooling.
        dense: Whether its convolutions are all dense: those gain most from bfloat16.
    """

    application: object
    scale: object
    offset: object
    alphas: tuple = ()
    trains_from: str | None = None
    momentum: float = 0.99
    stride_32: str | None = None
    channels: int = 3
    head: object = None
    dense: bool = False
    colour: bool = True


TRANSFER = {
    "mobilenet": Backbone(
        "MobileNet",
        1 / 127.5,
        -1.0,
        (0.25, 0.5, 0.75, 1.0),
        trains_from="conv_dw_9",
        stride_32="conv_pad_12",
    ),
    "mobilenet_v2": Backbone(
        "MobileNetV2",
        1 / 127.5,
        -1.0,
        (0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
        trains_from="block_11_expand_relu",
        momentum=0.999,
        stride_32="block_13_pad",
    ),
    # These rescale 0..255 to -1..1 themselves.
    "mobilenet_v3_small": Backbone(
        "MobileNetV3Small",
        1.0,
        0.0,
        (0.75, 1.0),
        trains_from="expanded_conv_8_expand",
        momentum=0.999,
        stride_32="expanded_conv_8_depthwise_pad",
    ),
    "mobilenet_v3_large": Backbone(
        "MobileNetV3Large",
        1.0,
        0.0,
        (0.75, 1.0),
        trains_from="expanded_conv_11_expand",
        momentum=0.999,
        stride_32="expanded_conv_12_depthwise_pad",
    ),
    # It divides by 255 itself; `build_network` says why the mean is taken off here.
    "efficientnet_b0": Backbone(
        "EfficientNetB0",
        tuple(1 / deviation for deviation in _IMAGENET_DEVIATION),
        tuple(-255 * m / d for m, d in zip(_IMAGENET_MEAN, _IMAGENET_DEVIATION, strict=True)),
        trains_from="block5c_expand_conv",
        stride_32="block6a_dwconv_pad",
    ),
    # Grey is its own BGR, so that only the means are left of caffe's preprocessing.
    "vgg16": Backbone(
        "VGG16",
        1.0,
        tuple(-mean for mean in _CAFFE_MEAN),
        trains_from="block4_conv1",
        stride_32="block5_pool",
        dense=True,
        colour=False,
    ),
    "resnet50": Backbone(
        "ResNet50",
        1.0,
        tuple(-mean for mean in _CAFFE_MEAN),
        trains_from="conv4_block4_1_conv",
        stride_32="conv5_block1_1_conv",
        dense=True,
        colour=False,
    ),
}


def build_network(application, alpha=1.0, *, values=None, **arguments):
    """Build a backbone without its classifier.

    EfficientNet normalises by a layer with a state, and Keras adds the second half of that
    normalisation only where it loads ImageNet's weights itself (tensorflow issue 49930). Here
    the layer is kept at the identity and `rescale` does the whole of it, so that a model
    computes the same from whatever file its weights came.

    Args:
        application: See `Backbone`.
        alpha: Width.
        values: List of weight arrays in Keras's order, or `None` for a random start.
        **arguments: `input_tensor` or `input_shape`, and `weights` of `keras.applications`.

    Returns:
        A `keras.Model` from pixels to the last map.
    """
    import keras
    from keras import layers

    if callable(application):
        x = arguments.get("input_tensor")
        x = keras.Input(arguments["input_shape"]) if x is None else x
        network = keras.Model(keras.utils.get_source_inputs(x), application(x))
    else:
        build = getattr(keras.applications, application)
        if "alpha" in inspect.signature(build).parameters:
            arguments["alpha"] = alpha
        network = build(include_top=False, **{"weights": None} | arguments)
    if values is not None:
        network.set_weights(values)
    for layer in network.layers:
        if isinstance(layer, layers.Normalization):
            layer.adapt_mean.assign(layer.adapt_mean * 0)
            layer.adapt_variance.assign(layer.adapt_variance * 0 + 1)
            layer.finalize_state()
    return network


def check_width(backbone, spec, alpha):
    """Refuse a width for a network that comes in one.

    Raises:
        ValueError: If `alpha` is not 1 and the backbone has no widths.
    """
    if alpha != 1 and not spec.alphas:
        raise ValueError(
            f"alpha is the width of the MobileNets; {backbone} comes in one, so alpha must be "
            f"1.0; got {alpha}."
        )


def prepare_pixels(faces, image_size, spec):
    """Turn raw faces into what a backbone takes, with layers of these names alone.

    Args:
        faces: Symbolic `uint8` tensor of shape `(n, height, width)`, grey, or
            `(n, height, width, 3)`, RGB, values 0 to 255.
        image_size: Side to which they are resized, in pixels.
        spec: A `Backbone`.

    Returns:
        Symbolic tensor of shape `(n, image_size, image_size, channels)`: 3 channels for colour,
        else `spec.channels`.
    """
    from keras import layers

    size, colour = tuple(faces.shape[1:3]), len(faces.shape) == 4
    x = faces if colour else layers.Reshape((*size, 1), name="face_channel")(faces)
    if size != (image_size, image_size):
        x = layers.Resizing(image_size, image_size, name="resize")(x)
    rescale = layers.Rescaling(spec.scale, spec.offset, name="rescale")
    if colour:
        return rescale(x)
    if isinstance(spec.offset, tuple):  # one per channel
        return rescale(layers.Concatenate(name="grey_to_rgb")([x, x, x]))
    x = rescale(x)
    return x if spec.channels == 1 else layers.Concatenate(name="grey_to_rgb")([x, x, x])
