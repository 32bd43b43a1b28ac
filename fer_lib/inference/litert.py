"""LiteRT: a Keras model as a file of the small engine, and that file as a function.

Nothing here imports Keras or TensorFlow before a model is converted.
"""

import collections
import contextlib
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fer_lib.screen import without_stderr


def cores():
    """Return the number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every platform
        return os.cpu_count() or 1


def trace(model):
    """Return a model as a `tf.function` from any number of faces, its weights constants.

    Args:
        model: A Keras model from `uint8` faces to one tensor.

    Raises:
        ValueError: If Keras does not run on TensorFlow.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "export needs Keras on TensorFlow (KERAS_BACKEND=tensorflow; a .keras file saved on "
            f"another backend opens there); this process has {keras.backend.backend()}."
        )
    import tensorflow as tf

    trained = [np.asarray(value) for value in model.trainable_variables]
    others = [np.asarray(value) for value in model.non_trainable_variables]
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name="face")]
    return tf.function(
        lambda face: model.stateless_call(trained, others, face, training=False)[0],
        input_signature=signature,
    )


def converter(traced, **settings):
    """Return a `tf.lite.TFLiteConverter` of what `trace` gave.

    Args:
        traced: Result of `trace`.
        **settings: Attributes of the converter.
    """
    import tensorflow as tf

    made = tf.lite.TFLiteConverter.from_concrete_functions(
        [traced.get_concrete_function()], trackable_obj=tf.Module()
    )
    for name, value in settings.items():
        setattr(made, name, value)
    return made


@contextlib.contextmanager
def quiet():
    """Keep TensorFlow's converter from telling where its temporary files lie."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def convert(traced, **settings):
    """Return the `bytes` of the file of what `trace` gave; see `converter`."""
    with quiet():
        return converter(traced, **settings).convert()


def open_network(file):
    """Return a file as a function; it computes on one thread and may be called from one.

    Args:
        file: Its path, or the `bytes` that it holds.

    Returns:
        Function from a `uint8` array of shape `(n, height, width)` to an array of shape
        `(n, ...)`.

    Raises:
        ImportError: If ai-edge-litert is missing.
        ValueError, RuntimeError: If it is no such file.
    """
    from ai_edge_litert.interpreter import Interpreter

    source = {"model_content" if isinstance(file, bytes) else "model_path": file}

    def opened():
        made = Interpreter(**source, num_threads=1)
        made.allocate_tensors()
        return made

    interpreter = without_stderr(opened)  # it says which delegate it made
    face = interpreter.get_input_details()[0]["index"]
    answer = interpreter.get_output_details()[0]["index"]
    shape = None

    def network(images):
        nonlocal shape
        if images.shape != shape:
            interpreter.resize_tensor_input(face, images.shape)
            interpreter.allocate_tensors()
            shape = images.shape
        interpreter.set_tensor(face, images)
        interpreter.invoke()
        return interpreter.get_tensor(answer)

    return network


def compute(content, batches):
    """Run a file over batches, one on each core at a time, and yield the answers in their order.

    Args:
        content: The file's `bytes`.
        batches: Iterable of `uint8` arrays of shape `(n, height, width)`.

    Yields:
        An array of shape `(n, ...)` for each batch; the number of cores changes none of them.
    """
    own = threading.local()

    def answer(images):
        if not hasattr(own, "network"):
            own.network = open_network(content)
        return own.network(images)

    with ThreadPoolExecutor(cores()) as pool:
        waiting = collections.deque()
        for images in batches:
            waiting.append(pool.submit(answer, images))
            if len(waiting) > 4 * cores():  # answers that nobody took yet fill the memory
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
