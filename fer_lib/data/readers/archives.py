"""Folders, zips and tar files as sources of files: safe to open, with one report of faults."""

import contextlib
import os
import stat
import tarfile
import zipfile
from pathlib import Path

from fer_lib import storage

_MAX_RATIO = 200  # of a zip member's sizes; pixels as text compress about 4 times
_MAX_FILE = 64 << 20  # bytes of one image file
_JUNK = ("thumbs.db", "desktop.ini")
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
SUFFIXES = (".zip", *TAR_SUFFIXES)


def check_on_error(on_error):
    """Raise ValueError unless `on_error` is `"raise"` or `"skip"`."""
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip'; got {on_error!r}.")


def settle(problems, source, on_error):
    """Return the problems (one string each) as a tuple, or raise them.

    Raises:
        ValueError: If there are any and `on_error` is `"raise"`; the message names the source,
            their number and the first five.
    """
    if problems and on_error == "raise":
        first = "\n".join(f"  {problem}" for problem in problems[:5])
        more = f"\n  ... and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValueError(
            f"{source}: {len(problems)} of its faces cannot be read:\n{first}{more}\n"
            'Repair them, or pass on_error="skip" to leave them out.'
        )
    return tuple(problems)


@contextlib.contextmanager
def opened_zip(path):
    """Yield the `ZipFile` at `path` once all its members are known to be harmless.

    Raises:
        ValueError: If the file is no zip or damaged, or a member is encrypted, is a symbolic link,
            would lie outside the archive's folder or would unpack to over 200 times its size.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not a zip file, whatever its name says; download it again.")
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if fault := _member_fault(member):
                    raise ValueError(f"{path} is not safe to read: {member.filename!r} {fault}.")
            yield archive
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is damaged ({error}); download it again.") from None


def _member_fault(member):
    name = member.filename.replace("\\", "/")
    if name.startswith("/") or name[1:2] == ":" or ".." in name.split("/"):
        return "lies outside the archive's folder"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a symbolic link"
    if member.flag_bits & 1:
        return "is encrypted"
    if member.file_size > (1 << 20) and member.file_size > _MAX_RATIO * member.compress_size:
        return f"would unpack from {member.compress_size} to {member.file_size} bytes"
    return ""


def is_archive(path):
    """Whether a file is a zip or tar file, or is called so."""
    name = Path(path).name.lower()
    return name.endswith(SUFFIXES) or zipfile.is_zipfile(path)


@contextlib.contextmanager
def opened_tree(path):
    """Yield the relative file names below a folder or in a zip or tar file, a function that
    returns the bytes of one, and the problems found (symbolic links that lead nowhere).
    """
    if path.is_dir():
        names, problems = walk(path)
        yield names, lambda name: read_file(path / name), problems
    elif path.name.lower().endswith(TAR_SUFFIXES):
        with unpacked(path) as folder:
            names, problems = walk(folder)
            yield names, lambda name: read_file(folder / name), problems
    else:
        with opened_zip(path) as archive:
            names = [name for name in archive.namelist() if name[-1:] != "/" and not _hidden(name)]
            yield names, lambda name: _read_member(archive, name), []


@contextlib.contextmanager
def unpacked(path):
    """Yield a temporary folder with the content of a tar file, which knows no random access.

    Raises:
        ValueError: If it is no tar file or damaged, or a member is a link, would lie outside, or
            the whole would unpack to over 200 times the file's size.
    """
    with _temporary() as folder:
        try:
            with tarfile.open(path) as archive:
                left = max(1 << 20, _MAX_RATIO * path.stat().st_size)
                for member in archive:
                    left -= member.size
                    if left < 0:
                        raise ValueError(f"{path} is not safe to read: it would unpack too far.")
                    if member.isfile() and not _hidden(member.name):
                        archive.extract(member, folder, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise ValueError(f"{path} is no whole tar file ({error}).") from None
        yield folder


@contextlib.contextmanager
def unzipped(path):
    """Yield a temporary folder with the content of a zip; see `opened_zip` for what it refuses."""
    with _temporary() as folder, opened_zip(path) as archive:
        try:
            archive.extractall(folder)
        except (zipfile.BadZipFile, OSError) as error:
            raise ValueError(f"{path} is damaged ({error}); download it again.") from None
        yield folder


def _temporary():
    cache = storage.fer_home() / "cache"
    return storage.temporary_folder(cache / "unpacked")


def walk(root):
    """Return the relative file names below `root`, and the symbolic links that cannot be read.

    Links are followed, as folders are often linked into place, but no folder is read twice.
    """
    names, problems, pending = [], [], [(os.fspath(root), "")]
    inside, seen = os.path.realpath(root), {os.path.realpath(root)}
    while pending:
        folder, below = pending.pop()
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                name = below + entry.name
                if _hidden(name):
                    continue
                link = entry.is_symlink()
                if entry.is_dir():
                    real = os.path.realpath(entry.path) if link else entry.path
                    if link and (real in seen or lies_in(real, inside) or lies_in(inside, real)):
                        problems.append(
                            f"{name}: is a symbolic link to a folder that is read already"
                        )
                        continue
                    seen.add(real)
                    pending.append((entry.path, f"{name}/"))
                elif link and not os.path.exists(entry.path):
                    problems.append(f"{name}: is a symbolic link that leads nowhere")
                else:
                    names.append(name)
    return names, problems


def lies_in(path, root):
    """Whether a path, its symbolic links followed, lies below the folder `root`."""
    return os.path.realpath(path).startswith(os.path.join(os.path.realpath(root), ""))


def _hidden(name):
    return "/." in f"/{name}" or "__MACOSX" in name or name.lower().endswith(_JUNK)


def read_file(path):
    """Return the bytes of an image file; a ValueError if it is far too large for one."""
    if path.stat().st_size > _MAX_FILE:
        raise ValueError(f"it is a file of more than {_MAX_FILE >> 20} MiB")
    return path.read_bytes()


def _read_member(archive, name):
    size = archive.getinfo(name).file_size
    if size > _MAX_FILE:
        raise ValueError(f"it is a file of more than {_MAX_FILE >> 20} MiB")
    with archive.open(name) as file:
        # The directory may lie: `read()` would unpack all that follows, `read(n)` stops.
        return file.read(size + 1)
