"""What a user must know about a data set before using it, and where its files lie."""

import typing

from fer_lib import storage
from fer_lib.data.readers import archives, image_files


class Card(typing.NamedTuple):
    """What a user must know about a data set before using it."""

    title: str
    source: str
    licence: str
    label_set: tuple
    counts: dict
    citation: str
    access: str
    notes: str


class Dataset(typing.NamedTuple):
    """A loader, which returns `{"train", "validation", "test"}` of `Faces`, and its card.

    Args:
        load: The loader.
        card: What is known of the data set.
        folder: Its folder in FER_HOME/datasets, where that is not called as the data set.
    """

    load: typing.Callable
    card: Card
    folder: str | None = None


def home(name):
    """Return the folder that a data set's files are looked for in."""
    return storage.fer_home() / "datasets" / name


def source_of(name, card):
    """Return the folder of a data set, or the one zip in it if it holds no image files.

    Raises:
        FileNotFoundError: If it holds no files; the message says what to put where.
    """
    folder = home(name)
    names = archives.walk(folder)[0] if folder.is_dir() else []
    if not names:
        raise missing(name, card)
    zips = [name for name in names if name.lower().endswith(".zip")]
    any_image = any(name.lower().endswith(image_files.SUFFIXES) for name in names)
    return folder / zips[0] if len(zips) == 1 and not any_image else folder


def missing(name, card, what=""):
    """Return the three-line error of a data set that is not on disk (or lacks the file `what`)."""
    return FileNotFoundError(
        f"{card.title.partition(':')[0]} is missing: {home(name)} holds no {what or 'files'}.\n"
        f"Get it from {card.source}\n"
        f"and put it into {home(name)}: {card.access}"
    )


def differences(faces, counts):
    """Return how the class counts differ from the card's, `""` where they do not.

    Args:
        faces: `Faces`.
        counts: Dict of split name (`"all"` for everything) → faces per class.
    """
    texts = []
    for usage, expected in counts.items():
        part = faces if usage == "all" or faces.usage is None else faces[faces.usage == usage]
        for (emotion, count), right in zip(part.class_counts().items(), expected, strict=True):
            if count != right:
                texts.append(f"{usage} has {count} {emotion} faces instead of {right}")
    return "; ".join(texts)
