"""Layouts in which people have data sets, made small: one function or list of names per layout."""

import numpy as np
from PIL import Image

# Data set -> the names of its files, in miniature.
IMAGE_SETS = {
    "ckplus": [
        f"CK+48/{emotion}/S{subject:03}_00{place}_000000{frame}.png"
        for subject in range(20)
        for place, emotion in enumerate(
            ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
        )
        for frame in (11, 12)
    ],
    "tfeid": [
        f"{emotion}/{'fm'[subject % 2]}{subject:02}_{emotion}_high.png"
        for subject in range(20)
        for emotion in (
            "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"
        )
    ],
    "jaffe": [
        f"{chr(65 + subject)}{chr(75 + subject)}.{code}{number}.{7 * subject + number}.tiff"
        for subject in range(10)
        for code in ("AN", "DI", "FE", "HA", "NE", "SA", "SU")
        for number in (1, 2)
    ],
    "rafdb": [
        f"{split}/{code}/{split}_{10 * code + number:05}_aligned.jpg"
        for split, faces in (("train", 20), ("test", 2))
        for code in range(1, 8)
        for number in range(faces)
    ],
    "affectnet": [
        f"{split}/{code}/image{code}{number:04}.jpg"
        for split, faces in (("train", 20), ("val", 2))
        for code in range(8)
        for number in range(faces)
    ],
    "fer2013plus": [
        f"{split}/{emotion}/{split}{number}.png"
        for split, faces in (("train", 20), ("test", 2))
        for emotion in (
            "angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "suprise"
        )
        for number in range(faces)
    ],
}  # fmt: skip


def write_image_set(folder, name):
    """Write a miniature of an image set: random images, so that none is a duplicate of another."""
    generator = np.random.default_rng(0)
    for file in IMAGE_SETS[name]:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (48, 48), dtype=np.uint8)).save(folder / file)


def write_shades(root, names, size=48):
    """Write one image per name, each of another shade; return `{name: shade}`."""
    shades = {}
    for number, name in enumerate(names, start=1):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (size, size), number % 256).save(root / name)
        shades[name] = number % 256
    return shades


def everything(loaded):
    """`{id: (emotion, first pixel, group)}` of all splits."""
    return {
        str(name): (faces.label_set[label], int(image[0, 0]), group)
        for faces in loaded.values()
        for name, label, image, group in zip(
            faces.ids,
            faces.labels,
            faces.images,
            faces.groups if faces.groups is not None else [None] * len(faces),
            strict=True,
        )
    }


def subjects_are_apart(loaded, number):
    groups = [set(faces.groups) for faces in loaded.values()]
    return sum(map(len, groups)) == len(set.union(*groups)) == number


def text_of(image):
    return " ".join(map(str, image.ravel().tolist()))


def csv_bytes(images, labels=None, usage=None, header="emotion,pixels,Usage"):
    """A CSV file with the columns of the header."""
    lines = [header]
    for row, image in enumerate(images):
        values = {
            "emotion": labels[row] if labels is not None else row % 7,
            "pixels": text_of(image),
            "usage": usage[row] if usage is not None else "Training",
        }
        lines.append(",".join(str(values[c.strip().lower()]) for c in header.split(",")))
    return "\n".join(lines).encode() + b"\n"
