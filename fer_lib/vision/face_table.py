"""The table of faces: its columns, a row of them, and the files and texts that it becomes.

To add a file format for tables: write `save(table, path)` and put it in `TABLE_FORMATS` under the
file's ending.
"""

import json
from pathlib import Path

import numpy as np

from fer_lib import storage
from fer_lib.choices import lookup

# The columns of every table of faces, of photos and of videos; one per emotion follows.
COLUMNS = (
    {"source": "str", "frame": "int64", "seconds": "float64"}
    | dict.fromkeys(("face", "x", "y", "width", "height"), "Int64")
    | {"detection_score": "float64", "emotion": "str", "unsure": "boolean"}
)
# Below it the other emotions together are more likely than the one named.
UNSURE_BELOW = 0.5


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


def faces_table(rows, label_set):
    """Return rows (dicts by column; what lacks is empty) as the table of `recognise`."""
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


def screen_table(table, rows=40):
    """Return the table as text for a screen: a line per face, with what matters most.

    Args:
        table: `pandas.DataFrame` of `photos.recognise`.
        rows: A longer table is told in a few lines instead.
    """
    if len(table) > rows:
        return _summary(table)
    shown, rows = table[["source"]].copy(), table.to_dict("records")
    shown["emotion"] = [answer(row) for row in rows]
    shown["face"] = [row["face"] if row["emotion"] else "" for row in rows]
    shown["box"] = [
        "{width} x {height} at {x}, {y}".format(**row) if row["emotion"] else "" for row in rows
    ]
    # The name stands in the first column already.
    shown["note"] = [str(row["note"]).removeprefix(f"{row['source']} ") for row in rows]
    return shown.to_string(index=False)


def answer(row):
    """Return what a row (a dict) answers in a few words, as `"happy 97%"`; `""` without a face."""
    if not row["emotion"]:
        return ""
    return f"{row['emotion']} {row[row['emotion']]:.0%}{' unsure' * bool(row['unsure'])}"


def _summary(table):
    found = table[table["emotion"] != ""]
    without = table[(table["emotion"] == "") & ~table["note"].str.contains(" cannot be read: ")]
    unread = table[table["note"].str.contains(" cannot be read: ")]
    lines = [
        f"{table['source'].nunique():,} photographs, {len(found):,} faces in "
        f"{found['source'].nunique():,} of them, none in {len(without):,}, "
        f"{len(unread):,} not read.",
        *(
            f"{name:>10} {share:4.0%}"
            for name, share in found["emotion"].value_counts(normalize=True).items()
        ),
        f"{'unsure':>10} {found['unsure'].mean():4.0%}" if len(found) else "",
        *unread["note"].head(10),
        f"... and {len(unread) - 10:,} more" if len(unread) > 10 else "",
    ]
    return "\n".join(filter(None, lines))


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
