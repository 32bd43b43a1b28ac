"""ONNX files of classifiers, from a Keras model or a LiteRT file, and weights of half the size."""

import functools
import importlib
import tempfile
import warnings
from pathlib import Path

import numpy as np

from fer_lib.screen import without_stderr

_OPSET = 17
_SMALL = 256  # numbers; a smaller tensor is not worth a node that widens it


def of_trace(trace):
    """Return the `bytes` of the file of what `litert.trace` gave.

    Raises:
        ImportError: If tf2onnx is missing; the message names it.
    """
    made, _ = _tf2onnx().convert.from_function(trace, trace.input_signature, opset=_OPSET)
    return made.SerializeToString()


def of_litert(path):
    """Return the `bytes` of the ONNX file of a `.tflite` file; it gives the same answers.

    Raises:
        ImportError: If tf2onnx is missing; the message names it.
    """
    with tempfile.TemporaryDirectory() as folder:  # it also writes what it returns
        words = {"opset": _OPSET, "output_path": str(Path(folder, "made.onnx"))}
        convert = functools.partial(_tf2onnx().convert.from_tflite, str(path), **words)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the interpreter by which it reads the file
            made, _ = without_stderr(convert)
    return made.SerializeToString()


def halved(content):
    """Return an ONNX file with its weights rounded to half precision; it computes in single.

    The engine widens them once, when it opens the file. What half precision cannot hold stays.

    Args:
        content: The file's `bytes`.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(content)
    graph, kept, casts = model.graph, [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16) if values.dtype == np.float32 else values
        if half is values or values.size < _SMALL or not np.isfinite(half).all():
            kept.append(tensor)
            continue
        kept.append(numpy_helper.from_array(half, f"{tensor.name}_half"))
        casts.append(
            onnx.helper.make_node(
                "Cast", [f"{tensor.name}_half"], [tensor.name], to=onnx.TensorProto.FLOAT
            )
        )
    nodes = [*casts, *graph.node]
    for field, values in ((graph.initializer, kept), (graph.node, nodes)):
        values = list(values)
        del field[:]
        field.extend(values)
    return model.SerializeToString()


def _tf2onnx():
    try:
        return importlib.import_module("tf2onnx")
    except ImportError as error:
        raise ImportError(
            f'ONNX files need the package tf2onnx: pip install -e ".[onnx]" ({error}).'
        ) from None
