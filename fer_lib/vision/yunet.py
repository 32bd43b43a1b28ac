"""YuNet, the face detector: its file, fetched once, and the network that it becomes.

Wu, Peng and Yu 2023, https://doi.org/10.1007/s11633-023-1423-y.
"""

import functools
import hashlib
import http.client
import os
import urllib.request
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_lib import storage

SCORE = 0.6  # from which an answer counts as a face
LEAST_SCORE = 0.3  # from which it is an answer at all
_OVERLAP = 0.3  # of two boxes (intersection over union) from which they are one face, as OpenCV's


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


def yunet_file():
    """Return YuNet's file in `$FER_WEIGHTS` or `$FER_HOME/weights`, or `None`.

    A file of another name that holds `yunet` and ends in `.onnx` will do.
    """
    for folder in folders():
        if (folder / YUNET.name).is_file():  # asked for each photograph: a search takes longer
            return folder / YUNET.name
    found = (path for folder in folders() for path in sorted(folder.glob("*yunet*.onnx")))
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
        f"{weights.name} cannot be downloaded ({'; '.join(reasons)}). Put the file with sha256 "
        f"{weights.sha256} at {path}, or name its folder in FER_WEIGHTS."
    )


@functools.cache
def why_missing(folder):
    """Download YuNet's file unless that was tried before, and say why it is not there.

    Args:
        folder: Where it goes, a string.

    Returns:
        The reason, or `""` if the file is there.
    """
    try:
        fetch(YUNET, folder, timeout=5)
    except (OSError, ValueError) as error:
        return str(error).rstrip(".")
    return ""


def folders():
    """Return the folders in which the file may lie, a list."""
    named = os.environ.get("FER_WEIGHTS")
    return [*([Path(named)] if named else []), storage.fer_home() / "weights"]


def open_yunet():
    """Return YuNet as a function of one thread; it is downloaded if it is nowhere.

    ONNX Runtime computes it in half the time of OpenCV, and gives the same boxes and scores.

    Returns:
        Function from a `uint8` RGB picture `(height, width, 3)` to a list of `(x, y, width, height,
        score, eyes)`, scores from `LEAST_SCORE`.

    Raises:
        FileNotFoundError: If the file cannot be had.
        ValueError: If it is not YuNet's.
        ImportError: If ONNX Runtime is missing.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            f'YuNet needs ONNX Runtime: pip install -e ".[vision]" ({error}).'
        ) from None
    path = yunet_file() or fetch(YUNET, storage.fer_home() / "weights")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # it warns of sizes other than the file's own
    try:
        session = onnxruntime.InferenceSession(
            of_any_size(path.read_bytes()), options, providers=["CPUExecutionProvider"]
        )
        names = [f"{kind}_{step}" for step in (8, 16, 32) for kind in ("cls", "obj", "bbox", "kps")]
        if not set(names) <= {output.name for output in session.get_outputs()}:
            raise ValueError("other outputs")
    except Exception as error:  # onnxruntime's errors derive from Exception alone
        raise ValueError(
            f"{path} cannot be opened as YuNet ({error}); the file that fits has sha256 "
            f"{YUNET.sha256}: {YUNET.urls[0]}"
        ) from None
    entry = session.get_inputs()[0].name

    def find(image):
        height, width = image.shape[:2]
        down, across = -(-height // 32) * 32, -(-width // 32) * 32
        pixels = np.zeros((1, 3, down, across), np.float32)
        pixels[0, :, :height, :width] = image[..., ::-1].transpose(2, 0, 1)
        answers = dict(zip(names, session.run(names, {entry: pixels}), strict=True))
        return _faces(answers, across)

    return find


def of_any_size(content):
    """Return YuNet's file with the height and width of its input free.

    Args:
        content: The file's `bytes`.
    """
    # In its protobuf a dimension `dim_value: 640` has as many bytes as `dim_param: "h"`.
    for side in (b"\x80\x05", b"\xc0\x02"):  # 640, and 320 of earlier files
        for name in (b"h", b"w"):
            content = content.replace(b"\x0a\x03\x08" + side, b"\x0a\x03\x12\x01" + name, 1)
    return content


def _faces(answers, width):
    """Return the faces that the network's outputs mean, as OpenCV's `FaceDetectorYN` does."""
    import cv2

    boxes, scores, eyes = [], [], []
    for step in (8, 16, 32):
        kinds = ("cls", "obj", "bbox", "kps")
        sure, there, box, points = (answers[f"{kind}_{step}"][0] for kind in kinds)
        score = np.sqrt(sure[:, 0].clip(0, 1) * there[:, 0].clip(0, 1))
        (at,) = np.nonzero(score >= LEAST_SCORE)
        cell = np.stack([at % (width // step), at // (width // step)], axis=1)
        size = np.exp(box[at, 2:]) * step
        boxes.append(np.concatenate([(cell + box[at, :2]) * step - size / 2, size], axis=1))
        eyes.append((points[at, :4].reshape(-1, 2, 2) + cell[:, None]) * step)
        scores.append(score[at])
    boxes, scores, eyes = map(np.concatenate, (boxes, scores, eyes))
    kept = cv2.dnn.NMSBoxes(
        boxes.astype(int).tolist(), scores.tolist(), LEAST_SCORE, _OVERLAP, 1.0, 5000
    )
    return [
        (*boxes[at].tolist(), float(scores[at]), tuple(map(tuple, eyes[at].tolist())))
        for at in np.ravel(kept).astype(int)
    ]
