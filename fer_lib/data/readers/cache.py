"""Parsed data sets, kept once under FER_HOME/cache by content and memory-mapped afterwards."""

import hashlib
import json
import os
import shutil
import time
import warnings
import zlib
from pathlib import Path
from tokenize import TokenError

import numpy as np

from fer_lib import storage
from fer_lib.data.faces import Faces

ARRAYS = ("images", "labels", "groups", "ids", "usage")
_SETTLED = 2_000_000_000  # nanoseconds; a file younger than that may change within one clock tick


def cached(path, parse, *, version, on_error="raise"):
    """Return `parse(path)`, from the cache where the same content was parsed before.

    What is served has the same faces whatever `on_error` is: an entry that lacks the rows which
    could not be read is not served to a caller with `on_error="raise"`.

    Args:
        path: File or folder that is parsed.
        parse: Function of `path` that returns `Faces`.
        version: String that changes when `parse` reads the same content differently.
        on_error: `"raise"` or `"skip"`: what `parse` does with rows that it cannot read.

    Returns:
        `Faces` whose arrays are read-only and memory-mapped (in memory where FER_HOME cannot be
        written; a warning says so).
    """
    path = Path(path).resolve()
    key = hashlib.sha256(f"{version} {path.name} {content_key(path)}".encode()).hexdigest()[:32]
    entry = storage.fer_home() / "cache" / key
    faces = load_entry(entry)
    if faces is not None and (on_error == "skip" or not _faults(faces)):
        return faces
    faces = parse(path)
    try:
        save_entry(entry, faces)
    except OSError as error:
        warnings.warn(f"{path} could not be cached in {entry} ({error}).", stacklevel=3)
        return faces
    return load_entry(entry) or faces


def _faults(faces):
    """Return what was skipped because it could not be used, not by rule or by request."""
    return [why for why in faces.skipped if not why.rpartition(": ")[2].startswith("left out")]


def content_key(path):
    """Return a hexadecimal key of a file's bytes or of a folder's names, sizes and times.

    A file is hashed once: an index under FER_HOME remembers the hash by path, size and time of
    modification.
    """
    if path.is_dir():
        return _folder_key(path)
    index_file = storage.fer_home() / "cache" / "index.json"
    index, stat = _read_index(index_file), path.stat()
    stamp = [stat.st_size, stat.st_mtime_ns]
    known = index.get(str(path))
    if isinstance(known, list) and known[:2] == stamp and len(known) == 3:
        return known[2]
    key = storage.file_hash(path)
    if time.time_ns() - stat.st_mtime_ns > _SETTLED:
        try:
            storage.write_json(index_file, index | {str(path): [*stamp, key]})
        except OSError:
            pass  # the next call hashes again
    return key


def _folder_key(path):
    lines, pending, seen = [], [str(path)], {os.path.realpath(path)}
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                    if real not in seen:
                        seen.add(real)
                        pending.append(entry.path)
                else:
                    stat = entry.stat(follow_symlinks=not entry.is_symlink() or entry.is_file())
                    lines.append(f"{entry.path}\t{stat.st_size}\t{stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()


def _read_index(file):
    try:
        index = storage.read_json(file)
    except (OSError, ValueError):
        return {}
    return index if isinstance(index, dict) else {}


def save_entry(entry, faces):
    """Write `faces` as one `.npy` per array and `faces.json`; the folder appears complete."""
    if entry.is_dir():  # damaged, or less than is wanted now
        shutil.rmtree(entry, ignore_errors=True)
    try:
        with storage.replacing_folder(entry) as temporary:
            arrays = {name: getattr(faces, name) for name in ARRAYS}
            arrays = {name: array for name, array in arrays.items() if array is not None}
            for name, array in arrays.items():
                np.save(temporary / f"{name}.npy", array, allow_pickle=False)
            about = {
                "name": faces.name,
                "label_set": faces.label_set,
                "skipped": faces.skipped,
                "notes": faces.notes,
                "checksums": {name: _checksum(array) for name, array in arrays.items()},
            }
            storage.write_json(temporary / "faces.json", about)
    except FileExistsError:  # another process was first, with the same content
        if not entry.is_dir():
            raise


def load_entry(entry):
    """Return the memory-mapped `Faces` of a cache entry, or None if it is absent or damaged."""
    try:
        about = json.loads((entry / "faces.json").read_text(encoding="utf-8"))
        arrays = {}
        for name, checksum in about["checksums"].items():
            arrays[name] = np.load(entry / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            if _checksum(arrays[name]) != checksum:
                return None
        told = {key: about[key] for key in ("label_set", "name", "skipped")}
        return Faces(**arrays, **told, notes=about.get("notes", ()))
    # TokenError is numpy's of a damaged header.
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, TokenError):
        return None


def _checksum(array):
    return zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1))
