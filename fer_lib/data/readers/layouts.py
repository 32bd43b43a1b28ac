"""Layouts of image files that are known; to add one, write its `find` and enter it in `LAYOUTS`."""

import typing
from pathlib import PurePosixPath

from fer_lib.data.readers import annotations, class_folders, names, path_tables, pictures


class Layout(typing.NamedTuple):
    """A layout of image files.

    Args:
        find: Function of the file names, of a function that returns the bytes of one, and of
            `Labels`; returns `(entries, notes)`, without entries where the files are of another
            layout.
        example: Names of files, for the message that nothing was understood.
        signs: Endings or parts of names that it has, by which the nearest layouts are chosen.
    """

    find: typing.Callable
    example: str
    signs: tuple


_IMAGES = "a picture"

# The more particular ones first.
LAYOUTS = {
    "COCO annotations": Layout(
        annotations.find_coco, "train/_annotations.coco.json + train/x.jpg", (".json", _IMAGES)
    ),
    "YOLO annotations": Layout(
        annotations.find_yolo,
        "data.yaml + train/images/x.jpg + train/labels/x.txt",
        (".yaml", "labels/", "images/", _IMAGES),
    ),
    "FERPlus's folders": Layout(
        annotations.find_ferplus,
        "FER2013Train/label.csv + FER2013Train/fer0000000.png",
        ("label.csv", "FER2013Train", _IMAGES),
    ),
    "ExpW": Layout(annotations.find_expw, "label.lst + image/x.jpg", (".lst", _IMAGES)),
    "RAF-DB": Layout(
        annotations.find_rafdb,
        "EmoLabel/list_patition_label.txt + Image/aligned/train_00001_aligned.jpg",
        ("list_pa", "aligned", _IMAGES),
    ),
    "AffectNet": Layout(
        annotations.find_affectnet,
        "train_set/annotations/0_exp.npy + train_set/images/0.jpg",
        (".npy", "annotations/", _IMAGES),
    ),
    "CK+": Layout(
        annotations.find_ckplus,
        "Emotion/S005/001/S005_001_00000011_emotion.txt + cohn-kanade-images/S005/001/….png",
        ("_emotion.txt", "cohn-kanade", _IMAGES),
    ),
    "a table of pictures": Layout(
        path_tables.find, "labels.csv (image,label) + images/x.jpg", (".csv", ".tsv", _IMAGES)
    ),
    "class folders": Layout(class_folders.find, "train/angry/x.png", (_IMAGES,)),
    "file names": Layout(annotations.find_file_names, "AF01ANS.JPG, KA.AN1.39.tiff", (_IMAGES,)),
}


def find(files, load, labels):
    """Return `(entries, notes, layout)` by the first layout that fits, `([], [], "")` by none.

    Pictures that a table does not list are looked for in class folders of other splits.
    """
    whole = set(files)
    for title, layout in LAYOUTS.items():
        entries, notes = layout.find(whole if title != "class folders" else files, load, labels)
        if entries:
            return *_with_rest(entries, notes, files, labels, title), title
    return [], [], ""


def _with_rest(entries, notes, files, labels, title):
    used = {entry.name for entry in entries}
    rest = [n for n in files if n not in used and n.lower().endswith(pictures.SUFFIXES)]
    if title == "a table of pictures" and all(entry.split for entry in entries):
        splits = {entry.split for entry in entries}
        found = [file for file in class_folders.class_files(rest, labels) if file[2]]
        found = [file for file in found if file[1] and file[1] not in splits]
        entries = [*entries, *class_folders.class_entries(found, None, labels)]
        notes = [*notes, *class_folders.described(found, labels)]
        rest = sorted(set(rest) - {name for name, _, _ in found})
    if rest and title not in ("CK+", "class folders"):
        notes = [*notes, f"not read: {len(rest):,} pictures without a label, as {rest[0]}"]
    return entries, notes


def unknown(path, files, problems=()):
    """Return the error text for files of no known layout: what is there, and the nearest ones."""
    text = "\n".join(files)
    has_image = any(name.lower().endswith(pictures.SUFFIXES) for name in files)

    def nearness(layout):
        found = [has_image if sign == _IMAGES else sign in text for sign in layout.signs]
        return sum(found) / len(found)

    # Of equally near ones the last, which are the most general.
    nearest = sorted(LAYOUTS.items(), key=lambda item: nearness(item[1]))[:-4:-1]
    known = "\n".join(f"  {title}: {layout.example}" for title, layout in nearest)
    folders = sorted({str(PurePosixPath(name).parent) for name in files} - {"."})
    faults = "".join(f"\n  {problem}" for problem in list(problems)[:3])
    shown = f", in folders such as {', '.join(folders[:6])}" if folders else ""
    there = f"{len(files):,} files ({names.kinds(files)}){shown}" if files else "no files"
    return (
        f"{path} holds no layout that is known. It holds {there}.{faults}\n"
        f"The nearest layouts that are known:\n{known}\n"
        "Folders or labels of other names are given by classes=(…); see also labels= and drop=."
    )
