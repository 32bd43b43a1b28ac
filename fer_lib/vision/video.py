"""Videos to a table: one row per face and frame, faces numbered over time."""

import contextlib
import os
import time
import warnings
from pathlib import Path

from fer_lib import storage
from fer_lib.choices import lookup
from fer_lib.vision import detection, photos, threads, tracking
from fer_lib.vision.part_file import PartFile
from fer_lib.vision.recogniser import SEARCH_EVERY, SEARCH_SIDE, Recogniser

# Ending of an annotated video → how its frames are packed.
CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".webm": "VP80"}
FIGURES = (".png", ".pdf", ".svg")
# A frame that can not be read is broken if one of the next ones can; else the file has ended.
_TRIES = 100


def predict_video(
    source,
    predictor,
    *,
    every=1,
    detector="auto",
    out=None,
    annotated=None,
    timeline=None,
    overwrite=False,
    unsure_below=photos.UNSURE_BELOW,
    time_constant=tracking.TIME_CONSTANT,
    search_every=SEARCH_EVERY,
    search_side=SEARCH_SIDE,
    stop_after=None,
    progress=True,
):
    """Find the faces of a video, follow them, and tell their apparent emotions over time.

    Reading, recognising and drawing run side by side. The rows go to a file beside `out`
    (`part_file.PartFile`) as they come, so that hours of video need no more memory than minutes
    until the table is read back. A run that was killed goes on there when called again in the
    same way, to the same table; stopped by Ctrl-C, it says where its rows are.

    Args:
        source: Video file that OpenCV reads, or the number of a camera, with `stop_after`.
        predictor: `Predictor`, or what `load_predictor` takes. Anything with `label_set` and
            `predict` will do.
        every: Take every n-th frame, from the first.
        detector: Key of `detection.DETECTORS`, or `"auto"`.
        out: File for the table (see `photos.save_table`).
        annotated: File for a copy of the video with the faces marked, without sound; its ending
            is a key of `CODECS`.
        timeline: File for a figure of the emotions over time: .png, .pdf or .svg.
        overwrite: Whether these files may replace others.
        unsure_below: Probability under which an emotion is marked as unsure.
        time_constant: Of the smoothing of probabilities, in seconds (`tracking.Tracker`); 0 keeps
            each frame's own.
        search_every: Frames of the video from one search for faces to the next; between them
            faces are followed.
        search_side: Frames are reduced to this many pixels a side for the search.
        stop_after: Seconds of the video after which to stop, or `None`.
        progress: Whether to show a bar.

    Returns:
        `pandas.DataFrame` as of `photos.predict_photos`, with `frame` (from 0), `seconds` (from
        the video's start) and `face` (a number that stays with a face until it is lost or the
        scene changes). `detection_score` is empty where a face was followed. A frame without a
        face, or that can not be read, keeps one row with an empty `emotion` and a `note`.
        `attrs` counts `frames` and `broken_frames` taken, and `missing_frames` that the file
        promises after its last.

    Raises:
        ValueError: If an argument does not fit or the video can not be opened.
        FileExistsError: If a file is there already, or a part of another run.
        KeyboardInterrupt: On Ctrl-C; the message says where the rows are.
    """
    if int(every) != every or every < 1:
        raise ValueError(f"every must be an integer from 1; got {every}.")
    _check_outputs(out, annotated, timeline, overwrite)
    if is_camera(source) and stop_after is None:
        raise ValueError("A camera has no end: stop_after must say after how many seconds.")
    if not hasattr(predictor, "predict"):
        from fer_lib.inference.predictor import load_predictor

        predictor = load_predictor(predictor)
    recogniser = Recogniser(
        predictor,
        detector=detector,
        search_every=max(1, search_every // every),
        search_side=search_side,
        unsure_below=unsure_below,
        time_constant=time_constant,
    )
    if recogniser.notice:
        warnings.warn(recogniser.notice, stacklevel=2)
    capture = open_capture(source)
    call = {
        "source": _identity(source),
        "model": _model_identity(predictor),
        "detector": recogniser.detector,
        "every": every,
        "settings": [unsure_below, time_constant, search_every, search_side, stop_after],
    }
    with contextlib.ExitStack() as stack:
        if out is None:
            import tempfile

            part_of = Path(stack.enter_context(tempfile.TemporaryDirectory()), "faces.csv")
        else:
            part_of = out
        part = PartFile(part_of, predictor.label_set, call)
        stack.callback(part.close)
        draw = stack.enter_context(_annotated(annotated, capture, every))
        try:
            counts = _run(source, capture, recogniser, part, draw, every, stop_after, progress)
        except KeyboardInterrupt:
            part.close()
            kept = f"the rows so far are in {part.path}, and the same call goes on from there"
            raise KeyboardInterrupt(
                f"Stopped: {kept if out is not None else 'nothing was kept (out is None)'}."
            ) from None
        if not counts["frames"]:
            part.remove()
            raise ValueError(f"{source} can not be read: not one frame of it came.")
        table = part.table()
        table.attrs |= counts
        draw.finish()
        if timeline is not None:
            _save_timeline(table, timeline)
        if out is not None:
            photos.save_table(table, out, overwrite=overwrite)
        part.remove()
    _warn_of_loss(source, counts)
    return table


def is_camera(source):
    """Tell whether a source is a camera's number (7 or "7", if no such file is there)."""
    return isinstance(source, int) or (str(source).isdecimal() and not Path(source).exists())


def open_capture(source):
    """Return OpenCV's open capture of a video file or a camera's number.

    Raises:
        ValueError: If it can not be opened; the message names it and the reason.
        ImportError: If OpenCV is missing.
    """
    cv2 = detection._opencv()
    camera = is_camera(source)
    if not camera and not Path(source).is_file():
        raise ValueError(f"{source} can not be read: there is no such file.")
    if not camera and not os.access(source, os.R_OK):
        raise ValueError(f"{source} can not be read: permission denied.")
    capture = cv2.VideoCapture(int(source) if camera else str(source))
    if capture.isOpened():
        return capture
    if camera:
        raise ValueError(
            f"Camera {source} can not be opened: is one connected, allowed for this user and not "
            "in use by another program? Other cameras have other numbers (0, 1, …)."
        )
    raise ValueError(f"{source} can not be read: it is no video that OpenCV knows, or damaged.")


def read_frames(capture, every=1, *, wanted=lambda frame: True, clock=None):
    """Yield the frames of a capture until its end.

    Args:
        capture: What `open_capture` returned, or anything with its methods.
        every: Yield every n-th frame, from the first.
        wanted: Function from a frame's number to whether its picture is needed.
        clock: Function that returns the seconds, instead of the video's own times.

    Yields:
        `(frame, seconds, ok, image)`: whether the frame could be read, and `uint8` array of shape
        `(height, width, 3)`, RGB, `None` if it is broken or not wanted.
    """
    import cv2

    rate = capture.get(cv2.CAP_PROP_FPS) or 30.0
    frame, failures, last = 0, 0, 0.0
    while failures < _TRIES:
        if not capture.grab():
            failures += 1
            continue
        for broken in range(frame, frame + failures):
            last += 1 / rate
            if broken % every == 0:
                yield broken, last if broken else 0.0, False, None
        frame, failures = frame + failures, 0
        seconds = clock() if clock else capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        # Some files keep no times.
        last = seconds if seconds > last or frame == 0 else last + 1 / rate
        if frame % every == 0:
            ok, image = capture.retrieve() if wanted(frame) else (True, None)
            good = ok and image is not None
            yield frame, last, ok, cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if good else None
        frame += 1


def _run(source, capture, recogniser, part, draw, every, stop_after, progress):
    """Go through the frames and return the counts."""
    import cv2
    from tqdm import tqdm

    state = part.state or {"next": 0, "seen": -1, "frames": 0, "broken": 0}
    if part.state:
        recogniser.restore(state["recogniser"])
    start, seen = state["next"], state["seen"]
    started = time.monotonic()
    frames = read_frames(
        capture,
        every,
        wanted=lambda frame: draw.on or frame >= start or frame == seen,
        clock=(lambda: time.monotonic() - started) if is_camera(source) else None,
    )
    name = str(source).encode("utf-8", "backslashreplace").decode()
    total = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    done, read = part.frames(), 0
    with (
        threads.made_ahead(frames) as ahead,
        threads.done_behind(draw) as drawn,
        tqdm(
            total=-(-total // every) or None, desc="video", unit="frame", disable=not progress
        ) as bar,
    ):
        for frame, seconds, ok, image in ahead:
            if stop_after is not None and seconds >= stop_after:
                break
            bar.update()
            read = frame + every
            if frame < start:
                if frame == seen:
                    recogniser.see(image)
                drawn((image, next(done)))
                continue
            at = {"source": name, "frame": frame, "seconds": seconds}
            if ok:
                rows = [at | row for row in recogniser.step(image, seconds)]
                rows, seen = rows or [at | {"emotion": "", "note": "no face found"}], frame
            else:
                rows = [at | {"emotion": "", "note": "the frame can not be read"}]
            state = {
                "next": frame + 1,
                "seen": seen,
                "frames": state["frames"] + 1,
                "broken": state["broken"] + (not ok),
                "recogniser": recogniser.state(),
            }
            part.append(rows, state)
            drawn((image, rows))
        else:
            missing = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) - read)
            return _counts(state, missing)
    return _counts(state, 0)


