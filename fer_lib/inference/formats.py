"""Export: classifiers as small Keras, LiteRT and ONNX files, and what each loses by it.

An exported network is the whole recogniser, as the Keras model is: raw `uint8` faces in,
probabilities out. The order of its emotions lies in a JSON file beside it. To add a format: one
entry in `FORMATS`.
"""

import csv
import functools
import io
import json
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_lib import __version__, storage
from fer_lib.choices import lookup
from fer_lib.inference import litert, onnx_file
from fer_lib.inference.predictor import load_predictor, sidecar

CALIBRATION_FACES = 300
# A step of an integer tensor rounds with a standard deviation of 1/sqrt(12) steps. Layers that
# stray further than this many times that stay in floating point, because a few such layers cost
# most of the accuracy that int8 loses; `report` says what is left. On the validation faces of two
# fine-tuned MobileNetV2 2 layers stay at 2, 6 at 1.5 (1.3 and 1.6 times as slow, no nearer to
# Keras's answers), none at infinity (further off); `tests/benchmarks/int8_layers.py`.
FLOAT_ABOVE = 2
FLOAT_OPERATIONS = ["SOFTMAX", "FULLY_CONNECTED"]


class Format(NamedTuple):
    """How a classifier becomes a file.

    Args:
        ending: What follows the name that the files of one export share.
        convert: Function from a `_Network` and calibration images to the file's `bytes` and a
            dict of what its description says besides.
        calibrated: Whether it needs calibration faces.
    """

    ending: str
    convert: object
    calibrated: bool = False


def export(
    model_or_run, folder, *, formats=None, calibration=None, label_set=None, name="classifier"
):
    """Write a classifier as Keras, LiteRT and ONNX files, each with its description beside it.

    Args:
        model_or_run: A `keras.Model` from `uint8` faces, grey or RGB, to probabilities,
            or a finished `Run`. Keras must run on TensorFlow.
        folder: Where the files go.
        formats: Keys of `FORMATS`; all by default.
        calibration: `Faces` or `uint8` array of training faces as the model takes them, of which
            `CALIBRATION_FACES` (of `Faces` in the classes' proportions) set the ranges of
            `"litert_int8"`. For a `Run` it defaults to the training faces of its data set.
        label_set: Emotion names in the order of the outputs; a `Run` knows its own.
        name: What the files' names start with.

    Returns:
        Dict from format to `Path`.

    Raises:
        ValueError: If a format is unknown, label set or calibration are missing or do not fit,
            or Keras does not run on TensorFlow.
        BlockingIOError: If another process writes these files.
        ImportError: If a format's package is missing; the message names it.
    """
    formats = tuple(FORMATS if formats is None else formats)
    chosen = {key: lookup(FORMATS, key, "export format") for key in formats}
    model, label_set, source = _subject(model_or_run, label_set)
    images = None
    if any(spec.calibrated for spec in chosen.values()):
        images = _calibration_images(model_or_run, model, calibration)
    network = _Network(in_float32(model))
    about = {
        "label_set": list(label_set),
        "face_size": list(model.input_shape[1:]),
        "source": source,
        "fer_lib": __version__,
    }
    paths = {key: Path(folder) / (name + spec.ending) for key, spec in chosen.items()}
    with storage.locked(Path(folder) / name):
        for key, spec in chosen.items():
            content, notes = spec.convert(network, images)
            write(paths[key], content, {"format": key, **about, **notes})
    return paths


def report(model_or_run, paths, faces):
    """Compare exported files with the classifier that they came from.

    Args:
        model_or_run: The `keras.Model` or `Run`.
        paths: Dict from format to path, as `export` returns it.
        faces: Labelled `Faces`, not those of the calibration.

    Returns:
        `pandas.DataFrame` with the row `"keras"` and one per format: `file_mb` (10^6 bytes),
        `max_difference` of a probability from Keras's, `same_label` (share of faces with Keras's
        most probable emotion), `accuracy`, `macro_f1`, `log_loss`.

    Raises:
        ValueError: If the label set of a file is not that of the faces.
    """
    import pandas as pd

    model = model_or_run.model() if hasattr(model_or_run, "experiment") else model_or_run
    expected = model.predict(faces.images, batch_size=256, verbose=0)
    file = getattr(model_or_run, "folder", None)
    rows = {"keras": _row(file and file / "model.keras", expected, expected, faces)}
    for key, path in paths.items():
        predictor = load_predictor(path)
        if predictor.label_set != faces.label_set:
            raise ValueError(
                f"{path} must have the label set of {faces.name}, {faces.label_set}; "
                f"it has {predictor.label_set}."
            )
        rows[key] = _row(path, predictor.predict(faces.images), expected, faces)
    return pd.DataFrame.from_dict(rows, orient="index")


def _row(path, probabilities, expected, faces):
    from fer_lib.evaluation import metrics

    scores = ("accuracy", "macro_f1", "log_loss")
    return {
        "file_mb": Path(path).stat().st_size / 1e6 if path else float("nan"),
        "max_difference": float(abs(probabilities - expected).max()),
        "same_label": float((probabilities.argmax(1) == expected.argmax(1)).mean()),
    } | {score: metrics.METRICS[score](faces.classes, probabilities) for score in scores}


def _subject(model_or_run, label_set):
    """Return model, label set and a line that says where they came from."""
    if hasattr(model_or_run, "experiment"):
        known = tuple(model_or_run.scores["test"]["per_class"])
        if label_set is not None and tuple(label_set) != known:
            raise ValueError(f"label_set must be the run's, {known}; got {tuple(label_set)}.")
        return model_or_run.model(), known, model_or_run.folder.name
    model = model_or_run
    classes = model.output_shape[-1]
    if label_set is None or len(label_set) != classes:
        given = "none" if label_set is None else tuple(label_set)
        raise ValueError(f"label_set must name the model's {classes} outputs; got {given}.")
    return model, tuple(label_set), f"Keras model {model.name}"


