"""CSV files of FER-2013's form: the pixels of a face as text in each row."""

import contextlib
import csv
import dataclasses
import functools
import gzip
import warnings
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from fer_lib import emotions
from fer_lib.choices import suggest
from fer_lib.data.faces import Faces
from fer_lib.data.readers import archives
from fer_lib.data.readers import labels as reading
from fer_lib.data.readers.class_folders import class_files
from fer_lib.data.readers.path_tables import COLUMNS, delimiter_of, plainly

CSV_NAMES = ("fer2013.csv", "icml_face_data.csv", "train.csv")
USAGES = ("Training", "PublicTest", "PrivateTest")

_SIDE = 48
_PIXELS = _SIDE * _SIDE
_BATCH = 8  # rows converted at once: their bytes stay in the processor's nearest caches
_CHUNK = 1 << 20  # bytes read at once
_MAX_LINE = 16 << 20  # bytes; a face takes 10,000
_FER2013 = reading.Labels(scheme="fer2013")
_USAGES = {usage.lower().encode(): usage for usage in USAGES}


def read_fer2013_csv(source, *, on_error="raise", labels=_FER2013):
    """Read a CSV file of FER-2013's form.

    The columns `emotion` (0 to 6), `pixels` (2,304 numbers) and, where present, `Usage` are
    found by name, in any order, case and spacing: `fer2013.csv`, `icml_face_data.csv` and the
    competition's `train.csv` (Goodfellow et al. 2013, https://arxiv.org/abs/1307.0414).

    Args:
        source: Path of the file, of a zip that holds it, or a binary file object.
        on_error: `"raise"`, or `"skip"` to drop bad rows and list them in `Faces.skipped`.
        labels: `Labels`; numbers without a scheme are FER-2013's.

    Returns:
        `Faces` of 48 x 48 pixels with `ids` the rows' positions in the file, from 0.

    Raises:
        ValueError: If a column is missing or, with `on_error="raise"`, a row is bad. The message
            counts data rows from 1.
    """
    archives.check_on_error(on_error)
    if labels.scheme is None:
        labels = dataclasses.replace(labels, scheme="fer2013")
    with _opened_csv(source) as (file, name):
        try:
            lines = _lines(file, name)
            columns, width, delimiter = _columns(next(lines, b""), name)
            told = functools.lru_cache(maxsize=None)(functools.partial(_class, labels=labels))
            records = _records(lines, columns, width, delimiter, told, name)
            pixels, rows, problems = _parse_records(records)
        except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise ValueError(f"{name} is damaged ({error}); download it again.") from None
    by_rule = [text for text in problems if f": {reading.LEFT_OUT}" in text]
    problems = [text for text in problems if f": {reading.LEFT_OUT}" not in text]
    skipped = (*archives.settle(problems, name, on_error), *by_rule)
    if not rows:
        raise ValueError(f"{name} must hold at least one readable row; it holds none.")
    ids, found, usage = zip(*rows, strict=True)
    label_set = reading.label_set((*emotions.FER7, *set(found)), labels)
    place = {emotion: number for number, emotion in enumerate(label_set)}
    return Faces(
        np.frombuffer(pixels, np.uint8).reshape(-1, _SIDE, _SIDE),
        np.array([place[emotion] for emotion in found]),
        label_set,
        ids=np.array(ids),
        usage=np.array(usage) if "usage" in columns else None,
        name=PurePosixPath(Path(name).as_posix()).name,
        skipped=skipped,
    )


@contextlib.contextmanager
def _opened_csv(source):
    """Yield a binary file and its name for a path, a zip's path or an open file."""
    if hasattr(source, "read"):
        yield source, str(getattr(source, "name", "CSV file"))
    elif str(source).lower().endswith(".gz"):
        with gzip.open(source) as file:
            yield file, str(source)
    elif zipfile.is_zipfile(source):
        with archives.opened_zip(source) as archive:
            member = csv_member(archive)
            if member is None:
                raise ValueError(f"{source} must hold one of {', '.join(CSV_NAMES)}; none found.")
            with archive.open(member) as file:
                yield file, f"{source}/{member}"
    else:
        with open(source, "rb") as file:
            yield file, str(source)


def _lines(file, name):
    """Yield the lines of a binary file with their ends; blank ones too."""
    rest = b""
    while chunk := file.read(_CHUNK):
        lines = (rest + chunk).splitlines(keepends=True)
        rest = b"" if lines[-1].endswith((b"\n", b"\r")) else lines.pop()
        if len(rest) > _MAX_LINE:
            most = _MAX_LINE >> 20
            raise ValueError(f"{name} has a line of more than {most} MiB: it is no such table.")
        yield from lines
    if rest:
        yield rest


def _columns(header, name):
    """Return `{"emotion": place, "pixels": place, "usage": place}`, the number of columns, and
    the delimiter.
    """
    text = header.decode("utf-8-sig", "replace")
    delimiter = delimiter_of(text)
    columns = [plainly(column) for column in next(csv.reader([text], delimiter=delimiter), [])]
    labels = [column for column in columns if column in COLUMNS["label"]]
    wanted = {"emotion": "emotion" if "emotion" in columns or not labels else labels[0]}
    wanted |= {"pixels": "pixels"} | ({"usage": "usage"} if "usage" in columns else {})
    for needed in (wanted["emotion"], "pixels"):
        if columns.count(needed) != 1:
            raise ValueError(
                f"{name} must have one column {needed!r} in its first line; it has "
                f"{[column[:30] for column in columns[:8]]}{suggest(needed, columns)}."
            )
    return {key: columns.index(column) for key, column in wanted.items()}, len(columns), delimiter


