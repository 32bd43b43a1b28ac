"""Live window: a camera's faces with their apparent emotions, and keys to keep some of it."""

import contextlib
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np

from fer_lib import storage
from fer_lib.emotions import COLOURS
from fer_lib.vision import detection, drawing, face_table
from fer_lib.vision.part_file import PartFile
from fer_lib.vision.recogniser import Recogniser

PAGE = "python -m fer_lib page shows the camera in a browser instead."
KEYS = "Esc or q quit, s snapshot, r record table, m mirror"
_TITLE = f"fer_lib: {KEYS}"
_WAIT = 5.0  # seconds without a frame after which a camera is taken to be gone


def show_webcam(predictor, camera=0, *, detector="auto", folder=".", mirror=True, **options):
    """Show a camera's faces in a window until a key ends it.

    Args:
        predictor: `Predictor`, or what `load_predictor` takes.
        camera: Number of the camera.
        detector: Key of `detection.DETECTORS`, or `"auto"`.
        folder: Where snapshots (key s) and recorded tables (key r) go; nothing else is kept.
        mirror: Whether the picture is shown mirrored, as one sees oneself. Tables are of the
            camera's own picture either way.
        **options: Of `recogniser.Recogniser`.

    Returns:
        List of the files that were written.

    Raises:
        ValueError: If the camera cannot be opened, or stops giving frames.
        RuntimeError: If no window can be opened: no display, or OpenCV without windows.
        ImportError: If OpenCV is missing.
    """
    if not hasattr(predictor, "predict"):
        from fer_lib.inference.predictor import load_predictor

        predictor = load_predictor(predictor)
    recogniser = Recogniser(predictor, detector=detector, **options)
    window = open_window(_TITLE)
    try:
        with Camera(open_capture(camera), camera) as frames:
            session = Session(recogniser, folder=folder, mirror=mirror)
            session.run(frames, window)
    finally:
        window.close()
    return session.written


class Session:
    """What happens in the window, without the window itself.

    Args:
        recogniser: `Recogniser`, or anything with its `step` and `predictor`.
        folder: Where snapshots and tables go.
        mirror: Whether pictures are shown mirrored; recorded boxes are the camera's.
    """

    def __init__(self, recogniser, *, folder=".", mirror=True):
        self.recogniser, self.folder, self.mirror = recogniser, Path(folder), mirror
        self.written, self.message = [], ""
        self._record, self._table, self._times, self._frame = None, None, [], 0
        self._lock = contextlib.ExitStack()
        self._keys = {
            "s": self._snapshot,
            "r": self._toggle_record,
            "m": self._toggle_mirror,
            "q": lambda picture: True,
            "\x1b": lambda picture: True,
        }

    def run(self, frames, window):
        """Show frames until a key quits, the window is closed or the frames end.

        A table that is being recorded is written whatever ends it.

        Args:
            frames: Iterable of `(seconds, image)`, `uint8` RGB of shape `(height, width, 3)`.
            window: Has `show(image)`, `key()` (a string, empty without a key) and `is_open()`.
        """
        try:
            for seconds, image in frames:
                picture = self.picture(image, seconds)
                window.show(picture)
                if self.press(window.key(), picture) or not window.is_open():
                    return
        finally:
            self._save_record()

    def picture(self, image, seconds):
        """Return a frame with its faces marked, and keep its rows if they are recorded."""
        rows = self.recogniser.step(image, seconds)
        if self._record is not None:
            at = {"source": "camera", "frame": self._frame, "seconds": seconds}
            found = [at | row for row in rows] or [at | {"emotion": "", "note": "no face found"}]
            self._record.append(found, None)
        self._frame += 1
        self._times = [*self._times[-29:], time.perf_counter()]
        if self.mirror:
            width = image.shape[1]
            image = np.ascontiguousarray(image[:, ::-1])
            rows = [row | {"x": width - row["x"] - row["width"]} for row in rows]
        return draw(image, rows, self.recogniser.predictor.label_set, self._status())

    def press(self, key, picture):
        """Do what a key asks for and return whether it is to quit."""
        return bool(self._keys.get(key, lambda picture: False)(picture))

    def _status(self):
        span = self._times[-1] - self._times[0]
        rate = f"{(len(self._times) - 1) / span:.0f} fps" if span > 0 else ""
        return "   ".join(filter(None, [rate, "recording" * (self._record is not None)]))

    def _snapshot(self, picture):
        from PIL import Image

        path = self._new("snapshot", ".png")
        with storage.replacing(path) as temporary:
            Image.fromarray(picture).save(temporary, "PNG")
        self.written.append(path)

    def _toggle_mirror(self, picture):
        self.mirror = not self.mirror

    def _toggle_record(self, picture):
        if self._record is None:
            self._table = self._new("faces", ".csv")
            self._lock.enter_context(storage.locked(self._table))
            self._record = PartFile(self._table, self.recogniser.predictor.label_set, {})
        else:
            self._save_record()

    def _save_record(self):
        if self._record is not None:
            face_table.save_table(self._record.table(), self._table)
            self._record.remove()
            self._lock.close()
            self.written.append(self._table)
            self._record = None

    def _new(self, name, ending):
        """Return a name that is not taken, with the date and time."""
        stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        names = (f"{stem}{f'-{n}' * (n > 1)}{ending}" for n in range(1, 10_000))
        return next(path for path in map(self.folder.joinpath, names) if not path.exists())


