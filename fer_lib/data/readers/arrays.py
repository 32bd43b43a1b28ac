"""Arrays of faces: `.npz`, pairs of `.npy`, and Parquet files with pictures in a column."""

import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np

from fer_lib.data.faces import Faces
from fer_lib.data.readers import archives, image_files, names
from fer_lib.data.readers import labels as reading

_IMAGES = ("pixels", "images", "image", "faces", "x", "data", "features", "fdatax")
_LABELS = ("emotion", "emotions", "labels", "label", "y", "targets", "target", "flabels", "classes")
_USAGES = ("usage", "split", "splits")
_GROUPS = ("subject", "subjects", "group", "groups")
_FEW = 0.05  # share of rows with unknown labels that may be skipped: more are a class
_MOST_PACKED, _MOST_BYTES = 200, 64 << 20  # times its size, and bytes of arrays packed more
_CODES = {0: "Training", 1: "PublicTest", 2: "PrivateTest"}


def load_arrays(path):
    """Return `{name: array}` of a `.npz` file, or of the `.npy` files in a folder."""
    path = Path(path)
    files = sorted(path.glob("*.npy")) if path.is_dir() else [path]
    arrays = {}
    for file in files:
        try:
            with open(file, "rb") as opened:
                _check_packing(file)
                content = np.load(opened, allow_pickle=False)
                arrays |= dict(content) if hasattr(content, "files") else {file.stem: content}
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{file} cannot be read as arrays ({error}).") from None
    return arrays


def _check_packing(file):
    """Raise if a `.npz` file would unpack to far more than pictures do."""
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        sizes = [(member.file_size, member.compress_size) for member in archive.infolist()]
    if sum(size for size, packed in sizes if size > _MOST_PACKED * packed) > _MOST_BYTES:
        raise ValueError("it would unpack too far")


def sorted_arrays(arrays):
    """Return `{split: {"images": …, "labels": …}}` by the names of arrays; `{}` without pairs."""
    found = {}
    for name, array in arrays.items():
        parts = [part for part in re.split(r"[^a-z0-9]+|(?<=[xy])(?=train|test|val)", name.lower())]
        split, rest = "", []
        for part in parts:
            try:
                told = names.split_of(part) if part not in ("x", "y", "data", "labels") else ""
            except ValueError:
                told = ""
            split, rest = split or told, [*rest, *([] if told else [part])]
        word = "".join(rest)
        for kind, words in (("images", _IMAGES), ("labels", _LABELS), ("usage", _USAGES),
                            ("groups", _GROUPS)):  # fmt: skip
            if word in words:
                found.setdefault(split, {}).setdefault(kind, array)
    return {split: part for split, part in found.items() if {"images", "labels"} <= set(part)}


def read_arrays(path, *, on_error="raise", labels=None, colour=False):
    """Read arrays of faces and labels.

    The arrays are found by their names (`images` and `labels`, `X_train` and `y_train`, `pixels`
    and `emotion`, …). Images are `(n, h, w)`, `(n, h, w, 1 or 3)` or `(n, side * side)`, 0 to 255
    or, as floating-point numbers, 0 to 1; labels are names, numbers, or one column per class.

    Args:
        path: `.npz` file, or folder of `.npy` files.
        on_error: `"raise"`, or `"skip"` to leave out rows of an unknown label, where they are few.
        labels: `Labels`.
        colour: Whether to keep colour.

    Returns:
        `Faces`.
    """
    labels, path = labels or reading.Labels(), Path(path)
    arrays = load_arrays(path)
    parts = sorted_arrays(arrays)
    if not parts:
        there = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(
            f"{path} must hold arrays called images and labels, or X_train, y_train and so on; it "
            f"holds {there or 'none'}."
        )
    images, told, usage, groups = [], [], [], []
    for split, part in parts.items():
        pictures = _images(part["images"], colour, path)
        texts = _texts(part["labels"], path)
        if len(pictures) != len(texts):
            raise ValueError(f"{path} has {len(pictures)} images and {len(texts)} labels.")
        images.append(pictures)
        told += texts
        own = part.get("usage")
        usage += [split] * len(texts) if own is None or split else _usages(own)
        groups += [""] * len(texts) if "groups" not in part else part["groups"].astype(str).tolist()
    how = labels, path, on_error
    return _faces(np.concatenate(images), told, usage, groups, *how)


def _faces(images, told, usage, groups, labels, path, on_error):
    classes = [labels.tell(text) for text in told]
    faults = [fault for _, fault in classes if fault and not fault.startswith(reading.LEFT_OUT)]
    whole_class = len(faults) > _FEW * len(classes)
    if faults and (whole_class or on_error != "skip"):
        raise ValueError(f"{path}: {min(faults)}.")
    keep = [place for place, (emotion, _) in enumerate(classes) if emotion]
    label_set = reading.label_set({emotion for emotion, _ in classes}, labels)
    kept_groups = [groups[place] for place in keep]
    subjects = f"{len(set(kept_groups)):,}, told by the source" if all(kept_groups) else (
        "unknown: faces of one person may stand on both sides of a split"
    )  # fmt: skip
    return Faces(
        images[keep],
        np.array([label_set.index(classes[place][0]) for place in keep], np.int64),
        label_set,
        ids=np.array(keep, np.int64),
        usage=np.array([usage[place] for place in keep]) if any(usage) else None,
        groups=np.array(kept_groups) if all(kept_groups) else None,
        name=path.name,
        skipped=[f"row {row + 1}: {why}" for row, (emotion, why) in enumerate(classes) if why],
        notes=[f"Subjects: {subjects}."],
    )


