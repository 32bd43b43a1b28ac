"""Tables of image files: one row per picture beside or below the table, with its label.

CSV files with commas, semicolons or tabs; the label is one column or one 0/1 column per class.
"""

import collections
import csv
import gzip
import hashlib
import os
from pathlib import Path, PurePosixPath

from fer_lib import emotions
from fer_lib.data.readers import archives, image_files, names
from fer_lib.data.readers import labels as reading
from fer_lib.data.readers.image_files import Entry

# What a column may be called, in lower case without spaces and underscores.
COLUMNS = {
    "path": tuple(
        "path pth image file filename filepath imagepath img imgpath imagename imgname imagefile "
        "photo picture imageid subjectfilename".split()
    ),
    "label": tuple("label emotion expression class target labels classname category".split()),
    "split": ("split", "usage", "set", "subset", "partition", "fold"),
    "group": ("subject", "group", "person", "subjectid", "personid", "sequence", "actor"),
}
SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
_DELIMITERS = ",;\t|"
_MARKS = {"": False, "0": False, "0.0": False, "1": True, "1.0": True}
_MAX_BYTES = 256 << 20
_MANY = 100


def find(files, load, labels):
    """Return `(entries, notes)` of the pictures that tables list; no entries without a table.

    Args:
        files: List of relative file names, tables among them.
        load: Function that returns the bytes of one.
        labels: `Labels`.

    Raises:
        ValueError: If several tables hold labels and their names do not tell the splits.
    """
    tables = [name for name in sorted(files) if name.lower().endswith(SUFFIXES)]
    if len(tables) > _MANY:  # text beside each picture is no table of pictures
        tables = [name for name in tables if not name.lower().endswith(".txt")]
    parsed = {name: columns for name in tables if (columns := _columns(name, load))}
    splits = splits_of_tables(list(parsed))
    known, entries, notes, seen = Known(set(files).__contains__, lambda: files), [], [], {}
    for name, table in parsed.items():
        new = table_entries(name, table, known, labels, splits[name], seen)
        entries += new
        used = ", ".join(sorted({entry.split for entry in new} - {""})) or "all faces"
        notes.append(f"{name} → {used}: {len(new):,} rows")
    return entries, notes


def splits_of_tables(tables):
    """Return `{table: split}` as the names of tables or of their folders tell.

    Raises:
        ValueError: If there are several and they do not tell.
    """
    splits = {}
    for name in tables:
        path = PurePosixPath(name)
        stem = path.name.removesuffix(".gz").rpartition(".")[0]
        try:
            split = names.split_of(stem)
        except ValueError:
            split = ""
        splits[name] = split or names.splits_above(path.parts[:-1])[0]
    if len(splits) > 1 and not all(splits.values()):
        listed = ", ".join(sorted(splits))
        raise ValueError(
            f"There are {len(splits)} tables with labels ({listed}), and their names do not tell "
            "train, validation and test: rename them, or give the path of one."
        )
    return splits


class Known:
    """The files that a table may list, found by path or, where it is unique, by name alone."""

    def __init__(self, exists, files):
        self._exists, self._files, self._by_name = exists, files, None

    def find(self, folder, path, split):
        """Return `(name, fault)` of what a row calls `path`."""
        clean = path.replace("\\", "/").removeprefix("./")
        parts = PurePosixPath(clean).parts
        if "\0" in path or not parts or clean.startswith("/") or ".." in parts or ":" in parts[0]:
            return "", f"{path!r} lies outside the folder of the CSV file"
        for name in (f"{folder}/{clean}" if folder else clean, clean):
            if self._exists(name):
                return name, ""
        if self._by_name is None:
            self._by_name = collections.defaultdict(list)
            for name in self._files():
                file = PurePosixPath(name)
                for key in {file.name, file.stem}:
                    self._by_name[key].append(name)
        there = self._by_name.get(parts[-1], ())
        there = [name for name in there if f"/{name}".rpartition(".")[0].endswith(f"/{clean}")
                 or f"/{name}".endswith(f"/{clean}")]  # fmt: skip
        if len(there) > 1 and split:
            above = {name: names.splits_above(PurePosixPath(name).parts[:-1])[0] for name in there}
            there = [name for name in there if above[name] == split] or there
        if len(there) > 1:
            return "", f"{path!r} may be {there[0]} or {there[1]}"
        return (there[0], "") if there else ("", f"{path!r} is no file below the table's folder")