class Camera:
    """Frames of a capture, read in a thread that keeps the newest alone.

    Iterating gives `(seconds, image)` of the newest frame that was not given yet; those that came
    meanwhile are dropped and counted in `dropped`.

    Args:
        capture: What `open_capture` returned, or anything with `read` and `release`.
        name: Of the camera, for messages.
        wait: Seconds without a frame after which the camera is taken to be gone.
    """

    def __init__(self, capture, name=0, *, wait=_WAIT):
        self.capture, self.name, self.wait = capture, name, wait
        self.dropped = 0
        self._newest, self._gone, self._stop = None, False, False
        self._ready = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="camera", daemon=True)

    def __enter__(self):
        """Start to read."""
        self._thread.start()
        return self

    def __exit__(self, *error):
        """Stop to read and release the camera."""
        self._stop = True
        self._thread.join(self.wait)

    def __iter__(self):
        """Yield the newest frames.

        Raises:
            ValueError: If the camera gives no frames any more.
        """
        import cv2

        given = 0
        while True:
            with self._ready:
                if not self._ready.wait_for(lambda: self._newest or self._gone, self.wait):
                    raise ValueError(f"Camera {self.name} gave no frame in {self.wait:g} seconds.")
                newest, self._newest = self._newest, None
            if newest is None:
                raise ValueError(
                    f"Camera {self.name} gave {given} frames and then no more: was it unplugged, "
                    "or taken by another program?"
                    if given
                    else f"Camera {self.name} gives no frames: is it in use by another program?"
                )
            given += 1
            yield newest[0], cv2.cvtColor(newest[1], cv2.COLOR_BGR2RGB)

    def _read(self):
        started = time.monotonic()
        try:
            while not self._stop:
                ok, image = self.capture.read()
                if not ok:
                    break
                with self._ready:
                    self.dropped += self._newest is not None
                    self._newest = time.monotonic() - started, image
                    self._ready.notify()
        finally:
            with self._ready:
                self._gone = True
                self._ready.notify()
            self.capture.release()


def draw(image, rows, label_set, status=""):
    """Return a picture with boxes, labels, and bars of each face's probabilities beside it.

    Args:
        image: `uint8` array of shape `(height, width, 3)`, RGB.
        rows: The frame's rows, list of dicts by column.
        label_set: Emotion names.
        status: Line for the lower left corner.

    Returns:
        `uint8` array of the shape that `drawing.annotate` returns.
    """
    from PIL import Image, ImageDraw, ImageFont

    picture = drawing.annotate(image, rows)
    height, width = picture.shape[:2]
    fold = height // image.shape[0]
    line = max(9.0, height / 45)
    font = ImageFont.load_default(line)
    size = round(11 * line), round((len(label_set) + 0.6) * 1.15 * line)
    faces = [
        tuple(fold * row[name] for name in ("x", "y", "width", "height"))
        for row in rows
        if row.get("emotion")
    ]
    seen = [row for row in rows if row.get("emotion")]
    canvas = Image.fromarray(picture)
    pen, taken = ImageDraw.Draw(canvas, "RGBA"), []
    for row, face in zip(seen, faces, strict=True):
        others = [other for other in faces if other is not face]
        corner = _free_corner(face, size, (width, height), [face, *others], taken)
        taken.append((*corner, *size))
        _draw_bars(pen, corner, size, row, label_set, line, font)
    if status:
        pen.text((line / 2, height - 1.6 * line), status, "white", font, stroke_width=1,
                 stroke_fill="black")  # fmt: skip
    return np.asarray(canvas)


