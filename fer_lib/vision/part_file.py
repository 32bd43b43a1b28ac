"""A table that grows on the disk while it is made, and goes on where a killed run left it."""

import contextlib
import csv
import io
import json
import os
import time
import warnings
import zlib
from pathlib import Path

from fer_lib import storage
from fer_lib.vision import face_table

SAVE_EVERY = 5.0  # seconds
_MARK = "part of a table of fer_lib"


class PartFile:
    """Rows as CSV beside the table that they will become, and a state to go on from.

    The file `faces.csv.part.csv` is a valid table itself; `faces.csv.part.json` says how much of
    it is certain and holds the state at that place. It is there first and removed last, so that a
    part without it was made by somebody else. Whoever opens a part must hold the lock of the table
    (`storage.locked`).

    `complete` is whether the part holds all rows and its files were being written when the one
    before ended: they may be there, and are to be written again.

    Args:
        path: Of the table that is made.
        label_set: Emotion names in the order of the columns.
        call: Dict that JSON can hold: what the rows depend on.
        columns: Columns before those of the emotions, and their types.

    Raises:
        FileExistsError: If there is a part of another call, or a file that is no part.
        ValueError: If the part is damaged.
    """

    def __init__(self, path, label_set, call, columns=face_table.COLUMNS):
        self.path, self.state_path = part_names(path)
        self.kinds = columns | dict.fromkeys(label_set, "float64") | {"note": "str"}
        self.columns, self.label_set = list(self.kinds), tuple(label_set)
        # As it will come back from the file: lists for tuples.
        self.call, self.state, self._place = json.loads(json.dumps(call)), None, 0
        self._check, self.complete = 0, False
        storage.remove_remains(self.state_path)
        if self.state_path.exists():
            self._take_up(_read(self.state_path))
        elif self.path.exists():
            raise FileExistsError(
                f"{self.path} is there already and no part of a table: move it, or choose another "
                f"name than {Path(path).name}."
            )
        self._pending, self._saved_at = self.state, time.monotonic()
        if not self._place:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._write_state()
            with storage.naming(self.path):
                self.path.write_bytes(b"")
        # Not to append: such a file would tell its old end, not the place that it is cut to.
        self._file = open(self.path, "r+b")
        self._file.truncate(self._place)
        self._file.seek(self._place)
        if not self._place:
            self._write([dict(zip(self.columns, self.columns, strict=True))])
            self._place = self._file.tell()

    def _take_up(self, saved):
        call, before = self.call, saved["call"]
        if before != call:
            keys = call.keys() | before.keys()
            differ = sorted(key for key in keys if call.get(key) != before.get(key))
            raise FileExistsError(
                f"{self.path} is part of another run ({', '.join(differ)} differ): make the "
                f"same call to go on with it, or delete it and {self.state_path.name}."
            )
        self.state, self._place = saved["state"], saved["place"]
        self.complete = saved.get("complete", False)
        if not self._place:
            return
        anew = f"delete it and {self.state_path.name}, and start anew."
        if not self.path.exists() or self.path.stat().st_size < self._place:
            raise ValueError(f"{self.path} is shorter than it was when it was saved: {anew}")
        self._check = _checksum(self.path, self._place)
        if self._check != saved.get("checksum", self._check):
            raise ValueError(f"{self.path} is not what was saved (its checksum differs): {anew}")

    def append(self, rows, state):
        """Add rows (dicts by column) and the state after them."""
        self._write(rows)
        self._place, self._pending = self._file.tell(), state
        if time.monotonic() - self._saved_at > SAVE_EVERY:
            self.save()

    def save(self):
        """Make certain that what was appended survives a kill."""
        with storage.naming(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
        self._write_state()
        self._saved_at = time.monotonic()

    def finish(self):
        """Say that all rows are there, before the files that are made of them are written."""
        self.complete = True
        self.save()

    def close(self):
        """Save and close; the part stays."""
        if not self._file.closed:
            with storage.naming(self.path), self._file:
                self.save()

    def remove(self):
        """Delete the part, as its table is written."""
        self._file.close()
        # Killed between the two, it begins anew.
        self._place, self._pending = 0, None
        with contextlib.suppress(OSError):
            self._write_state()
        self.path.unlink(missing_ok=True)
        self.state_path.unlink(missing_ok=True)

    def frames(self):
        """Yield the lists of rows of each frame that was in the file when it was opened."""
        if self.state is None:
            return
        end = self._place
        with open(self.path, encoding="utf-8", newline="") as file:
            rows, number = [], None
            for row in csv.DictReader(_lines(file, end)):
                if rows and (row["source"], row["frame"]) != number:
                    yield rows
                    rows = []
                number = row["source"], row["frame"]
                rows.append(self._typed(row))
            if rows:
                yield rows

    def table(self):
        """Return the whole file as `face_table.faces_table` would have made it of the rows."""
        import pandas as pd

        texts = [name for name, kind in self.kinds.items() if kind == "str"]
        self._file.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer pandas reads exactly without being asked
            table = pd.read_csv(
                self.path,
                dtype=self.kinds,
                keep_default_na=False,
                na_values={name: [""] for name in self.columns if name not in texts},
                float_precision="round_trip",
            )
        return table.astype(self.kinds)

    def _write_state(self):
        saved = {_MARK: 1, "call": self.call, "place": self._place, "state": self._pending}
        saved |= {"checksum": self._check, "complete": self.complete}
        with storage.replacing(self.state_path) as temporary:
            temporary.write_text(json.dumps(saved), encoding="utf-8")

    def _write(self, rows):
        text = io.StringIO(newline="")
        csv.DictWriter(text, self.columns, lineterminator="\n").writerows(map(_no_nan, rows))
        data = text.getvalue().encode("utf-8")
        with storage.naming(self.path):
            self._file.write(data)
        self._check = zlib.crc32(data, self._check)

    def _typed(self, row):
        whole = ("frame", "face", "x", "y", "width", "height")
        row |= {name: int(row[name]) for name in whole if row[name]}
        row |= {name: float(row[name]) for name in self.label_set if row[name]}
        return row | {"unsure": row["unsure"] == "True"}


def part_names(path):
    """Return the names of the part of a table and of its state: of `faces.csv`,
    `faces.csv.part.csv` and `faces.csv.part.json`."""
    path = Path(path)
    return path.with_name(f"{path.name}.part.csv"), path.with_name(f"{path.name}.part.json")


def model_identity(predictor):
    """Return what a predictor is known by, to go on with its answers another time."""
    path = getattr(predictor, "path", None)
    known = storage.file_hash(path) if path is not None else type(predictor).__name__
    return [known, list(predictor.label_set)]


def left_complete(path):
    """Return whether the one before ended while it wrote the files of all its rows.

    Args:
        path: Of the table that is made.

    Raises:
        FileExistsError: If the part's state is damaged, or somebody else's.
    """
    state = part_names(path)[1]
    return state.exists() and _read(state).get("complete", False)


def _checksum(path, end):
    """Return the CRC-32 of a file's bytes up to a place."""
    check = 0
    with open(path, "rb") as file:
        while end > 0 and (data := file.read(min(end, 1 << 20))):
            check, end = zlib.crc32(data, check), end - len(data)
    return check


def _read(path):
    """Return the state that a part file wrote, or raise that it was somebody else's."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        saved = None
    if not isinstance(saved, dict) or _MARK not in saved:
        raise FileExistsError(f"{path} is there already and no part of a table: move it away.")
    return saved


def _no_nan(row):
    return {name: "" if value is None or value != value else value for name, value in row.items()}


def _lines(file, end):
    """Yield the lines of a text file up to a place in bytes."""
    while end > 0 and (line := file.readline()):
        end -= len(line.encode("utf-8"))
        yield line
