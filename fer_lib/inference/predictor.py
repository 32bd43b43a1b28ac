"""Predictors: faces in, probabilities out, from an exported file and without TensorFlow.

To read another kind of file: write `open(path) -> function from uint8 faces to probabilities` and
put it in `READERS` under the file's ending. Nothing here imports Keras or TensorFlow, except to
open a `.keras` file.
"""

import importlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fer_lib import storage
from fer_lib.choices import lookup, suggest
from fer_lib.inference import litert

# Name → file of a model that ships with the package.
PREDICTORS = {
    "default": storage.SHIPPED / "fer7_float16.tflite",
    "ferplus": storage.SHIPPED / "ferplus_float16.tflite",
}

# Faces per call of the network. MobileNetV2 at 96 px, CPU time per face: 16 at once cost 10 %
# less than 64, whose feature maps leave the cache, and as much as 8.
BATCH = 16


class Predictor:
    """A classifier ready to answer; the file is opened at the first call.

    A batch is cut into pieces that threads answer side by side, each with an interpreter of its
    own: on 2 cores that took 5 to 20 % less CPU time than one interpreter with two threads.
    `predict` may be called from several threads at once, and after a fork. A predictor can be
    pickled: what goes over is where the file lies, and it is opened anew.

    Args:
        path: File to open; its ending is a key of `READERS`.
        label_set: Emotion names in the order of the columns.
        face_size: `(height, width)` of the faces that it takes, in pixels, or
            `(height, width, 3)` of one that takes RGB (and grey ones, as RGB of equal channels).
        threads: Pieces of a batch answered side by side, at least 1.
    """

    def __init__(self, path, label_set, face_size, threads):
        self.path = Path(path)
        self.label_set = tuple(label_set)
        self.face_size = tuple(face_size)
        self.threads = threads
        self._begin()

    def _begin(self):
        """Begin without threads and networks, as a process does."""
        self._process, self._idle, self._pool = os.getpid(), [], None

    def __getstate__(self):
        return {name: getattr(self, name) for name in ("path", "label_set", "face_size", "threads")}

    def __setstate__(self, state):
        vars(self).update(state)
        self._begin()

    def __repr__(self):
        return f"Predictor({str(self.path)!r}, label_set={self.label_set}, threads={self.threads})"

    def predict(self, images):
        """Return the probability of each emotion for each face.

        Args:
            images: `uint8` array of shape `(n, height, width)`, or `(n, height, width, 3)` where
                the predictor takes colour, values 0 to 255, of its `face_size`; `n` may be 0.

        Returns:
            `float32` array of shape `(n, classes)`, rows summing to 1, columns in the order of
            `label_set`.

        Raises:
            ValueError: If dtype or shape do not fit, or the file cannot be opened.
            ImportError: If the package that opens the file is missing; the message names it.
        """
        images = self._checked(images)
        if not len(images):
            return np.zeros((0, len(self.label_set)), np.float32)
        if self._process != os.getpid():  # a fork copies no threads: who waits for them, waits
            self._check_fork()
            self._begin()
        size = min(BATCH, -(-len(images) // self.threads))
        pieces = [images[start : start + size] for start in range(0, len(images), size)]
        if len(pieces) == 1:
            return self._answer(images)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="predictor")
        return np.concatenate(list(self._pool.map(self._answer, pieces)))

    def _check_fork(self):
        if self.path.suffix == ".keras" and self._idle:
            raise RuntimeError(
                f"{self.path.name} was opened by Keras before this process was forked, and its "
                "threads are not in it: export the model and load that file, or start processes "
                'by multiprocessing.get_context("spawn").'
            )

    def _answer(self, images):
        # pop and append are atomic, so that no two threads hold the same interpreter.
        try:
            network = self._idle.pop()
        except IndexError:
            network = READERS[self.path.suffix](self.path)
        try:
            return network(images)
        finally:
            self._idle.append(network)

    def _checked(self, images):
        images = np.asarray(images)
        if len(self.face_size) == 3 and images.ndim == 3:
            images = np.repeat(images[..., None], 3, axis=3)
        if images.dtype != np.uint8 or images.shape[1:] != self.face_size:
            height, width, *rgb = self.face_size
            raise ValueError(
                f"images must be uint8 of shape (n, {', '.join(map(str, self.face_size))})"
                f"{', RGB' * bool(rgb)}, values 0 to 255; got "
                f"{images.dtype} of shape {images.shape}. A single face goes in as face[None]; "
                "another size comes to fit by PIL.Image.fromarray(face)"
                f".resize(({width}, {height}))."
            )
        return images


def load_predictor(path_or_name: str | os.PathLike, *, threads: int | None = None) -> Predictor:
    """Return the predictor of an exported file, a run's folder or a name.

    Args:
        path_or_name: A file of `formats.export` (`.tflite`, `.onnx`), a `.keras` file in a run's
            folder, the run's folder itself, or a key of `PREDICTORS`.
        threads: Pieces of a batch answered side by side; by default the number of cores, at
            most 4.

    Returns:
        A `Predictor`. Only a `.keras` file needs Keras; it is opened at once.

    Raises:
        FileNotFoundError: If there is no such file or name, or its label order is not beside it.
        ValueError: If the kind of file is unknown, the file is not the one that was exported,
            or `threads` is less than 1.
    """
    path = find_model(path_or_name)
    threads = min(4, litert.cores()) if threads is None else threads
    if threads < 1:
        raise ValueError(f"threads must be at least 1; got {threads}.")
    if path.suffix == ".keras":
        return _keras_predictor(path)
    about = read_sidecar(path)
    return Predictor(path, about["label_set"], about["face_size"], threads)


def find_model(path_or_name):
    """Return the file that `load_predictor` opens, a `Path`; raises as it does."""
    path = Path(PREDICTORS.get(path_or_name, path_or_name))
    if (path / "experiment.json").exists():
        path = path / "model.keras"
    if not path.is_file():
        raise FileNotFoundError(_no_such(path_or_name))
    lookup(READERS, path.suffix, f"kind of model file ({path.name})")
    return path


def sidecar(path):
    """Return where the description of an exported file lies: `x.tflite` → `x.tflite.json`."""
    path = Path(path)
    return path.with_name(path.name + ".json")


def read_sidecar(path):
    """Return the description of an exported file, a dict with `label_set` and `face_size`.

    Raises:
        FileNotFoundError: If it is missing.
        ValueError: If it is not one, or describes another file.
    """
    if not sidecar(path).is_file():
        raise FileNotFoundError(
            f"{path} needs {sidecar(path).name} beside it, which holds the order of the "
            "emotions; copy both, or export again."
        )
    about = storage.read_json(sidecar(path))
    missing = {"label_set", "face_size", "sha256"} - set(about)
    if missing:
        raise ValueError(
            f"{sidecar(path)} must hold {', '.join(sorted(missing))}; export the model again."
        )
    if about["sha256"] != storage.file_hash(path):
        raise ValueError(
            f"{path} is not the file that {sidecar(path).name} describes (its sha256 differs): "
            "one of them is damaged or from another export; export again or copy both."
        )
    return about


def _keras_predictor(path):
    """Return the predictor of a run's `model.keras` or an exported one, opened at once."""
    scores = path.with_name("scores.json")
    if sidecar(path).is_file():
        label_set = read_sidecar(path)["label_set"]
    elif scores.is_file():
        label_set = storage.read_json(scores)["test"]["per_class"]
    else:
        raise FileNotFoundError(
            f"{path} does not say which emotion is which: it must lie in a finished run's folder "
            "(beside scores.json). Export the model with fer_lib.inference.formats."
            "export(model, folder, label_set=...) and load that file."
        )
    model = _load_keras_model(path)
    predictor = Predictor(path, label_set, model.input_shape[1:], threads=1)
    predictor._idle.append(_keras_network(model))
    return predictor


def _no_such(name):
    known = f"Known names: {', '.join(PREDICTORS)}" if PREDICTORS else "No model ships by name"
    return (
        f"{str(name)!r} is neither a file, a run's folder nor a predictor's name. A run gives a "
        "file: python -m fer_lib export RUN --to FOLDER. "
        f"{known}{suggest(str(name), PREDICTORS)}"
    )


def _needed(module, path, package):
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"Opening {path.name} needs the package {package}: pip install {package} ({error})."
        ) from None


def _unreadable(path, error):
    reason = (str(error).strip() or repr(error)).splitlines()[0]
    return ValueError(f"{path} cannot be opened as {path.suffix}: {reason}")


def _open_litert(path):
    _needed("ai_edge_litert.interpreter", path, "ai-edge-litert")
    try:
        return litert.open_network(str(path))
    except (ValueError, RuntimeError) as error:
        raise _unreadable(path, error) from None


def _open_onnx(path):
    onnxruntime = _needed("onnxruntime", path, "onnxruntime")
    options = onnxruntime.SessionOptions()
    # The predictor's own threads share a batch; a second pool would spin on the same cores.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors derive from Exception alone
        raise _unreadable(path, error) from None
    face = session.get_inputs()[0].name
    return lambda images: session.run(None, {face: images})[0]


def _open_keras(path):
    return _keras_network(_load_keras_model(path))


def _keras_network(model):
    return lambda images: np.asarray(model.predict_on_batch(images))


def _load_keras_model(path):
    import keras

    try:
        return keras.models.load_model(path, compile=False)  # in safe mode: no code from the file
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise _unreadable(path, error) from None


READERS = {".tflite": _open_litert, ".onnx": _open_onnx, ".keras": _open_keras}
