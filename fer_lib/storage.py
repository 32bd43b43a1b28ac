"""Files: where data, weights and caches lie, and writes that a crash cannot leave half done."""

import contextlib
import csv
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import zipfile
from pathlib import Path

# Models that come with the package; README.md there is their card.
SHIPPED = Path(__file__).parent / "shipped"


def fer_home():
    """Return the folder for data, weights and caches: `$FER_HOME`, else `~/.cache/fer_lib`.

    Data sets lie in `datasets/<name>/`, weights in `weights/`, parsed data in `cache/`.
    """
    return Path(os.environ.get("FER_HOME") or Path.home() / ".cache" / "fer_lib").expanduser()


@contextlib.contextmanager
def replacing(path):
    """Yield a temporary neighbour of `path` that takes its place when the block succeeds.

    A block that raises (Ctrl-C included) leaves `path` as it was and no temporary file. What a
    killed process left is removed by the next that writes into the same folder. The temporary name
    keeps the suffix, because some writers choose the format by it.

    Raises:
        OSError: If the file cannot be written, as on a full disk; the message names `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_dead(path.parent)
    temporary = temporary_name(path)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _naming(error, path, temporary) from None
    finally:
        _remove([temporary])


@contextlib.contextmanager
def replacing_folder(path):
    """Yield a new temporary folder beside `path` that gets its name when the block succeeds.

    A folder appears with all its files or not at all; otherwise as `replacing`.

    Args:
        path: Folder, absent or empty.

    Raises:
        FileExistsError: If there are files in `path`, which stay.
        OSError: As of `replacing`.
    """
    path = Path(path)
    with temporary_folder(path) as temporary:
        try:
            yield temporary
            if path.is_dir() and not path.is_symlink():
                _remove_dead(path)
            if path.is_dir() and any(path.iterdir()):
                raise FileExistsError(f"{path} is there already, with files: move it away.")
            if path.is_dir() and os.name != "posix":  # elsewhere no folder replaces an empty one
                path.rmdir()
            os.replace(temporary, path)
        except OSError as error:
            raise _naming(error, path, temporary) from None


@contextlib.contextmanager
def temporary_folder(path):
    """Yield a new folder beside `path` that is removed when the block ends, however it ends.

    That of a killed process is removed by the next that writes into the same parent.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_dead(path.parent)
    temporary = temporary_name(path)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def naming(path):
    """Name a file in the errors of writing it that name none, as those of a full disk."""
    try:
        yield
    except OSError as error:
        raise _naming(error, path, path) from None


# What temporary files and folders are called: `.fer-<host>-<process>-<random>.<name>`.
_TEMPORARY = re.compile(r"\.fer-([0-9a-f]{6})-(\d+)-[0-9a-f]{6}\.(.+)", re.DOTALL)
_LONGEST = 150  # bytes of the name in it; file systems take names of 255


def temporary_name(path):
    """Return a temporary name beside `path` that tells whose it is and what it will become."""
    path = Path(path)
    mark = f".fer-{_host()}-{os.getpid()}-{secrets.token_hex(3)}."
    return path.with_name(mark + _ending(path.name))


def is_temporary(path):
    """Return whether a file's or folder's name is one of `temporary_name`."""
    return bool(_TEMPORARY.fullmatch(Path(path).name))


def remove_remains(path):
    """Remove the temporary files and folders that killed processes left of `path`.

    Whoever calls it must hold the lock under which `path` is written.

    Args:
        path: File that was written, or a folder: then of all files below it.
    """
    path = Path(path)
    if path.is_dir():
        for folder, below, names in os.walk(path):
            _remove(Path(folder, name) for name in (*below, *names) if is_temporary(name))
    if path.parent.is_dir():
        wanted = _ending(path.name)
        found = ((file, _TEMPORARY.fullmatch(file.name)) for file in path.parent.iterdir())
        _remove([file for file, match in found if match and match[3] == wanted])


def process_lives(pid):
    """Return whether a process of this host lives; `True` where that cannot be asked."""
    if os.name != "posix":
        return True
    try:
        # A zombie has ended; only its parent has not asked yet.
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        return status.rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        pass
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


_seen = set()  # folders in which this process looked for what dead ones left


def _remove_dead(folder):
    """Remove the temporary files in a folder whose process was one of this host and is gone."""
    key = os.getpid(), os.path.abspath(folder)
    if key in _seen:
        return
    _seen.add(key)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        found = [(entry.path, _TEMPORARY.fullmatch(entry.name)) for entry in entries]
        ours = [(path, match) for path, match in found if match and match[1] == _host()]
        _remove(Path(path) for path, match in ours if not process_lives(int(match[2])))


