"""Readers: what people download or have (tables, class folders, archives, arrays) becomes Faces.

A row or file that cannot be read is never guessed: it is an error that names it, or, with
`on_error="skip"`, it is dropped and listed in `Faces.skipped`. What is not read at all is named in
`Faces.notes`.
"""

import collections
import dataclasses
import functools
import typing
import warnings
from pathlib import Path, PurePosixPath

import numpy as np

from fer_lib.data.faces import Faces
from fer_lib.data.readers import (
    archives,
    arrays,
    cache,
    fer2013_csv,
    image_files,
    layouts,
    names,
    path_tables,
    pictures,
)
from fer_lib.data.readers import labels as reading
from fer_lib.data.readers.fer2013_csv import CSV_NAMES, read_fer2013_csv

_VERSION = "2"  # to be raised when a reader reads the same content differently
_PIXELS_VERSION = "1"
_MANY = 200  # tables whose first lines are read to see what they are


class Part(typing.NamedTuple):
    """One file or folder to read.

    Args:
        path: File or folder.
        kind: Key of `_READERS`.
        split: The split that its name tells, `""` where it holds its own splits or none.
    """

    path: Path
    kind: str
    split: str = ""


def read(path, *, on_error="raise", labels=None, size=48, colour=False, found=None):
    """Return the faces of a file, an archive or a folder, whatever known layout it has.

    What was parsed is cached under FER_HOME by content and memory-mapped afterwards.

    Args:
        path: File or folder.
        on_error: `"raise"`, or `"skip"` to drop the rows or files that cannot be read and list
            them in `Faces.skipped`.
        labels: `Labels`: classes, numbering and what to leave out.
        size: Height and width of the faces in pixels. FER-2013's tables hold 48.
        colour: Whether to read colour; grey pictures then have three equal channels.
        found: What `find_parts` said of the path, where it was asked already.

    Returns:
        `Faces`; `usage` holds the source's split names where it has any, `notes` what was taken
        for what.

    Raises:
        FileNotFoundError: If nothing lies at `path`, or nothing of a known layout; the message
            says what was found.
        ValueError: If rows or files cannot be read, or files contradict one another.
    """
    archives.check_on_error(on_error)
    labels = labels or reading.Labels()
    parts, notes = found or find_parts(Path(path))
    for note in notes:
        warnings.warn(f"{path}: {note}.", stacklevel=2)
    faces = [_read_part(part, on_error, labels, size, colour) for part in parts]
    if len(parts) == 1 and not notes and not parts[0].split:
        return faces[0]
    return _joined(faces, parts, notes, Path(path), labels)


def find_parts(path):
    """Return the parts to read at or in `path`, and what is left unread, one sentence each.

    Raises:
        FileNotFoundError: If there is none of a known form.
        ValueError: If there are several and their names do not tell which is which split.
    """
    if not path.exists():
        raise FileNotFoundError(f"No data at {path}: there is no such file or folder.")
    if path.is_file():
        return [Part(path, _kind_of_file(path))], []
    files, problems = archives.walk(path)
    others = [name for name in files if not name.lower().endswith(pictures.SUFFIXES)]
    images = len(others) < len(files)
    found = collections.defaultdict(list)
    for name in _by_depth(others):
        lower = name.lower()
        if lower.endswith(path_tables.SUFFIXES) and len(found["looked at"]) < _MANY:
            found["looked at"].append(name)
            header = {path_tables.plainly(c) for c in path_tables.read_header(path / name)}
            if "pixels" in header and header & set(path_tables.COLUMNS["label"]):
                found["pixels"].append(name)
            elif "pixels" in header:
                found["no labels"].append(name)
        elif lower.endswith(archives.SUFFIXES):
            found["archive"].append(name)
        elif lower.endswith((".parquet", ".npz")):
            found[lower.rpartition(".")[2]].append(name)
        elif lower.endswith(".npy") and "/" not in name:
            found["npy"].append(name)
    parts = _chosen(path, found, images)
    if not parts:
        raise FileNotFoundError(layouts.unknown(path, files, problems))
    if images and parts[0].kind == "tree":
        _check_archives(path, found["archive"], files)
    return parts, _unread(path, parts, found, images)


def _check_archives(path, packed, files):
    """Raise if an archive holds a split that the pictures beside it lack."""
    ways = {name.rpartition("/")[0] for name in files}
    above = {folder for way in ways for folder in PurePosixPath(way).parts}
    there = {_split_of_file(folder) for folder in above}
    there |= {_split_of_file(name) for name in files if name.endswith(path_tables.SUFFIXES)}
    for name in packed:
        if (split := _split_of_file(name)) and split not in there:
            raise ValueError(
                f"{path} holds pictures, and {split} faces in {name}: unpack it beside them, or "
                "move it away."
            )


