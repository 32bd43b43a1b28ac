"""Class folders: images in folders named after emotions become Faces."""

import re
from pathlib import Path, PurePosixPath

from fer_lib import emotions
from fer_lib.choices import suggest
from fer_lib.data.readers import image_files
from fer_lib.data.readers.archives import check_on_error, opened_tree
from fer_lib.data.readers.image_files import Entry

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "train_set": "train",
    "train_class": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "dev": "validation",
    "val_set": "validation",
    "valid_set": "validation",
    "val_class": "validation",
    "test": "test",
    "testing": "test",
    "test_set": "test",
}
# CK+'s file stems name the subject, by which a split must be grouped (Lucey et al. 2010).
SUBJECT = re.compile(r"(S\d{3})_\d{3}_\d{8}")


def read_class_folders(
    path, *, on_error="raise", label_set=None, size=48, drop_folders=(), codes=None
):
    """Read images from folders named after emotions, below split folders or not.

    `<path>/<emotion>/x.png` and `<path>/<split>/<emotion>/x.png` are known, with the spellings of
    `emotions.SPELLINGS` and `SPLIT_FOLDERS`; further folders may lie around them.

    Args:
        path: Folder, or zip of one.
        on_error: `"raise"`, or `"skip"` to drop what cannot be read and list it in
            `Faces.skipped`.
        label_set: Emotion names in the order of the class numbers. Defaults to the first of
            FER-7, CK+-7 and FER+-8 that has every emotion found.
        size: Height and width of the faces in pixels; images of another size are resized.
        drop_folders: Names of class folders that stand for no known emotion, to leave out; their
            files are listed in `Faces.skipped`.
        codes: Optional dict of folder name to emotion, for folders named `"1"`, `"2"`, ….

    Returns:
        `Faces` with `ids` the relative file names, `usage` `"train"`, `"validation"` or `"test"`
        where there are split folders, and `groups` the subjects where all names are CK+'s.

    Raises:
        ValueError: If there is no such folder or, with `on_error="raise"`, a file is bad.
    """
    check_on_error(on_error)
    with opened_tree(Path(path)) as (names, load, problems):
        found = class_files(names, codes)
        if not found:
            raise ValueError(f"{path} must hold folders named after emotions; it holds none.")
        found, dropped = _drop(found, drop_folders, path)
        label_set = label_set or emotions.smallest_label_set(e for _, _, e in found)
        return image_files.read_entries(
            class_entries(found, label_set),
            load,
            path,
            problems=problems,
            dropped=dropped,
            label_set=label_set,
            on_error=on_error,
            size=size,
        )


def class_files(names, codes=None):
    """Return sorted `(name, split, emotion)` of the files in class folders.

    Where there are any, images outside of them are listed as well, with an emotion of None.
    """
    places = {
        folder: _place(folder, codes or {}) for folder in {n.rpartition("/")[0] for n in names}
    }
    found = [(name, *places[name.rpartition("/")[0]]) for name in sorted(names)]
    if not any(emotion for _, _, emotion in found):
        return []
    return [e for e in found if e[2] or e[0].lower().endswith(image_files.SUFFIXES)]


def _place(folder, codes):
    """Return the split (`""` without) and the emotion (None without) that a folder stands for."""
    path = PurePosixPath(folder)
    split = SPLIT_FOLDERS.get(path.parent.name.lower(), "")
    if path.name in codes:
        return split, codes[path.name]
    try:
        return split, emotions.canonical(path.name)
    except ValueError:
        return split, None


def _drop(found, drop_folders, path):
    """Return what lies in none of the folders to drop, and the reasons for the rest."""
    wanted = {name.lower() for name in drop_folders}
    folders = {entry[0]: PurePosixPath(entry[0]).parent.name for entry in found}
    if missing := wanted - {folder.lower() for folder in folders.values()}:
        raise ValueError(
            f"drop_classes names {sorted(missing)[0]!r}, which is neither an emotion nor a folder "
            f"of {path}{suggest(sorted(missing)[0], set(folders.values()))}."
        )
    kept = [entry for entry in found if folders[entry[0]].lower() not in wanted]
    gone = [entry[0] for entry in found if folders[entry[0]].lower() in wanted]
    return kept, [f"{name}: {emotions.DROPPED}" for name in gone]


def class_entries(found, label_set):
    """Return an `Entry` per file of `class_files`, with the reason why if it cannot be used."""
    any_split = any(split for _, split, emotion in found if emotion)
    entries = []
    for name, split, emotion in found:
        fault, path = "", PurePosixPath(name)
        if emotion not in label_set:
            near = suggest(path.parent.name, emotions.SPELLINGS)
            fault = f"lies in no folder named one of {', '.join(label_set)}{near}"
        elif any_split and not split:
            fault = "lies outside the split folders that other files lie in"
        subject = SUBJECT.fullmatch(path.stem)
        entries.append(Entry(name, emotion, split, subject[1] if subject else "", fault))
    return entries
