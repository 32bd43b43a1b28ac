"""Class folders: images in folders named after emotions become Faces."""

import functools
import io
import re
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from fer_lib import emotions
from fer_lib.archives import check_on_error, opened_tree, settle
from fer_lib.faces import Faces

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".tif", ".tiff", ".webp")
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
# CK+'s file stems name the subject, by which a split must be grouped (Lucey et al. 2010).
SUBJECT = re.compile(r"(S\d{3})_\d{3}_\d{8}")

_MAX_PIXELS = 64_000_000


def read_class_folders(path, *, on_error="raise", label_set=None, size=48):
    """Read images from folders named after emotions, below split folders or not.

    `<path>/<emotion>/x.png` and `<path>/<split>/<emotion>/x.png` are known, with the spellings of
    `emotions.SPELLINGS` and `SPLIT_FOLDERS`; further folders may lie around them.

    Args:
        path: Folder, or zip of one.
        on_error: `"raise"`, or `"skip"` to drop what cannot be read and list it in
            `Faces.skipped`.
        label_set: Emotion names in the order of the class numbers. Defaults to the first of
            FER-7, CK+-7 and FER+-8 that has every emotion found.
        size: Height and width of the faces in pixels; images of another size are resized
            (bilinear, over all the pixels that a new one covers).

    Returns:
        `Faces` with `ids` the relative file names, `usage` `"train"`, `"validation"` or `"test"`
        where there are split folders, and `groups` the subjects where all names are CK+'s.

    Raises:
        ValueError: If there is no such folder or, with `on_error="raise"`, a file is bad.
    """
    check_on_error(on_error)
    with opened_tree(Path(path)) as (names, load, problems):
        entries = class_files(names)
        if not entries:
            raise ValueError(f"{path} must hold folders named after emotions; it holds none.")
        label_set = tuple(label_set or _label_set(entries))
        images, kept, faults = _load_images(entries, load, label_set, size)
    skipped = settle(sorted([*problems, *faults]), path, on_error)
    if not kept:
        raise ValueError(f"{path} must hold at least one readable image; it holds none.")
    ids, usage, labels = zip(*kept, strict=True)
    subjects = [SUBJECT.fullmatch(PurePosixPath(name).stem) for name in ids]
    return Faces(
        images[: len(kept)],
        np.array([label_set.index(label) for label in labels]),
        label_set,
        groups=np.array([match[1] for match in subjects]) if all(subjects) else None,
        ids=np.array(ids),
        usage=np.array(usage) if any(usage) else None,
        name=Path(path).name,
        skipped=skipped,
    )


def class_files(names):
    """Return sorted `(name, split, emotion)` of the files in class folders.

    Where there are any, images outside of them are listed as well, with an emotion of None.
    """
    found = [(name, *_place(name.rpartition("/")[0])) for name in sorted(names)]
    if not any(emotion for _, _, emotion in found):
        return []
    return [entry for entry in found if entry[2] or entry[0].lower().endswith(IMAGE_SUFFIXES)]


@functools.lru_cache(maxsize=1024)
def _place(folder):
    """Return the split (`""` without) and the emotion (None without) that a folder stands for."""
    path = PurePosixPath(folder)
    split = SPLIT_FOLDERS.get(path.parent.name.lower(), "")
    try:
        return split, emotions.canonical(path.name)
    except ValueError:
        return split, None


def _label_set(entries):
    found = {emotion for _, _, emotion in entries if emotion}
    known = (emotions.FER7, emotions.CKPLUS7, emotions.FERPLUS8)
    return next(labels for labels in known if found <= set(labels))


def _load_images(entries, load, label_set, size):
    """Return the images, `(name, split, emotion)` of those that could be read, and the faults."""
    from tqdm import tqdm

    images = np.empty((len(entries), size, size), np.uint8)
    kept, faults = [], []
    any_split = any(split for _, split, emotion in entries if emotion)
    for name, split, emotion in tqdm(entries, desc="reading images", delay=2, leave=False):
        if emotion not in label_set:
            faults.append(f"{name}: lies in no folder named one of {', '.join(label_set)}")
        elif any_split and not split:
            faults.append(f"{name}: lies outside the split folders that other files lie in")
        else:
            try:
                images[len(kept)] = _grey(load(name), size)
                kept.append((name, split, emotion))
            except (OSError, ValueError, zlib.error, zipfile.BadZipFile) as error:
                faults.append(f"{name}: {error}")
    return images, kept, faults


def _grey(data, size):
    """Decode an image file's bytes to a `uint8` array of shape `(size, size)`."""
    from PIL import Image, ImageOps

    try:
        image = Image.open(io.BytesIO(data))
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