def _class(field, labels):
    """Return `(class, fault)` of the bytes of a label."""
    emotion, fault = labels.tell(field.decode("utf-8", "replace"))
    if fault and labels.scheme == "fer2013" and not fault.startswith(reading.LEFT_OUT):
        fault = f"emotion is {_shown(field)}, not one of 0 to 6"
    return emotion, fault


def _records(lines, columns, width, delimiter, told, name):
    """Yield `(row, label, usage, pixel text)`, or `(row, reason)` for a row that has a fault."""
    row, line = -1, b"\n"
    for line in lines:
        fields = _fields(line.strip(), width, delimiter)
        if fields == [b""]:
            continue
        row += 1
        if len(fields) != width:
            yield row, f"has {len(fields)} fields instead of {width}"
            continue
        label, fault = told(fields[columns["emotion"]])
        usage = _USAGES.get(fields[columns["usage"]].lower()) if "usage" in columns else ""
        if label is None:
            yield row, fault
        elif usage is None:
            yield row, f"Usage is {_shown(fields[columns['usage']])}, not one of {USAGES}"
        else:
            yield row, label, usage, fields[columns["pixels"]]
    if columns["pixels"] == width - 1 and not line.endswith((b"\n", b"\r", b'"')):
        warnings.warn(
            f"{name} does not end in a newline: if it was cut off, its last pixel may be wrong.",
            stacklevel=2,
        )


def _fields(line, width, delimiter):
    """Return the stripped, unquoted fields of one CSV line (none if its quotes do not match)."""
    fields = [field.strip() for field in line.split(delimiter.encode())]
    if b'"' not in line:
        return fields
    whole = all(
        b'"' not in field or (field.count(b'"') == 2 and field[:1] == field[-1:] == b'"')
        for field in fields
    )
    if whole and len(fields) == width:
        return [field.strip(b'" \t') for field in fields]
    try:
        text = line.decode("utf-8", "replace")
        fields = next(csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error:
        return []
    return [field.strip().encode() for field in fields]


def _shown(field):
    return repr(field[:20].decode("utf-8", "replace"))


def _parse_records(records):
    """Return the pixels (a bytearray), `(row, label, usage)` of each face, and the problems."""
    pixels, rows, problems, batch = bytearray(), [], [], []

    def flush():
        values = _parse_pixels([record[3] for record in batch])
        if values is not None:
            pixels.extend(memoryview(values))
            rows.extend(record[:3] for record in batch)
            return
        for record in batch:  # one of these rows needs a closer look
            values, fault = _read_pixels(record[3])
            if fault:
                problems.append((record[0], fault))
            else:
                pixels.extend(values)
                rows.append(record[:3])

    for record in records:
        if len(record) == 2:
            problems.append(record)
            continue
        batch.append(record)
        if len(batch) == _BATCH:
            flush()
            batch.clear()
    if batch:
        flush()
    return pixels, rows, [f"row {row + 1}: {fault}" for row, fault in sorted(problems)]


def _parse_pixels(fields):
    """Convert rows of decimal text at once, digit by digit over the whole byte array.

    Args:
        fields: List of `bytes`, one per row: numbers separated by single or repeated spaces.

    Returns:
        `uint8` array of shape `(len(fields) * 2304,)`, or None if any row is not 2,304 numbers
        of one to three digits from 0 to 255.
    """
    # Two spaces in front, so that each byte has the two neighbours its digits may stand in.
    text = np.frombuffer(b" ".join([b" ", *fields, b""]), np.uint8)
    inside = text != 32
    mask = np.negative(inside.view(np.uint8))  # 255 inside a number, 0 between: `&` is cheap
    digit = (text - np.uint8(48)) & mask
    if digit.max() > 9:
        return None
    # At each byte: the number made of the digits before it (two at most), times ten, plus it.
    tens = (digit[:-1] * np.uint8(10)) & mask[1:]
    tens += digit[1:]
    before = tens[:-1] & mask[2:]
    if before.max() > 25:
        return None
    before *= np.uint8(10)
    value = before + digit[2:]
    pairs = inside[1:] & inside[:-1]
    if (value < before).any() or (pairs[2:] & pairs[:-2]).any():  # 256 to 259; four digits
        return None
    ends = np.flatnonzero(inside[2:-1] > inside[3:])
    row_ends = np.cumsum([len(field) + 1 for field in fields]) - 2
    if len(ends) != _PIXELS * len(fields) or (ends[_PIXELS - 1 :: _PIXELS] != row_ends).any():
        return None
    return value.take(ends, mode="clip")


def _read_pixels(field):
    """Return the pixels of one row as bytes and None, or None and what is wrong with it."""
    numbers = field.split()
    if len(numbers) != _PIXELS:
        return None, f"has {len(numbers)} pixels instead of {_PIXELS}"
    for place, number in enumerate(numbers, start=1):
        if not number.removeprefix(b"-").isdigit():
            return None, f"pixel {place} is {_shown(number)}, not a whole number"
        if number.startswith(b"-") or len(number) > 6 or int(number) > 255:
            return None, f"pixel {place} is {_shown(number)}, outside 0 to 255"
    return bytes(map(int, numbers)), None


def csv_member(archive):
    """Return the name of the CSV member of a zip, or None."""
    names = [name for name in archive.namelist() if not name.startswith("__MACOSX")]
    for known in CSV_NAMES:
        if found := [name for name in sorted(names) if name.rpartition("/")[2] == known]:
            return found[0]
    tables = [name for name in names if name.lower().endswith(".csv")]
    if len(tables) != 1 or class_files(names):
        return None
    with archive.open(tables[0]) as file:
        line = file.readline(1 << 16).decode("utf-8-sig", "replace")
    header = {plainly(column.strip("\"'")) for column in line.split(delimiter_of(line))}
    return None if "pixels" not in header and header & set(COLUMNS["path"]) else tables[0]
