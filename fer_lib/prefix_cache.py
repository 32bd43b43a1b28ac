"""What is frozen is computed once: the output of the layers below the first one that trains."""

import functools
import itertools
import warnings

import keras
import numpy as np
from keras import layers
from tqdm import tqdm

from fer_lib import devices, litert
from fer_lib.augmentation import build_augmentation

MEMORY_BUDGET = 2 * 2**30  # bytes of cached features held in memory
WORTH_CONVERTING = 10_000  # faces; MobileNetV2's conversion takes as long as Keras does for these
LITERT_BATCH = 32  # faces; more leave the cache


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


def forward_pass(prefix, count, *, exact=True):
    """Return what runs the frozen layers over faces.

    Args:
        prefix: Frozen model of `split_at_frozen`.
        count: Number of faces that will pass in all.
        exact: Whether it must be Keras itself. If not, and there are faces enough to be worth its
            conversion, LiteRT takes its place on a CPU: two to four times as fast there with
            MobileNetV2 on two cores, its features equal to about 1e-5 of the largest.

    Returns:
        Function from a `uint8` array of shape `(n, height, width)` and the text of a progress bar
        (`None` for none) to a `float32` array of shape `(n, *prefix.output_shape[1:])`.
    """
    content = None
    if not (exact or count < WORTH_CONVERTING or devices.on_gpu()):
        content = _converted(prefix)
    if content is None:
        return functools.partial(_with_keras, prefix)
    return functools.partial(_with_litert, content, prefix.output_shape[1:])


def compute_features(prefix, images, *, batch_size=256, progress=None):
    """Run the frozen layers, or any other model of one output, over the faces with Keras.

    Args:
        prefix: Frozen model of `split_at_frozen`.
        images: Array of shape `(n, ...)` that it takes: `uint8` faces, or features.
        batch_size: Faces per forward pass.
        progress: Text of a progress bar, or `None` for none.

    Returns:
        `float32` array of shape `(n, *prefix.output_shape[1:])`.
    """
    return _with_keras(prefix, images, progress, batch_size)


def _with_keras(prefix, images, progress=None, batch_size=256):
    run = functools.partial(_whole_batch, prefix, batch_size)
    return _gathered(map(run, _batches(images, batch_size)), images, prefix.output_shape, progress)


def _with_litert(content, shape, images, progress=None):
    batches = list(_batches(images, LITERT_BATCH))
    return _gathered(litert.compute(content, batches), images, (None, *shape), progress)


def _batches(images, size):
    return (images[start : start + size] for start in range(0, len(images), size))


def _gathered(answers, images, shape, progress):
    features, done = np.empty((len(images), *shape[1:]), np.float32), 0
    with tqdm(
        total=len(images), desc=progress, disable=progress is None, mininterval=5, leave=False
    ) as bar:
        for answer in answers:
            features[done : done + len(answer)] = answer
            done += len(answer)
            bar.update(len(answer))
    return features


def _whole_batch(prefix, batch_size, images):
    """Run one batch, padded to full size so that it compiles once."""
    padding = [(0, batch_size - len(images))] + [(0, 0)] * (images.ndim - 1)
    return prefix.predict_on_batch(np.pad(images, padding))[: len(images)]


def _converted(prefix):
    """Return the prefix as a LiteRT file, or `None` where that fails or computes something else."""
    if keras.backend.backend() != "tensorflow":
        return None
    faces = np.random.default_rng(0).integers(0, 256, (4, *prefix.input_shape[1:]), np.uint8)
    expected = prefix.predict_on_batch(faces)
    try:
        content = litert.convert(litert.trace(prefix))
        (found,) = litert.compute(content, [faces])
    except Exception as error:  # converter and interpreter have errors of many kinds
        warnings.warn(f"LiteRT can not run the frozen layers, Keras does: {error}", stacklevel=2)
        return None
    if not np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max():
        warnings.warn("LiteRT computes other features than Keras: Keras is taken.", stacklevel=2)
        return None
    return content


def compute_views(forward, images, *, augmentation, views, seed, progress=None):
    """Run the frozen layers over seeded augmented views of the faces.

    Args:
        forward: Function of `forward_pass`.
        images: `uint8` array of shape `(n, height, width)`.
        augmentation: Key of `AUGMENTATIONS`.
        views: Number of views of each face.
        seed: Seed of the views.
        progress: Text of a progress bar, or `None` for none.

    Returns:
        `float32` array of shape `(views, n, ...)`.
    """
    layer = build_augmentation(augmentation, seed)
    features = None
    for view in range(views):
        label = progress and f"{progress}, view {view + 1} of {views}"
        seen = forward(images if layer is None else _augmented(layer, images), label)
        if features is None:  # one large array, not a list that is copied
            features = np.empty((views, *seen.shape), np.float32)
        features[view] = seen
    return features


def _augmented(layer, images, batch_size=1024):
    batches = range(0, len(images), batch_size)
    convert = keras.ops.convert_to_numpy
    seen = [convert(layer(images[i : i + batch_size], training=True)) for i in batches]
    return np.concatenate(seen)
