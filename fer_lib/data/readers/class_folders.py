"""Class folders: images in folders named after emotions."""

import collections
import functools
from pathlib import PurePosixPath

from fer_lib.choices import suggest
from fer_lib.data.readers import labels as reading
from fer_lib.data.readers import names, pictures
from fer_lib.data.readers.image_files import Entry

_SHOWN = 8  # folders that are named one by one


def find(files, load, labels):
    """Return `(entries, notes)` of images in class folders; no entries where there are none.

    `train/angry/x.png`, `angry/x.png`, `angry/train/x.png`, `S01/angry/x.png` and the like are
    known: the innermost folder that stands for a class tells it, any other one may tell the split
    (`names.split_of`).

    Args:
        files: List of relative file names.
        load: Not used: the names tell it all.
        labels: `Labels`.

    Raises:
        ValueError: If folders are numbers and the numbering is not known.
    """
    found = class_files(files, labels)
    if not found and labels.scheme is None:
        _ask_for_numbering(files)
    entries = class_entries(found, None, labels)
    return entries, described([file for file in found if file[2]], labels)


def described(found, labels):
    """Return a sentence per split folder of what `class_files` found."""
    folders = collections.Counter((_folder_of_split(name), split) for name, split, _ in found)
    if len(folders) > _SHOWN:  # as where the splits lie below the classes
        folders = collections.Counter(
            (f"…/{_folder_of_split(name).split('/')[-2]}/", split) if split else ("", split)
            for name, split, _ in found
        )
    return [
        f"{folder or 'class folders'} → {split or 'all faces'}: {number:,} pictures"
        for (folder, split), number in folders.items()
    ]


def class_files(files, labels=None):
    """Return sorted `(name, split, emotion)` of the files in class folders.

    Where there are any, images outside of them are listed as well, with an emotion of None.

    Args:
        files: List of relative file names.
        labels: `Labels`; defaults to the known emotions by name.
    """
    labels = labels or reading.Labels()
    places = {folder: _place(folder, labels) for folder in {n.rpartition("/")[0] for n in files}}
    found = [(name, *places[name.rpartition("/")[0]][:2]) for name in sorted(files)]
    if not any(emotion for _, _, emotion in found):
        return []
    return [e for e in found if e[2] or e[0].lower().endswith(pictures.SUFFIXES)]


def class_entries(found, label_set=None, labels=None):
    """Return an `Entry` per file of `class_files`, with the reason why if it cannot be used."""
    labels = labels or reading.Labels()
    label_set = label_set or reading.label_set({e for _, _, e in found}, labels)
    any_split = any(split for _, split, emotion in found if emotion)
    tell = functools.lru_cache(maxsize=None)(functools.partial(_place, labels=labels))
    entries = []
    for name, split, emotion in found:
        folder = name.rpartition("/")[0]
        _, _, fault, label = tell(folder)
        if not fault and emotion not in label_set:
            near = suggest(PurePosixPath(folder).name, label_set)
            fault = f"lies in no folder named one of {', '.join(label_set)}{near}"
        elif not fault and any_split and not split:
            fault = "lies outside the split folders that other files lie in"
        entries.append(Entry(name, emotion, split, fault=fault, label=label))
    return entries


def _place(folder, labels):
    """Return the split (`""` without) and the class (None without) that a folder stands for, what
    is wrong with that, and the name of the class's folder.
    """
    parts = PurePosixPath(folder).parts
    for place in reversed(range(len(parts))):
        emotion, fault = labels.tell(parts[place])
        short = place < len(parts) - 1 and len(parts[place]) < 3  # "an" above other folders
        if short or (emotion is None and not fault.startswith(reading.LEFT_OUT)):
            continue
        rest = [*parts[:place], *parts[place + 1 :], _beside(parts[place])]
        split, _, unclear = names.splits_above(rest)
        return split, emotion, unclear or fault, parts[place]
    split, _, unclear = names.splits_above(parts)
    return split, None, unclear, parts[-1] if parts else ""


def _beside(part):
    """Return the words of a class folder's name that name a split, as in `train_angry`."""
    found = []
    for word in names.words(part):
        try:
            found += [word] if names.split_of(word) else []
        except ValueError:
            pass
    return " ".join(found)


def _folder_of_split(name):
    """Return the way to a file as far as the folder that tells its split, with a final slash."""
    parts = PurePosixPath(name).parts[:-1]
    for place, part in enumerate(parts):
        try:
            if names.split_of(part):
                return "/".join(parts[: place + 1]) + "/"
        except ValueError:
            pass
    return ""


def _ask_for_numbering(files):
    images = [PurePosixPath(n) for n in files if n.lower().endswith(pictures.SUFFIXES)]
    numbers = sorted({path.parent.name for path in images if reading.is_number(path.parent.name)})
    if len(numbers) > 1 and len(numbers) < 12:
        raise ValueError(reading.ask(f"The class folders are named {', '.join(numbers)}"))