def _calibration_images(model_or_run, model, calibration):
    if calibration is None and hasattr(model_or_run, "experiment"):
        calibration = model_or_run.experiment.load_data()["train"]
    if calibration is None:
        raise ValueError(
            "Format 'litert_int8' needs training faces: give calibration=faces, or leave it out "
            "of formats."
        )
    images = np.asarray(getattr(calibration, "images", calibration))
    size = model.input_shape[1:]
    if images.dtype != np.uint8 or images.shape[1:] != size or not len(images):
        raise ValueError(
            f"calibration must be uint8 of shape (n, {', '.join(map(str, size))}) with n > 0; got "
            f"{images.dtype} of shape {images.shape}."
        )
    classes = getattr(calibration, "classes", np.zeros(len(images)))
    # Evenly spaced rows of the faces sorted by class keep the classes' proportions.
    order = np.lexsort((np.random.default_rng(0).permutation(len(images)), classes))
    count = min(CALIBRATION_FACES, len(images))
    return images[order[np.linspace(0, len(images) - 1, count).astype(int)]]


def in_float32(model):
    """Return a Keras model, or its twin in single precision if it computes in half."""
    if all("16" not in layer.compute_dtype for layer in model.layers):
        return model
    import keras

    text = model.to_json()
    for half in ("bfloat16", "float16"):
        text = text.replace(f'"mixed_{half}"', '"float32"')
    twin = keras.models.model_from_json(text)
    twin.set_weights(model.get_weights())
    return twin


class _Network:
    """A classifier on its way into files."""

    def __init__(self, model):
        self.model = model

    @functools.cached_property
    def trace(self):
        return litert.trace(self.model)


def _keras(network, _):
    """Round the weights to half precision, which compresses the file to half its size."""
    import keras

    twin = keras.models.model_from_json(network.model.to_json())
    twin.set_weights([_rounded(values) for values in network.model.get_weights()])
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder) / "plain.keras", Path(folder) / "packed.keras"
        twin.save(plain)
        with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w") as target:
            for name in source.namelist():
                content = source.read(name)
                if name == "metadata.json":  # the same network shall give the same bytes
                    content = json.dumps(json.loads(content) | {"date_saved": ""})
                target.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_BZIP2)
        return packed.read_bytes(), {"weights": "rounded to float16"}


def _rounded(values):
    with np.errstate(over="ignore"):
        half = values.astype(np.float16).astype(values.dtype)
    return np.where(np.isfinite(half), half, values)


def _litert(network, _):
    return litert.convert(network.trace), {}


def _litert_float16(network, _):
    import tensorflow as tf

    half = tf.lite.TargetSpec(supported_types=[tf.float16])
    optimizations = [tf.lite.Optimize.DEFAULT]
    return litert.convert(network.trace, optimizations=optimizations, target_spec=half), {}


def _litert_int8(network, images):
    """Quantise weights per channel and activations per tensor (Jacob et al. 2018, 1712.05877).

    The head stays in floating point, or its probabilities would be multiples of 1/256 that do not
    sum to 1; so do the layers that quantisation hurts most (see `FLOAT_ABOVE`), which may be nearly
    all of a network of few channels: the description beside the file says how many they are.
    """
    import tensorflow as tf

    def batches():
        return ([images[start : start + 10]] for start in range(0, len(images), 10))

    def single_faces():
        return ([face[None]] for face in images[:32])

    debug = tf.lite.experimental
    converter = litert.converter(
        network.trace, optimizations=[tf.lite.Optimize.DEFAULT], representative_dataset=batches
    )
    with litert.quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a deprecated interpreter inside the debugger
        options = debug.QuantizationDebugOptions(denylisted_ops=FLOAT_OPERATIONS)
        debugger = debug.QuantizationDebugger(
            converter=converter, debug_options=options, debug_dataset=single_faces
        )
        debugger.run()
        worst, layers = _worst_layers(debugger), len(debugger.layer_statistics)
        debugger.options = debug.QuantizationDebugOptions(
            denylisted_ops=FLOAT_OPERATIONS, denylisted_nodes=worst
        )
        content = debugger.get_nondebug_quantized_model()
    return content, {
        "calibration_faces": len(images),
        "float_layers": f"{len(worst)} of {layers}",
    }


def _worst_layers(debugger):
    table = io.StringIO()
    debugger.layer_statistics_dump(table)
    return [
        row["tensor_name"]
        for row in csv.DictReader(io.StringIO(table.getvalue()))
        if float(row["mean_squared_error"]) > FLOAT_ABOVE**2 / 12 * float(row["scale"]) ** 2
    ]


def _onnx(network, _):
    return onnx_file.of_trace(network.trace), {}


def write(path, content, about):
    """Write an exported file and its description, a dict with label set and face size."""
    with storage.replacing(path) as temporary:
        temporary.write_bytes(content)
    storage.write_json(sidecar(path), about | {"sha256": storage.file_hash(path)})


FORMATS = {
    "keras": Format(".keras", _keras),
    "litert": Format(".tflite", _litert),
    "litert_float16": Format("_float16.tflite", _litert_float16),
    "litert_int8": Format("_int8.tflite", _litert_int8, calibrated=True),
    "onnx": Format(".onnx", _onnx),
}
