"""Files: where data, weights and caches lie, and writes that a crash cannot leave half done."""

import contextlib
import glob
import hashlib
import json
import os
import socket
import uuid
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

    A block that raises (Ctrl-C included) leaves `path` as it was and no temporary file. The
    temporary name keeps the suffix, because some writers choose the format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Suffixes of more than one part (".weights.h5") must survive as well.
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
        file = open(lock, "a+", encoding="utf-8")
        if not _hold(file):
            with file:
                who = _holder(file)
            raise BlockingIOError(f"{path} is being written by {who}: wait until it ends.")
        # The one before may have removed the file that was opened: then it guards nothing.
        if lock.exists() and os.path.samestat(os.fstat(file.fileno()), os.stat(lock)):
            break
        file.close()
    with file:
        file.truncate(0)
        json.dump({"pid": os.getpid(), "host": socket.gethostname()}, file)
        file.flush()
        remove_remains(path)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def remove_remains(path):
    """Remove the temporary files that killed processes left of `replacing(path)`.

    Whoever calls it must hold the lock under which `path` is written.
    """
    path = Path(path)
    for file in path.parent.glob(f".{'[0-9a-f]' * 8}.{glob.escape(path.name)}"):
        file.unlink(missing_ok=True)


def write_json(path, value):
    """Write `value` as indented JSON, all of it or nothing."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def read_json(path):
    """Return the content of a JSON file.

    Raises:
        ValueError: If the file is not JSON; the message names it.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); delete it and run again.") from None


def read_yaml(path):
    """Return the content of a YAML file, a dict; that of an empty file is `{}`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not YAML, or not names with values; the message names the file.
    """
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold names with values; got a {type(content).__name__}.")
    return content


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
