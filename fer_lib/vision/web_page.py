"""The page that needs no server of ours: a folder of files, and all computing in the browser.

`web/` beside this module holds the page; what is added to it is the classifier, YuNet and the text
on what the answers mean. ONNX Runtime for browsers is fetched by npm (see `RUNTIME`).
"""

import string
from pathlib import Path

from fer_lib import __version__, storage
from fer_lib.inference import formats, honest_use, litert, onnx_file
from fer_lib.inference.predictor import find_model, load_predictor
from fer_lib.vision import face_table, yunet

# The last version that fits into a page of 15 MB; each of the next ones has 2 MB more.
RUNTIME = "onnxruntime-web@1.24.3"
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
_PAGE = Path(__file__).with_name("web")


def write_web_page(model, folder):
    """Write a folder that recognises expressions in a browser, from photographs and the camera.

    A web server of static files is all that it needs; pictures stay in the browser.

    Args:
        model: What `load_predictor` takes: a shipped model's name, a run's folder or an exported
            file. Its weights are rounded to half precision, as those of the shipped ones are.
        folder: Where the files go. Files of these names are replaced, others stay.

    Returns:
        List of `Path` of the files.

    Raises:
        FileNotFoundError: If there is no such model, or YuNet's file cannot be had.
        ValueError: If the model does not take square grey faces.
        ImportError: If a package is missing; the message names it.
    """
    folder, predictor = Path(folder), load_predictor(model)
    height, width, *rgb = predictor.face_size
    if height != width or rgb:
        raise ValueError(
            f"The page cuts out square grey faces; {predictor.path} takes {height}x{width}"
            f"{' in colour' * bool(rgb)}."
        )
    detector = yunet.yunet_file() or yunet.fetch(yunet.YUNET, storage.fer_home() / "weights")
    network = folder / "classifier.onnx"
    about = {
        "format": "onnx",
        "label_set": list(predictor.label_set),
        "face_size": list(predictor.face_size),
        "source": Path(model).name,
        "fer_lib": __version__,
        "weights": "rounded to float16",
        "unsure_below": face_table.UNSURE_BELOW,
    }
    formats.write(network, onnx_file.halved(_onnx(find_model(model))), about)
    written = [network, formats.sidecar(network)]
    values = {"TEXT": _text(predictor, model), "RUNTIME": RUNTIME}
    values |= {"ARCHIVE": f"{RUNTIME.replace('@', '-')}.tgz"}
    values |= {"FILES": " ".join(f"package/dist/{name}" for name in RUNTIME_FILES)}
    values |= {"RUNTIME_FILES": " ".join(RUNTIME_FILES)}
    for source in sorted(_PAGE.iterdir()):
        # Names in capitals after an @ are filled in; JavaScript has ${} of its own.
        text = _Template(source.read_text(encoding="utf-8")).safe_substitute(values)
        written.append(_write(folder / source.name, text.encode()))
    content = yunet.of_any_size(detector.read_bytes())
    return [*written, _write(folder / "yunet.onnx", content)]


def write_alone(model, folder, formats):
    """Do what `export --formats web` asks for, and return a text that says how to go on.

    Args:
        model: As of `write_web_page`.
        folder: Where the files go.
        formats: The formats that are asked for.

    Raises:
        ValueError: If there are others than `"web"`.
    """
    if set(formats) != {"web"}:
        raise ValueError("The web page goes into a folder of its own: give --formats web alone.")
    size = sum(path.stat().st_size for path in write_web_page(model, folder)) / 1e6
    return (
        f"The page is in {folder} ({size:.1f} MB). Fetch {RUNTIME} into it once (12.4 MB):\n"
        f"    npm run --prefix {folder} runtime\n"
        "Serve it on this computer, and open http://localhost:8000:\n"
        f"    python -m http.server -d {folder} -b 127.0.0.1"
    )


class _Template(string.Template):
    delimiter = "@@"


def _write(path, content):
    with storage.replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def _onnx(path):
    """Return the `bytes` of the ONNX file of a model's file."""
    if path.suffix == ".onnx":
        return path.read_bytes()
    if path.suffix == ".tflite":
        return onnx_file.of_litert(path)
    import keras

    model = keras.models.load_model(path, compile=False)
    return onnx_file.of_trace(litert.trace(formats.in_float32(model)))


def _text(predictor, model):
    """Return as HTML what the answers mean, how often they are wrong, and what is restricted."""
    try:
        import mistune
    except ImportError as error:
        raise ImportError(f"The page needs mistune: pip install mistune ({error}).") from None
    parts = [
        honest_use.MEANING.format(labels=", ".join(predictor.label_set)),
        honest_use.describe_errors(honest_use.read_scores(model)),
        honest_use.RESTRICTIONS,
    ]
    return mistune.create_markdown(plugins=["table"])("\n\n".join(parts))
