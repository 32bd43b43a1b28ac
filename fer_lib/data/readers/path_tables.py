"""CSV files of `path,label` become Faces: one row per image file beside or below the CSV."""

import csv
import hashlib
import os
from pathlib import Path

from fer_lib import emotions
from fer_lib.choices import suggest
from fer_lib.data.readers import archives, image_files
from fer_lib.data.readers.class_folders import SPLIT_FOLDERS
from fer_lib.data.readers.image_files import Entry

# What a column may be called, in lower case without spaces and underscores.
COLUMNS = {
    "path": ("path", "image", "file", "filename", "filepath", "imagepath", "img", "imagename"),
    "label": ("label", "emotion", "expression", "class"),
    "split": ("split", "usage", "set", "subset"),
    "group": ("subject", "group", "person", "subjectid", "sequence"),
}
_SPLITS = SPLIT_FOLDERS | {"publictest": "PublicTest", "privatetest": "PrivateTest"}
_MAX_BYTES = 256 << 20


def is_path_table(path):
    """Whether the first line of a file names a path and a label column, and no pixels."""
    with open(path, "rb") as file:
        header = file.readline(1 << 16).decode("utf-8-sig", "replace")
    try:
        names = [_plain(name) for name in next(csv.reader([header]), [])]
    except csv.Error:
        return False
    return all(set(names) & set(COLUMNS[c]) for c in ("path", "label")) and "pixels" not in names


def content_stamp(path):
    """Return a key of the sizes and times of the image files that a table lists."""
    lines = []
    for row in _rows(Path(path)):
        try:
            stat = os.stat(Path(path).parent / row.get("path", ""))
            lines.append(f"{stat.st_size} {stat.st_mtime_ns}")
        except (OSError, ValueError):
            lines.append("missing")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def read_path_table(path, *, on_error="raise", label_set=None, size=48, drop_folders=()):
    """Read the images that a CSV file lists.

    The columns are found by name (`COLUMNS`), in any order, case and spacing: the image's path
    relative to the CSV file and its emotion in any spelling of `emotions.SPELLINGS`; optionally
    its split and its subject (or another group that must stay on one side of a split).

    Args:
        path: CSV file.
        on_error: `"raise"`, or `"skip"` to drop bad rows and list them in `Faces.skipped`.
        label_set: Emotion names in the order of the class numbers. Defaults to the first of
            FER-7, CK+-7 and FER+-8 that has every emotion found.
        size: Height and width of the faces in pixels; images of another size are resized.
        drop_folders: Labels that stand for no known emotion, to leave out; their rows are listed
            in `Faces.skipped`.

    Returns:
        `Faces` with `ids` the paths as listed.

    Raises:
        ValueError: If a column is missing or, with `on_error="raise"`, a row is bad. The message
            counts data rows from 1.
    """
    archives.check_on_error(on_error)
    path = Path(path)
    rows, wanted = _rows(path), {name.lower() for name in drop_folders}
    labels = {row.get("label", "").lower() for row in rows}
    if missing := wanted - labels:
        name = sorted(missing)[0]
        raise ValueError(
            f"drop_classes names {name!r}, which is neither an emotion nor a label of {path}"
            f"{suggest(name, labels)}."
        )
    entries, dropped, seen = [], [], {}
    for number, row in enumerate(rows, start=1):
        if row.get("label", "").lower() in wanted:
            dropped.append(f"row {number}: {emotions.DROPPED}")
        else:
            entries.append(_entry(number, row, path.parent, seen))
    return image_files.read_entries(
        entries,
        lambda name: archives.read_file(path.parent / name),
        path,
        dropped=dropped,
        label_set=label_set,
        on_error=on_error,
        size=size,
    )


def _plain(name):
    return name.strip().lower().replace(" ", "").replace("_", "")


def _rows(path):
    """Return one dict per data row: `path` and `label`, where present `split` and `group`."""
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"{path} is a table of more than {_MAX_BYTES >> 20} MiB.")
    try:
        lines = list(csv.reader(path.read_text("utf-8-sig").splitlines(), skipinitialspace=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file in UTF-8 ({error}).") from None
    header = [_plain(name) for name in lines[0]] if lines else []
    places = {}
    for column, spellings in COLUMNS.items():
        found = [place for place, name in enumerate(header) if name in spellings]
        if len(found) > 1 or (column in ("path", "label") and not found):
            raise ValueError(
                f"{path} must have one column of {', '.join(spellings)}; its columns are {header}."
            )
        places |= {column: found[0]} if found else {}
    rows = [line for line in lines[1:] if any(field.strip() for field in line)]
    return [
        {c: row[place].strip() for c, place in places.items()} if len(row) == len(header) else {}
        for row in rows
    ]


def _entry(number, row, folder, seen):
    where, name = f"row {number}", row.get("path", "").replace("\\", "/")
    if not row:
        return Entry("", fault="has another number of fields than the first line", where=where)
    fault, emotion = "", None
    split = _SPLITS.get(row["split"].lower()) if "split" in row else ""
    try:
        emotion = emotions.canonical(row["label"])
    except ValueError as error:
        fault = str(error)
    if split is None:
        fault = f"split is {row['split']!r}, not one of {', '.join(_SPLITS)}"
    elif "group" in row and not row["group"]:
        fault = "has no subject"
    elif "\0" in name or not archives.lies_in(folder / name, folder):
        fault = f"{name!r} lies outside the folder of the CSV file"
    elif name in seen:
        fault = f"{name!r} stands in row {seen[name]} already"
    seen.setdefault(name, number)
    return Entry(name, emotion, split or "", row.get("group", ""), fault, f"{where} ({name})")
