"""Photographs read: every format that people have, turned upright, as RGB of 8 bits."""

import os
import warnings
from pathlib import Path

import numpy as np

# HEIC is among them to be named in the table: a folder's picture must not vanish from it.
SUFFIXES = tuple(
    ".png .jpg .jpeg .jfif .mpo .bmp .gif .pgm .ppm .pnm .tif .tiff .webp .heic .heif".split()
)

# Pillow's other decoders are not needed, and one of them (EPS) starts another program.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
_MAX_PIXELS = 120_000_000


def read_photo(path):
    """Read a photograph, whatever its format, turned as its EXIF data says.

    Transparent parts become white, 16 bits per channel become 8, and of an animation the first
    frame is taken.

    Args:
        path: PNG, JPEG, BMP, GIF, PNM, TIFF or WebP file; its name does not matter.

    Returns:
        `uint8` array of shape `(height, width, 3)`, RGB.

    Raises:
        ValueError: If the file can not be read; the message names it and the reason.
    """
    path = Path(path)
    if not path.is_file():
        what = "it is no regular file" if os.path.lexists(path) else "there is no such file"
        raise ValueError(f"{path} can not be read: {what}.")
    try:
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked, and of odd metadata
            return np.asarray(_decode(file))
    except Exception as error:  # Pillow's decoders raise many kinds on damaged bytes
        raise ValueError(f"{path} can not be read: {_reason(path, error)}.") from None


def _reason(path, error):
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        if not path.stat().st_size:
            return "it is empty"
        if path.suffix.lower() in (".heic", ".heif"):
            return "HEIC is not supported; save it as JPEG"
        return f"it is no picture of a known format ({', '.join(_FORMATS)})"
    if isinstance(error, PermissionError):
        return "permission denied"
    text = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return (
        text
        if isinstance(error, ValueError)
        else f"it is damaged, or too much for the memory ({text})"
    )


def _decode(file):
    from PIL import Image, ImageOps

    try:
        image = Image.open(file, formats=_FORMATS)
    except Image.DecompressionBombError:
        raise ValueError(f"it has more than {_MAX_PIXELS:,} pixels") from None
    if image.width * image.height > _MAX_PIXELS:
        raise ValueError(f"it has {image.width} x {image.height} pixels; {_MAX_PIXELS:,} are read")
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode[0] in "IF":
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _eight_bits(values):
    """Return grey values of more than 8 bits, or floating-point ones of 0 to 1, as 0 to 255."""
    low, high = float(values.min()), float(values.max())
    limits = (1.0, 255.0) if values.dtype.kind == "f" else (65535.0,)
    limit = next((limit for limit in limits if 0 <= low and high <= limit), None)
    if limit is None:
        wanted = " or ".join(f"{limit:.0f}" for limit in limits)
        raise ValueError(f"its values must be 0 to {wanted}; they are {low:g} to {high:g}")
    return np.rint(values * (255 / limit)).astype(np.uint8)
