"""Faces in pictures: find them, turn them upright, cut them out as a classifier wants them.

To add a detector: write `open() -> function from a uint8 RGB picture (height, width, 3) to a list
of Detection` and put it in `DETECTORS`.
"""

import math
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_lib.choices import lookup
from fer_lib.inference.litert import cores
from fer_lib.vision import yunet

# Detection works on a copy of at most this many pixels a side. YuNet learnt faces of about 10 to
# 300 pixels and answers several times for one of more than 600, which this rules out as well.
MAX_SIDE = 640
# FER-2013's faces measured by YuNet: the median picture is a square around the middle of the box
# with a side of 1.03 times the box's height. Haar's boxes have that size too. It matters: of 537
# faces put into larger pictures a network told 56 % right in crops like this, 57 % in the original
# ones and 50 % with a margin of 0.2.
MARGIN = 0.03
# The search of a photograph: its smallest faces come to SMALLEST pixels (of 10 pixels YuNet finds
# few, of 20 nearly all), in tiles of TILE pixels that overlap by the largest face taken from them.
# YuNet's box of a head of 20 pixels is 12 to 20 pixels high.
MIN_FACE = 12
SMALLEST = 16
TILE, OVERLAP = 1280, 192
# More than a photograph of 24 megapixels; its side bounds time and memory.
MAX_SEARCH = 8192


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

    def moved(self, right, down):
        """Return the detection `right` and `down` pixels further."""
        eyes = self.eyes and tuple((x + right, y + down) for x, y in self.eyes)
        return self._replace(x=self.x + right, y=self.y + down, eyes=eyes)

    def scaled(self, across, down):
        """Return the detection in a picture that is `across` times as wide, `down` as high."""
        eyes = self.eyes and tuple((x * across, y * down) for x, y in self.eyes)
        box = (self.x * across, self.y * down, self.width * across, self.height * down)
        return Detection(*box, self.score, eyes)


def detect(image, detector="auto", *, max_side=MAX_SIDE, min_score=None):
    """Find the faces of a picture in one search; see `search` for large photographs.

    YuNet finds frontal faces and profiles turned in the picture plane by up to 30 degrees, and
    about half of them at 45 to 60; Haar finds frontal ones turned by up to 10.
    `tests/benchmarks/detection.py` measures both.

    Args:
        image: `uint8` array of shape `(height, width, 3)`, RGB, or `(height, width)`, grey.
        detector: Key of `DETECTORS`, or `"auto"`: YuNet, whose file is downloaded once, or else
            Haar with a warning.
        max_side: Larger pictures are reduced to this many pixels a side for the search. Faces
            under about 1/60 of it (YuNet) or 1/15 (Haar) are missed.
        min_score: Faces of a lower score are left out. Defaults to the detector's own limit, 0.6
            of YuNet.

    Returns:
        List of `Detection` in pixels of `image`, from left to right; empty if there is no face.

    Raises:
        ValueError: If the picture or the detector's name does not fit.
        ImportError: If OpenCV is missing; the message says how to install it.
        FileNotFoundError: If YuNet is asked for, and its file cannot be had.
    """
    image = _checked(image)
    if max_side < 1:
        raise ValueError(f"max_side must be at least 1 pixel; got {max_side}.")
    name, notice = resolve_auto(detector)
    if notice:
        warnings.warn(notice, stacklevel=2)
    height, width = image.shape[:2]
    small = _reduced(image, max_side)
    least = _least_score(name, min_score)
    across, down = width / small.shape[1], height / small.shape[0]
    found = [face.scaled(across, down) for face in _opened(name)(small) if not face.score < least]
    inside = [f for f in found if 0 <= f.centre[0] < width and 0 <= f.centre[1] < height]
    return sorted(inside, key=lambda face: face.centre)


