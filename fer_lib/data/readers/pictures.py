"""The one way from a picture file to pixels: for training data, photographs and the page alike.

`decode` takes bytes, an open file or a Pillow image; `read` takes a path. Both give 8-bit RGB or
grey, turned upright, on white; what cannot be read is a ValueError whose text says why.
"""

import functools
import io
import os
import typing
import warnings
from pathlib import Path

import numpy as np

# Pillow's other decoders are not needed, and one of them (EPS) starts another program.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP", "AVIF")
# How the names of pictures end. Those that cannot be read are among them: none goes unnamed.
SUFFIXES = tuple(
    ".png .jpg .jpeg .jfif .mpo .bmp .gif .pgm .ppm .pnm .tif .tiff .webp .avif .heic .heif .jp2 "
    ".tga".split()
)
MAX_PIXELS = 120_000_000
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


class Picture(typing.NamedTuple):
    """What `decode` returns.

    Args:
        pixels: `uint8` array of shape `(height, width, 3)`, RGB, or `(height, width)`, grey.
        note: What the pixels do not show, as `"the first of 3 frames"`; mostly `""`.
        scale: How many times wider and higher the file's own picture is: 1, 2, 4 or 8.
    """

    pixels: np.ndarray
    note: str = ""
    scale: int = 1


def decode(source, *, grey=False, reduce_above=None):
    """Decode a picture.

    It is turned as its EXIF data says; transparent parts become white; more than 8 bits per
    channel are scaled to 8; of several frames or pages the first is taken and the note says so.

    Args:
        source: `bytes` of a file, a binary file object, or a Pillow image. The format (PNG, JPEG,
            BMP, GIF, PNM, TIFF, WebP, AVIF; HEIC where pillow-heif is installed) is told by the
            content, not by a name.
        grey: Whether to return grey values (ITU-R 601-2 luma) instead of RGB.
        reduce_above: A JPEG file of more pixels than this is decoded at a half, a quarter or an
            eighth of its size, however large it is.

    Returns:
        `Picture`.

    Raises:
        ValueError: If it is no such picture, is damaged, or has more than 120 million pixels.
            The text completes the sentence "<name> cannot be read: …", without a full stop.
    """
    from PIL import Image, UnidentifiedImageError

    if isinstance(source, bytes | bytearray | memoryview):
        source = io.BytesIO(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked here, and odd metadata
            if not isinstance(source, Image.Image):
                source = _opened(source, reduce_above)
            return _upright(source, "L" if grey else "RGB", reduce_above)
    except UnidentifiedImageError:
        raise ValueError(_unknown(source)) from None
    except Image.DecompressionBombError:
        raise ValueError(f"it has more than {MAX_PIXELS:,} pixels") from None
    except ValueError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds on damaged bytes
        text = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise ValueError(f"it is damaged, or too much for the memory ({text})") from None


def read(path, **options):
    """Read a picture file; see `decode`.

    Args:
        path: File; its name does not matter.
        **options: Of `decode`.

    Returns:
        `Picture`.

    Raises:
        ValueError: If the file cannot be read; the message names it and the reason.
    """
    path = Path(path)
    try:
        if not path.is_file():
            there = "it is no regular file" if os.path.lexists(path) else "there is no such file"
            raise ValueError(there)
        with open(path, "rb") as file:
            return decode(file, **options)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}.") from None
    except OSError as error:
        reason = "permission denied" if isinstance(error, PermissionError) else error.strerror
        raise ValueError(f"{path} cannot be read: {reason}.") from None