def _counts(state, missing):
    return {
        "frames": state["frames"],
        "broken_frames": state["broken"],
        "missing_frames": missing,
    }


class _Drawing:
    """Writes marked frames to a file of a temporary name, which it gets when all are there."""

    def __init__(self, path, rate):
        self.on = path is not None
        self.path, self.rate, self.writer, self.last = path and Path(path), rate, None, None
        # Not a new name each time: a killed run's file is written over by the next.
        self.part = self.on and self.path.with_name(f"{self.path.stem}.part{self.path.suffix}")

    def __call__(self, item):
        import cv2

        if not self.on:
            return
        image, rows = item
        image = self.last if image is None else photos.annotate(image, rows)
        if image is None:
            return
        self.last = image
        if self.writer is None:
            code = cv2.VideoWriter_fourcc(*CODECS[self.path.suffix.lower()])
            self.path.parent.mkdir(parents=True, exist_ok=True)
            size = image.shape[1], image.shape[0]
            self.writer = cv2.VideoWriter(str(self.part), code, self.rate, size)
            if not self.writer.isOpened():
                raise ValueError(f"{self.path} can not be written: OpenCV refuses {size} pixels.")
        self.writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def finish(self):
        if self.writer is not None:
            self.writer.release()
            os.replace(self.part, self.path)
            self.writer = None