def _by_depth(files):
    """Return names, those of `CSV_NAMES` and shallow ones first."""
    known = {name: place for place, name in enumerate(CSV_NAMES)}
    return sorted(
        files,
        key=lambda n: (known.get(PurePosixPath(n).name, len(known)), n.count("/"), n),
    )


def _chosen(path, found, images):
    """Return the parts to read of what lies in a folder."""
    if tables := found["pixels"]:
        if PurePosixPath(tables[0]).name in CSV_NAMES[:2]:
            return [Part(path / tables[0], "pixels")]
        splits = path_tables.splits_of_tables(tables)
        if len(tables) == 1:
            own = _has_usage(path / tables[0])
            split = splits[tables[0]]
            first = Part(path / tables[0], "pixels", "" if own else split)
            with_rest = split and not own and images
            return [first, Part(path, "tree")] if with_rest else [first]
        return [Part(path / name, "pixels", splits[name]) for name in tables]
    if files := found["parquet"]:
        splits = {name: _split_of_file(name) for name in files}
        if len(files) > 1 and not all(splits.values()):
            path_tables.splits_of_tables(files)
        return [Part(path / name, "parquet", splits[name]) for name in files]
    if images:
        return [Part(path, "tree")]
    if files := found["npz"]:
        return _split_parts(path, files, "arrays")
    if len(found["npy"]) > 1:
        return [Part(path, "arrays")]
    return _split_parts(path, found["archive"], "archive")


def _split_parts(path, files, kind):
    """Return a part per file, where there is one or their names tell the splits."""
    splits = {name: _split_of_file(name) for name in files}
    if len(files) > 1 and (not all(splits.values()) or len(set(splits.values())) < len(files)):
        raise ValueError(
            f"{path} holds {len(files)} files of faces ({', '.join(files[:6])}), and their names "
            "do not tell train, validation and test: rename them, or give the path of one."
        )
    if len(files) == 1:
        return [Part(path / files[0], kind)]
    return [Part(path / name, kind, split) for name, split in splits.items()]


def _split_of_file(name):
    stem = PurePosixPath(name).name.partition(".")[0]
    try:
        return names.split_of(stem) or names.splits_above(PurePosixPath(name).parts[:-1])[0]
    except ValueError:
        return ""


def _has_usage(path):
    return "usage" in {path_tables.plainly(c) for c in path_tables.read_header(path)}


def _unread(path, parts, found, images):
    """Return what is not read beside the parts, one sentence each."""
    read_files = {part.path for part in parts}
    whole = path in read_files
    notes = [f"{name} is not read, it holds no labels" for name in found["no labels"]]
    for kind in ("pixels", "parquet", "npz", "archive"):
        rest = [name for name in found[kind] if path / name not in read_files]
        notes += [f"{name} is not read beside {_named(parts, path)}" for name in rest]
    if images and not whole:
        notes.append(f"the pictures in it are not read beside {_named(parts, path)}")
    return notes


def _named(parts, path):
    names_ = [part.path.relative_to(path).as_posix() for part in parts[:3] if part.path != path]
    return ", ".join(names_) or "the pictures"


def _kind_of_file(path):
    lower = path.name.lower()
    if lower.endswith((".npz", ".npy")):
        return "arrays"
    if lower.endswith(".parquet"):
        return "parquet"
    if archives.is_archive(path):
        return "archive"
    return "table" if path_tables.is_path_table(path) else "pixels"


def _read_part(part, on_error, labels, size, colour):
    """Return the faces of one part, cached."""
    reader, version = _READERS[part.kind], f"{_VERSION} {size} {colour} {labels.key}"
    options = {"on_error": on_error, "labels": labels, "size": size, "colour": colour}
    if part.kind == "table":
        version += f" {path_tables.content_stamp(part.path, labels)}"
    if part.kind == "pixels" or (part.kind == "archive" and _is_zipped_csv(part.path)):
        if part.path.name.lower().startswith("ckextended") and labels.scheme is None:
            labels = dataclasses.replace(labels, scheme="ckextended")
        if labels.drop:
            raise ValueError(f"drop names {labels.drop[0]!r}, which is no emotion.")
        options = {"on_error": on_error, "labels": labels}
        plain = labels == reading.Labels()
        version = _PIXELS_VERSION if plain else f"{_PIXELS_VERSION} {labels.key}"
        reader = read_fer2013_csv
    parse = functools.partial(reader, **options)
    faces = cache.cached(part.path, parse, version=version, on_error=on_error)
    if reader is read_fer2013_csv or part.kind == "arrays":
        faces = _in_size(faces, size, colour)
    form = "a table of pixels" if reader is read_fer2013_csv else _FORMS.get(part.kind)
    if form is None or any(note.startswith("Read as ") for note in faces.notes):
        return faces
    return dataclasses.replace(faces, notes=(f"Read as {form}.", *faces.notes))


def _is_zipped_csv(path):
    if path.name.lower().endswith(archives.TAR_SUFFIXES):
        return False
    with archives.opened_zip(path) as archive:
        return fer2013_csv.csv_member(archive) is not None


