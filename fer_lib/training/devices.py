"""Devices: which of them a process computes on, and what it says where they do not suffice."""

import contextlib
import platform
import zlib
from pathlib import Path

import keras

from fer_lib import storage
from fer_lib.choices import lookup

MODES = ("auto", "none", "data")


def on_gpu():
    """Return whether the backend sees a GPU."""
    return any("gpu" in device.lower() for device in keras.distribution.list_devices())


def quick_in_bfloat16(dense, cpuinfo="/proc/cpuinfo"):
    """Return whether training in bfloat16 is quicker here than in single precision.

    On a GPU it is. A CPU needs instructions for it (AVX-512 BF16 or AMX), and a network of dense
    convolutions: two AVX-512 cores trained those 1.4 to 1.7 times as fast, MobileNetV2 0.9
    times. Without the instructions it took 12 times as long
    (`tests/benchmarks/accelerator.py`).

    Args:
        dense: Whether the network's convolutions are all dense.
        cpuinfo: File in which Linux tells what the processor can do.
    """
    if on_gpu():
        return True
    if not dense:
        return False
    try:
        flags = Path(cpuinfo).read_text(encoding="utf-8").split()
    except OSError:
        return False
    return bool({"avx512_bf16", "amx_bf16"} & set(flags))


def share_memory():
    """Have TensorFlow take a GPU's memory as it needs it; before anything is computed.

    So several processes share one GPU. JAX shares it by `XLA_PYTHON_CLIENT_PREALLOCATE=false`.
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    for gpu in tf.config.get_visible_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # it is in use already
            tf.config.experimental.set_memory_growth(gpu, True)


def keep_programs():
    """Have JAX keep the programs that it compiles, in `cache/` under FER_HOME.

    A run of five minutes spends one on compiling. The folder's name tells the processor, because
    a program for another one may not run. A folder that JAX was given already is kept.
    """
    if keras.backend.backend() != "jax":
        return
    import jax

    if not jax.config.jax_compilation_cache_dir:
        folder = storage.fer_home() / "cache" / f"jax-{_processor()}"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def _processor(cpuinfo="/proc/cpuinfo"):
    """Return what tells processors of different instructions apart, in eight digits."""
    try:
        lines = Path(cpuinfo).read_text(encoding="utf-8").splitlines()
        text = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        text = platform.processor()
    return f"{zlib.crc32(text.encode()):08x}"


def make_deterministic():
    """Have every operation of this process give the same bits each time, at some cost in speed.

    For a GPU, whose fastest sums depend on the order in which threads end; there is no way back
    within a process. On a CPU runs are the same bits without.

    Raises:
        ValueError: If the backend is not TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "deterministic=True is for TensorFlow; on JAX, start the process with "
            "XLA_FLAGS=--xla_gpu_deterministic_ops=true instead."
        )
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


@contextlib.contextmanager
def explaining_memory(batch_size):
    """Turn a device's out-of-memory error within this block into one that says what fits.

    Args:
        batch_size: Faces per step.

    Raises:
        MemoryError: In place of TensorFlow's, JAX's or Torch's own.
    """
    try:
        yield
    except Exception as error:  # each backend has its own class
        marks = ("ResourceExhausted", "RESOURCE_EXHAUSTED", "out of memory", "OutOfMemory")
        text = f"{type(error).__name__}: {error}"
        if not any(mark in text for mark in marks):
            raise
        smaller = batch_size // 2
        advice = f"try batch_size={smaller}" if smaller else "try a smaller image_size"
        raise MemoryError(
            f"A step of batch_size={batch_size} does not fit into the device's memory: {advice}."
        ) from error


# Several devices for one model, by the backend's own data parallelism. JAX:
# `keras.distribution.DataParallel`. TensorFlow: `tf.distribute.MirroredStrategy`, because
# `keras.distribution` does not distribute there. One model on several hosts is not trained:
# Keras's `fit` does not run under `MultiWorkerMirroredStrategy` (keras issue 20585).


@contextlib.contextmanager
def data_parallel(mode="auto"):
    """Within this block, models are built and trained on all devices of a kind at once.

    `batch_size` stays the global batch: each of `n` devices gets `batch_size / n` of its faces,
    so one device and several compute the same step.

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
    lookup(MODES, mode, "distribute mode")
    kind = (
        "gpu" if any("gpu" in name.lower() for name in keras.distribution.list_devices()) else "cpu"
    )
    devices = [name for name in keras.distribution.list_devices() if kind in name.lower()]
    if mode == "none" or (mode == "auto" and (kind == "cpu" or len(devices) < 2)):
        yield 1
        return
    backend = keras.backend.backend()
    start = lookup(_PARALLEL, backend, "backend for distribute='data':")
    if len(devices) < 2:
        raise ValueError(f"distribute='data' needs several devices; {backend} sees {devices}.")
    with start(devices):
        yield len(devices)


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
def _jax_parallel(devices):
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


@contextlib.contextmanager
def _tensorflow_parallel(devices):
    import tensorflow as tf

    names = [name.replace("gpu:", "GPU:").replace("cpu:", "CPU:") for name in devices]
    with tf.distribute.MirroredStrategy(names).scope():
        yield


_PARALLEL = {"jax": _jax_parallel, "tensorflow": _tensorflow_parallel}
