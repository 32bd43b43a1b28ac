"""Exported files answer as the Keras model does, without TensorFlow, or say what is wrong."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from fer_lib import storage
from fer_lib.data.synthetic import make_faces
from fer_lib.emotions import FER7
from fer_lib.inference.formats import FORMATS, _rounded, export, load_predictor, report
from fer_lib.inference.predictor import sidecar

pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai-edge-litert")

ROUNDING = 1e-5
LITERT = ("litert", "litert_float16", "litert_int8")


@pytest.fixture(scope="module")
def model(tiny):
    """A small network with random weights that answers differently to different faces.

    Not a MobileNet: untrained, its 27 layers amplify rounding so much that int8 tests nothing.
    """
    import keras

    from fer_lib.models.classifier import build_classifier

    if keras.backend.backend() != "tensorflow":
        pytest.skip("export needs Keras on TensorFlow")
    keras.utils.set_random_seed(0)
    classifier = build_classifier(tiny, weights=None)
    _spread(classifier, make_faces(70, seed=5).images)
    return classifier


def _spread(classifier, images):
    """Set statistics and head so that these faces' features and logits have spread 1."""
    import keras

    for layer in classifier.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    classifier(images, training=True)
    head = classifier.get_layer("emotion")
    features = keras.Model(classifier.input, classifier.get_layer("pool").output)
    kernel = np.random.default_rng(0).normal(size=head.kernel.shape).astype("float32")
    logits = features.predict(images, verbose=0) @ kernel
    head.set_weights([kernel / logits.std(axis=0), -logits.mean(axis=0) / logits.std(axis=0)])


@pytest.fixture(scope="module")
def faces():
    return make_faces(70, seed=6)


@pytest.fixture(scope="module")
def paths(model, tmp_path_factory):
    """The model in every LiteRT format."""
    folder = tmp_path_factory.mktemp("export")
    calibration = make_faces(140, seed=7)
    return export(model, folder, formats=LITERT, calibration=calibration, label_set=FER7)


@pytest.fixture
def copy(paths, tmp_path):
    """A float32 LiteRT file and its sidecar, to damage."""
    path = tmp_path / "copy.tflite"
    path.write_bytes(paths["litert"].read_bytes())
    sidecar(path).write_text(sidecar(paths["litert"]).read_text())
    return path


@pytest.fixture
def onnx_path(model, tmp_path):
    pytest.importorskip("tf2onnx", reason="needs tf2onnx")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    return export(model, tmp_path, formats=("onnx",), label_set=FER7)["onnx"]


def test_the_model_of_these_tests_tells_faces_apart(model, faces):
    probabilities = model.predict(faces.images, verbose=0)
    assert len(set(probabilities.argmax(axis=1))) >= 4


def test_files_answer_as_keras_does(model, paths, faces):
    table = report(model, paths, faces)
    assert list(table.index) == ["keras", *LITERT]
    assert table.max_difference["litert"] <= ROUNDING
    assert table.same_label["litert"] == 1
    assert table.same_label["litert_int8"] >= 0.9
    assert table.accuracy["litert"] == table.accuracy["keras"]
    assert table.file_mb["litert_int8"] < 0.5 * table.file_mb["litert"]


def test_float16_differs_no_more_than_rounding_the_weights_does(model, paths, faces):
    import keras

    expected = model.predict(faces.images, verbose=0)
    rounded = keras.models.clone_model(model)
    rounded.set_weights([value.astype("float16") for value in model.get_weights()])
    by_rounding = abs(rounded.predict(faces.images, verbose=0) - expected)
    by_format = abs(load_predictor(paths["litert_float16"]).predict(faces.images) - expected)
    assert 0 < by_format.max() <= 2 * by_rounding.max()
    assert by_format.mean() <= 2 * by_rounding.mean()


def test_onnx_answers_as_keras_does(model, onnx_path, faces):
    table = report(model, {"onnx": onnx_path}, faces)
    assert table.max_difference["onnx"] <= ROUNDING


@pytest.mark.parametrize("key", LITERT)
def test_rows_are_float32_probabilities(paths, faces, key):
    probabilities = load_predictor(paths[key]).predict(faces.images)
    assert probabilities.dtype == np.float32 and probabilities.shape == (70, 7)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("key", LITERT)
