"""What a classifier costs: parameters, multiply-adds, and how small its maps become."""

import math

from keras import layers

from fer_lib.models import classifier

COLUMNS = (
    "parameters",
    "trainable",
    "multiply_adds",
    "last_map",
    "attention_map",
    "attention_stride",
)


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
    kernels = sum(math.prod(w.shape) for w in layer.weights if w.name.endswith("kernel"))
    if not kernels:
        return 0
    places = math.prod(layer.output.shape[1:-1])  # at each of them a kernel is applied once
    if not isinstance(layer, layers.MultiHeadAttention):
        return kernels * places
    width = layer.key_dim + (layer.value_dim or layer.key_dim)
    return kernels * places + places**2 * layer.num_heads * width


def models_table(names=None, image_size=48, classes=7, **options):
    """Tabulate what each backbone costs as a classifier of 48 x 48 grey faces.

    Args:
        names: Keys of `classifier.BACKBONES`, all of them if `None`.
        image_size: Side in pixels at which the backbones see the face.
        classes: Number of emotions.
        **options: Further arguments of `classifier.build_classifier`, such as `unfreeze`.

    Returns:
        `pandas.DataFrame`, one row a backbone, named by it: `parameters`, `trainable`,
        `multiply_adds` of one face, `last_map` and `attention_map` (`"rows x columns x channels"`)
        and `attention_stride`, the pixels between two places of that map. The last two are
        missing where a backbone takes no attention.
    """
    import pandas as pd

    rows = {}
    for name in classifier.BACKBONES if names is None else names:
        arguments = {"weights": None} | options
        model = classifier.build_classifier(
            name, image_size=image_size, classes=classes, **arguments
        )
        last = classifier.backbone_layers(model)[-1].output
        attended = _attention_map(model, last, classifier.BACKBONES[name].stride_32)
        rows[name] = {
            "parameters": model.count_params(),
            "trainable": sum(math.prod(weight.shape) for weight in model.trainable_weights),
            "multiply_adds": multiply_adds(model),
            "last_map": _size(last),
        }
        if attended is not None:
            rows[name]["attention_map"] = _size(attended)
            rows[name]["attention_stride"] = round(image_size / attended.shape[1])
    table = pd.DataFrame.from_dict(rows, orient="index")
    table = table.reindex(columns=COLUMNS).rename_axis("backbone")
    return table.astype({"attention_stride": "Int64"})


def _attention_map(model, last, stride_32):
    if not stride_32:
        return None
    found = [layer.input for layer in model.layers if layer.name == stride_32]
    return found[0] if found else last  # a model with attention ends at that map


def _size(tensor):
    return " x ".join(map(str, tensor.shape[1:]))
