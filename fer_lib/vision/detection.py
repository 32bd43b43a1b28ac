"""Faces in pictures: find them, turn them upright, cut them out as a classifier wants them.

To add a detector: write `open() -> function from a uint8 RGB picture (height, width, 3) to a list
of Detection` and put it in `DETECTORS`.
"""

import hashlib
import http.client
import math
import os
import threading
import urllib.request
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_lib import storage
from fer_lib.choices import lookup

# Detection works on a copy of at most this many pixels a side. YuNet learnt faces of about 10 to
# 300 pixels and answers several times for one of more than 600, which this rules out as well.
MAX_SIDE = 640
# FER-2013's faces measured by YuNet: the median picture is a square around the middle of the box
# with a side of 1.03 times the box's height. Haar's boxes have that size too. It matters: of 537
# faces put into larger pictures a network told 56 % right in crops like this, 57 % in the original
# ones and 50 % with a margin of 0.2.
MARGIN = 0.03
YUNET_SCORE = 0.6


class Weights(NamedTuple):
    """A file of weights on the web: its name, addresses that hold it, and its SHA-256."""

    name: str
    urls: tuple
    sha256: str


# https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet (MIT, 233 kB)
YUNET = Weights(
    "face_detection_yunet_2023mar.onnx",
    (
        "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/"
        "face_detection_yunet_2023mar.onnx",
    ),
    "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
)


class Detection(NamedTuple):
    """A face in a picture; the origin is the picture's top left corner.

    Args:
        x: Left edge of the box in pixels; a box may reach past the picture's edges.
        y: Top edge in pixels.
        width: Width in pixels.
        height: Height in pixels.
        score: The detector's own measure of certainty: YuNet's lies between 0.6 and 1, Haar's
            is the last stage's sum (around 50), to be compared with Haar's only.
        eyes: `((x, y), (x, y))` in pixels, first the person's right eye; `None` where the
            detector does not give them.
    """

    x: float
    y: float
    width: float
    height: float
    score: float
    eyes: tuple | None = None

    @property
    def centre(self):
        """`(x, y)` of the middle of the box."""
        return self.x + self.width / 2, self.y + self.height / 2

    def scaled(self, across, down):
        """Return the detection in a picture that is `across` times as wide, `down` as high."""
        eyes = self.eyes and tuple((x * across, y * down) for x, y in self.eyes)
        box = (self.x * across, self.y * down, self.width * across, self.height * down)
        return Detection(*box, self.score, eyes)


def detect(image, detector="auto", *, max_side=MAX_SIDE):
    """Find the faces of a picture.

    YuNet finds frontal faces and profiles turned in the picture plane by up to 30 degrees, and
    about half of them at 45 to 60; Haar finds frontal ones turned by up to 10.
    `tests/benchmarks/detection.py` measures both.

    Args:
        image: `uint8` array of shape `(height, width, 3)`, RGB, or `(height, width)`, grey.
        detector: Key of `DETECTORS`, or `"auto"`: YuNet where its file is there, else Haar with
            a warning.
        max_side: Larger pictures are reduced to this many pixels a side for the search. Faces
            under about 1/60 of it (YuNet) or 1/15 (Haar) are missed.

    Returns:
        List of `Detection` in pixels of `image`, from left to right; empty if there is no face.

    Raises:
        ValueError: If the picture or the detector's name does not fit.
        ImportError: If OpenCV is missing; the message says how to install it.
        FileNotFoundError: If YuNet is asked for, and its file can not be had.
    """
    cv2 = _opencv()
    image = _checked(image)
    if max_side < 1:
        raise ValueError(f"max_side must be at least 1 pixel; got {max_side}.")
    name, notice = resolve_auto(detector)
    if notice:
        warnings.warn(notice, stacklevel=2)
    height, width = image.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    small = image
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if small.ndim == 2:
        small = cv2.cvtColor(small, cv2.COLOR_GRAY2RGB)
    found = _opened(name)(np.ascontiguousarray(small))
    across, down = width / small.shape[1], height / small.shape[0]
    found = [face.scaled(across, down) for face in found]
    inside = [f for f in found if 0 <= f.centre[0] < width and 0 <= f.centre[1] < height]
    return sorted(inside, key=lambda face: face.centre)