@pytest.mark.parametrize("threads", [1, 3])
def test_a_face_is_answered_the_same_in_any_batch(paths, faces, key, threads):
    predictor = load_predictor(paths[key], threads=threads)
    together = predictor.predict(faces.images)
    for n in (1, 2, 17, 64):
        np.testing.assert_allclose(
            predictor.predict(faces.images[:n]), together[:n], rtol=0, atol=1e-5
        )


def test_no_faces_give_no_rows(paths):
    assert load_predictor(paths["litert"]).predict(np.zeros((0, 48, 48), np.uint8)).shape == (0, 7)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 48, 48), np.float32),
        np.zeros((48, 48), np.uint8),
        np.zeros((2, 64, 64), np.uint8),
        np.zeros((2, 48, 48, 1), np.uint8),
        np.zeros((0, 64, 64), np.uint8),
    ],
)
def test_faces_of_another_kind_are_refused(paths, images):
    with pytest.raises(ValueError, match=r"images must be uint8 of shape \(n, 48, 48\).*got"):
        load_predictor(paths["litert"]).predict(images)


def test_the_sidecar_says_what_the_file_is(paths):
    about = json.loads(sidecar(paths["litert_int8"]).read_text())
    assert tuple(about["label_set"]) == FER7 and about["face_size"] == [48, 48]
    assert about["format"] == "litert_int8" and about["calibration_faces"] == 140
    kept, layers = map(int, about["float_layers"].split(" of "))
    assert 0 <= kept < layers
    assert about["sha256"] == storage.file_hash(paths["litert_int8"])


def test_a_missing_sidecar_is_named(copy):
    sidecar(copy).unlink()
    with pytest.raises(FileNotFoundError, match="copy.tflite.json"):
        load_predictor(copy)


def test_a_sidecar_without_labels_is_refused(copy):
    sidecar(copy).write_text('{"sha256": "0", "face_size": [48, 48]}')
    with pytest.raises(ValueError, match="must hold label_set"):
        load_predictor(copy)


def test_a_changed_file_is_refused(copy):
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    with pytest.raises(ValueError, match="is not the file that copy.tflite.json describes"):
        load_predictor(copy)


@pytest.mark.parametrize("content", [b"", b"not a network", None])
def test_a_corrupt_file_is_named(copy, content):
    copy.write_bytes(copy.read_bytes()[:5000] if content is None else content)
    about = storage.read_json(sidecar(copy)) | {"sha256": storage.file_hash(copy)}
    storage.write_json(sidecar(copy), about)
    with pytest.raises(ValueError, match="copy.tflite cannot be opened as .tflite"):
        load_predictor(copy).predict(np.zeros((1, 48, 48), np.uint8))


def test_an_unknown_name_says_how_to_make_one():
    with pytest.raises(
        FileNotFoundError, match=r"'defalt' is neither.*fer_lib export RUN.*did you mean 'default'"
    ):
        load_predictor("defalt")


def test_a_small_keras_file_holds_the_model_with_rounded_weights(model, tmp_path, faces):
    path = export(model, tmp_path, formats=("keras",), label_set=FER7)["keras"]
    whole = tmp_path / "whole.keras"
    model.save(whole)
    assert path.stat().st_size < 0.75 * whole.stat().st_size
    predictor = load_predictor(path)
    assert predictor.label_set == FER7
    expected = model.predict(faces.images, verbose=0)
    by_rounding = abs(predictor.predict(faces.images) - expected).max()
    assert 0 < by_rounding < 0.05


def test_numbers_that_half_precision_cannot_hold_stay():
    values = np.array([1e6, 1.0, 1 / 3], np.float32)
    rounded = _rounded(values)
    assert rounded[0] == values[0] and rounded[1] == 1 and 0 < abs(rounded[2] - values[2]) < 1e-3


def test_an_unknown_kind_of_file_lists_the_known(tmp_path):
    (tmp_path / "model.h5").touch()
    with pytest.raises(ValueError, match=r"model\.h5.*'\.tflite', '\.onnx', '\.keras'"):
        load_predictor(tmp_path / "model.h5")


