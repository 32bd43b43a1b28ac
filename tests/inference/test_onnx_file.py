"""ONNX files answer as what they were made of, and halved ones have half the size."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason='needs pip install -e ".[onnx]"')
onnxruntime = pytest.importorskip("onnxruntime", reason='needs pip install -e ".[onnx]"')

from fer_lib.inference import onnx_file
from fer_lib.inference.predictor import load_predictor


def answers(content, images):
    session = onnxruntime.InferenceSession(content)
    return session.run(None, {session.get_inputs()[0].name: images})[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["default", "ferplus"])
def test_a_litert_file_and_its_halved_onnx_file_answer_alike(name, rng):
    pytest.importorskip("tf2onnx", reason="needs tf2onnx")
    predictor, images = load_predictor(name), rng.integers(0, 256, (9, 48, 48), dtype=np.uint8)
    whole = onnx_file.of_litert(predictor.path)
    half = onnx_file.halved(whole)
    assert len(half) < 0.52 * len(whole)
    for content in (whole, half):  # the weights of the file were rounded to half before
        assert abs(answers(content, images) - predictor.predict(images)).max() < 1e-5


def test_weights_are_halved_but_not_what_half_precision_cannot_hold(rng):
    from onnx import TensorProto, helper, numpy_helper

    weights = rng.normal(size=(40, 30)).astype(np.float32)
    large, few = weights * 1e6, weights[0]
    tensors = {"weights": weights, "large": large, "few": few}
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["a"]),
        helper.make_node("MatMul", ["x", "large"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Add", ["c", "few"], ["y"]),
    ]
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, size))]
        for name, size in (("x", 40), ("y", 30))
    ]
    stored = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = helper.make_graph(nodes, "graph", *ends, stored)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    content = onnx_file.halved(model.SerializeToString())
    kept = {of.name: of.data_type for of in onnx.load_from_string(content).graph.initializer}
    floats = TensorProto.FLOAT
    assert kept == {"weights_half": TensorProto.FLOAT16, "large": floats, "few": floats}
    x = rng.normal(size=(1, 40)).astype(np.float32)
    rounded = weights.astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(answers(content, x), x @ rounded + x @ large + few, rtol=1e-4)
