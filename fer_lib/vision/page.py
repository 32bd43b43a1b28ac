"""A local web page: photos, the browser's camera and videos, on gradio."""

import contextlib
import inspect
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path

from fer_lib import storage
from fer_lib.inference.honest_use import MEANING, RESTRICTIONS, describe_errors, read_scores
from fer_lib.inference.predictor import load_predictor
from fer_lib.vision import detection, episodes, face_table, photos
from fer_lib.vision.own_origin import OwnOrigin
from fer_lib.vision.recogniser import Recogniser
from fer_lib.vision.video import predict_video
from fer_lib.vision.webcam import draw

HOST = "127.0.0.1"
MAX_UPLOAD = 500_000_000  # bytes
CAMERA_EVERY = 0.2  # seconds; gradio sends pictures whether or not the last one was answered
_FOLDER = "fer_lib-page-"
_BUTTONS = ["download", "fullscreen"]  # not "share", which sends pictures to another site
# Words stay whole, and what is wide scrolls in its own box, on a phone too.
_CSS = """
.gradio-container {
  max-width: 1100px !important; width: 100% !important; min-width: 0; margin: 0 auto !important;
}
.prose td, .prose th, table td, table th { word-break: normal; overflow-wrap: normal; }
.cell-wrap, .header-content { white-space: nowrap; }
.prose table { display: block; overflow-x: auto; border: none !important; }
"""

TOP = """\
# Apparent facial expressions
A label and its probability, not what a person feels. Everything stays on this computer.
"""
PRIVACY = """\
Only this computer ({host}) can open the page, and no other web site can ask it. Pictures, videos
and tables are deleted when the page ends, or, if it was killed, when it is started again. "Unsure"
or a "?" marks answers with a probability under {unsure:.0%}, and small pictures that are taken
whole because no face was found in them.
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
    detection.resolve_auto(detector)  # what is missing is said before the page is up
    text = [
        "## What it cannot tell",
        MEANING.format(labels=", ".join(predictor.label_set)),
        describe_errors(scores),
        PRIVACY.format(host=HOST, unsure=face_table.UNSURE_BELOW),
        RESTRICTIONS,
    ]
    with gradio.Blocks(
        title="fer_lib: apparent facial expressions",
        analytics_enabled=False,
        delete_cache=(600, 600),
    ) as page:
        gradio.Markdown(TOP)
        with gradio.Tab("Photo"):
            _photo_tab(gradio, predictor, detector)
        with gradio.Tab("Camera"):
            _camera_tab(gradio, predictor, detector)
        with gradio.Tab("Video"):
            _video_tab(gradio, predictor, detector)
        gradio.Markdown("\n\n".join(text))
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
        ValueError: If there is no such port.
        OSError: If the port is taken.
    """
    _check_port(port)
    gradio = _gradio()
    from starlette.middleware import Middleware

    predictor, scores = model, None
    if not hasattr(model, "predict"):
        predictor, scores = load_predictor(model), read_scores(model)
    with _ended_by_signals(), _own_folder():
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
                max_file_size=MAX_UPLOAD,
                app_kwargs={"middleware": [Middleware(OwnOrigin, limit=MAX_UPLOAD)]},
                theme=gradio.themes.Default(font="sans-serif", font_mono="monospace"),
                css=_CSS,
            )
            yield page, address
        finally:
            if page is not None:
                page.close(verbose=False)


def serve(model, *, show=lambda text: None, **options):
    """Serve the page until Ctrl-C, or until the process is told to end.

    Args:
        model: As of `served`.
        show: Called with a line that names the address.
        **options: Of `served`.
    """
    with contextlib.suppress(KeyboardInterrupt), served(model, **options) as (_, address):
        show(f"The page is at {address} (Ctrl-C ends it).")
        while True:  # waits in steps: on Windows Ctrl-C ends no wait without an end
            threading.Event().wait(1)


def look_at_photo(path, predictor, folder, detector="auto"):
    """Look at a photo as `photos.recognise` does, with files to show and to keep.

    Args:
        path: File.
        predictor: `Predictor`.
        folder: Folder for the files, new or empty.
        detector: Key of `detection.DETECTORS`, or `"auto"`.

    Returns:
        `(marked, file, table)`: paths of the marked copy and of the table, and the table.

    Raises:
        ValueError: If the photo cannot be read; the message says why.
    """
    folder, file = Path(folder), Path(folder) / "faces.csv"
    table = photos.recognise(path, predictor, detector=detector, annotated=folder / "marked")
    # The page knows the file by another path than its user does.
    own, name = str(path), Path(path).name
    table[["source", "note"]] = table[["source", "note"]].apply(
        lambda of: of.str.replace(own, name)
    )
    if not table.attrs["read"]:
        raise ValueError(table["note"].iloc[0])
    face_table.save_table(table, file)
    (marked,) = folder.glob("marked/*.jpg")
    return marked, file, table


def _photo_tab(gradio, predictor, detector):
    def look(path):
        if path is None:
            return None, None, None
        try:
            marked, file, table = look_at_photo(path, predictor, tempfile.mkdtemp(), detector)
        except ValueError as error:
            raise _refusal(gradio, str(error)) from None
        return str(marked), _shown(table), str(file)

    with gradio.Row():
        photo = gradio.File(label="Photo", type="filepath", height=300)
        marked = gradio.Image(label="Faces", interactive=False, buttons=_BUTTONS, height=300)
    table = gradio.Dataframe(headers=["emotion", "face", "note"], interactive=False)
    file = gradio.DownloadButton("Download the table", size="sm")
    photo.change(look, photo, [marked, table, file], api_name="photo")


