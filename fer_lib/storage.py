"""Files: where data, weights and caches lie, and writes that a crash cannot leave half done."""

import contextlib
import hashlib
import json
import os
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