def test_threads_below_one_are_refused(paths):
    with pytest.raises(ValueError, match="threads must be at least 1; got 0"):
        load_predictor(paths["litert"], threads=0)


def test_int8_without_calibration_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match="needs training faces"):
        export(model, tmp_path, formats=("litert_int8",), label_set=FER7)
    with pytest.raises(ValueError, match="calibration must be uint8"):
        wrong = np.zeros((9, 48, 48), np.float32)
        export(model, tmp_path, formats=("litert_int8",), label_set=FER7, calibration=wrong)
    assert not list(tmp_path.iterdir())


def test_export_refuses_unknown_formats_and_unfit_labels(model, tmp_path):
    with pytest.raises(ValueError, match="did you mean 'litert'|Known: 'keras', 'litert'"):
        export(model, tmp_path, formats=("lite",), label_set=FER7)
    with pytest.raises(ValueError, match="label_set must name the model's 7 outputs"):
        export(model, tmp_path, formats=("litert",), label_set=FER7[:3])


def test_report_refuses_another_label_set(model, paths, faces):
    import dataclasses

    shuffled = dataclasses.replace(faces, label_set=FER7[::-1])
    with pytest.raises(ValueError, match="must have the label set of"):
        report(model, {"litert": paths["litert"]}, shuffled)


def test_a_mixed_precision_model_is_exported_in_float32(tiny, tmp_path, faces):
    import keras

    from fer_lib.models.classifier import build_classifier

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = build_classifier(tiny, weights=None)
    finally:
        keras.config.set_dtype_policy("float32")
    single = build_classifier(tiny, weights=None)
    _spread(single, faces.images)
    half.set_weights(single.get_weights())
    path = export(half, tmp_path, formats=("litert",), label_set=FER7)["litert"]
    expected = single.predict(faces.images, verbose=0)
    answers = load_predictor(path).predict(faces.images)
    np.testing.assert_allclose(answers, expected, rtol=0, atol=ROUNDING)
    in_half = half.predict(faces.images, verbose=0)
    assert abs(in_half - expected).max() > 10 * ROUNDING


def test_a_run_folder_is_a_predictor(model, faces, tmp_path):
    model.save(tmp_path / "model.keras")
    storage.write_json(tmp_path / "experiment.json", {})
    with pytest.raises(FileNotFoundError, match="which emotion is which"):
        load_predictor(tmp_path)
    labels = dict.fromkeys(FER7[::-1], {})
    storage.write_json(tmp_path / "scores.json", {"test": {"per_class": labels}})
    predictor = load_predictor(tmp_path)
    assert predictor.label_set == FER7[::-1]
    expected = model.predict(faces.images, verbose=0)
    np.testing.assert_allclose(predictor.predict(faces.images), expected, atol=1e-5)


def test_a_keras_file_with_code_in_it_is_refused(tmp_path):
    import keras

    inputs = keras.Input((48, 48), dtype="uint8")
    outputs = keras.layers.Lambda(lambda x: x)(inputs)
    keras.Model(inputs, outputs).save(tmp_path / "model.keras")
    storage.write_json(tmp_path / "scores.json", {"test": {"per_class": {}}})
    with pytest.raises(ValueError, match="cannot be opened as .keras"):
        load_predictor(tmp_path / "model.keras")


@pytest.mark.parametrize("kind", ["litert", "onnx"])
def test_predicting_imports_neither_tensorflow_nor_keras(paths, kind, request):
    path = paths["litert"] if kind == "litert" else request.getfixturevalue("onnx_path")
    code = (
        "import sys, numpy as np\n"
        "from fer_lib.inference.formats import load_predictor\n"
        "answer = load_predictor(sys.argv[1]).predict(np.zeros((3, 48, 48), np.uint8))\n"
        "assert answer.shape == (3, 7)\n"
        "print([name for name in ('tensorflow', 'keras', 'pandas') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.strip() == "[]"


def test_every_format_has_an_ending_of_its_own():
    assert len({spec.ending for spec in FORMATS.values()}) == len(FORMATS)
