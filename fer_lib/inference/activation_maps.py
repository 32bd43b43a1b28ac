"""Activation maps: what each place of a classifier's last map adds to a class.

They look into the network, so they need a Keras model; `explain` has what needs its answers alone.
"""

import functools

import numpy as np

from fer_lib.data.faces import check_images
from fer_lib.screen import progress


def class_activation_maps(model, images, classes=None, *, resize=True, batch_size=64):
    """Return what each place of the last map adds to a class's logit (CAM).

    Exact where the classifier pools its last map and has one dense layer, on every backend: the
    mean over the map plus the class's bias is its logit. Zhou et al. 2016, arXiv:1512.04150, eq.
    2, of which the sum over places is the mean here.

    Args:
        model: A functional `keras.Model` from faces to probabilities, such as those of
            `classifier.build_classifier` without a head of their own.
        images: `uint8` array of shape `(n, height, width)` or, in colour,
            `(n, height, width, 3)`, values 0 to 255.
        classes: Integer array of shape `(n,)`: the class to explain of each face. Defaults to
            the one that the model names.
        resize: Whether to bring the maps to the faces' size (bilinear); otherwise they keep the
            last map's rows and columns.
        batch_size: Faces per forward pass.

    Returns:
        `float32` array of shape `(n, height, width)`, in units of the logit: positive where the
        place speaks for the class, negative where it speaks against it.

    Raises:
        ValueError: If something else lies between last map and output, or classes do not fit.
    """
    import keras

    last, dense = _pooled_dense(model)
    kernel = keras.ops.convert_to_numpy(dense.kernel)
    maps = [
        np.einsum("nrck,kn->nrc", activations, kernel[:, chosen])
        for activations, chosen in _last_maps(model, last, images, classes, batch_size)
    ]
    return _joined(maps, images, resize)


def grad_cam_maps(model, images, classes=None, *, resize=True, batch_size=64):
    """Return the channels of the last map weighed by the gradient of a class's logit (Grad-CAM).

    Needs gradients, so TensorFlow or JAX as Keras's backend. Where CAM is exact it is CAM's
    positive part divided by the number of places of the map. Selvaraju et al. 2017,
    arXiv:1610.02391, eq. 1 and 2.

    Args:
        model: A functional `keras.Model` from faces to probabilities, whose last map goes
            through one layer after the other to a dense or softmax layer.
        images, classes, resize, batch_size: As of `class_activation_maps`.

    Returns:
        `float32` array of shape `(n, height, width)`, 0 or more, the larger the more the place
        raises the class's logit; comparable within one model only.

    Raises:
        ValueError: If the model is of another form, classes do not fit, or the backend is neither
            TensorFlow nor JAX.
    """
    last, after = _last_map(model)
    logits = functools.partial(_logits, after)
    maps = []
    for activations, chosen in _last_maps(model, last, images, classes, batch_size):
        weights = _gradient(logits, activations, chosen).mean(axis=(1, 2))
        maps.append(np.maximum(np.einsum("nrck,nk->nrc", activations, weights), 0))
    return _joined(maps, images, resize)


def _last_map(model):
    """Return the last map of a classifier, a symbolic tensor, and the layers after it in order."""
    if len(model.outputs) != 1 or len(model.inputs) != 1:
        raise ValueError(f"{model.name} must have one input and one output; use occlusion_maps.")
    tensor, after = model.outputs[0], []
    while len(tensor.shape) != 4:
        layer, node, _ = tensor._keras_history
        sources = layer._inbound_nodes[node].input_tensors
        if len(sources) != 1:
            raise ValueError(
                f"The last map of {model.name} must lead to its output through one layer after "
                f"the other; {layer.name} takes {len(sources)} inputs. Use occlusion_maps, which "
                "needs predictions alone."
            )
        tensor, after = sources[0], [layer, *after]
    return tensor, after