def _free_corner(face, size, picture, faces, taken):
    """Return the upper left corner of a face's bars: beside it, over as little as can be."""
    x, y, width, height = face
    across, down = size
    corners = [
        (x + width + 4, y),
        (x - across - 4, y),
        (x + (width - across) // 2, y + height + 4),
        (x + (width - across) // 2, y - down - 24),
        (x + width + 4, y + height - down),
        (x - across - 4, y + height - down),
    ]
    corners = [
        (
            min(max(0, left), max(0, picture[0] - across)),
            min(max(0, top), max(0, picture[1] - down)),
        )
        for left, top in corners
    ]

    def hides(corner):
        box = (*corner, *size)
        return sum(_shared(box, other) for other in [*faces, *taken])

    return min(corners, key=hides)


def _shared(box, other):
    """Return the pixels that two boxes have in common."""
    across = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    down = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    return max(0, across) * max(0, down)


def _draw_bars(pen, corner, size, row, label_set, line, font):
    x, y = corner
    pen.rectangle((x, y, x + size[0], y + size[1]), fill=(0, 0, 0, 140))
    start, full = x + 5.2 * line, size[0] - 5.7 * line
    for number, emotion in enumerate(label_set):
        top = y + (0.3 + 1.15 * number) * line
        pen.text((x + line / 3, top - 0.15 * line), emotion, "white", font)
        end = start + max(1.0, full * row[emotion])
        pen.rectangle((start, top, end, top + 0.85 * line), fill=COLOURS.get(emotion, "#8C8C8C"))


def open_capture(camera):
    """Return OpenCV's open capture of a camera's number.

    Raises:
        ValueError: If it cannot be opened.
        ImportError: If OpenCV is missing.
    """
    capture = detection._opencv().VideoCapture(int(camera))
    if not capture.isOpened():
        raise ValueError(
            f"Camera {camera} cannot be opened: is one connected, allowed for this user and not "
            "in use by another program? Other cameras have other numbers (0, 1, …)."
        )
    return capture


def open_window(title):
    """Return OpenCV's window.

    Raises:
        RuntimeError: If there is no display, or OpenCV was built without windows.
    """
    import cv2

    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise RuntimeError(f"There is no display for a window. {PAGE}")
    if not has_windows(cv2.getBuildInformation()):
        raise RuntimeError(
            "This OpenCV (opencv-python-headless) has no windows: pip uninstall "
            f'opencv-python-headless, then pip install "opencv-python<5". Or: {PAGE}'
        )
    try:
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
    except cv2.error as error:
        raise RuntimeError(f"No window can be opened ({error.err or error.code}). {PAGE}") from None
    return _Window(title)


def has_windows(build):
    """Tell from OpenCV's build information whether it can open windows."""
    lines = [line.split(":") for line in build.splitlines() if line.strip()[:4] == "GUI:"]
    return bool(lines) and lines[0][1].strip() not in ("NONE", "NO")


class _Window:
    def __init__(self, title):
        self.title, self._size = title, None

    def show(self, image):
        import cv2

        if self._size is None:
            self._size = image.shape[1], image.shape[0]
            cv2.resizeWindow(self.title, *self._size)
        cv2.imshow(self.title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def key(self):
        import cv2

        code = cv2.waitKey(1)
        return chr(code & 0xFF) if code != -1 else ""

    def is_open(self):
        import cv2

        return cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) > 0

    def close(self):
        import cv2

        cv2.destroyAllWindows()
