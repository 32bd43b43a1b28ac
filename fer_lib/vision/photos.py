"""Photographs to a table: one row per face with its box and the probability of each emotion."""

import math
import os
import warnings
from pathlib import Path

import numpy as np

from fer_lib import storage
from fer_lib.vision import detection
from fer_lib.vision.drawing import annotate
from fer_lib.vision.face_table import (
    UNSURE_BELOW,
    check_table_path,
    face_columns,
    faces_table,
    save_table,
    screen_table,  # noqa: F401, until the command line finds it in face_table
)
from fer_lib.vision.pictures import SUFFIXES, read_photo

# A picture of this size in which no face is found is one already, cut out as FER-2013's are.
CROP_SIDES = range(24, 65)


def predict_photos(
    paths,
    predictor,
    *,
    detector="auto",
    unsure_below=UNSURE_BELOW,
    annotated=None,
    out=None,
    overwrite=False,
):
    """Find the faces of photographs and tell their apparent emotions.

    Args:
        paths: File or folder, or a list of them; folders are searched with all below them for
            names that end as pictures' do (`SUFFIXES`).
        predictor: `Predictor`, or what `load_predictor` takes. Anything with `label_set` and
            `predict` will do.
        detector: Key of `detection.DETECTORS`, or `"auto"`.
        unsure_below: Faces whose most probable emotion has less than this probability (0 to 1)
            are marked as unsure.
        annotated: Folder, new or empty, for copies with the faces marked (`annotate`), as JPEG.
        out: File for the table (see `save_table`).
        overwrite: Whether `out` may replace a file.

    Returns:
        `pandas.DataFrame` with a row per face, from left to right in each photo: `source` (file),
        `frame` (0), `seconds` (0), `face` (number from 1), `x`, `y`, `width`, `height` (box in
        pixels, cut at the picture's edges), `detection_score`, `emotion`, `unsure`, a column of
        probabilities per emotion, and `note`. A photo without a face, or a file that can not be
        read, keeps one row with an empty `emotion` and a `note` that says why. A picture of 24 to
        64 pixels a side in which no face is found is taken as one face, without a score.

    Raises:
        ValueError: If an argument does not fit.
        FileExistsError: If `out` is there already, or `annotated` holds files.
        ImportError: If OpenCV or what opens the model is missing.
    """
    from tqdm import tqdm

    if not 0 <= unsure_below <= 1:
        raise ValueError(f"unsure_below must be between 0 and 1; got {unsure_below}.")
    if out is not None:
        check_table_path(out, overwrite=overwrite)
    if annotated is not None:
        _check_empty(annotated)
    detector, notice = detection.resolve_auto(detector)
    detection.detect(np.zeros((1, 1), np.uint8), detector)  # what is missing is said at once
    if notice:
        warnings.warn(notice, stacklevel=2)
    if not hasattr(predictor, "predict"):
        from fer_lib.inference.predictor import load_predictor

        predictor = load_predictor(predictor)
    rows, taken = [], set()
    for path, fault in tqdm(_files(paths), desc="photos", unit="photo", delay=2, leave=False):
        try:
            image = None if fault else read_photo(path)
        except ValueError as error:
            fault = str(error)
        if fault:
            rows.append(_row(path, fault))
            continue
        new = _photo_rows(path, image, predictor, detector, unsure_below)
        rows += new
        if annotated is not None:
            _write_annotated(annotate(image, new), Path(annotated), path, taken)
    table = faces_table(rows, predictor.label_set)
    if out is not None:
        save_table(table, out, overwrite=overwrite)
    return table


def _files(paths):
    """Return `(path, fault)` of every file to read; a fault says why there is nothing to read."""
    paths = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not paths:
        raise ValueError("paths must name at least one photograph or folder.")
    files = {}
    for path in map(Path, paths):
        if not path.is_dir():
            files.setdefault(path, "")
            continue
        faults, found = [], []
        for folder, below, names in os.walk(path, onerror=faults.append):
            below[:] = sorted(name for name in below if name[0] != "." and name != "__MACOSX")
            found += [
                Path(folder, name)
                for name in sorted(names)
                if name[0] != "." and name.lower().endswith(SUFFIXES)
            ]
        files |= dict.fromkeys(found, "")
        files |= {Path(e.filename): f"{e.filename} can not be read: {e.strerror}." for e in faults}
        if not found and not faults:
            files[path] = f"{path} holds no pictures."
    return list(files.items())


def _photo_rows(path, image, predictor, detector, unsure_below):
    faces, note, margin = detection.detect(image, detector), "", detection.MARGIN
    height, width = image.shape[:2]
    if not faces and height in CROP_SIDES and width in CROP_SIDES:
        note = "no face found: the whole picture taken as one"
        faces, margin = [detection.Detection(0, 0, width, height, math.nan)], 0.0
    if not faces:
        return [_row(path, "no face found")]
    size = getattr(predictor, "face_size", 48)
    crops = detection.crop_faces(image, faces, size, margin=margin)
    return [
        _row(path, note, number)
        | face_columns(face, image.shape, probabilities, predictor.label_set, unsure_below)
        for number, (face, probabilities) in enumerate(
            zip(faces, predictor.predict(crops), strict=True), start=1
        )
    ]


def _row(path, note, number=None):
    # A name that is no valid UTF-8 can be in no table as it is.
    source = str(path).encode("utf-8", "backslashreplace").decode()
    at = {"source": source, "frame": 0, "seconds": 0.0}
    return at | {"face": number, "emotion": "", "note": note}


def _check_empty(folder):
    if os.path.lexists(folder) and (not os.path.isdir(folder) or os.listdir(folder)):
        raise FileExistsError(f"{folder} must be a new or an empty folder; it is there with files.")


def _write_annotated(image, folder, source, taken):
    from PIL import Image

    name, number = f"{source.stem}.jpg", 1
    while name.lower() in taken:
        number += 1
        name = f"{source.stem}-{number}.jpg"
    taken.add(name.lower())
    with storage.replacing(folder / name) as temporary:
        Image.fromarray(image).save(temporary, quality=90)