def _camera_tab(gradio, predictor, detector):
    def look(image, recogniser):
        if image is None:
            return None, None
        if recogniser is None:
            recogniser = Recogniser(predictor, detector=detector)
        rows = recogniser.step(image, time.monotonic())
        return draw(image, rows, predictor.label_set), recogniser

    # gradio's own choice is 1920 pixels across, and WebP, which take a slow computer's time.
    size = {"width": {"ideal": 640}, "height": {"ideal": 480}}
    options = gradio.WebcamOptions(constraints={"video": size})
    with gradio.Row():
        camera = gradio.Image(
            label="Camera",
            sources=["webcam"],
            streaming=True,
            webcam_options=options,
            buttons=_BUTTONS,
        )
        shown = gradio.Image(label="Faces", interactive=False, buttons=_BUTTONS, format="jpeg")
    state = gradio.State(None)
    camera.stream(
        look,
        [camera, state],
        [shown, state],
        stream_every=CAMERA_EVERY,
        time_limit=3600,
        concurrency_limit=None,  # else the camera of a second window waits for the first
        show_progress="hidden",
        api_name=False,
    )


def _video_tab(gradio, predictor, detector):
    def look(path, progress=gradio.Progress(track_tqdm=True)):  # noqa: B008
        from fer_lib import plots

        if path is None:
            return None, None, None, None
        folder = Path(tempfile.mkdtemp())
        marked, file = folder / "marked.mp4", folder / "faces.csv"
        try:
            table = predict_video(path, predictor, detector=detector, annotated=marked)
        except (ValueError, OSError) as error:
            raise _refusal(gradio, str(error).replace(str(path), Path(path).name)) from None
        # The page knows the file by another path than its user does.
        table["source"] = Path(path).name
        face_table.save_table(table, file)
        figure = plots.timeline_figure(*episodes.lanes(table))
        found = episodes.episodes(table, min_seconds=episodes.SHORTEST).round(2)
        first = ["emotion", "face", "onset", "offset"]
        shown = found[[*first, *(name for name in found if name not in (*first, "source"))]]
        return figure, shown, str(marked), str(file)

    with gradio.Row():
        video = gradio.File(label="Video", type="filepath", height=300)
        marked = gradio.Video(label="Faces", interactive=False, height=300)
    figure = gradio.Plot(show_label=False)
    table = gradio.Dataframe(
        headers=["emotion", "face", "onset", "offset"],
        label="Episodes of 0.2 seconds or more",
        interactive=False,
    )
    file = gradio.DownloadButton("Download the table", size="sm")
    video.change(look, video, [figure, table, marked, file], api_name="video")


def _refusal(gradio, reason):
    return gradio.Error(reason, title="Not read", duration=None, print_exception=False)


def _shown(table):
    """Return the columns that a person reads, the answer first."""
    answers = [face_table.answer(row) for row in table.to_dict("records")]
    shown = table[["face", "note"] if table["note"].any() else ["face"]].copy()
    shown.insert(0, "emotion", answers)
    rest = [
        name
        for name in table
        if name not in {*shown, "source", "frame", "seconds", "unsure", "note"}
    ]
    return shown.join(table[rest].round(3))


def _check_port(port):
    if port is None:
        return
    if not 1 <= port <= 65535:
        raise ValueError(f"port must be 1 to 65535; got {port}.")
    with socket.socket() as one:
        if os.name == "posix":  # elsewhere it would let two programs share a port
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((HOST, port))
        except OSError as error:
            raise OSError(
                f"Port {port} cannot be used ({error.strerror}): choose another one, or none."
            ) from None


@contextlib.contextmanager
def _ended_by_signals():
    """Let signals that end a process raise KeyboardInterrupt: what is open is then closed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_):
        raise KeyboardInterrupt

    names = [name for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


@contextlib.contextmanager
def _own_folder():
    """Keep all temporary files of this process in one folder, and remove it, and those of pages
    that were killed."""
    where = Path(tempfile.gettempdir())
    for left in where.glob(f"{_FOLDER}*"):
        # Whose page lives holds the lock.
        with contextlib.suppress(OSError):
            if left.lstat().st_uid == getattr(os, "getuid", lambda: 0)():
                with storage.locked(left):
                    shutil.rmtree(left)
    folder = where / f"{_FOLDER}{os.getpid()}-{secrets.token_hex(4)}"
    before, directory = os.environ.get("GRADIO_TEMP_DIR"), tempfile.tempdir
    with storage.locked(folder):
        folder.mkdir(mode=0o700)
        # Where gradio keeps what was uploaded and shown, and all others what they make.
        os.environ["GRADIO_TEMP_DIR"] = tempfile.tempdir = str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = directory
            os.environ.pop("GRADIO_TEMP_DIR")
            if before is not None:
                os.environ["GRADIO_TEMP_DIR"] = before
            shutil.rmtree(folder, ignore_errors=True)


def _gradio():
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    # Its history keeps what was sent in the browser's storage after the page has ended, each camera
    # picture too, for which it writes all of it anew until the browser no longer answers.
    os.environ.setdefault("GRADIO_RUN_HISTORY", "False")
    find = inspect.getfile

    def find_others(of):
        if getattr(of, "__module__", "").startswith("gradio."):
            raise OSError("not asked for")
        return find(of)

    # On import gradio writes a stub for editors beside each component whose file it finds: half of
    # its time.
    inspect.getfile = find_others
    try:
        import gradio
    except ImportError as error:
        raise ImportError(f'The page needs gradio: pip install -e ".[page]" ({error}).') from None
    finally:
        inspect.getfile = find
    return gradio