def table_entries(table, columns, known, labels, split="", seen=None):
    """Return an `Entry` per row of a table.

    Args:
        table: Its relative name.
        columns: `(header, rows)`, lists of text.
        known: `Known`.
        labels: `Labels`.
        split: Split of the rows where neither a column nor their folder tells it.
        seen: Dict of each file that a row has listed to that row, which this adds to.
    """
    header, rows = columns
    places, classes = _places(table, header, labels)
    seen = {} if seen is None else seen
    folder, entries = PurePosixPath(table).parent.as_posix().removeprefix("."), []
    for number, row in enumerate(rows, start=1):
        where = f"{table} row {number}"
        if len(row) != len(header):
            fault = f"has {len(row)} fields instead of the first line's {len(header)}"
            entries.append(Entry("", fault=fault, where=where))
            continue
        fields = {column: row[place].strip() for column, place in places.items()}
        path = fields["path"]
        own, fault = _split(fields, split)
        name, missing = known.find(folder, path, own)
        label, emotion, wrong = _label(fields, row, classes, labels)
        if not own and name:
            own, _, unclear = names.splits_above(PurePosixPath(name).parts[:-1])
            fault = fault or unclear
        if name in seen:
            missing = f"{path!r} stands in {seen[name].removeprefix(f'{table} ')} already"
        elif name:
            seen[name] = where
        if "group" in fields and not fields["group"]:
            fault = fault or "has no subject"
        fault = wrong or fault or missing
        group = fields.get("group", "")
        entries.append(Entry(name, emotion, own, group, fault, f"{where} ({path})", label))
    return entries


def _split(fields, split):
    if "split" not in fields:
        return split, ""
    try:
        own = names.split_of(fields["split"])
    except ValueError:
        own = ""
    text = f"split is {fields['split']!r}, not train, validation, test, PublicTest or PrivateTest"
    return own, "" if own else text


def _label(fields, row, classes, labels):
    """Return how a row spells its class, the class, and what is wrong with it."""
    if "label" in fields:
        if not fields["label"]:
            return "", None, "has no label"
        return fields["label"], *labels.tell(fields["label"])
    marks = {name: row[place].strip() for name, place in classes.items()}
    told = {name: labels.tell(name) for name in marks}
    known = [n for n, (of, why) in told.items() if of or why.startswith(reading.LEFT_OUT)]
    if other := {marks[name] for name in known} - set(_MARKS):
        return "", None, f"must hold 0 or 1 per class; it holds {', '.join(sorted(other))[:40]}"
    chosen = [name for name in known if _MARKS[marks[name]]]
    # A 1 in another column alone: a class whose name nobody knows.
    chosen = chosen or [name for name, mark in marks.items() if _MARKS.get(mark)]
    if len(chosen) != 1:
        called = ", ".join(told[name][0] or name for name in chosen)
        return "", None, f"must have one class; it has {called or 'none'}"
    return chosen[0], *told[chosen[0]]


def read_path_table(path, *, on_error="raise", labels=None, **options):
    """Read the images that a CSV file lists.

    The columns are found by name (`COLUMNS`), in any order, case and spacing: the image's path
    relative to the CSV file (or its name, where that is unique) and its label, or one 0/1 column
    per class; optionally its split and its subject (or another group that must stay on one side
    of a split).

    Args:
        path: CSV file.
        on_error: `"raise"`, or `"skip"` to drop bad rows and list them in `Faces.skipped`.
        labels: `Labels`; defaults to the known emotions by name.
        **options: `label_set`, `size` and `colour`, as `image_files.read_entries` takes them.

    Returns:
        `Faces` with `ids` the paths as found.

    Raises:
        ValueError: If a column is missing or, with `on_error="raise"`, a row is bad. The message
            counts data rows from 1.
    """
    archives.check_on_error(on_error)
    path, labels = Path(path), labels or reading.Labels()
    entries = entries_of(path, labels)
    labels.check_dropped(path)
    label_set = options.pop("label_set", None) or reading.label_set(
        {e.emotion for e in entries}, labels
    )
    return image_files.read_entries(
        entries,
        lambda name: archives.read_file(path.parent / name),
        path,
        label_set=label_set,
        on_error=on_error,
        subjects=True,
        **options,
    )


