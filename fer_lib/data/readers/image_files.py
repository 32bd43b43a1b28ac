"""Image files become Faces: decoded with care, each one that cannot be read named."""

import collections
import typing
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from fer_lib.data.faces import Faces
from fer_lib.data.readers import archives, names, pictures
from fer_lib.data.readers import labels as reading
from fer_lib.screen import progress

SUFFIXES = pictures.SUFFIXES


class Entry(typing.NamedTuple):
    """One image file and what is known of it.

    Args:
        name: Name by which it is loaded.
        emotion: Emotion name, or the name of a class of your own.
        split: The source's split name, `""` without.
        group: Subject or source image, `""` without.
        fault: Why it cannot be used, `""` if it can. It ends with a text that begins with
            `labels.LEFT_OUT` where it is left out by rule or by request.
        where: What faults call it. Defaults to `name`.
        label: How the source spells its class.
        box: `(left, top, right, bottom)` of the face in pixels, or None for the whole image.
        id: The face's id. Defaults to `name`.
    """

    name: str
    emotion: str | None = None
    split: str = ""
    group: str = ""
    fault: str = ""
    where: str = ""
    label: str = ""
    box: tuple | None = None
    id: str = ""


def read_entries(entries, load, source, *, problems=(), dropped=(), label_set=None, **options):
    """Return the faces of image files.

    A file that stands there twice (same name, class, split and picture, as where a folder was
    unpacked into itself) is one face; the other one is listed in `Faces.skipped`.

    Args:
        entries: List of `Entry`.
        load: Function that returns the bytes of the file of a name.
        source: Path of the source, for messages and the name of the faces.
        problems: Faults that are known already, strings.
        dropped: Reasons of what the caller asked to leave out, strings: listed, not raised.
        label_set: Class names in the order of the class numbers. Defaults to the first of
            FER-7, CK+-7 and FER+-8 that has every emotion found.
        **options: `on_error`, `"raise"` or `"skip"`; `size`, height and width in pixels;
            `colour`; `subjects`, whether names of files and folders may tell the groups; `notes`.

    Returns:
        `Faces`; `usage` where there are splits, `groups` where every entry has one.

    Raises:
        ValueError: If nothing can be read or, with `on_error="raise"`, anything cannot; and in any
            case if a class, or a label on more than one face of twenty, cannot be read at all.
    """
    on_error, size = options.get("on_error", "raise"), options.get("size", 48)
    archives.check_on_error(on_error)
    if not isinstance(size, int) or isinstance(size, bool) or not 8 <= size <= 1024:
        raise ValueError(f"size must be a whole number of pixels from 8 to 1024; got {size!r}.")
    label_set = tuple(label_set or reading.label_set({e.emotion for e in entries}))
    dropped = [*dropped, *(f"{e.where or e.name}: {e.fault}" for e in entries if _by_rule(e))]
    entries = [entry for entry in entries if not _by_rule(entry)]
    _check_known(entries, source)
    images, kept, faults, notes = _load(entries, load, size, options.get("colour", False))
    skipped = archives.settle(sorted([*problems, *faults]), source, on_error)
    if not kept:
        raise ValueError(f"{source} must hold at least one readable image; it holds none.")
    _check_vanished(entries, kept, source)
    images, kept, twice = _without_copies(images[: len(kept)], kept)
    groups, told = [entry.group for entry in kept], ()
    if options.get("subjects") and not all(groups):
        by_name, sentence = names.subjects([entry.name for entry in kept])
        groups, told = [by_name.get(entry.name, "") for entry in kept], (f"Subjects: {sentence}.",)
    elif options.get("subjects"):
        told = (f"Subjects, or other groups: {len(set(groups)):,}, told by the source.",)
    return Faces(
        images,
        np.array([label_set.index(entry.emotion) for entry in kept]),
        label_set,
        groups=np.array(groups) if all(groups) else None,
        ids=np.array([entry.id or entry.name for entry in kept]),
        usage=np.array([e.split for e in kept]) if any(e.split for e in kept) else None,
        name=Path(source).name,
        skipped=(*skipped, *dropped, *twice),
        notes=(*options.get("notes", ()), *told, *notes),
    )


def _by_rule(entry):
    return entry.fault.rpartition(": ")[2].startswith(reading.LEFT_OUT)


def _load(entries, load, size, colour):
    """Return the images, the entries of those that could be read, the faults, and notes."""
    images = np.empty((len(entries), size, size, 3) if colour else (len(entries), size, size), "u1")
    kept, faults, noted = [], [], collections.Counter()
    for entry in progress(entries, "reading images"):
        fault = entry.fault
        if not fault:
            try:
                data = load(entry.name)
                picture = pictures.face(data, size, colour=colour, box=entry.box)
                images[len(kept)] = picture.pixels
                noted[picture.note] += 1
                kept.append(entry)
            except (OSError, ValueError, zlib.error, zipfile.BadZipFile, KeyError) as error:
                reason = error.strerror or error if isinstance(error, OSError) else error
                fault = f"cannot be read: {reason}"
        if fault:
            faults.append(f"{entry.where or entry.name}: {fault}")
    notes = [f"{number:,} files: only {note} is read." for note, number in noted.items() if note]
    return images, kept, faults, notes


def _check_known(entries, source):
    """Raise if a label that stands on many faces is unknown: no fault of single files."""
    unknown = [entry for entry in entries if entry.fault and entry.label and not entry.emotion]
    counts = collections.Counter(entry.label for entry in unknown)
    few = max(1, 0.05 * len(entries))
    large = sorted(label for label, number in counts.items() if number > few)
    if large:
        first = next(entry for entry in unknown if entry.label in large)
        raise ValueError(
            f"{source}: {', '.join(map(repr, large))} stand for no known class, which is "
            f"{sum(counts[label] for label in large):,} of {len(entries):,} faces. Name them with "
            f"classes=, or leave them out with drop=. ({first.where or first.name}: {first.fault})"
        )


def _check_vanished(entries, kept, source):
    """Raise if errors took a whole class."""
    gone = {e.emotion for e in entries if e.emotion} - {entry.emotion for entry in kept}
    if gone:
        raise ValueError(
            f"{source}: not one face of {', '.join(sorted(gone))} could be read. Repair them, or "
            "leave the class out with drop=."
        )


def _without_copies(images, kept):
    """Leave out files that stand there twice: their folder was copied or unpacked into itself."""
    places = collections.defaultdict(list)
    for place, entry in enumerate(kept):
        key = PurePosixPath(entry.name).name, entry.emotion, entry.split, entry.box
        places[key].append(place)
    copies = {}
    for same in places.values():
        first = {}
        for place in same if len(same) > 1 else ():
            of = first.setdefault(images[place].tobytes(), kept[place].name)
            if of != kept[place].name:
                copies[place] = of
    if not copies:
        return images, kept, []
    reasons = [f"{kept[place].name}: left out as a copy of {of}" for place, of in copies.items()]
    rest = [place for place in range(len(kept)) if place not in copies]
    return images[rest], [kept[place] for place in rest], reasons
