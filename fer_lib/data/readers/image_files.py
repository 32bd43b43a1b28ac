"""Image files become Faces: decoded with care, each one that cannot be read named."""

import io
import typing
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np

from fer_lib import emotions
from fer_lib.data.faces import Faces
from fer_lib.data.readers import archives
from fer_lib.screen import progress

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".tif", ".tiff", ".webp")

# Pillow's other decoders are not needed, and one of them (EPS) starts another program.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
_MAX_PIXELS = 64_000_000


class Entry(typing.NamedTuple):
    """One image file and what is known of it.

    Args:
        name: Name by which it is loaded; it becomes the face's id.
        emotion: Emotion name.
        split: The source's split name, `""` without.
        group: Subject or source image, `""` without.
        fault: Why it cannot be used, `""` if it can.
        where: What faults call it. Defaults to `name`.
    """

    name: str
    emotion: str | None = None
    split: str = ""
    group: str = ""
    fault: str = ""
    where: str = ""


def read_entries(entries, load, source, *, problems=(), dropped=(), label_set=None, **options):
    """Return the faces of image files.

    Args:
        entries: List of `Entry`.
        load: Function that returns the bytes of the file of a name.
        source: Path of the source, for messages and the name of the faces.
        problems: Faults that are known already, strings.
        dropped: Reasons of what the caller asked to leave out, strings: listed, not raised.
        label_set: Emotion names in the order of the class numbers. Defaults to the first of
            FER-7, CK+-7 and FER+-8 that has every emotion found.
        **options: `on_error`, `"raise"` or `"skip"`; `size`, height and width in pixels.

    Returns:
        `Faces`; `usage` where there are splits, `groups` where every entry has one.

    Raises:
        ValueError: If nothing can be read or, with `on_error="raise"`, anything cannot.
    """
    on_error, size = options.get("on_error", "raise"), options.get("size", 48)
    archives.check_on_error(on_error)
    if not isinstance(size, int) or not 8 <= size <= 1024:
        raise ValueError(f"size must be a whole number of pixels from 8 to 1024; got {size!r}.")
    label_set = tuple(label_set or emotions.smallest_label_set(e.emotion for e in entries))
    images, kept, faults = _load(entries, load, size)
    skipped = archives.settle(sorted([*problems, *faults]), source, on_error)
    if not kept:
        raise ValueError(f"{source} must hold at least one readable image; it holds none.")
    return Faces(
        images[: len(kept)],
        np.array([label_set.index(entry.emotion) for entry in kept]),
        label_set,
        groups=np.array([e.group for e in kept]) if all(e.group for e in kept) else None,
        ids=np.array([entry.name for entry in kept]),
        usage=np.array([e.split for e in kept]) if any(e.split for e in kept) else None,
        name=Path(source).name,
        skipped=(*skipped, *dropped),
    )


def _load(entries, load, size):
    """Return the images, the entries of those that could be read, and the faults."""
    images = np.empty((len(entries), size, size), np.uint8)
    kept, faults = [], []
    for entry in progress(entries, "reading images"):
        fault = entry.fault
        if not fault:
            try:
                images[len(kept)] = grey(load(entry.name), size)
                kept.append(entry)
            except (OSError, ValueError, zlib.error, zipfile.BadZipFile) as error:
                fault = str(error)
        if fault:
            faults.append(f"{entry.where or entry.name}: {fault}")
    return images, kept, faults


def grey(data, size):
    """Decode the bytes of an image file.

    Args:
        data: `bytes` of a PNG, JPEG, BMP, GIF, PNM, TIFF or WebP file.
        size: Height and width in pixels; an image of another size is resized (bilinear, over
            all the pixels that a new one covers).

    Returns:
        `uint8` array of shape `(size, size)`, values 0 to 255.

    Raises:
        ValueError: If it is no such image, is damaged, has more than 64 million pixels or more
            than 8 bits per channel.
    """
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is checked here
        try:
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
            if image.width * image.height <= _MAX_PIXELS:  # else nothing is decoded
                image.load()
        except Exception as error:  # Pillow's decoders raise many kinds on damaged bytes
            raise ValueError(f"cannot be read as an image ({type(error).__name__})") from None
    if image.width * image.height > _MAX_PIXELS:
        raise ValueError(f"is too large ({image.width} x {image.height} pixels)")
    if image.mode[0] in "IF":
        raise ValueError(f"must have 8 bits per channel; its mode is {image.mode}")
    if image.format == "JPEG":
        image = ImageOps.exif_transpose(image)
    image = image.convert("L")
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image)