def search(image, detector="auto", *, min_face=MIN_FACE, size=None, min_score=None, threads=None):
    """Find the faces of a photograph, small ones in large photographs too.

    The whole is searched at `MAX_SIDE` pixels a side. A larger photograph is searched again by
    YuNet, in tiles, at the size in which a face of `min_face` pixels is just found, and at sizes
    between where these two are far apart.

    Args:
        image: `uint8` array of shape `(height, width, 3)`, RGB, or `(height, width)`, grey.
        detector: Key of `DETECTORS`, or `"auto"`.
        min_face: Height in pixels of the smallest face that is looked for and kept.
        size: Pixels a side of the finest search, instead of what `min_face` asks for.
        min_score: See `detect`.
        threads: Tiles searched side by side. Defaults to the number of cores, at most 4.

    Returns:
        `(faces, side)`: list of `Detection` from left to right, and the longer side of the
        picture in the finest search.

    Raises:
        ValueError: If an argument does not fit.
        ImportError, FileNotFoundError: See `detect`.
    """
    image = _checked(image)
    if not min_face >= 1:
        raise ValueError(f"min_face must be at least 1 pixel; got {min_face}.")
    if size is not None and not 32 <= size <= 4 * MAX_SEARCH:
        raise ValueError(f"search_size must be 32 to {4 * MAX_SEARCH} pixels; got {size}.")
    name, notice = resolve_auto(detector)
    if notice:
        warnings.warn(notice, stacklevel=2)
    longest = max(image.shape[:2])
    finest = size or max(MAX_SIDE, min(MAX_SEARCH, round(longest * SMALLEST / min_face)))
    if name != "yunet" and size is None:
        finest = MAX_SIDE  # Haar is slow, and finds faces in large pictures where there are none
    finest = min(longest, finest)
    sides = [min(MAX_SIDE, finest)]
    while sides[-1] < finest:
        sides.append(finest if finest <= 13 * sides[-1] else 8 * sides[-1])
    found = []
    for side in sides:
        faces = _tiles(image, name, side, min_score, threads)
        # A face that a coarser search found stays; what a finer one sees in it is a part of it.
        found += [face for face in faces if not any(_overlap(face, old) > 0.5 for old in found)]
    found = [face for face in found if max(face.width, face.height) >= min_face]
    return sorted(found, key=lambda face: face.centre), finest


def _tiles(image, name, side, min_score, threads):
    """Return the faces of a search at `side` pixels, in pixels of the picture."""
    if side <= MAX_SIDE:
        return detect(image, name, max_side=side, min_score=min_score)
    small, least = _reduced(image, side), _least_score(name, min_score)
    (height, width), across = small.shape[:2], max(image.shape[:2]) / side
    corners = [(x, y) for y in _starts(height) for x in _starts(width)]

    def look(corner):
        (left, top), faces = corner, []
        for face in _opened(name)(
            np.ascontiguousarray(small[top : top + TILE, left : left + TILE])
        ):
            face = face.moved(left, top)
            # Each face counts in the one tile that shows it whole.
            own = [
                (start == 0 or start + OVERLAP / 2 <= at)
                and (start + TILE >= end or at < start + TILE - OVERLAP / 2)
                for start, at, end in zip(corner, face.centre, (width, height), strict=True)
            ]
            small_enough = max(face.width, face.height) <= OVERLAP
            if all(own) and small_enough and not face.score < least:
                faces.append(face.scaled(across, across))
        return faces

    threads = min(4, cores()) if threads is None else threads
    if min(threads, len(corners)) == 1:
        return [face for corner in corners for face in look(corner)]
    with ThreadPoolExecutor(min(threads, len(corners))) as pool:
        return [face for faces in pool.map(look, corners) for face in faces]


def _starts(length):
    """Return where tiles begin that cover a length and overlap by `OVERLAP`."""
    return range(0, max(1, length - OVERLAP), TILE - OVERLAP)


def _overlap(face, other):
    """Return the share of the smaller of two boxes that lies in the other."""
    across = min(face.x + face.width, other.x + other.width) - max(face.x, other.x)
    down = min(face.y + face.height, other.y + other.height) - max(face.y, other.y)
    smaller = min(face.width * face.height, other.width * other.height)
    return max(0.0, across) * max(0.0, down) / max(smaller, 1e-9)


