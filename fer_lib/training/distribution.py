"""Several devices for one model: the backend's own data parallelism, and nothing of our own.

JAX: `keras.distribution.DataParallel`. TensorFlow: `tf.distribute.MirroredStrategy`
(`keras.distribution` does not distribute there). Torch has neither in Keras.

Experiments run on one host. Below them, JAX's own several processes do train one model within
`data_parallel` (after `jax.distributed.initialize`, each fitting its part of every batch, see
tests/test_processes.py); on TensorFlow there is no such way, because Keras's `fit` does not run
under `MultiWorkerMirroredStrategy` (keras issue 20585).
"""

import contextlib

from fer_lib.choices import lookup

MODES = ("auto", "none", "data")


@contextlib.contextmanager
def data_parallel(mode="auto"):
    """Within this block, models are built and trained on all devices of a kind at once.

    `batch_size` stays the global batch: each of `n` devices gets `batch_size / n` of its faces,
    so that one device and several compute the same step. What a larger batch asks of the
    learning rate is `scaled`'s.

    Two differences remain. Batch normalisation on TensorFlow uses each device's own faces (on
    JAX the whole batch's), and dropout and augmentation draw other numbers.

    Args:
        mode: `"auto"` (all GPUs if there are several, else nothing), `"none"`, or `"data"` (all
            devices of the best kind; an error if there is one alone).

    Yields:
        The number of devices.

    Raises:
        ValueError: If the mode is unknown, or `"data"` finds a single device, or the backend can
            not distribute.
    """
    import keras

    lookup(MODES, mode, "distribute mode")
    kind = (
        "gpu" if any("gpu" in name.lower() for name in keras.distribution.list_devices()) else "cpu"
    )
    devices = [name for name in keras.distribution.list_devices() if kind in name.lower()]
    if mode == "none" or (mode == "auto" and (kind == "cpu" or len(devices) < 2)):
        yield 1
        return
    backend = keras.backend.backend()
    start = lookup(STARTS, backend, "backend for distribute='data':")
    if len(devices) < 2:
        raise ValueError(f"distribute='data' needs several devices; {backend} sees {devices}.")
    with start(devices):
        yield len(devices)


def scaled(batch_size, learning_rate, devices):
    """Return the global batch and learning rate that keep each device as busy as one alone.

    The linear rule of Goyal et al. 2017 (arXiv:1706.02677). It is for SGD with warm-up; for Adam
    and its kind it is a start, to be chosen on validation. Nothing calls it unasked: a run's
    `batch_size` and `learning_rate` are what its parameters say.

    Args:
        batch_size: Faces per step of one device.
        learning_rate: Peak learning rate with that batch.
        devices: Number of devices.

    Returns:
        `(batch_size, learning_rate)`, both times `devices`.

    >>> scaled(64, 0.001, 4)
    (256, 0.004)
    """
    return batch_size * devices, learning_rate * devices


def check_batch(batch_size, devices):
    """Refuse a global batch that the devices cannot share evenly.

    Raises:
        ValueError: If `batch_size` is no multiple of `devices`.
    """
    if batch_size % devices:
        nearest = max(devices, round(batch_size / devices) * devices)
        raise ValueError(
            f"batch_size must be a multiple of the {devices} devices; got {batch_size}: "
            f"use {nearest}."
        )


@contextlib.contextmanager
def _jax(devices):
    import keras

    before = keras.distribution.distribution()
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


@contextlib.contextmanager
def _tensorflow(devices):
    import tensorflow as tf

    names = [name.replace("gpu:", "GPU:").replace("cpu:", "CPU:") for name in devices]
    with tf.distribute.MirroredStrategy(names).scope():
        yield


STARTS = {"jax": _jax, "tensorflow": _tensorflow}
