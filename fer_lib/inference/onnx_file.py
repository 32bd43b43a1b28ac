"""ONNX files of classifiers, from a Keras model or a LiteRT file, and weights of half the size."""

import functools
import importlib
import re
import tempfile
import warnings
from pathlib import Path

import numpy as np

from fer_lib.screen import without_stderr

_OPSET = 17
_NUMBER = re.compile(r"__(\d+)")
_SMALL = 256  # numbers; a smaller tensor is not worth a node that widens it


def of_trace(trace):
    """Return the `bytes` of the file of what `litert.trace` gave.

    Raises:
        ImportError: If tf2onnx is missing; the message names it.
    """
    made, _ = _tf2onnx().convert.from_function(trace, trace.input_signature, opset=_OPSET)
    return _numbered(made).SerializeToString()


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
    return _numbered(made).SerializeToString()


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


def _numbered(model):
    """Number the names in a model by their order in it, so the same model is the same bytes.

    tf2onnx counts on from what the process made before, in an order that may differ.
    """
    order, graph = {}, model.graph

    def new(name):
        return _NUMBER.sub(lambda at: f"__{order.setdefault(at[1], len(order) + 1)}", name)

    for node in graph.node:
        node.input[:], node.output[:] = map(new, node.input), map(new, node.output)
        node.name = new(node.name)
    for one in (*graph.initializer, *graph.value_info, *graph.input, *graph.output):
        one.name = new(one.name)
    for one in (*graph.value_info, *graph.input, *graph.output):
        for side in one.type.tensor_type.shape.dim:
            if side.dim_param:
                side.dim_param = new(side.dim_param)
    graph.doc_string = ""
    graph.initializer.sort(key=lambda tensor: tensor.name)
    graph.value_info.sort(key=lambda info: info.name)
    return model


def _tf2onnx():
    try:
        return importlib.import_module("tf2onnx")
    except ImportError as error:
        raise ImportError(
            f'ONNX files need the package tf2onnx: pip install -e ".[onnx]" ({error}).'
        ) from None