def _remove(paths):
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()


def _host():
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


def _ending(name):
    """Return a name, or the end of a long one."""
    kept = os.fsencode(name)[-_LONGEST:]
    # Not from the middle of a character.
    while kept and kept[0] & 0xC0 == 0x80:
        kept = kept[1:]
    return os.fsdecode(kept)


def _naming(error, path, temporary):
    """Return an error of writing, naming the file that was to be written."""
    if error.errno is None:  # a library's own, as Pillow's
        told = type(error) is not OSError or str(path) in str(error)
        return error if told else OSError(f"{path} cannot be written: {error}")
    at = os.fspath(error.filename) if isinstance(error.filename, str | os.PathLike) else ""
    if not at or at.startswith(str(temporary)):
        error.filename = str(path)
    return error


@contextlib.contextmanager
def locked(path):
    """Hold a file that is going to be written while a block runs, against all other processes.

    The operating system holds the lock on a hidden neighbour, `.<name>.lock`, and ends it with the
    process, however that ends and whatever the clock says. A folder on a file server is locked for
    all hosts if the server knows locks, as NFS does. What killed processes left half written of
    the file (`replacing`) is removed.

    Args:
        path: File, there or not. Its folder is made.

    Raises:
        BlockingIOError: If it is held already; the message names the process and its host.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    while True:
        try:
            file = open(lock, "ab+", buffering=0)
            free = _hold(file)
        except OSError as error:
            raise _naming(error, path, lock) from None
        if not free:
            with file:
                who = _holder(file)
            raise BlockingIOError(f"{path} is being written by {who}: wait until it ends.")
        # The one before may have removed the file that was opened: then it guards nothing.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(lock)):
                break
        file.close()
    with file:
        with contextlib.suppress(OSError):  # a full disk: others are not told who it is
            file.truncate(0)
            who = {"pid": os.getpid(), "host": socket.gethostname()}
            file.write(json.dumps(who).encode())
        remove_remains(path)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def write_json(path, value):
    """Write `value` as indented JSON, all of it or nothing."""
    with replacing(path) as temporary:
        temporary.write_bytes(as_json(value).encode("utf-8"))


def write_csv(path, table, *, index=False, **options):
    """Write a `pandas.DataFrame` as CSV, all of it or nothing; options as of its `to_csv`."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=index, **options)


def as_json(value):
    """Return the text that `write_json` writes."""
    return json.dumps(value, indent=2) + "\n"


def read_json(path):
    """Return the content of a JSON file.

    Raises:
        ValueError: If the file is not JSON; the message names it.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}); delete it and run again.") from None


def read_yaml(path):
    """Return the content of a YAML file, a dict; that of an empty file is `{}`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not YAML, or not names with values; the message names the file.
    """
    import yaml

    try:
        text = Path(path).read_text(encoding="utf-8")
        if text.count("[") + text.count("{") > _MOST_BRACKETS:  # its time grows with their square
            raise ValueError(f"{path} must hold at most {_MOST_BRACKETS:,} brackets.")
        content = yaml.safe_load(text) or {}
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold names with values; got a {type(content).__name__}.")
    if _count(content, {}) > _MOST_VALUES:
        raise ValueError(f"{path} must hold at most {_MOST_VALUES:,} values; it holds more.")
    return content


_MOST_VALUES, _MOST_BRACKETS = 100_000, 5000


def _count(value, known):
    """Return how many values there are in one, those that YAML repeats by an alias each time."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = _MOST_VALUES + 1  # in itself it has no end
        inside = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count(one, known) for one in inside)
    return known[id(value)]


@contextlib.contextmanager
def reading(path):
    """Yield a path, and name it in the error if what is read from it is damaged."""
    try:
        yield path
    except FileNotFoundError:
        raise
    except _DAMAGES as error:
        if str(path) in str(error):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{path} is damaged or from another version of fer_lib ({reason}): restore it, or "
            "move the run's folder away and run again."
        ) from None


_DAMAGES = (
    *(OSError, ValueError, TypeError, LookupError, EOFError),
    *(csv.Error, zipfile.BadZipFile),
)


def file_hash(path, algorithm="sha256"):
    """Return the hexadecimal hash of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _hold(file):
    """Take the operating system's lock on an open file; return whether it was free."""
    try:
        import fcntl
    except ImportError:  # Windows, where the locked byte cannot be read by others
        import msvcrt

        file.seek(1 << 30)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file):
    file.seek(0)
    try:
        who = json.load(file)
        return f"process {who['pid']} on {who['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process, which has just begun"
