"""Photographs to a table: one row per face with its box and the probability of each emotion."""

import collections
import contextlib
import functools
import hashlib
import io
import math
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fer_lib import storage
from fer_lib.inference.litert import cores
from fer_lib.screen import progress
from fer_lib.vision import appearance, detection, pictures, tracking
from fer_lib.vision.drawing import annotate
from fer_lib.vision.face_table import (
    UNSURE_BELOW,
    check_table_path,
    face_columns,
    faces_table,
    save_table,
)
from fer_lib.vision.part_file import PartFile, left_complete, model_identity

if TYPE_CHECKING:
    import pandas
    from PIL.Image import Image

    from fer_lib.inference.predictor import Predictor

# A picture of this size in which no face is found is one already, cut out as FER-2013's are.
CROP_SIDES = range(24, 65)
# Of 150 faces of FER-2013 YuNet finds 89 % as they are and 96 % at twice the size, of noise none.
_CROP_SCORE = 0.5
_UNFINISHED = ".unfinished.json"  # in a folder of marked copies: their names


def recognise(
    source: "str | os.PathLike | bytes | Image | np.ndarray | list",
    model: "str | os.PathLike | Predictor" = "default",
    *,
    detector: str = "auto",
    min_face: float = detection.MIN_FACE,
    min_score: float | None = None,
    largest: bool = False,
    same_people: bool = False,
    search_size: int | None = None,
    unsure_below: float = UNSURE_BELOW,
    out: str | os.PathLike | None = None,
    annotated: str | os.PathLike | None = None,
    overwrite: bool = False,
) -> "pandas.DataFrame":
    """Find the faces of photographs and tell their apparent emotions.

    Args:
        source: Path, web address, glob or folder; `bytes` of a file; Pillow image; `uint8` array
            of shape `(height, width, 3)`, RGB, or `(height, width)`, grey; or a list of them.
        model: What `load_predictor` takes, or a `Predictor`. Anything with `label_set` and
            `predict` will do.
        detector: Key of `detection.DETECTORS`, or `"auto"`.
        min_face: Height in pixels of the smallest face that is looked for and kept.
        min_score: Faces of a lower detection score are left out. Defaults to the detector's own
            limit, 0.6 of YuNet.
        largest: Whether only the largest face of each photograph is kept.
        same_people: Whether a person has one number in all photographs, known again by looks
            (`appearance` says how far to trust it), instead of numbers from 1 in each.
        search_size: Pixels a side of the finest search for faces, instead of what `min_face` asks
            for: 640 is quick, and misses faces under a sixtieth of the photograph's longer side.
        unsure_below: Faces whose most probable emotion has less than this probability (0 to 1)
            are marked as unsure.
        out: File for the table (see `face_table.save_table`). What is done of it is kept beside it
            when the work is stopped, and the same call goes on from there.
        annotated: Folder, new or empty, for copies with the faces marked, as JPEG.
        overwrite: Whether `out` may replace a file.

    Returns:
        `pandas.DataFrame` with a row per face, from left to right in each photograph: `source`
        (file or address, or `picture 1` of the first in memory), `frame` and `seconds` (0), `face`
        (number from 1), `x`, `y`, `width`, `height` (box in pixels, cut at the picture's edges),
        `detection_score`, `emotion`, `unsure`, a column of probabilities per emotion, and `note`.
        A photograph without a face, or a file that cannot be read, keeps one row with an empty
        `emotion` and a `note` that says why. A picture of 24 to 64 pixels a side in which no face
        is found is taken as one face: unsure, and without a score. `attrs["read"]` is the number of
        photographs that could be read.

    Raises:
        ValueError: If an argument does not fit.
        FileExistsError: If `out` is there already, or `annotated` holds files.
        ImportError: If OpenCV or what opens the model is missing.
        KeyboardInterrupt: On Ctrl-C; the message says what is kept.
    """
    if not 0 <= unsure_below <= 1:
        raise ValueError(f"unsure_below must be between 0 and 1; got {unsure_below}.")
    if out is not None:
        check_table_path(out, overwrite=True)  # the name; if it is there, its lock's holder asks
    photos = pictures.photos(source)
    copies = None if annotated is None else _Copies(Path(annotated), photos)
    detector, notice = detection.resolve_auto(detector)
    searched = {"detector": detector, "min_face": min_face, "min_score": min_score}
    searched |= {"size": search_size}
    detection.search(np.zeros((1, 1), np.uint8), **searched)  # what is missing is said at once
    if notice:
        warnings.warn(notice, stacklevel=2)
    predictor = _predictor(model)
    way = _Way(
        searched, getattr(predictor, "face_size", 48), largest, same_people, copies is not None
    )
    call = searched | {"photos": _digest(photos), "model": model_identity(predictor)}
    call |= {"largest": largest, "unsure_below": unsure_below}
    call |= {"annotated": None if annotated is None else os.path.abspath(annotated)}
    if same_people:
        call["same_people"] = True
    with contextlib.ExitStack() as stack:
        if copies is not None:
            stack.enter_context(storage.locked(os.path.abspath(annotated)))
        if out is not None:
            stack.enter_context(storage.locked(out))
            check_table_path(out, overwrite=overwrite or left_complete(out))
        if copies is not None:
            copies.check(ended=out is not None and left_complete(out))
        people = tracking.Tracker() if same_people else None
        rows = stack.enter_context(_rows_kept(out, predictor.label_set, call, len(photos), people))
        if copies is not None:
            copies.begin()
        start = rows.done
        for number, seen in enumerate(_seen(photos[start:], way, start, len(photos)), start=start):
            new = _rows(photos[number].name, seen, predictor, unsure_below, people)
            if copies is not None and seen.picture is not None:
                copies.write(number, annotate(seen.picture.pixels, _reduced(new, seen.picture)))
            rows.add(new, not seen.fault)
        table = rows.table()
        if out is not None:
            check_table_path(out, overwrite=overwrite or rows.part.complete)
            rows.part.finish()
            save_table(table, out, overwrite=True)
        if copies is not None:
            copies.end()
    table.attrs["read"] = rows.read
    return table