def crop_faces(image, detections, size=48, *, margin=MARGIN, align=True):
    """Cut faces out of a picture, framed as in FER-2013.

    A crop is the square around the middle of the box, turned until the eyes are level where the
    detector gave them. What lies past the picture's edges repeats the edge. YuNet's eyes follow
    only about a third of a turn in the picture plane (of 10 to 30 degrees, measured), so the rest
    of it stays in the crop.

    Args:
        image: The picture that `detect` was given.
        detections: List of `Detection`.
        size: Height and width of a crop in pixels, or `(height, width)` of a square.
        margin: Share of the box's longer side by which the square is larger than it.
        align: Whether to turn by the eyes.

    Returns:
        `uint8` array of shape `(n, size, size)`, grey 0 to 255.

    Raises:
        ValueError: If the picture, size or margin do not fit.
        ImportError: If OpenCV is missing.
    """
    cv2 = _opencv()
    image = _checked(image)
    height, width = (size, size) if isinstance(size, int | np.integer) else size
    if height != width or height < 1:
        raise ValueError(f"size must be that of a square of at least 1 pixel; got {size}.")
    if not margin > -1:
        raise ValueError(f"margin must be above -1 (0.1 is 10 % more than the box); got {margin}.")
    crops = np.empty((len(detections), height, height), np.uint8)
    for number, face in enumerate(detections):
        turn = _tilt(face) if align else 0.0
        crops[number] = _square(cv2, image, face, height, margin, turn)
    return crops


def resolve_auto(detector):
    """Say which detector a name comes to.

    Returns:
        `(key of DETECTORS, notice)`: the notice is `""` unless `"auto"` came to Haar.

    Raises:
        ValueError: If the name is unknown.
    """
    if detector != "auto":
        lookup({"auto": None, **DETECTORS}, detector, "detector")
        return detector, ""
    if yunet_file():
        return "yunet", ""
    return "haar", (
        f"Detecting with Haar's cascade, which misses turned and small faces, because {YUNET.name} "
        f"is not in {' or '.join(map(str, _folders()))}. detector='yunet' downloads it once."
    )


def yunet_file():
    """Return YuNet's file in `$FER_WEIGHTS` or `$FER_HOME/weights`, or `None`.

    A file of another name that holds `yunet` and ends in `.onnx` will do.
    """
    found = (
        path
        for pattern in (YUNET.name, "*yunet*.onnx")
        for folder in _folders()
        for path in sorted(folder.glob(pattern))
    )
    return next(found, None)


def fetch(weights, folder, *, timeout=10):
    """Download a file of weights, check it, and return its path.

    Args:
        weights: `Weights`; its addresses are tried in turn.
        folder: Where the file goes.
        timeout: Seconds to wait for an answer.

    Returns:
        `Path` of the file. It is there whole and checked, or not at all.

    Raises:
        FileNotFoundError: If no address answers; the message says where to put the file.
        ValueError: If what came is not that file.
    """
    path = Path(folder) / weights.name
    reasons = []
    for url in weights.urls:
        try:
            with urllib.request.urlopen(url, timeout=timeout) as answer:
                content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"{url}: {error}")
            continue
        got = hashlib.sha256(content).hexdigest()
        if got != weights.sha256:
            raise ValueError(
                f"{url} must hold the file with sha256 {weights.sha256}; got {len(content)} bytes "
                f"with {got}. Nothing was kept."
            )
        with storage.replacing(path) as temporary:
            temporary.write_bytes(content)
        return path
    raise FileNotFoundError(
        f"{weights.name} can not be downloaded ({'; '.join(reasons)}). Put the file with sha256 "
        f"{weights.sha256} at {path}, or name its folder in FER_WEIGHTS."
    )


def _opencv():
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            f'Finding faces needs OpenCV 4: pip install "fer_lib[vision]" ({error}).'
        ) from None
    return cv2