def _pooled_dense(model):
    """Return the last map of a classifier and its dense layer, if only pooling lies between."""
    from keras import layers

    last, after = _last_map(model)
    kinds = [layer for layer in after if not isinstance(layer, layers.Dropout)]
    if len(kinds) == 3 and _is_softmax(kinds[2]) and _is_linear(kinds[1]):
        kinds.pop()
    if not (
        len(kinds) == 2
        and isinstance(kinds[0], layers.GlobalAveragePooling2D)
        and isinstance(kinds[1], layers.Dense)
    ):
        names = ", ".join(f"{layer.name} ({type(layer).__name__})" for layer in after)
        raise ValueError(
            "class_activation_maps is exact for average pooling and one dense layer after the "
            f"last map only; {model.name} has {names or 'no layer'} there. Use grad_cam_maps or "
            "occlusion_maps."
        )
    return last, kinds[1]


def _is_softmax(layer):
    import keras

    softmax = getattr(layer, "activation", None) is keras.activations.softmax
    return isinstance(layer, keras.layers.Softmax) or (softmax and not layer.weights)


def _is_linear(layer):
    import keras

    return getattr(layer, "activation", None) is keras.activations.linear


def _last_maps(model, last, images, classes, batch_size):
    """Yield `(last maps, classes to explain)` of batches of faces, as arrays."""
    import keras

    images = check_faces(images, classes)
    network = keras.Model(model.input, [last, model.output])
    for start in progress(range(0, len(images), batch_size), "last maps"):
        rows = slice(start, start + batch_size)
        maps, answers = network.predict_on_batch(images[rows])
        chosen = explained_classes(np.asarray(answers), None if classes is None else classes[rows])
        yield np.asarray(maps, np.float32), chosen


def explained_classes(answers, classes):
    """Return the classes to explain: those given, if they are classes, or the predicted ones."""
    if classes is None:
        return answers.argmax(axis=1)
    classes, count = np.asarray(classes), answers.shape[1]
    wrong = np.flatnonzero((classes < 0) | (classes >= count))
    if not np.issubdtype(classes.dtype, np.integer) or wrong.size:
        raise ValueError(f"classes must be integers in [0, {count}); got {classes[wrong][:5]}.")
    return classes


def check_faces(images, classes):
    """Return the faces as an array, or say what does not fit."""
    images = np.asarray(images)
    check_images(images)
    if classes is not None and len(classes) != len(images):
        raise ValueError(f"classes has {len(classes)} entries for {len(images)} images.")
    return images


def _logits(after, maps):
    """Run the layers after the last map and return what the softmax is given."""
    import keras

    *before, output = after or [None]
    for layer in before:
        maps = layer(maps)
    if isinstance(output, keras.layers.Dense):
        maps = keras.ops.matmul(maps, output.kernel)
        return maps if output.bias is None else maps + output.bias
    if output is None or not _is_softmax(output):
        name = "its last map" if output is None else f"{output.name} ({type(output).__name__})"
        raise ValueError(
            "grad_cam_maps needs a model that ends in a dense layer or a softmax; it ends in "
            f"{name}. Use occlusion_maps."
        )
    return maps


def _gradient(logits, maps, classes):
    """Return the gradient of each face's logit of its class by its map, an array of its shape."""
    import keras

    chosen = np.eye(int(classes.max()) + 1, dtype=np.float32)[classes]

    def total(maps):  # a face's logit depends on its own map alone
        return keras.ops.sum(logits(maps)[:, : chosen.shape[1]] * chosen)

    maps = keras.ops.convert_to_tensor(maps)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        with tensorflow.GradientTape() as tape:
            tape.watch(maps)
            value = total(maps)
        return np.asarray(tape.gradient(value, maps), np.float32)
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(total)(maps), np.float32)
    raise ValueError(
        f"grad_cam_maps needs gradients of TensorFlow or JAX; Keras runs on "
        f"{keras.backend.backend()}. Use class_activation_maps or occlusion_maps, or set "
        "KERAS_BACKEND=tensorflow before Python starts."
    )


def _joined(maps, images, resize):
    """Join the maps of the batches and bring them to the faces' size."""
    import keras

    size = np.shape(images)[1:3]
    if not maps:
        return np.zeros((0, *size), np.float32)
    maps = np.concatenate(maps)
    if not resize:
        return maps
    resized = keras.ops.image.resize(maps[..., None], size, interpolation="bilinear")
    return keras.ops.convert_to_numpy(resized)[..., 0]
