"""CSV files of FER-2013's form: the pixels of a face as text in each row."""

import contextlib
import csv
import warnings
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from fer_lib import emotions
from fer_lib.choices import suggest
from fer_lib.data.faces import Faces
from fer_lib.data.readers import archives
from fer_lib.data.readers.class_folders import class_files

CSV_NAMES = ("fer2013.csv", "icml_face_data.csv", "train.csv")
USAGES = ("Training", "PublicTest", "PrivateTest")

_SIDE = 48
_PIXELS = _SIDE * _SIDE
_BATCH = 8  # rows converted at once: their bytes stay in the processor's nearest caches
_CHUNK = 1 << 20  # bytes read at once
_LABELS = {str(number).encode(): number for number in range(len(emotions.FER7))}
_USAGES = {usage.lower().encode(): usage for usage in USAGES}


def read_fer2013_csv(source, *, on_error="raise"):
    """Read a CSV file of FER-2013's form.

    The columns `emotion` (0 to 6), `pixels` (2,304 numbers) and, where present, `Usage` are
    found by name, in any order, case and spacing: `fer2013.csv`, `icml_face_data.csv` and the
    competition's `train.csv` (Goodfellow et al. 2013, https://arxiv.org/abs/1307.0414).

    Args:
        source: Path of the file, of a zip that holds it, or a binary file object.
        on_error: `"raise"`, or `"skip"` to drop bad rows and list them in `Faces.skipped`.

    Returns:
        `Faces` of 48 x 48 pixels with `ids` the rows' positions in the file, from 0.

    Raises:
        ValueError: If a column is missing or, with `on_error="raise"`, a row is bad. The message
            counts data rows from 1.
    """
    archives.check_on_error(on_error)
    with _opened_csv(source) as (file, name):
        lines = _lines(file)
        columns, width = _columns(next(lines, b""), name)
        try:
            pixels, rows, problems = _parse_records(_records(lines, columns, width, name))
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise ValueError(f"{name} is damaged ({error}); download it again.") from None
    skipped = archives.settle(problems, name, on_error)
    if not rows:
        raise ValueError(f"{name} must hold at least one readable row; it holds none.")
    ids, labels, usage = zip(*rows, strict=True)
    return Faces(
        np.frombuffer(pixels, np.uint8).reshape(-1, _SIDE, _SIDE),
        np.array(labels),
        emotions.FER7,
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


def _lines(file):
    """Yield the lines of a binary file with their ends; blank ones too."""
    rest = b""
    while chunk := file.read(_CHUNK):
        lines = (rest + chunk).splitlines(keepends=True)
        rest = b"" if lines[-1].endswith((b"\n", b"\r")) else lines.pop()
        yield from lines
    if rest:
        yield rest


def _columns(header, name):
    """Return `{"emotion": place, "pixels": place, "usage": place}` and the number of columns."""
    text = header.decode("utf-8-sig", "replace")
    names = [column.strip().lower() for column in next(csv.reader([text]), [])]
    for needed in ("emotion", "pixels"):
        if names.count(needed) != 1:
            raise ValueError(
                f"{name} must have one column {needed!r} in its first line; it has "
                f"{[column[:30] for column in names[:8]]}{suggest(needed, names)}."
            )
    columns = {key: names.index(key) for key in ("emotion", "pixels", "usage") if key in names}
    return columns, len(names)


def _records(lines, columns, width, name):
    """Yield `(row, label, usage, pixel text)`, or `(row, reason)` for a row that has a fault."""
    row, line = -1, b"\n"
    for line in lines:
        fields = _fields(line.strip(), width)
        if fields == [b""]:
            continue
        row += 1
        if len(fields) != width:
            yield row, f"has {len(fields)} fields instead of {width}"
            continue
        label = _LABELS.get(fields[columns["emotion"]])
        usage = _USAGES.get(fields[columns["usage"]].lower()) if "usage" in columns else ""
        if label is None:
            yield row, f"emotion is {_shown(fields[columns['emotion']])}, not one of 0 to 6"
        elif usage is None:
            yield row, f"Usage is {_shown(fields[columns['usage']])}, not one of {USAGES}"
        else:
            yield row, label, usage, fields[columns["pixels"]]
    if columns["pixels"] == width - 1 and not line.endswith((b"\n", b"\r", b'"')):
        warnings.warn(
            f"{name} does not end in a newline: if it was cut off, its last pixel may be wrong.",
            stacklevel=2,
        )


def _fields(line, width):
    """Return the stripped, unquoted fields of one CSV line (none if its quotes do not match)."""
    fields = [field.strip() for field in line.split(b",")]
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
        fields = next(csv.reader([text], skipinitialspace=True, strict=True))
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
    return tables[0] if len(tables) == 1 and not class_files(names) else None