def _checked(image):
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise ValueError(
            "image must be uint8 of shape (height, width, 3), RGB, or (height, width), grey; got "
            f"{image.dtype} of shape {image.shape}."
        )
    if not image.size:
        raise ValueError(f"image must hold pixels; its shape is {image.shape}.")
    return image


def _tilt(face):
    """Return the angle in radians by which the eyes' line falls to the right."""
    if face.eyes is None:
        return 0.0
    (right_x, right_y), (left_x, left_y) = face.eyes
    across, down = left_x - right_x, left_y - right_y
    # In a profile the eyes nearly coincide, and the line between them means nothing.
    if math.hypot(across, down) < 0.2 * max(face.width, face.height):
        return 0.0
    return math.atan2(down, across)


def _square(cv2, image, face, size, margin, turn):
    side = max(face.width, face.height, 1.0) * (1 + margin)
    (x, y), reach = face.centre, math.ceil(side) + 1
    # OpenCV maps pictures of at most 32,767 pixels a side; a turned square needs 0.71 sides.
    left, top = max(0, int(x) - reach), max(0, int(y) - reach)
    part = image[top : int(y) + reach + 1, left : int(x) + reach + 1]
    if part.ndim == 3:
        part = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    # Sampled about once per source pixel, then averaged: a large face must not lose lines.
    fold = max(1, round(side / size))
    step = side / (size * fold)
    cos, sin = math.cos(turn) * step, math.sin(turn) * step
    middle = (size * fold - 1) / 2
    to_source = np.array(
        [
            [cos, -sin, x - left - 0.5 - middle * (cos - sin)],
            [sin, cos, y - top - 0.5 - middle * (sin + cos)],
        ]
    )
    crop = cv2.warpAffine(
        part,
        to_source,
        (size * fold, size * fold),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA) if fold > 1 else crop


def _folders():
    named = os.environ.get("FER_WEIGHTS")
    return [*([Path(named)] if named else []), storage.fer_home() / "weights"]


_ready = threading.local()  # OpenCV's detectors must not be called from two threads at once


def _opened(name):
    key = name, yunet_file() if name == "yunet" else None
    if key not in vars(_ready):
        vars(_ready)[key] = DETECTORS[name]()
    return vars(_ready)[key]


def _open_haar():
    """Viola and Jones's cascade (2001) as shipped with OpenCV 4."""
    cv2 = _opencv()
    path = Path(getattr(cv2, "data", cv2).haarcascades) / "haarcascade_frontalface_alt2.xml"
    cascade = cv2.CascadeClassifier(str(path))

    def find(image):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        boxes, _, weights = cascade.detectMultiScale3(
            grey, scaleFactor=1.2, minNeighbors=2, minSize=(24, 24), outputRejectLevels=True
        )
        return [
            Detection(*map(float, box), float(weight))
            for box, weight in zip(boxes, np.ravel(weights), strict=True)
        ]

    return find


def _open_yunet():
    """YuNet (Wu, Peng and Yu 2023, https://doi.org/10.1007/s11633-023-1423-y), with eyes."""
    cv2 = _opencv()
    path = yunet_file() or fetch(YUNET, storage.fer_home() / "weights")
    content = np.frombuffer(path.read_bytes(), np.uint8)  # OpenCV can not open every path itself
    nothing = np.empty(0, np.uint8)
    try:
        network = cv2.FaceDetectorYN.create("onnx", content, nothing, (320, 320), YUNET_SCORE)
    except cv2.error as error:
        raise ValueError(
            f"{path} can not be opened as YuNet ({str(error.err).strip() or error.code}); the file "
            f"that fits has sha256 {YUNET.sha256}: {YUNET.urls[0]}"
        ) from None

    def find(image):
        network.setInputSize((image.shape[1], image.shape[0]))
        rows = network.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
        return [_from_yunet(row.tolist()) for row in (() if rows is None else rows)]

    return find


def _from_yunet(row):
    return Detection(*row[:4], row[14], ((row[4], row[5]), (row[6], row[7])))


DETECTORS = {"yunet": _open_yunet, "haar": _open_haar}
