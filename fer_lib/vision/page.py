"""A local web page: photos, the browser's camera and videos, on gradio."""

import contextlib
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from fer_lib import storage
from fer_lib.inference.honest_use import MEANING, RESTRICTIONS, describe_errors
from fer_lib.inference.predictor import PREDICTORS, load_predictor, sidecar
from fer_lib.vision import detection, episodes, photos
from fer_lib.vision.recogniser import Recogniser
from fer_lib.vision.video import predict_video
from fer_lib.vision.webcam import draw

HOST = "127.0.0.1"
_BUTTONS = ["download", "fullscreen"]  # not "share", which sends pictures to another site

PRIVACY = """\
Everything stays on this computer: the page is served at {host} alone, and pictures, videos and
tables are deleted when it ends. A "?" or "unsure" marks answers with a probability under
{unsure:.0%}.
"""


def build_page(predictor, *, detector="auto", scores=None):
    """Return the page as `gradio.Blocks`.

    Args:
        predictor: `Predictor`, or anything with `label_set` and `predict`.
        detector: Key of `detection.DETECTORS`, or `"auto"`.
        scores: What `scores.json` of the model's run holds, or `None` if that is not known.

    Raises:
        ImportError: If gradio or OpenCV is missing; the message says how to install it.
    """
    gradio = _gradio()
    detection.detect(
        np.zeros((1, 1), np.uint8), detector
    )  # what is missing is said before the page is up
    text = [
        "# Apparent facial expressions",
        MEANING.format(labels=", ".join(predictor.label_set)),
        describe_errors(scores),
        PRIVACY.format(host=HOST, unsure=photos.UNSURE_BELOW),
    ]
    with gradio.Blocks(
        title="fer_lib: apparent facial expressions",
        analytics_enabled=False,
        delete_cache=(600, 600),
    ) as page:
        gradio.Markdown("\n\n".join(text))
        with gradio.Tab("Photo"):
            _photo_tab(gradio, predictor, detector)
        with gradio.Tab("Camera"):
            _camera_tab(gradio, predictor, detector)
        with gradio.Tab("Video"):
            _video_tab(gradio, predictor, detector)
        gradio.Markdown(RESTRICTIONS)
    return page


@contextlib.contextmanager
def served(model, *, port=None, detector="auto", browser=False):
    """Serve the page on this computer alone while a block runs.

    Args:
        model: What `load_predictor` takes (for a run's folder the page says how often it is wrong
            per class), or a predictor.
        port: Port; by default the first free one from 7860.
        detector: Key of `detection.DETECTORS`, or `"auto"`.
        browser: Whether to open a browser.

    Yields:
        `(page, address)`.

    Raises:
        ImportError: If gradio or OpenCV is missing.
        OSError: If the port is taken.
    """
    gradio = _gradio()
    predictor, scores = model, None
    if not hasattr(model, "predict"):
        predictor, scores = load_predictor(model), read_scores(model)
    before = os.environ.get("GRADIO_TEMP_DIR")
    with tempfile.TemporaryDirectory(prefix="fer_lib-page-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # where it keeps what was uploaded and shown
        page = None
        try:
            page = build_page(predictor, detector=detector, scores=scores)
            _, address, _ = page.launch(
                server_name=HOST,
                server_port=port,
                share=False,
                inbrowser=browser,
                prevent_thread_lock=True,
                quiet=True,
                ssr_mode=False,
                footer_links=[],
                theme=gradio.themes.Default(font="sans-serif", font_mono="monospace"),
            )
            yield page, address
        finally:
            if page is not None:
                page.close(verbose=False)
            os.environ.pop("GRADIO_TEMP_DIR")
            if before is not None:
                os.environ["GRADIO_TEMP_DIR"] = before


def serve(model, *, show=lambda text: None, **options):
    """Serve the page until Ctrl-C.

    Args:
        model: As of `served`.
        show: Called with a line that names the address.
        **options: Of `served`.
    """
    with served(model, **options) as (page, address):
        show(f"The page is at {address} (Ctrl-C ends it).")
        page.block_thread()


def read_scores(model):
    """Return the scores of a run's folder, of a file in one or of a shipped model.

    Args:
        model: What `load_predictor` takes.

    Returns:
        Dict with `test_name` and `test`, or `None` where the scores are not known.
    """
    path = Path(PREDICTORS.get(model, model))
    folder = path if path.is_dir() else path.parent
    for file in (sidecar(path), folder / "scores.json"):
        if file.is_file() and "test" in (scores := storage.read_json(file)):
            return scores
    return None


def look_at_photo(image, predictor, detector="auto"):
    """Return a photo with its faces marked and their table.

    Args:
        image: `uint8` array of shape `(height, width, 3)`, RGB.
        predictor: `Predictor`.
        detector: Key of `detection.DETECTORS`, or `"auto"`.

    Returns:
        `(image, table)`: `uint8` array, and `pandas.DataFrame` with a row per face.
    """
    recogniser = Recogniser(predictor, detector=detector)
    rows = recogniser.step(image, 0.0)
    at = {"source": "photo", "frame": 0, "seconds": 0.0, "note": ""}
    found = [at | row for row in rows] or [at | {"emotion": "", "note": "no face found"}]
    return photos.annotate(image, rows), photos.faces_table(found, predictor.label_set)


def _photo_tab(gradio, predictor, detector):
    def look(image):
        if image is None:
            return None, None
        marked, table = look_at_photo(image, predictor, detector)
        return marked, _shown(table)

    with gradio.Row():
        photo = gradio.Image(label="Photo", sources=["upload", "clipboard"], buttons=_BUTTONS)
        marked = gradio.Image(label="Faces", interactive=False, buttons=_BUTTONS)
    table = gradio.Dataframe(label="Table", interactive=False)
    photo.change(look, photo, [marked, table], api_name="photo")


def _camera_tab(gradio, predictor, detector):
    def look(image, recogniser):
        if image is None:
            return None, None
        if recogniser is None:
            recogniser = Recogniser(predictor, detector=detector)
        rows = recogniser.step(image, time.monotonic())
        return draw(image, rows, predictor.label_set), recogniser

    with gradio.Row():
        camera = gradio.Image(label="Camera", sources=["webcam"], streaming=True, buttons=_BUTTONS)
        shown = gradio.Image(label="Faces", interactive=False, buttons=_BUTTONS)
    state = gradio.State(None)
    camera.stream(
        look, [camera, state], [shown, state], stream_every=0.1, time_limit=3600, api_name=False
    )


def _video_tab(gradio, predictor, detector):
    def look(path, progress=gradio.Progress(track_tqdm=True)):  # noqa: B008
        from fer_lib import plots

        if path is None:
            return None, None
        try:
            table = predict_video(path, predictor, detector=detector)
        except ValueError as error:
            raise gradio.Error(str(error)) from None
        picture = plots.timeline_figure(*episodes.lanes(table))
        return picture, episodes.episodes(table, min_seconds=0.2).round(2)

    video = gradio.File(label="Video", file_types=["video"], type="filepath")
    figure = gradio.Plot(label="Emotions over time")
    table = gradio.Dataframe(label="Episodes of 0.2 seconds or more", interactive=False)
    video.change(look, video, [figure, table], api_name="video")


def _shown(table):
    columns = [name for name in table.columns if name not in ("source", "frame", "seconds")]
    return table[columns].round(3)


def _gradio():
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        import gradio
    except ImportError as error:
        raise ImportError(
            f'The page needs gradio: pip install "fer_lib[page]" ({error}).'
        ) from None
    return gradio
