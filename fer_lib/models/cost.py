"""What an answer costs: multiply-adds, counted from the layers."""

import math


def multiply_adds(model):
    """Count the multiplications with an addition that one face takes, as papers count them.

    Convolutions, dense layers and attention count; normalisation, activation and resizing, some
    hundredths of the whole, do not. A FLOP count is about twice this number.

    Args:
        model: A `keras.Model` whose maps have known sizes.

    Returns:
        Number of multiply-adds, an `int`.
    """
    return sum(_layer_multiply_adds(layer) for layer in model.layers)


def _layer_multiply_adds(layer):
    from keras import layers

    kernels = sum(math.prod(w.shape) for w in layer.weights if w.name.endswith("kernel"))
    if not kernels:
        return 0
    places = math.prod(layer.output.shape[1:-1])  # at each of them a kernel is applied once
    if not isinstance(layer, layers.MultiHeadAttention):
        return kernels * places
    width = layer.key_dim + (layer.value_dim or layer.key_dim)
    return kernels * places + places**2 * layer.num_heads * width
