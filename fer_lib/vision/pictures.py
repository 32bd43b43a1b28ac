"""Where photographs come from: files, folders, globs, addresses, and pictures in memory."""

import functools
import glob
import http.client
import os
import urllib.parse
import urllib.request
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_lib.data.readers import pictures

# Names by which a folder's pictures are known. The second line cannot be read, and is named.
SUFFIXES = (
    *pictures.SUFFIXES,
    *".jxl .svg .psd .ico .cr2 .cr3 .nef .arw .dng .raf .orf .rw2".split(),
)
VIDEOS = tuple(".mp4 .m4v .mov .avi .mkv .webm .wmv .mpg .mpeg .3gp .mts .m2ts .ts .flv".split())
# A search of more pixels than that finds nothing new, so a larger JPEG file is not decoded whole.
REDUCE_ABOVE = 8192 * 8192
_MAX_DOWNLOAD = 200_000_000  # bytes


class Photo(NamedTuple):
    """A photograph that can be read.

    Args:
        name: What the table calls it.
        read: Function without arguments that returns a `pictures.Picture`, or raises a ValueError
            that names the photograph and the reason.
    """

    name: str
    read: object


def read_photo(source):
    """Read one photograph.

    Args:
        source: Path or address of a file, its `bytes`, a Pillow image or a `uint8` array.

    Returns:
        `uint8` array of shape `(height, width, 3)`, RGB, turned as its EXIF data says.

    Raises:
        ValueError: If it cannot be read; the message says why.
    """
    return _photo(source, 1).read().pixels


def photos(source):
    """Return the photographs that a source stands for.

    Args:
        source: Path, address (`http`, `https`) or glob; folder, which is searched with all below it
            for names that end as pictures' and videos' do, hidden ones left out; `bytes` of a file;
            Pillow image; `uint8` array, `(height, width, 3)` in RGB or `(height, width)` in grey;
            or a list of them (an array `(n, height, width, 3)` will do).

    Returns:
        List of `Photo`, each file once. What cannot be read is among them: its `read` says why.

    Raises:
        ValueError: If there is nothing in the list.
        TypeError: If something in it is none of these.
    """
    if isinstance(source, np.ndarray) and source.ndim == 4 or not _is_one(source):
        source = list(source)
    else:
        source = [source]
    if not source:
        raise ValueError("The source must name at least one photograph or folder; got none.")
    found = {}
    for number, item in enumerate(source, start=1):
        if isinstance(item, str | os.PathLike) and not _is_address(item):
            for photo in _of_path(item):
                found.setdefault(photo.name, photo)
        else:
            photo = _photo(item, number)
            found[photo.name if _is_address(item) else number] = photo
    return list(found.values())


def _is_one(source):
    from PIL import Image

    return isinstance(source, str | os.PathLike | bytes | bytearray | np.ndarray | Image.Image)


def _is_address(item):
    return isinstance(item, str) and item.lower().startswith(("http://", "https://"))


def _photo(item, number):
    from PIL import Image

    name = f"picture {number}"
    if _is_address(item):
        return Photo(item, functools.partial(_fetch, item))
    if isinstance(item, str | os.PathLike):
        return Photo(str(item), functools.partial(_read, Path(item)))
    if isinstance(item, np.ndarray):
        return Photo(name, functools.partial(_take, item, name))
    if isinstance(item, Image.Image):
        name = getattr(item, "filename", "") or name
    elif not isinstance(item, bytes | bytearray):
        raise TypeError(
            "A photograph must be a path, an address, bytes, a Pillow image or a uint8 array; got "
            f"{type(item).__name__}."
        )
    return Photo(name, functools.partial(_decode, item, name))


def _decode(data, name):
    try:
        return pictures.decode(data, reduce_above=REDUCE_ABOVE)
    except ValueError as error:
        raise ValueError(f"{name} cannot be read: {error}.") from None


def _read(path):
    try:
        return pictures.read(path, reduce_above=REDUCE_ABOVE)
    except ValueError:
        if path.is_dir():
            raise ValueError(f"{path} cannot be read: it is a folder.") from None
        if path.is_file() and path.name.lower().endswith(VIDEOS):
            raise ValueError(
                f"{path} cannot be read: it is a video, for python -m fer_lib video."
            ) from None
        raise


def _take(image, name):
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise ValueError(
            f"{name} cannot be read: an array must be uint8 of shape (height, width, 3), RGB, or "
            f"(height, width), grey; it is {image.dtype} of shape {image.shape}."
        )
    if not image.size:
        raise ValueError(f"{name} cannot be read: it has no pixels.")
    return pictures.Picture(image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2))


def _fetch(url):
    # Addresses are copied with spaces and letters that a request must not hold.
    quoted = urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")
    request = urllib.request.Request(quoted, headers={"User-Agent": "fer_lib"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            data = answer.read(_MAX_DOWNLOAD + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ValueError(f"{url} cannot be read: {error}.") from None
    if len(data) > _MAX_DOWNLOAD:
        raise ValueError(f"{url} cannot be read: it has more than {_MAX_DOWNLOAD:,} bytes.")
    return _decode(data, url)


def _of_path(item):
    """Yield the photographs of a file, a folder or a glob."""
    path = Path(item).expanduser()
    if path.is_dir():
        yield from _of_folder(path)
    elif not os.path.lexists(path) and glob.has_magic(str(item)):
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            yield _unread(path, "no file has a name like that")
        for match in map(Path, matches):
            yield from _of_folder(match) if match.is_dir() else [_photo(match, 1)]
    else:
        yield _photo(path, 1)


def _of_folder(folder):
    faults, found = [], []
    for at, below, names in os.walk(folder, onerror=faults.append):
        below[:] = sorted(name for name in below if name[0] != "." and name != "__MACOSX")
        found += [
            _photo(Path(at, name), 1)
            for name in sorted(names)
            if name[0] != "." and name.lower().endswith((*SUFFIXES, *VIDEOS))
        ]
        found += [
            _unread(Path(at, name), "a linked folder is not searched; name it itself")
            for name in below
            if os.path.islink(os.path.join(at, name))
        ]
    found += [_unread(error.filename, error.strerror) for error in faults]
    if not found:
        found = [_unread(folder, "it holds no pictures")]
    yield from found


def _unread(path, reason):
    def read():
        raise ValueError(f"{path} cannot be read: {reason}.")

    return Photo(str(path), read)
