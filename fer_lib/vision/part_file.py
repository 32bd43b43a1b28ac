"""A table that grows on the disk while it is made, and goes on where a killed run left it."""

import csv
import io
import json
import os
import time
import warnings
from pathlib import Path

from fer_lib import storage
from fer_lib.vision import face_table

SAVE_EVERY = 5.0  # seconds


class PartFile:
    """Rows as CSV beside the table that they will become, and a state to go on from.

    The file `faces.part.csv` is a valid table itself; `faces.part.json` says how much of it is
    certain and holds the state at that place.

    Args:
        path: Of the table that is made.
        label_set: Emotion names in the order of the columns.
        call: Dict that JSON can hold: what the rows depend on.

    Raises:
        FileExistsError: If there is a part of another call.
    """

    def __init__(self, path, label_set, call):
        self.path, self.state_path = part_names(path)
        self.columns = [*face_table.COLUMNS, *label_set, "note"]
        self.label_set, self.call = tuple(label_set), call
        self.state, self._place = None, 0
        if self.path.exists() and self.state_path.exists():
            saved = storage.read_json(self.state_path)
            if saved["call"] != call:
                keys = call.keys() | saved["call"].keys()
                differ = sorted(k for k in keys if call.get(k) != saved["call"].get(k))
                raise FileExistsError(
                    f"{self.path} is part of another run ({', '.join(differ)} differ): make the "
                    f"same call to go on with it, or delete it and {self.state_path.name}."
                )
            self.state, self._place = saved["state"], saved["place"]
        elif self.path.exists():
            self.path.unlink()  # it was killed before the first state was written
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "ab")
        self._file.truncate(self._place)
        if not self._place:
            self._write([dict(zip(self.columns, self.columns, strict=True))])
            self._place = self._file.tell()
        self._pending, self._saved_at = self.state, time.monotonic()

    def append(self, rows, state):
        """Add rows (dicts by column) and the state after them."""
        self._write(rows)
        self._place, self._pending = self._file.tell(), state
        if time.monotonic() - self._saved_at > SAVE_EVERY:
            self.save()

    def save(self):
        """Make certain that what was appended survives a kill."""
        self._file.truncate(self._place)
        self._file.flush()
        os.fsync(self._file.fileno())
        saved = {"call": self.call, "place": self._place, "state": self._pending}
        with storage.replacing(self.state_path) as temporary:
            temporary.write_text(json.dumps(saved), encoding="utf-8")
        self._saved_at = time.monotonic()

    def close(self):
        """Save and close; the part stays."""
        if not self._file.closed:
            self.save()
            self._file.close()

    def remove(self):
        """Delete the part, as its table is written."""
        self._file.close()
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
                if rows and row["frame"] != number:
                    yield rows
                    rows = []
                number = row["frame"]
                rows.append(self._typed(row))
            if rows:
                yield rows

    def table(self):
        """Return the whole file as `face_table.faces_table` would have made it of the rows."""
        import pandas as pd

        texts = [name for name in self.columns if face_table.COLUMNS.get(name, "") == "str"]
        texts.append("note")
        kinds = face_table.COLUMNS | dict.fromkeys(self.label_set, "float64") | {"note": "str"}
        self._file.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer pandas reads exactly without being asked
            table = pd.read_csv(
                self.path,
                dtype=kinds,
                keep_default_na=False,
                na_values={name: [""] for name in self.columns if name not in texts},
                float_precision="round_trip",
            )
        return table.astype(kinds)

    def _write(self, rows):
        text = io.StringIO(newline="")
        csv.DictWriter(text, self.columns, lineterminator="\n").writerows(map(_no_nan, rows))
        self._file.write(text.getvalue().encode("utf-8"))

    def _typed(self, row):
        whole = ("frame", "face", "x", "y", "width", "height")
        row |= {name: int(row[name]) for name in whole if row[name]}
        row |= {name: float(row[name]) for name in self.label_set if row[name]}
        return row | {"unsure": row["unsure"] == "True"}


def part_names(path):
    """Return the names of the part of a table and of its state: of `faces.csv`, `faces.part.csv`
    and `faces.part.json`."""
    path = Path(path)
    return path.with_name(f"{path.stem}.part.csv"), path.with_name(f"{path.stem}.part.json")


def _no_nan(row):
    return {name: "" if value is None or value != value else value for name, value in row.items()}


def _lines(file, end):
    """Yield the lines of a text file up to a place in bytes."""
    while end > 0 and (line := file.readline()):
        end -= len(line.encode("utf-8"))
        yield line