@contextlib.contextmanager
def _annotated(path, capture, every):
    import cv2

    rate = capture.get(cv2.CAP_PROP_FPS)
    drawing = _Drawing(path, (rate if 0 < rate <= 240 else 30.0) / every)
    try:
        yield drawing
    finally:
        capture.release()
        if drawing.writer is not None:
            drawing.writer.release()
            drawing.part.unlink(missing_ok=True)


def _check_outputs(out, annotated, timeline, overwrite):
    if out is not None:
        photos.check_table_path(out, overwrite=overwrite)
    for path, table, what in (
        (annotated, CODECS, "an annotated video"),
        (timeline, dict.fromkeys(FIGURES), "a timeline"),
    ):
        if path is None:
            continue
        lookup(table, Path(path).suffix.lower(), f"ending of {what} ({path})")
        if Path(path).exists() and not overwrite:
            raise FileExistsError(f"{path} is there already; choose another name, or overwrite it.")


def _identity(source):
    if is_camera(source):
        return f"camera {source} at {time.time()}"  # a camera's past does not come again
    stat = os.stat(source)
    return [os.path.abspath(source), stat.st_size, stat.st_mtime_ns]


def _model_identity(predictor):
    path = getattr(predictor, "path", None)
    known = storage.file_hash(path) if path is not None else type(predictor).__name__
    return [known, list(predictor.label_set)]


def _save_timeline(table, path):
    from fer_lib import plots
    from fer_lib.vision import episodes

    path = Path(path)
    figure = plots.timeline_figure(episodes.emotion_series(table), episodes.transitions(table))
    plots.save_figure(figure, path.with_suffix(""), [path.suffix[1:]])


def _warn_of_loss(source, counts):
    broken, missing = counts["broken_frames"], counts["missing_frames"]
    if broken or missing:
        warnings.warn(
            f"{source}: {broken} of {counts['frames']} frames can not be read, and it ends "
            f"{missing} frames before the number that it promises.",
            stacklevel=3,
        )
