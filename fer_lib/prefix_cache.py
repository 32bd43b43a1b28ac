"""What is frozen is computed once: the output of the layers below the first one that trains."""

import itertools

import keras
import numpy as np
from keras import layers
from tqdm import tqdm

from fer_lib.augmentation import build_augmentation

MEMORY_BUDGET = 2 * 2**30  # bytes of cached features held in memory


def split_at_frozen(model):
    """Cut a classifier where everything before is a pure function of the pixels.

    Args:
        model: A functional model whose `trainable` flags are set.

    Returns:
        `(prefix, suffix)`: two models that share the layers of `model`, the first without any
        trainable weight or randomness, the second taking the first's output; `None` if nothing
        with weights is frozen at the bottom.
    """
    body = [layer for layer in model.layers if not isinstance(layer, layers.InputLayer)]
    frozen = list(itertools.takewhile(_is_pure, body))
    for count in range(len(frozen), 0, -1):
        crossing = _crossing(body, count)
        if len(crossing) == 1 and any(layer.weights for layer in body[:count]):
            (cut,) = crossing.values()
            return keras.Model(model.input, cut), keras.Model(cut, model.output)
    return None


def _is_pure(layer):
    return not layer.trainable_weights and not hasattr(layer, "seed_generator")


def _crossing(body, count):
    """Return the tensors made by the first `count` layers that later ones read, by identity."""
    made = {id(layer.output): layer.output for layer in body[:count]}
    read = {id(tensor) for layer in body[count:] for tensor in keras.tree.flatten(layer.input)}
    return {key: tensor for key, tensor in made.items() if key in read}


def feature_bytes(prefix, count):
    """Return the bytes that the float32 features of `count` faces take."""
    return 4 * count * int(np.prod(prefix.output_shape[1:]))


def choose_views(prefix, count, augmentation, epochs, budget=MEMORY_BUDGET):
    """Return how many augmented views of each face to cache: one an epoch, up to 8, that fit.

    Args:
        prefix: Frozen model of `split_at_frozen`.
        count: Number of faces.
        augmentation: Key of `AUGMENTATIONS`; `"none"` needs one view.
        epochs: Number of epochs that will draw from the views.
        budget: Bytes that the features may take.

    Returns:
        A number from 1 to 8, or 0 if not even one view fits.
    """
    return min(
        budget // feature_bytes(prefix, count), 1 if augmentation == "none" else min(epochs, 8)
    )


def compute_features(prefix, images, *, batch_size=256, progress=None):
    """Run the frozen layers over the faces.

    Args:
        prefix: Frozen model of `split_at_frozen`.
        images: `uint8` array of shape `(n, height, width)`.
        batch_size: Faces per forward pass.
        progress: Text of a progress bar, or `None` for none.

    Returns:
        `float32` array of shape `(n, *prefix.output_shape[1:])`.
    """
    features = np.empty((len(images), *prefix.output_shape[1:]), np.float32)
    starts = range(0, len(images), batch_size)
    for start in tqdm(starts, progress, disable=progress is None, mininterval=5, leave=False):
        batch = slice(start, start + batch_size)
        features[batch] = _whole_batch(prefix, images[batch], batch_size)
    return features


def _whole_batch(prefix, images, batch_size):
    """Run one batch, padded to full size so that it compiles once."""
    padding = [(0, batch_size - len(images)), (0, 0), (0, 0)]
    return prefix.predict_on_batch(np.pad(images, padding))[: len(images)]


def compute_views(prefix, images, *, augmentation, views, seed, progress=None):
    """Run the frozen layers over seeded augmented views of the faces.

    Args:
        prefix: Frozen model of `split_at_frozen`.
        images: `uint8` array of shape `(n, height, width)`.
        augmentation: Key of `AUGMENTATIONS`.
        views: Number of views of each face.
        seed: Seed of the views.
        progress: Text of a progress bar, or `None` for none.

    Returns:
        `float32` array of shape `(views, n, *prefix.output_shape[1:])`.
    """
    layer = build_augmentation(augmentation, seed)
    features = np.empty((views, len(images), *prefix.output_shape[1:]), np.float32)
    for view in range(views):
        label = progress and f"{progress}, view {view + 1} of {views}"
        seen = images if layer is None else _augmented(layer, images)
        features[view] = compute_features(prefix, seen, progress=label)
    return features


def _augmented(layer, images, batch_size=1024):
    batches = range(0, len(images), batch_size)
    convert = keras.ops.convert_to_numpy
    seen = [convert(layer(images[i : i + batch_size], training=True)) for i in batches]
    return np.concatenate(seen)
