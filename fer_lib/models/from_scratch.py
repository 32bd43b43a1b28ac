"""Networks for 48 x 48 grey faces that start at random: published ones, and one of ours.

Each is a function from a map to a map; what a published one does between its last map and its
output is its head. To add one: its functions and one entry in `NETWORKS`.
"""

from fer_lib.models.attention import squeeze_excite
from fer_lib.models.transfer import Backbone


def _convolve(x, filters, name, kernel=3, strides=1, normalise=True, **options):
    """Convolve, normalise and rectify."""
    from keras import layers

    options = {"padding": "same"} | options
    x = layers.Conv2D(
        filters, kernel, strides, use_bias=not normalise, name=f"{name}_conv", **options
    )(x)
    if normalise:
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _cnn5x5(x):
    from keras import layers

    x = _convolve(x, 64, "1", 5, padding="valid", normalise=False)
    x = layers.MaxPooling2D(5, 2, name="1_pool")(x)
    for block, filters in ((2, 64), (3, 128)):
        for number in "ab":
            x = _convolve(x, filters, f"{block}{number}", padding="valid", normalise=False)
        x = layers.AveragePooling2D(3, 2, name=f"{block}_pool")(x)
    return x


def _cnn5x5_head(x, dropout):
    from keras import layers

    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(1024, activation="relu", name="dense_1")(x)
    x = layers.Dropout(dropout, name="dropout_1")(x)
    return layers.Dense(1024, activation="relu", name="dense_2")(x)


def _cnn10(x):
    from keras import layers

    for block, filters in enumerate((32, 64, 128, 256, 512), 1):
        for number in "ab":
            x = _convolve(x, filters, f"{block}{number}")
        x = layers.MaxPooling2D(name=f"{block}_pool")(x)
    return x


def _cnn10_head(x, dropout):
    from keras import layers

    x = layers.Flatten(name="flatten")(x)
    for number, units in enumerate((512, 256, 128), 1):
        if number > 1:
            x = layers.Dropout(dropout, name=f"dropout_{number - 1}")(x)
        x = layers.Dense(units, activation="relu", name=f"dense_{number}")(x)
        x = layers.LayerNormalization(name=f"dense_{number}_norm")(x)
    return x


def _cnn4(x):
    from keras import layers

    for block, (filters, kernel) in enumerate(((64, 3), (128, 5), (512, 3), (512, 3)), 1):
        x = layers.Conv2D(filters, kernel, padding="same", name=f"{block}_conv")(x)
        x = layers.BatchNormalization(name=f"{block}_bn")(x)
        x = layers.ReLU(name=f"{block}_relu")(x)
        x = layers.MaxPooling2D(name=f"{block}_pool")(x)
        x = layers.Dropout(0.25, name=f"{block}_dropout")(x)
    return x


def _cnn4_head(x, dropout):
    from keras import layers

    x = layers.Flatten(name="flatten")(x)
    for number, units in enumerate((256, 512), 1):
        if number > 1:
            x = layers.Dropout(dropout, name=f"dropout_{number - 1}")(x)
        x = layers.Dense(units, name=f"dense_{number}")(x)
        x = layers.BatchNormalization(name=f"dense_{number}_bn")(x)
        x = layers.ReLU(name=f"dense_{number}_relu")(x)
    return x


def _mini_xception(x):
    from keras import layers

    for number in "ab":
        x = _convolve(x, 8, f"1{number}", padding="valid")
    for block, filters in enumerate((16, 32, 64, 128), 2):
        # The published 1 x 1 convolution of stride 2 in two layers: TensorFlow 2.21 with oneDNN
        # corrupts memory where it trains that one on batches of changing size.
        shortcut = layers.MaxPooling2D(1, 2, name=f"{block}_shortcut_pool")(x)
        shortcut = layers.Conv2D(filters, 1, use_bias=False, name=f"{block}_shortcut_conv")(
            shortcut
        )
        shortcut = layers.BatchNormalization(name=f"{block}_shortcut_bn")(shortcut)
        for number in "ab":
            x = layers.SeparableConv2D(
                filters, 3, padding="same", use_bias=False, name=f"{block}{number}_conv"
            )(x)
            x = layers.BatchNormalization(name=f"{block}{number}_bn")(x)
            if number == "a":
                x = layers.ReLU(name=f"{block}{number}_relu")(x)
        x = layers.MaxPooling2D(3, 2, padding="same", name=f"{block}_pool")(x)
        x = layers.Add(name=f"{block}_add")([x, shortcut])
    return x