def entries_of(path, labels):
    """Return the entries of a table that is given itself."""
    columns = _columns(path.name, lambda name: _bytes(path))
    if columns is None:
        raise ValueError(f"{path} must name a path and a label column in its first line.")
    known = Known(
        lambda name: (path.parent / name).is_file(), lambda: archives.walk(path.parent)[0]
    )
    entries = table_entries(path.name, columns, known, labels)
    return [e._replace(where=e.where.removeprefix(f"{path.name} ")) for e in entries]


def content_stamp(path, labels=None):
    """Return a key of the names, sizes and times of the image files that a table lists."""
    lines = []
    for entry in entries_of(Path(path), labels or reading.Labels()):
        try:
            stat = os.stat(Path(path).parent / entry.name)
            lines.append(f"{entry.name} {stat.st_size} {stat.st_mtime_ns}")
        except (OSError, ValueError):
            lines.append("missing")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def is_path_table(path):
    """Whether the first line of a file names a path and a label column, and no pixels."""
    header = read_header(path)
    plain = {plainly(name) for name in header}
    return "pixels" not in plain and _has_columns(plain)


def read_header(path):
    """Return the names in the first line of a table, `[]` where it is no text."""
    opener = gzip.open if str(path).lower().endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            line = file.readline(1 << 16).decode("utf-8-sig", "replace")
        return next(csv.reader([line], delimiter=delimiter_of(line)), [])
    except (csv.Error, OSError, EOFError):
        return []


def delimiter_of(line):
    """Return the delimiter of a table by its first line: the commonest of , ; tab and |."""
    return max(_DELIMITERS, key=line.count)


def plainly(name):
    """Return the name of a column in lower case without spaces and underscores."""
    return name.strip().strip("\ufeff").lower().replace(" ", "").replace("_", "")


def _has_columns(plain):
    one_hot = sum(name in emotions.SPELLINGS for name in map(_emotion, plain)) > 1
    return bool(plain & set(COLUMNS["path"])) and (bool(plain & set(COLUMNS["label"])) or one_hot)


def _emotion(name):
    try:
        return emotions.canonical(name)
    except ValueError:
        return ""


def _bytes(path):
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"{path} is too large for a list of files.")
    return path.read_bytes()


def _columns(name, load):
    """Return `(header, rows)` of a table of paths and labels; None if it is none."""
    data = load(name)
    if name.lower().endswith(".gz"):
        data = _unzipped(name, data)
    head = data[: 1 << 16].partition(b"\n")[0].decode("utf-8-sig", "replace")
    plain = {plainly(column) for column in head.split(delimiter_of(head))}
    if "pixels" in plain or not _has_columns({name.strip("\"'") for name in plain}):
        return None
    try:
        lines = data.decode("utf-8-sig").splitlines()
        rows = list(csv.reader(lines, delimiter=delimiter_of(head), skipinitialspace=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{name} is no CSV file in UTF-8 ({error}).") from None
    return rows[0], [row for row in rows[1:] if any(field.strip() for field in row)]


def _unzipped(name, data):
    import io

    with gzip.open(io.BytesIO(data)) as file:
        text = file.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise ValueError(f"{name} is too large for a list of files.")
    return text


def _places(table, header, labels):
    """Return `{column: place}` and, of one 0/1 column per class, `{class name: place}`."""
    plain, places = [plainly(name) for name in header], {}
    for column, spellings in COLUMNS.items():
        found = [place for place, name in enumerate(plain) if name in spellings]
        if len(found) > 1 or (column == "path" and not found):
            raise ValueError(
                f"{table} must have one column of {', '.join(spellings)}; its columns are {plain}."
            )
        places |= {column: found[0]} if found else {}
    if "label" in places:
        return places, {}
    rest = [place for place in range(len(plain)) if place not in places.values()]
    return places, {header[place].strip(): place for place in rest}