class _Way(NamedTuple):
    """How faces are looked for: options of `detection.search`, the side of a face in pixels,
    whether only the largest is kept, whether people are to be known again, and whether the pixels
    are needed afterwards."""

    searched: dict
    face_size: object
    largest: bool
    same_people: bool
    keeps: bool


class _Seen(NamedTuple):
    """What was seen in a photograph, before its faces are classified."""

    fault: str = ""
    note: str = ""
    faces: list = []
    crops: np.ndarray = None
    shape: tuple = None
    scale: int = 1
    picture: object = None
    is_crop: bool = False
    looks: np.ndarray = None


def _seen(photos, way, start, total):
    """Yield what is seen in each photograph, in their order; threads look at them side by side."""
    bar = functools.partial(progress, text="photos", unit="photo", initial=start, total=total)
    workers = min(4, cores(), len(photos))
    if workers < 2:
        yield from bar(_look(photo, way) for photo in photos)
        return
    pool, waiting = ThreadPoolExecutor(workers, thread_name_prefix="photos"), collections.deque()
    try:
        with _one_thread_each():
            for photo in bar(photos):
                waiting.append(pool.submit(_look, photo, way, threads=1))
                if len(waiting) > 2 * workers:  # what nobody took yet fills the memory
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _one_thread_each():
    """Keep OpenCV from starting threads of its own in each of ours."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _look(photo, way, threads=None):
    """Read a photograph and find its faces."""
    try:
        picture = photo.read()
    except ValueError as error:
        return _Seen(fault=str(error))
    image = picture.pixels
    longest, notes, margin = max(image.shape[:2]), [picture.note], detection.MARGIN
    searched = way.searched | {"min_face": max(1, way.searched["min_face"] / picture.scale)}
    faces, side = detection.search(image, **searched, threads=threads)
    is_crop = not faces and all(length in CROP_SIDES for length in image.shape[:2])
    if longest > detection.MAX_SIDE:
        least = f"{way.searched['min_face']:g}"
        notes.append(f"searched at {side:,} pixels a side for faces of {least} and more")
    if is_crop:
        large = image.repeat(2, axis=0).repeat(2, axis=1)
        known = way.searched["detector"] == "yunet"
        found = detection.detect(large, "yunet", min_score=_CROP_SCORE) if known else []
        score = max((face.score for face in found), default=math.nan)
        if not found:
            notes.insert(0, "no face found: the whole picture taken as one")
        height, width = image.shape[:2]
        faces, margin = [detection.Detection(0, 0, width, height, score)], 0.0
        is_crop = not found
    elif not faces:
        notes.insert(0, "no face found")
    if way.largest:
        faces = sorted(faces, key=lambda face: face.width * face.height)[-1:]
    crops = detection.crop_faces(image, faces, way.face_size, margin=margin)
    looks = None
    if way.same_people:
        looks = appearance.looks(detection.crop_faces(image, faces, appearance.SIDE, margin=margin))
    kept = picture if way.keeps else None
    note = "; ".join(filter(None, notes))
    return _Seen("", note, faces, crops, image.shape, picture.scale, kept, is_crop, looks)


def _rows(name, seen, predictor, unsure_below, people=None):
    """Return the rows of a photograph; a tracker of people numbers them."""
    if not seen.faces:
        return [_row(name, seen.fault or seen.note)]
    shape = [length * seen.scale for length in seen.shape[:2]]
    rows, numbers = [], range(1, len(seen.faces) + 1)
    if people is not None:
        people.leave()
        numbers = people.assign([face[:4] for face in seen.faces], seen.looks)
    answers = predictor.predict(seen.crops)
    for number, face, answer in zip(numbers, seen.faces, answers, strict=True):
        face = face.scaled(seen.scale, seen.scale)
        row = face_columns(face, shape, answer, predictor.label_set, unsure_below)
        row["unsure"] |= seen.is_crop  # nobody knows that there is a face at all
        rows.append(_row(name, seen.note, number) | row)
    return rows


def _reduced(rows, picture):
    """Return rows with their boxes in pixels of the picture as it was decoded."""
    box = ("x", "y", "width", "height")
    return [row | {name: row[name] // picture.scale for name in box if name in row} for row in rows]


def _row(name, note, number=None):
    at = {"source": _cell(name), "frame": 0, "seconds": 0.0}
    return at | {"face": number, "emotion": "", "note": _cell(note)}


def _cell(text):
    """Return a text that a table can hold: no formula, no control characters, valid UTF-8."""
    text = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
    return f"./{text}" if text[:1] in ("=", "+", "-", "@") else text


def _predictor(model):
    if hasattr(model, "predict"):
        return model
    from fer_lib.inference import predictor

    if isinstance(model, str) and model in predictor.PREDICTORS:
        return _shipped(model)
    return predictor.load_predictor(model)


@functools.cache
def _shipped(name):
    from fer_lib.inference.predictor import load_predictor

    return load_predictor(name)


def _digest(photos):
    lines = []
    for photo in photos:
        with contextlib.suppress(OSError, ValueError):  # an address, or nothing there
            stat = os.stat(photo.name)
            lines.append(f"{stat.st_size} {stat.st_mtime_ns}")
        lines.append(photo.name)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


@contextlib.contextmanager
def _rows_kept(out, label_set, call, total, people):
    """Yield where rows go: into the part of a table file, or into memory without one."""
    part = None if out is None else PartFile(out, label_set, call)
    rows = _Rows(part, label_set, people)
    try:
        yield rows
        if part is not None:
            part.remove()
    except KeyboardInterrupt:
        told = f"{rows.done} of {total} photographs are done"
        raise KeyboardInterrupt(
            f"{told} and kept; the same command goes on."
            if part is not None
            else f"{told}; only a file for the table (out) would keep them."
        ) from None
    finally:
        if part is not None:
            part.close()


class _Rows:
    def __init__(self, part, label_set, people):
        self.part, self._label_set, self._rows, self._people = part, label_set, [], people
        state = (part and part.state) or {"done": 0, "read": 0}
        self.done, self.read = state["done"], state["read"]
        if "people" in state:
            people.restore(state["people"])

    def add(self, rows, read):
        self.done, self.read = self.done + 1, self.read + read
        if self.part is None:
            self._rows += rows
        else:
            state = {"done": self.done, "read": self.read}
            state |= {"people": self._people.state()} if self._people else {}
            self.part.append(rows, state)

    def table(self):
        if self.part is None:
            return faces_table(self._rows, self._label_set)
        return self.part.table()


class _Copies:
    """The folder of marked copies; while it is made, a hidden file there names what is ours."""

    def __init__(self, folder, photos):
        self.folder, self._names, taken = folder, [], set()
        for photo in photos:
            stem, number = Path(photo.name).stem[:100] or "picture", 1
            name = f"{stem}.jpg"
            while name.lower() in taken:
                number += 1
                name = f"{stem}-{number}.jpg"
            taken.add(name.lower())
            self._names.append(name)

    def check(self, ended):
        """Raise if there are files of others; `ended`: all copies may be there, without a list."""
        folder = self.folder
        listed = os.listdir(folder) if os.path.isdir(folder) else []
        there = {name for name in listed if not storage.is_temporary(name)}
        ours = set(self._names if ended else [])
        if _UNFINISHED in there:
            ours |= set(storage.read_json(folder / _UNFINISHED))
        if (os.path.lexists(folder) and not os.path.isdir(folder)) or there - ours - {_UNFINISHED}:
            raise FileExistsError(
                f"{folder} must be a new or an empty folder; it is there with files."
            )

    def begin(self):
        storage.write_json(self.folder / _UNFINISHED, self._names)

    def write(self, number, image):
        from PIL import Image

        with storage.replacing(self.folder / self._names[number]) as temporary:
            # Through memory: Pillow does not notice where a full disk takes only part of a JPEG.
            encoded = io.BytesIO()
            kind = Image.registered_extensions()[temporary.suffix.lower()]
            Image.fromarray(image).save(encoded, kind, quality=90)
            temporary.write_bytes(encoded.getvalue())

    def end(self):
        (self.folder / _UNFINISHED).unlink()