def _images(array, colour, path):
    """Return images as `uint8` of the shape that `Faces` wants."""
    array = np.asarray(array)
    if array.ndim == 2 and (side := round(array.shape[1] ** 0.5)) ** 2 == array.shape[1]:
        array = array.reshape(-1, side, side)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] != 3):
        raise ValueError(f"{path}: images must be (n, height, width), with 3 channels or none.")
    if array.dtype != np.uint8:
        low, high = float(array.min()), float(array.max())
        if low < 0 or high > 255 or not np.isfinite([low, high]).all():
            raise ValueError(
                f"{path}: values must be 0 to 255, or 0 to 1; they are {low:g} to {high:g}."
            )
        scale = 255 if array.dtype.kind == "f" and high <= 1 else 1
        array = np.rint(np.asarray(array, np.float32) * scale).astype(np.uint8)
    if array.ndim == 4 and not colour:
        from fer_lib.data.faces import grey

        return grey(array)
    return np.repeat(array[..., None], 3, axis=3) if colour and array.ndim == 3 else array


def _texts(array, path):
    """Return labels as text; of one column per class, the number of the column."""
    array = np.asarray(array)
    if array.ndim == 2 and array.shape[1] > 1:
        if set(np.unique(array)) != {0, 1} or (array.sum(axis=1) != 1).any():
            raise ValueError(f"{path}: labels must be one per face, or 0 and 1 with one 1 a row.")
        array = array.argmax(axis=1)
    return [str(value) for value in array.reshape(-1).tolist()]


def _usages(array):
    values = np.asarray(array).reshape(-1).tolist()
    texts = [_CODES.get(value) if isinstance(value, int) else str(value) for value in values]
    known = {text: text if text in _CODES.values() else names.split_of(text or "?") for text in
             set(texts)}  # fmt: skip
    return [known[text] for text in texts]


def read_parquet(path, *, on_error="raise", labels=None, size=48, colour=False):
    """Read a Parquet file with a column of pictures (bytes, as Hugging Face writes them).

    Args:
        path: The file.
        on_error: `"raise"`, or `"skip"` to drop pictures that cannot be read.
        labels: `Labels`; numbers are named by the file itself where it tells their names.
        size: Height and width of the faces in pixels.
        colour: Whether to keep colour.

    Returns:
        `Faces`.

    Raises:
        ImportError: If pyarrow is missing.
    """
    try:
        from pyarrow import parquet
    except ImportError:
        raise ImportError(f"{path} needs pyarrow: pip install pyarrow.") from None
    labels = labels or reading.Labels()
    table = parquet.read_table(path)
    plain = {column.lower().replace("_", ""): column for column in table.column_names}
    image = next((plain[key] for key in ("image", "img", "picture", "face") if key in plain), None)
    label = next((plain[key] for key in _LABELS if key in plain), None)
    if image is None or label is None:
        raise ValueError(
            f"{path} must have a column of images and one of labels; its columns are "
            f"{', '.join(table.column_names)}."
        )
    named = _named(table.schema, label)
    values = table.column(image).to_pylist()
    data = [value.get("bytes") if isinstance(value, dict) else value for value in values]
    entries = []
    for row, code in enumerate(table.column(label).to_pylist()):
        text = named[code] if isinstance(code, int) and 0 <= code < len(named) else str(code)
        emotion, fault = labels.tell(text)
        fault = fault or ("" if isinstance(data[row], bytes) else "has no bytes of a picture")
        entries.append(
            image_files.Entry(str(row), emotion, fault=fault, where=f"row {row + 1}", label=text)
        )
    return image_files.read_entries(
        entries,
        lambda name: data[int(name)],
        path,
        on_error=on_error,
        size=size,
        colour=colour,
        label_set=reading.label_set({entry.emotion for entry in entries}, labels),
        subjects=True,
    )


def _named(schema, label):
    """Return the names of the classes that Hugging Face keeps beside the columns."""
    try:
        about = json.loads((schema.metadata or {})[b"huggingface"])
        return about["info"]["features"][label]["names"]
    except (KeyError, ValueError, TypeError):
        return []


def frame_faces(frame, *, on_error="raise", labels=None, size=48, colour=False):
    """Return the faces of a pandas DataFrame: of pixels, as FER-2013's CSV, or of paths."""
    from fer_lib.data.readers import path_tables
    from fer_lib.data.readers.fer2013_csv import read_fer2013_csv

    labels = labels or reading.Labels()
    plain = {path_tables.plainly(str(column)): column for column in frame.columns}
    if "pixels" in plain:
        texts = [
            value if isinstance(value, str) else " ".join(map(str, np.ravel(value)))
            for value in frame[plain["pixels"]]
        ]
        table = frame.assign(**{plain["pixels"]: texts})
        data = io.BytesIO(table.to_csv(index=False).encode())
        return read_fer2013_csv(data, on_error=on_error, labels=labels)
    rows = [[str(value) for value in row] for row in frame.itertuples(index=False)]
    root = Path.cwd()
    known = path_tables.Known(lambda name: (root / name).is_file(), lambda: [])
    columns = list(map(str, frame.columns)), rows
    entries = path_tables.table_entries("DataFrame", columns, known, labels)
    return image_files.read_entries(
        entries,
        lambda name: archives.read_file(root / name),
        "DataFrame",
        on_error=on_error,
        size=size,
        colour=colour,
        label_set=reading.label_set({entry.emotion for entry in entries}, labels),
        subjects=True,
    )
