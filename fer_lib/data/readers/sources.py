"""Readers: what people download (CSV files, class folders, zips) becomes Faces.

A row or file that cannot be read is never guessed: it is an error that names it, or, with
`on_error="skip"`, it is dropped and listed in `Faces.skipped`.
"""

import functools
import zipfile
from pathlib import Path

from fer_lib.data.readers import archives, cache
from fer_lib.data.readers.class_folders import class_files, read_class_folders
from fer_lib.data.readers.fer2013_csv import CSV_NAMES, csv_member, read_fer2013_csv
from fer_lib.data.readers.path_tables import content_stamp, is_path_table, read_path_table

_VERSION = "1"  # to be raised when a reader reads the same content differently


def read(path, *, on_error="raise", drop_folders=()):
    """Return the faces of a CSV file, a folder of class folders, a zip, or a folder with one.

    A CSV file holds the pixels themselves, as FER-2013's does, or lists image files.

    What was parsed is cached under FER_HOME by content and memory-mapped afterwards.

    Args:
        path: File or folder.
        on_error: `"raise"`, or `"skip"` to drop the rows or files that cannot be read and list
            them in `Faces.skipped`.
        drop_folders: Names of class folders (or labels of a CSV that lists image files) that
            stand for no known emotion, to leave out.

    Returns:
        `Faces`; `usage` holds the source's split names where it has any.

    Raises:
        FileNotFoundError: If nothing lies at `path`, or a folder with none of the known forms.
        ValueError: If rows or files cannot be read.
    """
    archives.check_on_error(on_error)
    source, reader = find_source(Path(path))
    version, options = _VERSION, {"on_error": on_error}
    if drop_folders:
        if reader is read_fer2013_csv:
            raise ValueError(f"drop_classes names {drop_folders[0]!r}, which is no emotion.")
        options["drop_folders"] = tuple(drop_folders)
        version += f" without {sorted(drop_folders)}"
    if reader is read_path_table:
        version += f" {content_stamp(source)}"
    parse = functools.partial(reader, **options)
    return cache.cached(source, parse, version=version, on_error=on_error)


def find_source(path):
    """Return the file or folder to read at or in `path`, and the function that reads it.

    Raises:
        FileNotFoundError: If there is none of the known forms.
    """
    if not path.exists():
        raise FileNotFoundError(f"No data at {path}: there is no such file or folder.")
    if path.is_file():
        if path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
            return path, _reader_of_zip(path)
        return path, _reader_of_csv(path)
    for name in CSV_NAMES:
        if found := sorted([*path.glob(name), *path.glob(f"*/{name}")]):
            return found[0], _reader_of_csv(found[0])
    if class_files(archives.walk(path)[0]):
        return path, read_class_folders
    if tables := [table for table in sorted(path.glob("*.csv")) if is_path_table(table)]:
        return tables[0], read_path_table
    if zips := sorted(path.glob("*.zip")):
        return zips[0], _reader_of_zip(zips[0])
    raise FileNotFoundError(
        f"{path} must hold one of {', '.join(CSV_NAMES)}, folders named after emotions, a CSV "
        "file of path,label, or a zip of the former; it holds none."
    )


def _reader_of_csv(path):
    return read_path_table if is_path_table(path) else read_fer2013_csv


def _reader_of_zip(path):
    with archives.opened_zip(path) as archive:
        return read_fer2013_csv if csv_member(archive) else read_class_folders
