"""Attention of a face's map over its channels and places, never over the other faces of a batch.

Every entry of `ATTENTION` takes a symbolic map `(n, rows, columns, channels)` and returns one. They
are made of Keras's own layers, so that a saved model needs nothing of this package. To add one:
one function and one entry.
"""

import math


def squeeze_excite(x, ratio=16, name="attention"):
    """Weigh the channels by what they hold over the whole map.

    Squeeze-and-excitation, Hu et al. 2018, arXiv:1709.01507.

    Args:
        x: Symbolic map `(n, rows, columns, channels)`.
        ratio: How many times narrower the layer between is; it keeps at least 8 units.
        name: Beginning of the layers' names.
    """
    from keras import layers

    channels = x.shape[-1]
    weights = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    weights = layers.Conv2D(max(8, channels // ratio), 1, activation="relu", name=f"{name}_reduce")(
        weights
    )
    weights = layers.Conv2D(channels, 1, activation="sigmoid", name=f"{name}_expand")(weights)
    return layers.Multiply(name=f"{name}_excite")([x, weights])


def cbam(x, ratio=16, kernel=7, name="attention"):
    """Weigh the channels, then the places, by averages and maxima of the map.

    Convolutional block attention module, Woo et al. 2018, arXiv:1807.06521.

    Args:
        x: Symbolic map `(n, rows, columns, channels)`.
        ratio: How many times narrower the shared layer of the channel attention is.
        kernel: Side of the convolution that weighs the places; on a small map no more than
            reaches from edge to edge.
        name: Beginning of the layers' names.
    """
    from keras import layers

    rows, columns, channels = x.shape[1:]
    reduce = layers.Conv2D(max(8, channels // ratio), 1, activation="relu", name=f"{name}_reduce")
    expand = layers.Conv2D(channels, 1, name=f"{name}_expand")
    average = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_channel_average")(x)
    largest = layers.GlobalMaxPooling2D(keepdims=True, name=f"{name}_channel_maximum")(x)
    weights = layers.Add(name=f"{name}_channel_sum")(
        [expand(reduce(average)), expand(reduce(largest))]
    )
    weights = layers.Activation("sigmoid", name=f"{name}_channel_weights")(weights)
    x = layers.Multiply(name=f"{name}_channels")([x, weights])
    # Pooling over the channels: they are made the places of a one-dimensional map.
    turned = layers.Reshape((rows * columns, channels), name=f"{name}_flat")(x)
    turned = layers.Permute((2, 1), name=f"{name}_turned")(turned)
    pools = [
        layers.GlobalAveragePooling1D(name=f"{name}_place_average")(turned),
        layers.GlobalMaxPooling1D(name=f"{name}_place_maximum")(turned),
    ]
    maps = [
        layers.Reshape((rows, columns, 1), name=f"{name}_place_map_{i}")(p)
        for i, p in enumerate(pools)
    ]
    both = layers.Concatenate(name=f"{name}_place_maps")(maps)
    kernel = min(kernel, 2 * max(rows, columns) - 1)
    places = layers.Conv2D(
        1,
        kernel,
        padding="same",
        use_bias=False,
        activation="sigmoid",
        name=f"{name}_place_weights",
    )(both)
    return layers.Multiply(name=f"{name}_places")([x, places])


def multi_head(x, heads=4, key_dim=32, name="attention"):
    """Let every place of the map look at all the others, and add what it found.

    Multi-head attention, Vaswani et al. 2017, arXiv:1706.03762; a place knows where it is by a
    depthwise convolution with a border of zeros (Chu et al. 2021, arXiv:2102.10882).

    Args:
        x: Symbolic map `(n, rows, columns, channels)`.
        heads: Number of heads.
        key_dim: Width of each.
        name: Beginning of the layers' names.
    """
    from keras import layers

    rows, columns, channels = x.shape[1:]
    position = layers.DepthwiseConv2D(3, padding="same", name=f"{name}_position")(x)
    x = layers.Add(name=f"{name}_placed")([x, position])
    tokens = layers.Reshape((rows * columns, channels), name=f"{name}_tokens")(x)
    seen = layers.LayerNormalization(name=f"{name}_norm")(tokens)
    seen = layers.MultiHeadAttention(heads, key_dim, name=f"{name}_heads")(seen, seen)
    tokens = layers.Add(name=f"{name}_sum")([tokens, seen])
    return layers.Reshape((rows, columns, channels), name=f"{name}_map")(tokens)


def patches(x, width=256, name="attention"):
    """Cut the map into about 4 x 4 patches of the face and let these look at each other.

    After PAtt-Lite, Ngwe et al. 2023, arXiv:2306.09626: two separable convolutions and a
    pointwise one extract the patches. There the attention follows the pooling; on the vectors
    that pooling leaves, Keras's layer attends from face to face of the batch. Here it is
    before the pooling, scaled, and over the patches; the second convolution keeps their number.
    Each patch is normalised and added to what it sees: the convolutions alone leave so little
    that faces hardly differ at the start.

    Args:
        x: Symbolic map `(n, rows, columns, channels)`.
        width: Channels of a patch.
        name: Beginning of the layers' names.
    """
    from keras import layers

    strides = math.ceil(max(x.shape[1:3]) / 4)  # 4 on the paper's map of 14 x 14
    options = {"padding": "same", "activation": "relu"}
    x = layers.SeparableConv2D(width, 4, strides, name=f"{name}_patch_1", **options)(x)
    x = layers.SeparableConv2D(width, 2, name=f"{name}_patch_2", **options)(x)
    x = layers.Conv2D(width, 1, name=f"{name}_patch_3", **options)(x)
    rows, columns = x.shape[1:3]
    tokens = layers.Reshape((rows * columns, width), name=f"{name}_tokens")(x)
    tokens = layers.LayerNormalization(name=f"{name}_norm")(tokens)
    seen = layers.MultiHeadAttention(1, width, name=f"{name}_heads")(tokens, tokens)
    tokens = layers.Add(name=f"{name}_sum")([tokens, seen])
    return layers.Reshape((rows, columns, width), name=f"{name}_map")(tokens)


ATTENTION = {"se": squeeze_excite, "cbam": cbam, "mha": multi_head, "patch": patches}