def face(data, size, *, colour=False, box=None):
    """Decode the file of a face and bring it to the size of the others.

    Args:
        data: `bytes` of a file; see `decode`.
        size: Height and width in pixels; another size is resized (bilinear, over all the pixels
            that a new one covers).
        colour: Whether to return RGB instead of grey values.
        box: `(left, top, right, bottom)` of the face in pixels, or, where none exceeds 1, in
            parts of the picture's width and height; None for the whole picture.

    Returns:
        `Picture` whose pixels have the shape `(size, size)`, or `(size, size, 3)` with `colour`.

    Raises:
        ValueError: As `decode`.
    """
    from PIL import Image

    picture = decode(data, grey=not colour)
    if box is not None:
        height, width = picture.pixels.shape[:2] if max(box) <= 1 else (1, 1)
        scaled = zip(box, (width, height, width, height), strict=True)
        left, top, right, bottom = (max(0, round(side * whole)) for side, whole in scaled)
        if not picture.pixels[top:bottom, left:right].size:
            raise ValueError(f"the box {box} shows nothing of its picture")
        picture = Picture(picture.pixels[top:bottom, left:right], picture.note)
    if picture.pixels.shape[:2] == (size, size):
        return picture
    resized = Image.fromarray(picture.pixels).resize((size, size), Image.Resampling.BILINEAR)
    return Picture(np.asarray(resized), picture.note)


@functools.cache
def _formats():
    """Return the formats to open: HEIC among them once its plug-in is there."""
    from PIL import Image

    if "HEIF" not in Image.OPEN:
        try:
            import pillow_heif
        except ImportError:
            return FORMATS
        pillow_heif.register_heif_opener()
    return (*FORMATS, "HEIF")


def _opened(file, reduce_above):
    from PIL import Image, JpegImagePlugin

    try:
        return Image.open(file, formats=_formats())
    except Image.DecompressionBombError:
        file.seek(0)
        if reduce_above is None or file.read(2) != b"\xff\xd8":
            raise
        file.seek(0)
        return JpegImagePlugin.JpegImageFile(file)  # what `open` calls before it checks the size


def _upright(image, mode, reduce_above=None):
    from PIL import ExifTags, Image, ImageOps

    width = image.width
    if reduce_above is not None and image.format in ("JPEG", "MPO"):
        folds = (n for n in (1, 2, 4, 8) if image.width * image.height <= reduce_above * n**2)
        if (fold := next(folds, 8)) > 1:
            image.draft(None, (image.width // fold, image.height // fold))
    scale = round(width / max(1, image.width))
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"it has {image.width} x {image.height} pixels; {MAX_PIXELS:,} are read")
    if not image.width * image.height:
        raise ValueError("it has no pixels")
    note = _frames(image)
    image.load()
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:  # it copies what is upright too
        image = ImageOps.exif_transpose(image)
    if image.mode[0] in "IF":
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    if scale > 1:
        note = "; ".join(filter(None, [note, f"read at 1/{scale} of its size"]))
    if image.mode != mode:
        image = image.convert(mode)
    return Picture(np.asarray(image), note, scale)


def _frames(image):
    """Return the note of an animation or of several pages, else `""`."""
    if image.format == "MPO" or not getattr(image, "is_animated", False):
        return ""  # what a telephone keeps beside the picture in an MPO file is no frame of it
    return f"the first of {image.n_frames} {'pages' if image.format == 'TIFF' else 'frames'}"


def _eight_bits(values):
    """Return grey values of more than 8 bits, or floating-point ones of 0 to 1, as 0 to 255."""
    low, high = float(values.min()), float(values.max())
    limits = (1.0, 255.0) if values.dtype.kind == "f" else (65535.0,)
    limit = next((limit for limit in limits if 0 <= low and high <= limit), None)
    if limit is None:
        wanted = " or ".join(f"{limit:.0f}" for limit in limits)
        raise ValueError(f"its values must be 0 to {wanted}; they are {low:g} to {high:g}")
    return np.rint(values * (255 / limit)).astype(np.uint8)


def _unknown(file):
    """Return why a file that Pillow does not know is no picture."""
    file.seek(0)
    head = file.read(16)
    if not head:
        return "it is empty"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC:
        return "HEIC needs pillow-heif (pip install pillow-heif); or save it as JPEG"
    return f"it is no picture of a known format ({', '.join(FORMATS)})"
