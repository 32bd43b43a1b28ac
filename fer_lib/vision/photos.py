"""Photographs to a table: one row per face with its box and the probability of each emotion.

To add a file format for tables: write `save(table, path)` and put it in `TABLE_FORMATS` under the
file's ending.
"""

import json
import math
import os
import warnings
from pathlib import Path

import numpy as np

from fer_lib import storage
from fer_lib.choices import lookup
from fer_lib.emotions import COLOURS
from fer_lib.vision import detection

# HEIC is among them to be named in the table: a folder's picture must not vanish from it.
SUFFIXES = tuple(
    ".png .jpg .jpeg .jfif .mpo .bmp .gif .pgm .ppm .pnm .tif .tiff .webp .heic .heif".split()
)
# The columns of every table of faces, of photos and of videos; one per emotion follows.
COLUMNS = (
    {"source": "str", "frame": "int64", "seconds": "float64"}
    | dict.fromkeys(("face", "x", "y", "width", "height"), "Int64")
    | {"detection_score": "float64", "emotion": "str", "unsure": "boolean"}
)
# Below it the other emotions together are more likely than the one named.
UNSURE_BELOW = 0.5
# A picture of this size in which no face is found is one already, cut out as FER-2013's are.
CROP_SIDES = range(24, 65)

# Pillow's other decoders are not needed, and one of them (EPS) starts another program.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
_MAX_PIXELS = 120_000_000


def read_photo(path):
    """Read a photograph, whatever its format, turned as its EXIF data says.

    Transparent parts become white, 16 bits per channel become 8, and of an animation the first
    frame is taken.

    Args:
        path: PNG, JPEG, BMP, GIF, PNM, TIFF or WebP file; its name does not matter.

    Returns:
        `uint8` array of shape `(height, width, 3)`, RGB.

    Raises:
        ValueError: If the file can not be read; the message names it and the reason.
    """
    path = Path(path)
    if not path.is_file():
        what = "it is no regular file" if os.path.lexists(path) else "there is no such file"
        raise ValueError(f"{path} can not be read: {what}.")
    try:
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked, and of odd metadata
            return np.asarray(_decode(file))
    except Exception as error:  # Pillow's decoders raise many kinds on damaged bytes
        raise ValueError(f"{path} can not be read: {_reason(path, error)}.") from None


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


def faces_table(rows, label_set):
    """Return rows (dicts by column; what lacks is empty) as the table of `predict_photos`."""
    import pandas as pd

    columns = [*COLUMNS, *label_set, "note"]
    kinds = COLUMNS | dict.fromkeys(label_set, "float64") | {"note": "str"}
    return pd.DataFrame(rows, columns=columns).astype(kinds)


def check_table_path(path, *, overwrite=False):
    """Raise what `save_table` would raise of the path, before the work is done."""
    lookup(TABLE_FORMATS, Path(path).suffix.lower(), f"ending of a table ({path})")
    if Path(path).exists() and not overwrite:
        raise FileExistsError(f"{path} is there already; choose another name, or overwrite it.")


def save_table(table, path, *, overwrite=False):
    """Write a table as CSV, Parquet or JSON (a list of objects), all of it or nothing.

    Args:
        table: `pandas.DataFrame`.
        path: File; its ending is a key of `TABLE_FORMATS`.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        ValueError: If the ending is unknown.
        FileExistsError: If the file is there and `overwrite` is false.
        ImportError: If Parquet is asked for without pyarrow.
    """
    check_table_path(path, overwrite=overwrite)
    with storage.replacing(path) as temporary:
        TABLE_FORMATS[Path(path).suffix.lower()](table, temporary)


def screen_table(table):
    """Return the table as text for a screen: a line per face, with what matters most."""
    shown, rows = table[["source"]].copy(), table.to_dict("records")
    found = [bool(row["emotion"]) for row in rows]
    shown["face"] = [row["face"] if face else "" for row, face in zip(rows, found, strict=True)]
    shown["box"] = [
        "{width} x {height} at {x}, {y}".format(**row) if face else ""
        for row, face in zip(rows, found, strict=True)
    ]
    shown["emotion"] = table["emotion"]
    shown["probability"] = [
        f"{row[row['emotion']]:.0%}{' unsure' * row['unsure']}" if face else ""
        for row, face in zip(rows, found, strict=True)
    ]
    shown["note"] = table["note"]
    return shown.to_string(index=False)


def annotate(image, rows):
    """Return a copy of a picture with boxes, face numbers, emotions and probabilities.

    Args:
        image: `uint8` array of shape `(height, width, 3)`, RGB.
        rows: The picture's rows of the table, as `pandas.DataFrame` or list of dicts; those
            without a face are left out.

    Returns:
        `uint8` array of the same shape, or, for a picture of less than 320 pixels a side, a whole
        number of times as large, so that the writing can be read.
    """
    from PIL import Image, ImageDraw

    rows = rows.to_dict("records") if hasattr(rows, "to_dict") else rows
    fold = max(1, math.ceil(320 / max(image.shape[:2])))
    picture = Image.fromarray(image.repeat(fold, axis=0).repeat(fold, axis=1))
    draw = ImageDraw.Draw(picture)
    for row in rows:
        if row.get("emotion"):
            _mark(draw, picture.size, row, fold)
    return np.asarray(picture)