def _reduced(image, side):
    """Return a picture in RGB, made smaller if its longer side is more than `side` pixels."""
    cv2 = _opencv()
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(
        cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image
    )


def _least_score(name, min_score):
    if min_score is None:
        return yunet.SCORE if name == "yunet" else -math.inf
    if name == "yunet" and not yunet.LEAST_SCORE <= min_score <= 1:
        raise ValueError(f"min_score of YuNet must be {yunet.LEAST_SCORE} to 1; got {min_score}.")
    return min_score


def crop_faces(image, detections, size=48, *, margin=MARGIN, align=True):
    """Cut faces out of a picture, framed as in FER-2013.

    A crop is the square around the middle of the box, turned until the eyes are level where the
    detector gave them. What lies past the picture's edges repeats the edge. YuNet's eyes follow
    only about a third of a turn in the picture plane (of 10 to 30 degrees, measured), so the rest
    of it stays in the crop.

    Args:
        image: The picture that `detect` was given.
        detections: List of `Detection`.
        size: Height and width of a crop in pixels, or what a `Predictor` takes: `(height, width)`
            of a square, or `(height, width, 3)` for RGB.
        margin: Share of the box's longer side by which the square is larger than it.
        align: Whether to turn by the eyes.

    Returns:
        `uint8` array of shape `(n, size, size)`, grey 0 to 255, or `(n, size, size, 3)`.

    Raises:
        ValueError: If the picture, size or margin do not fit.
        ImportError: If OpenCV is missing.
    """
    cv2 = _opencv()
    image = _checked(image)
    height, width, *rgb = (size, size) if isinstance(size, int | np.integer) else size
    if height != width or height < 1:
        raise ValueError(f"size must be that of a square of at least 1 pixel; got {size}.")
    if not margin > -1:
        raise ValueError(f"margin must be above -1 (0.1 is 10 % more than the box); got {margin}.")
    if rgb and image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    crops = np.empty((len(detections), height, height, *rgb), np.uint8)
    for number, face in enumerate(detections):
        turn = _tilt(face) if align else 0.0
        crops[number] = _square(cv2, image, face, height, margin, turn, not rgb)
    return crops


def resolve_auto(detector):
    """Say which detector a name comes to.

    `"auto"` downloads YuNet's file once where it is missing; if that fails, it is tried again by
    the next process.

    Returns:
        `(key of DETECTORS, notice)`: the notice is `""` unless `"auto"` came to Haar.

    Raises:
        ValueError: If the name is unknown.
    """
    if detector != "auto":
        lookup({"auto": None, **DETECTORS}, detector, "detector")
        return detector, ""
    if yunet.yunet_file():
        return "yunet", ""
    folder = str(yunet.folders()[-1])
    if not (reason := yunet.why_missing(folder)):
        return "yunet", ""
    return "haar", (
        "Faces are searched for with Haar's cascade, which misses turned and small ones, because "
        f"{reason}."
    )


def _opencv():
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            f'Finding faces needs OpenCV 4: pip install -e ".[vision]" ({error}).'
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


def _square(cv2, image, face, size, margin, turn, grey):
    side = max(face.width, face.height, 1.0) * (1 + margin)
    (x, y), reach = face.centre, math.ceil(side) + 1
    # OpenCV maps pictures of at most 32,767 pixels a side; a turned square needs 0.71 sides.
    left, top = max(0, int(x) - reach), max(0, int(y) - reach)
    part = image[top : int(y) + reach + 1, left : int(x) + reach + 1]
    if grey and part.ndim == 3:
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


_ready = threading.local()  # OpenCV's detectors must not be called from two threads at once


def _opened(name):
    # A forked process has the memory of its parent, but not the threads that OpenCV keeps there.
    key = name, yunet.yunet_file() if name == "yunet" else None, os.getpid()
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
    find = yunet.open_yunet()
    return lambda image: [Detection(*face) for face in find(image)]


DETECTORS = {"yunet": _open_yunet, "haar": _open_haar}
