"""Folders and zips as sources of files: safe to open, and with one report of what is wrong."""

import contextlib
import os
import stat
import zipfile
from pathlib import Path

_MAX_RATIO = 200  # of a zip member's sizes; pixels as text compress about 4 times
_MAX_FILE = 64 << 20  # bytes of one image file
_JUNK = ("thumbs.db", "desktop.ini")


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


@contextlib.contextmanager
def opened_tree(path):
    """Yield the relative file names below a folder or in a zip, a function that returns the bytes
    of one, and the problems found (files behind symbolic links that leave the folder).
    """
    if path.is_dir():
        names, problems = walk(path)
        yield names, lambda name: read_file(path / name), problems
    else:
        with opened_zip(path) as archive:
            names = [name for name in archive.namelist() if name[-1:] != "/" and not _hidden(name)]
            yield names, lambda name: _read_member(archive, name), []


def walk(root):
    """Return the relative file names below `root`, and the symbolic links that may not be read."""
    names, problems, real = [], [], os.path.realpath(root)
    for folder, folders, files in os.walk(root):
        below = "" if folder == str(root) else f"{Path(os.path.relpath(folder, root)).as_posix()}/"
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in [*links, *files]:
            if _hidden(below + name):
                continue
            full = os.path.join(folder, name)
            if name in links:
                problems.append(f"{below}{name}: is a symbolic link to a folder")
            elif os.path.islink(full) and not lies_in(full, real):
                problems.append(f"{below}{name}: is a symbolic link that leaves the folder")
            else:
                names.append(below + name)
    return names, problems


def lies_in(path, root):
    """Whether a path, its symbolic links followed, lies below the folder `root`."""
    return os.path.realpath(path).startswith(os.path.join(os.path.realpath(root), ""))


def _hidden(name):
    return "/." in f"/{name}" or "__MACOSX" in name or name.lower().endswith(_JUNK)


def read_file(path):
    """Return the bytes of an image file; a ValueError if it is far too large for one."""
    if path.stat().st_size > _MAX_FILE:
        raise ValueError(f"is a file of more than {_MAX_FILE >> 20} MiB")
    return path.read_bytes()


def _read_member(archive, name):
    if archive.getinfo(name).file_size > _MAX_FILE:
        raise ValueError(f"is a file of more than {_MAX_FILE >> 20} MiB")
    return archive.read(name)
