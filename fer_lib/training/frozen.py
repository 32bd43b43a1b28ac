"""What is frozen is computed once: the output of the layers below the first one that trains."""

import functools
import itertools
import os
import shutil
import tempfile
import warnings

import keras
import numpy as np
from keras import layers

from fer_lib import screen, storage
from fer_lib.inference import litert
from fer_lib.training import devices
from fer_lib.training.augmentation import build_augmentation

MEMORY_BUDGET = 2 * 2**30  # bytes of cached features held in memory
# Bytes of them in a memory-mapped file, where not even one view fits in memory; at most half of
# what is free on the disk.
FILE_BUDGET = 16 * 2**30
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


def choose_views(prefix, count, augmentation, epochs, budget):
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


def reserve(prefix, count, augmentation, epochs):
    """Reserve the place of the features of all views, in memory or else in a file.

    The file lies in `cache/` under FER_HOME. It has no name, so that nothing is left of it
    whenever the process ends.

    Args:
        prefix: Frozen model of `split_at_frozen`.
        count: Number of faces.
        augmentation: Key of `AUGMENTATIONS`.
        epochs: Number of epochs that will draw from the views.

    Returns:
        `float32` array of shape `(views, count, ...)` without values yet, or `None` if not even
        one view fits.
    """
    views = choose_views(prefix, count, augmentation, epochs, MEMORY_BUDGET)
    if views:
        return np.empty((views, count, *prefix.output_shape[1:]), np.float32)
    if devices.on_gpu():  # it computes them faster than a disk reads them
        return None
    folder = storage.fer_home() / "cache"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        budget = min(FILE_BUDGET, shutil.disk_usage(folder).free // 2)
        views = choose_views(prefix, count, augmentation, epochs, budget)
        if not views:
            return None
        with tempfile.TemporaryFile(dir=folder) as file:
            # A full disk must be an error here: later, the write to memory would be a signal.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, views * feature_bytes(prefix, count))
            shape = (views, count, *prefix.output_shape[1:])
            return np.memmap(file, np.float32, mode="r+", shape=shape)
    except OSError as error:
        message = f"Frozen layers run every epoch: no room in {folder} ({error})."
        warnings.warn(message, stacklevel=2)
        return None


def forward_pass(prefix, count, *, exact=True):
    """Return what runs the frozen layers over faces.

    Args:
        prefix: Frozen model of `split_at_frozen`.
        count: Number of faces that will pass in all.
        exact: Whether it must be Keras itself. If not, and there are faces enough to be worth its
            conversion, LiteRT takes its place on a CPU: two to four times as fast there with
            MobileNetV2 on two cores, its features equal to about 1e-5 of the largest.

    Returns:
        Function of a `uint8` array of shape `(n, height, width)`, the text of a progress bar
        (`None` for none) and optionally the `float32` array to fill, which returns this array or a
        new one, of shape `(n, *prefix.output_shape[1:])`.
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
    return _with_keras(prefix, images, progress, batch_size=batch_size)


def _with_keras(prefix, images, progress=None, out=None, *, batch_size=256):
    run = functools.partial(_whole_batch, prefix, batch_size)
    if out is None:
        out = np.empty((len(images), *prefix.output_shape[1:]), np.float32)
    return _gathered(map(run, _batches(images, batch_size)), out, progress)


def _with_litert(content, shape, images, progress=None, out=None):
    batches = list(_batches(images, LITERT_BATCH))
    out = np.empty((len(images), *shape), np.float32) if out is None else out
    return _gathered(litert.compute(content, batches), out, progress)


def _batches(images, size):
    return (images[start : start + size] for start in range(0, len(images), size))


def _gathered(answers, features, progress):
    done = 0
    shown = {"disable": True} if progress is None else {}
    with screen.progress(text=progress, total=len(features), **shown) as bar:
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


def compute_views(forward, images, features, *, augmentation, seed, progress=None):
    """Fill in the features of seeded augmented views of the faces.

    Args:
        forward: Function of `forward_pass`.
        images: `uint8` array of shape `(n, height, width)`.
        features: `float32` array of shape `(views, n, ...)` that takes them, see `reserve`.
        augmentation: Key of `AUGMENTATIONS`.
        seed: Seed of the views.
        progress: Text of a progress bar, to which the size is added, or `None` for none.
    """
    layer = build_augmentation(augmentation, seed)
    place = "in a file" if isinstance(features, np.memmap) else "in memory"
    for number, view in enumerate(features, start=1):
        size = f"{features.nbytes / 1e9:.1f} GB {place}"
        label = progress and f"{progress}, view {number} of {len(features)}, {size}"
        forward(images if layer is None else augmented(layer, images), label, view)


def augmented(layer, images, batch_size=1024):
    """Return a random view of each face, as training sees it.

    Args:
        layer: Layer of `build_augmentation`.
        images: `uint8` array of shape `(n, height, width)` or `(n, height, width, 3)`.
        batch_size: Faces per call of the layer.

    Returns:
        Array of the same shape and dtype.
    """
    batches = range(0, len(images), batch_size)
    convert = keras.ops.convert_to_numpy
    seen = [convert(layer(images[i : i + batch_size], training=True)) for i in batches]
    return np.concatenate(seen)