def _resnet(x, widths, blocks, stem=32):
    """Residual stages on maps of 24, 12 and 6 pixels, the stem halved at once."""
    x = _convolve(x, stem, "stem", strides=2, kernel_initializer="he_normal")
    for stage, (filters, count) in enumerate(zip(widths, blocks, strict=True), 1):
        for block in range(count):
            halved = stage > 1 and block == 0
            x = _residual(x, filters, 2 if halved else 1, f"{stage}{'abc'[block]}")
    return x


def _resnet12(x):
    return _resnet(x, (40, 80, 160), (1, 2, 2))


def _resnet14(x):
    return _resnet(x, (48, 96, 192), (2, 2, 2))


def _separable(x):
    from keras import layers

    for block, (widths, rate) in enumerate(
        (((48, 48, 48), 0.05), ((96, 96, 96), 0.05), ((192, 192), 0.1), ((384,), 0.1)), 1
    ):
        for number, filters in zip("abc", widths, strict=False):
            name = f"{block}{number}"
            kind = layers.SeparableConv2D if block > 1 or number > "a" else layers.Conv2D
            x = kind(filters, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
            x = layers.BatchNormalization(name=f"{name}_bn")(x)
            x = layers.LeakyReLU(0.02, name=f"{name}_relu")(x)
        x = layers.MaxPooling2D(name=f"{block}_pool")(x)
        x = layers.SpatialDropout2D(rate, name=f"{block}_dropout")(x)
    return x


def _se_resnet(x):
    x = _convolve(x, 16, "stem", kernel_initializer="he_normal")
    for stage, (filters, blocks) in enumerate(((32, 1), (64, 2), (128, 2), (256, 1)), 1):
        for block in range(blocks):
            x = _residual(x, filters, 1 if block else 2, f"{stage}{'ab'[block]}")
    return x


def _residual(x, filters, strides, name):
    """Add two convolutions with squeeze-and-excitation to the map, halved where it strides."""
    from keras import layers

    shortcut = x
    if strides > 1:
        shortcut = layers.AveragePooling2D(strides, padding="same", name=f"{name}_shortcut_pool")(x)
    if x.shape[-1] != filters:
        shortcut = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_shortcut_conv")(shortcut)
        shortcut = layers.BatchNormalization(name=f"{name}_shortcut_bn")(shortcut)
    x = _convolve(x, filters, f"{name}1", strides=strides, kernel_initializer="he_normal")
    x = layers.Conv2D(
        filters,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}2_conv",
    )(x)
    x = layers.BatchNormalization(name=f"{name}2_bn")(x)
    x = squeeze_excite(x, 8, f"{name}_se")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu")(x)


def _network(build, head=None, scale=1 / 255, offset=0.0, dense=True):
    return Backbone(build, scale, offset, channels=1, head=head, dense=dense)


NETWORKS = {
    # 1,485,831 parameters: github.com/serengil/tensorflow-101, facial-expression-recognition.py;
    # dropout 0.2.
    "cnn5x5": _network(_cnn5x5, _cnn5x5_head),
    # Ten convolutions in VGG's pairs (arXiv:1409.1556) with batch normalisation; dropout 0.4.
    "cnn10": _network(_cnn10, _cnn10_head),
    # 4,478,727 parameters, of the notebook Facial-Expression-Recognizer and its many copies;
    # dropout 0.25.
    "cnn4": _network(_cnn4, _cnn4_head),
    # Arriaga et al. 2017, arXiv:1710.07557 (github.com/oarriaga/face_classification), of which
    # the last convolution to the classes is left out: the output layer comes after the pooling.
    "mini_xception": _network(_mini_xception, scale=1 / 127.5, offset=-1.0, dense=False),
    # A convolution and eight separable ones (Chollet 2017, arXiv:1610.02357): built
    # from the description of github.com/vicksam/fer-model, whose code and weights are not used.
    "separable": _network(_separable, dense=False),
    # Ours: residual blocks (He et al. 2016, arXiv:1512.03385) with squeeze-and-excitation (Hu et
    # al. 2018, arXiv:1709.01507), its stem at full resolution, its shortcuts averaged (He et al.
    # 2019, arXiv:1812.01187). Narrow where maps are large, which is what a CPU waits for.
    "se_resnet": _network(_se_resnet, scale=1 / 127.5, offset=-1.0),
    # Ours, of the same blocks: dense convolutions on small maps, the arithmetic that a processor
    # does best. The number is that of the layers with weights from the pixels to the output.
    "resnet12": _network(_resnet12, scale=1 / 127.5, offset=-1.0),
    "resnet14": _network(_resnet14, scale=1 / 127.5, offset=-1.0),
}