def _reason(path, error):
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        if not path.stat().st_size:
            return "it is empty"
        if path.suffix.lower() in (".heic", ".heif"):
            return "HEIC is not supported; save it as JPEG"
        return f"it is no picture of a known format ({', '.join(_FORMATS)})"
    if isinstance(error, PermissionError):
        return "permission denied"
    text = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return (
        text
        if isinstance(error, ValueError)
        else f"it is damaged, or too much for the memory ({text})"
    )


def _decode(file):
    from PIL import Image, ImageOps

    try:
        image = Image.open(file, formats=_FORMATS)
    except Image.DecompressionBombError:
        raise ValueError(f"it has more than {_MAX_PIXELS:,} pixels") from None
    if image.width * image.height > _MAX_PIXELS:
        raise ValueError(f"it has {image.width} x {image.height} pixels; {_MAX_PIXELS:,} are read")
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode[0] in "IF":
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _eight_bits(values):
    """Return grey values of more than 8 bits, or floating-point ones of 0 to 1, as 0 to 255."""
    low, high = float(values.min()), float(values.max())
    limits = (1.0, 255.0) if values.dtype.kind == "f" else (65535.0,)
    limit = next((limit for limit in limits if 0 <= low and high <= limit), None)
    if limit is None:
        wanted = " or ".join(f"{limit:.0f}" for limit in limits)
        raise ValueError(f"its values must be 0 to {wanted}; they are {low:g} to {high:g}")
    return np.rint(values * (255 / limit)).astype(np.uint8)


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


def face_columns(face, shape, probabilities, label_set, unsure_below):
    """Return what the table says of one face.

    Args:
        face: `Detection`.
        shape: Shape of its picture; the box is cut at its edges.
        probabilities: Array of shape `(classes,)`.
        label_set: Emotion names in its order.
        unsure_below: Probability under which the emotion is marked as unsure.

    Returns:
        Dict by column.
    """
    left, right = np.clip([face.x, face.x + face.width], 0, shape[1]).round().astype(int).tolist()
    top, bottom = np.clip([face.y, face.y + face.height], 0, shape[0]).round().astype(int).tolist()
    best = int(np.argmax(probabilities))
    return {
        "x": left,
        "y": top,
        "width": right - left,
        "height": bottom - top,
        "detection_score": face.score,
        "emotion": label_set[best],
        "unsure": bool(probabilities[best] < unsure_below),
    } | dict(zip(label_set, map(float, probabilities), strict=True))


def _row(path, note, number=None):
    # A name that is no valid UTF-8 can be in no table as it is.
    source = str(path).encode("utf-8", "backslashreplace").decode()
    at = {"source": source, "frame": 0, "seconds": 0.0}
    return at | {"face": number, "emotion": "", "note": note}


def _mark(draw, size, row, fold):
    from PIL import ImageColor, ImageFont

    longest = max(size)
    left, top = row["x"] * fold, row["y"] * fold
    right, bottom = left + row["width"] * fold - 1, top + row["height"] * fold - 1
    colour = ImageColor.getrgb(COLOURS.get(row["emotion"], "#8C8C8C"))
    line = max(1, round(longest / 300))
    draw.rectangle((left, top, right, bottom), outline=colour, width=line)
    # Between what can be read in the whole picture and what hides other faces.
    height = np.clip((right - left) / 6, max(10, longest / 70), max(10, longest / 30))
    font = ImageFont.load_default(float(height))
    mark = "?" if row["unsure"] else ""
    text = f"{row['face']} {row['emotion']}{mark} {row[row['emotion']]:.0%}"
    x0, y0, x1, y1 = draw.textbbox((0, 0), text, font=font)
    wide, high = x1 - x0 + 4 * line, y1 - y0 + 4 * line
    x = min(max(0, left), max(0, size[0] - wide))
    y = top - high if top >= high else min(bottom, size[1] - high)
    draw.rectangle((x, y, x + wide, y + high), fill=colour)
    light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 128
    draw.text((x + 2 * line - x0, y + 2 * line - y0), text, "black" if light else "white", font)


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


def _save_parquet(table, path):
    try:
        table.to_parquet(path, index=False)
    except ImportError as error:
        raise ImportError(
            f"A Parquet table needs pyarrow: pip install pyarrow, or save as .csv ({error})."
        ) from None


def _save_json(table, path):
    rows = json.loads(table.to_json(orient="records", double_precision=10))
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


TABLE_FORMATS = {
    ".csv": lambda table, path: table.to_csv(path, index=False),
    ".parquet": _save_parquet,
    ".json": _save_json,
}