def _in_size(faces, size, colour):
    """Return faces of an array or table in the size and kind that was asked for."""
    old, faces = faces.images.shape[1:3], faces.resized((size, size, 3) if colour else (size, size))
    if old == (size, size):
        return faces
    note = f"The source holds {old[0]} x {old[1]} pixels, resized to {size} x {size}."
    return dataclasses.replace(faces, notes=(*faces.notes, note))


def _read_tree(path, *, on_error, labels, size, colour):
    """Read the image files of a folder or an archive."""
    with archives.opened_tree(path) as (files, load, problems):
        entries, notes, layout = layouts.find(files, load, labels)
        if not entries:
            raise FileNotFoundError(layouts.unknown(path, files, problems))
        labels.check_dropped(path)
        return image_files.read_entries(
            entries,
            load,
            path,
            problems=problems,
            label_set=reading.label_set({entry.emotion for entry in entries}, labels),
            on_error=on_error,
            size=size,
            colour=colour,
            subjects=True,
            notes=[f"Read as {layout}.", *notes],
        )


def _read_archive(path, **options):
    """Read an archive: of image files as it is, of tables and arrays unpacked."""
    with archives.opened_tree(path) as (files, _, _):
        tables = (".parquet", ".npz", ".npy", ".csv", ".tsv", ".zip", *archives.TAR_SUFFIXES)
        images = any(name.lower().endswith(pictures.SUFFIXES) for name in files)
        inner = [name for name in files if name.lower().endswith(tables)]
    if images or not inner:
        return _read_tree(path, **options)
    if path.name.lower().endswith(archives.TAR_SUFFIXES):
        opened = archives.unpacked(path)
    else:
        opened = archives.unzipped(path)
    with opened as folder:
        faces = read(folder, **options)
        # What is read from the temporary folder must be in memory before it goes.
        return dataclasses.replace(faces, images=np.array(faces.images), name=path.name)


# What the readers read that do not look for a layout.
_FORMS = {"table": "a table of pictures", "parquet": "Parquet", "arrays": "arrays"}

_READERS = {
    "pixels": read_fer2013_csv,
    "table": path_tables.read_path_table,
    "tree": _read_tree,
    "archive": _read_archive,
    "parquet": arrays.read_parquet,
    "arrays": lambda path, *, size, **options: arrays.read_arrays(path, **options),
}


def _joined(faces, parts, notes, path, labels):
    """Return the faces of several parts as one, each in the split that its name tells."""
    given = {part.split for part in parts if part.split}
    pieces, sentences = [], []
    for part, one in zip(parts, faces, strict=True):
        if part.path == path and one.usage is not None:
            # Pictures beside tables: of the splits that no table holds.
            one = one[np.flatnonzero(~np.isin(one.usage, sorted(given)))]
            if not len(one):
                continue
        name = "" if part.path == path else part.path.relative_to(path).as_posix()
        usage = one.usage
        if part.split and one.usage is None:
            usage = np.full(len(one), part.split)
            sentences.append(f"{name} → {part.split}: {len(one):,} faces")
        ids = np.array([f"{name}: {i}" if name else str(i) for i in one.ids.tolist()])
        several = len(parts) > 1
        pieces.append(dataclasses.replace(one, usage=usage, ids=ids if several else one.ids))
        told = [note for note in one.notes if not (part.split and "→ all faces" in note)]
        sentences += [note for note in told if note not in sentences]
    if len(pieces) == 1:
        return dataclasses.replace(pieces[0], notes=(*sentences, *notes))
    known = [set(one.label_set[c] for c in np.unique(one.classes)) for one in pieces]
    label_set = reading.label_set(set().union(*known), labels)
    grouped = all(one.groups is not None for one in pieces)
    used = all(one.usage is not None for one in pieces)
    return Faces(
        np.concatenate([one.images for one in pieces]),
        np.concatenate([_renumbered(one, label_set) for one in pieces]),
        label_set,
        groups=np.concatenate([one.groups for one in pieces]) if grouped else None,
        ids=np.concatenate([one.ids for one in pieces]),
        usage=np.concatenate([one.usage for one in pieces]) if used else None,
        name=path.name,
        skipped=[text for one in pieces for text in one.skipped],
        notes=(*sentences, *notes),
    )


def _renumbered(faces, label_set):
    places = np.array([label_set.index(n) if n in label_set else -1 for n in faces.label_set])
    return places[faces.classes]


def holds_data(folder):
    """Whether a folder holds faces of a known form.

    Raises:
        ValueError: If it holds a damaged archive.
    """
    try:
        parts, _ = find_parts(folder)
    except FileNotFoundError:
        return False
    for part in parts:
        if part.kind == "archive" and not part.path.name.lower().endswith(archives.TAR_SUFFIXES):
            with archives.opened_zip(part.path):
                pass
    return True
