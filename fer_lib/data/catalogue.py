"""Data sets by name: how to get them, what is known about them, and their official splits.

To add one: write a loader that returns `{"train", "validation", "test"}` of `Faces` and add it
with its card to `DATASETS`.
"""

import collections
import inspect
import os
import typing
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from fer_lib import emotions
from fer_lib.choices import lookup
from fer_lib.data import combine, splits
from fer_lib.data.combine import mix
from fer_lib.data.datasets.affectnet import AFFECTNET
from fer_lib.data.datasets.cards import Card, Dataset, home
from fer_lib.data.datasets.ckplus import CKPLUS, load_ckplus
from fer_lib.data.datasets.facerec2 import FACEREC2, fetch_facerec2, load_facerec2
from fer_lib.data.datasets.fer2013 import (
    FER2013,
    FER2013_COUNTS,
    FER2013_FOLDERS,
    FER2013_HANDLES,
    FER2013_MD5,
    fetch_fer2013,
    load_fer2013,
)
from fer_lib.data.datasets.fer2013_soft import FER2013_SOFT, load_fer2013_soft
from fer_lib.data.datasets.fer2013plus import FER2013PLUS
from fer_lib.data.datasets.ferplus import FERPLUS, FERPLUS_SOFT, load_ferplus
from fer_lib.data.datasets.jaffe import JAFFE
from fer_lib.data.datasets.rafdb import RAFDB
from fer_lib.data.datasets.tfeid import TFEID
from fer_lib.data.faces import Faces, Splits
from fer_lib.data.readers import arrays, sources
from fer_lib.data.readers import labels as reading
from fer_lib.data.splits import SPLITS, named, split_by_usage

__all__ = [
    "DATASETS",
    "FER2013_COUNTS",
    "FER2013_FOLDERS",
    "FER2013_HANDLES",
    "FER2013_MD5",
    "SPLITS",
    "SYNTHETIC",
    "Card",
    "Dataset",
    "describe",
    "fetch_facerec2",
    "fetch_fer2013",
    "load_ckplus",
    "load_dataset",
    "load_facerec2",
    "load_fer2013",
    "load_fer2013_soft",
    "load_ferplus",
    "load_path",
    "load_synthetic",
    "mix",
    "resolve_auto",
    "split_by_usage",
]

SYNTHETIC = "synthetic faces (not FER-2013)"


def load_dataset(
    name_or_path: str | os.PathLike,
    *,
    classes: Sequence[str] | Mapping[str, str] = (),
    labels: str | None = None,
    drop: Sequence[str] = (),
    **options: typing.Any,
) -> Splits:
    """Return the train, validation and test faces of a data set.

    Args:
        name_or_path: Key of `DATASETS`; several data sets with + between, which are joined over
            their common emotions (see `combine.mix`); `"auto"` (FER-2013 where it can be had,
            otherwise synthetic faces and a warning that says so); the path of data of your own (a
            folder, an archive, a table, arrays; `readers.layouts.LAYOUTS` lists the forms), which
            is split as it says itself (see `split_by_usage`); or a pandas DataFrame of paths or
            pixels and labels. `describe(name_or_path, loaded)` says what was taken for what.
        classes: Names of the classes, in the order of their numbers, as a sequence or joined by
            commas: emotions in any spelling, or names of your own (`"boredom,pain"`). Or a dict
            of name → labels that it stands for: `{"positive": ["happy"], "negative": ["sad",
            "fear"]}`. What is none of them is left out if it is an emotion, else an error.
            Defaults to the emotions that are there.
        labels: How labels that are numbers are counted: key of `readers.labels.SCHEMES`
            (`"fer2013"`, `"rafdb"`, `"affectnet"`, …), or `"0-based"` or `"1-based"` for the
            order of `classes`. Data of your own only.
        drop: Names of classes, folders or labels to leave out, as a sequence or joined by commas.
            What is left out is in `Faces.skipped`.
        **options: Passed on to the loader: `on_error` (`"raise"`, or `"skip"` to leave out what
            cannot be read) and `split_seed`; `size` (48 to 224 pixels and more) and `colour` for
            image files; `train`, `validation`, `test`, `seed` for `"synthetic"`; `protocol`,
            `votes_file` for `"ferplus"`. Of joined data sets each is given those that it knows,
            and `leave_out` names the one to test on: the others are trained on alone.

    Returns:
        Dict of `Faces` with the keys `"train"`, `"validation"` and `"test"`; it prints as a
        table of counts.

    Raises:
        ValueError: If a name is unknown (the message lists the names and the nearest one), or
            what is read contradicts itself.
        FileNotFoundError: If the data is not on disk and cannot be downloaded, or lies there in
            no layout that is known; the message says what was found.
    """
    known, other = combine.split_names(reading.listed(drop))
    understood = reading.understood(classes, labels, other)
    if hasattr(name_or_path, "columns"):
        return _finished(load_frame(name_or_path, understood, **options), known, understood)
    if name_or_path == "auto":
        name_or_path, notice = resolve_auto()
        if name_or_path == "synthetic":
            warnings.warn(notice, stacklevel=2)
    if len(names := parts_of(name_or_path)) > 1:
        options |= {"labels": labels} if labels else {}
        return _finished(_load_joined(names, **options), known, understood)
    if isinstance(name_or_path, str) and name_or_path in DATASETS:
        if other:
            emotions.canonical(other[0])  # raises, with the nearest
        if labels:
            raise ValueError(f"labels is for data of your own; {name_or_path} tells its classes.")
        load = DATASETS[name_or_path].load
        for option in options:
            lookup(inspect.signature(load).parameters, option, f"option of {name_or_path}")
        return _finished(load(**options), known, understood)
    if Path(name_or_path).exists():
        loaded = load_path(name_or_path, labels=understood, **options)
        return _finished(loaded, known, understood)
    return _lookup(DATASETS | {"auto": None}, name_or_path)


def load_for(name_or_path, face_size, **options):
    """Return a data set in the form that a classifier takes; what has one size is resized.

    Args:
        name_or_path, **options: As of `load_dataset`.
        face_size: `(height, width)`, grey, or `(height, width, 3)`, RGB.
    """
    height, width, *rgb = face_size
    if height == width and _read_in(name_or_path) and (height != 48 or rgb):
        options = {"size": height, "colour": bool(rgb)} | options
    loaded = load_dataset(name_or_path, **options)
    return Splits({split: faces.resized(face_size) for split, faces in loaded.items()})


def _read_in(name_or_path):
    """Return whether a data set's pictures are read in the size that is asked for."""
    if name_or_path in DATASETS:
        return "size" in inspect.signature(DATASETS[name_or_path].load).parameters
    return Path(name_or_path).exists()


def parts_of(name_or_path):
    """Return the names that `"fer2013+ckplus"` joins, or the one name in a list."""
    joined = isinstance(name_or_path, str) and not Path(name_or_path).exists()
    return name_or_path.split("+") if joined else [name_or_path]


def _load_joined(names, leave_out=None, **options):
    for name in names:
        if not Path(name).exists():
            _lookup(DATASETS, name)
    loads = {name: DATASETS[name].load if name in DATASETS else load_path for name in names}
    known = {name: set(inspect.signature(load).parameters) for name, load in loads.items()}
    for option in options:
        lookup(set().union(*known.values()), option, f"option of {'+'.join(names)}")
    loaded = {
        name: load_dataset(name, **{k: v for k, v in options.items() if k in known[name]})
        for name in names
    }
    if leave_out is None:
        return mix(*loaded.values())
    lookup(loaded, leave_out, "leave_out")
    return combine.leaving_out(loaded, leave_out)


def _lookup(table, name_or_path):
    """Return the entry of a name; what can only be a path has no nearest name, but is missing."""
    if isinstance(name_or_path, os.PathLike) or "/" in name_or_path or os.sep in name_or_path:
        raise FileNotFoundError(f"No data at {name_or_path}: there is no such file or folder.")
    return lookup(table, name_or_path, "data set (and no file or folder)")


def _finished(loaded, dropped, labels):
    """Return a loaded data set without the dropped emotions and with the classes asked for."""
    loaded = combine.without(loaded, dropped)
    return Splits(combine.with_classes(loaded, labels) if labels.names else loaded)


def resolve_auto():
    """Choose the data set for `"auto"`.

    Returns:
        `("fer2013" or "synthetic", notice)`: a sentence that says which and why.
    """
    folder = home("fer2013")
    if sources.holds_data(folder):
        return "fer2013", f"FER-2013 is read from {folder}."
    try:
        fetch_fer2013()
    except OSError as error:
        return "synthetic", (
            f"{str(error).splitlines()[0]} These are {SYNTHETIC}: their scores say nothing about "
            "real ones."
        )
    return "fer2013", f"FER-2013 was downloaded to {folder}."


def describe(name: str | os.PathLike | None = None, loaded: dict[str, Faces] | None = None) -> str:
    """Return the card of a data set as text, or a list of the data sets.

    Args:
        name: Key of `DATASETS`; the path of a data set of your own, which has no card (then the
            text says what was taken for what, if it was loaded); or `None` for one line on each
            data set.
        loaded: Optional dict of `Faces` from `load_dataset`, whose counts are added.

    Raises:
        ValueError: If a name is unknown; the message lists the names and the nearest one.
        FileNotFoundError: If there is nothing at a path.
    """
    if name is None:
        width = max(map(len, DATASETS))
        return "\n".join(f"{key:{width}}  {of.card.title}" for key, of in DATASETS.items())
    if len(parts_of(name)) > 1:
        return "\n".join([f"Joined: {', '.join(parts_of(name))}", *_loaded_lines(loaded)])
    if hasattr(name, "columns"):
        return "\n".join(["Your own data: a DataFrame", *_loaded_lines(loaded)])
    if name not in DATASETS and Path(name).exists():
        return "\n".join([f"Your own data: {Path(name).resolve()}", *_loaded_lines(loaded)])
    _, card, folder = _lookup(DATASETS, name)
    lines = [
        card.title,
        f"Source: {card.source}",
        f"Licence: {card.licence}",
        f"Classes: {', '.join(card.label_set)}",
        *(f"Official {split}: {sum(n):,} faces {n}" for split, n in card.counts.items()),
        f"Cite: {card.citation}",
        f"Access: {card.access}",
        f"Looked for in: {home(folder or name)}",
        f"Known defects: {card.notes}",
    ]
    shows_people = name != "synthetic"
    return "\n".join([*lines, *_loaded_lines(loaded, shows_people)])


def _loaded_lines(loaded, shows_people=True):
    """Return what was taken for what: sources, splits, subjects, what was left out, and counts."""
    if not loaded:
        return []
    lines = list(dict.fromkeys(note for faces in loaded.values() for note in faces.notes))
    if shows_people and not any(line.startswith("Subjects") for line in lines):
        groups = {str(g) for f in loaded.values() if f.groups is not None for g in f.groups}
        unknown = "Subjects: unknown: faces of one person may stand on both sides of a split."
        lines.append(f"Subjects, or other groups: {len(groups):,}." if groups else unknown)
    lines += [f"{split}: {faces.name}, {len(faces):,} faces" for split, faces in loaded.items()]
    skipped = {reason for faces in loaded.values() for reason in faces.skipped}
    if skipped:
        lines.append(f"{len(skipped):,} rows or files were left out:")
        texts = [_reason(text) for text in skipped]
        reasons = collections.Counter(texts).most_common()
        lines += [f"  {number:,} {reason}" for reason, number in reasons[:5]]
        lines += [f"  and {len(reasons) - 5} more reasons"] if len(reasons) > 5 else []
    return [*lines, splits.class_count_table(loaded).to_string()]


def _reason(text):
    reason = text.rpartition(": ")[2]
    return "left out as copies" if reason.startswith("left out as a copy") else reason


def load_path(path, *, on_error="raise", split_seed=0, labels=None, size=48, colour=False):
    """Read data of your own and split it by `split_by_usage`; its classes are those that occur.

    Args:
        path: File or folder.
        on_error: `"raise"`, or `"skip"` to drop rows or files that cannot be read.
        split_seed: Seed of the faces held out where the source lacks a split.
        labels: `readers.labels.Labels`.
        size: Height and width of the faces in pixels.
        colour: Whether to read colour.
    """
    path = Path(path).resolve()
    options = {"on_error": on_error, "labels": labels, "size": size, "colour": colour}
    return _split(sources.read(path, **options), path.name, labels, split_seed)


def load_frame(frame, labels, *, on_error="raise", split_seed=0, size=48, colour=False):
    """Do as `load_path` does with a pandas DataFrame; paths are relative to the current folder."""
    options = {"on_error": on_error, "labels": labels, "size": size, "colour": colour}
    return _split(arrays.frame_faces(frame, **options), "DataFrame", labels, split_seed)


def _split(faces, name, labels, split_seed):
    faces = faces if labels is not None and labels.names else combine.present(faces)
    return split_by_usage(faces, name, split_seed=split_seed)


def load_synthetic(*, train=2100, validation=700, test=1400, seed=0):
    """Draw synthetic faces: no download, and no claim about real faces.

    Args:
        train, validation, test: Numbers of faces.
        seed: Non-negative integer; the three splits are drawn with seeds of their own.

    Returns:
        Dict of `Faces` with the keys `"train"`, `"validation"` and `"test"`.
    """
    from fer_lib.data.synthetic import make_faces

    parts = [
        make_faces(number, seed=len(SPLITS) * seed + place, subtle=True)
        for place, number in enumerate((train, validation, test))
    ]
    return named(parts, [f"{SYNTHETIC}: {split}" for split in SPLITS])


DATASETS = {
    "fer2013": FER2013,
    "fer2013_soft": FER2013_SOFT,
    "ferplus": FERPLUS,
    "ferplus_soft": FERPLUS_SOFT,
    "ckplus": CKPLUS,
    "facerec2": FACEREC2,
    "tfeid": TFEID,
    "jaffe": JAFFE,
    "rafdb": RAFDB,
    "affectnet": AFFECTNET,
    "fer2013plus": FER2013PLUS,
    "synthetic": Dataset(
        load_synthetic,
        Card(
            title="Synthetic faces, drawn by fer_lib: for tests and demonstrations without data",
            source="fer_lib/data/synthetic.py",
            licence="MIT, like fer_lib",
            label_set=emotions.FER7,
            counts={},
            citation="none",
            access="drawn on the spot, always available",
            notes="drawings, not photographs: scores say nothing about real faces",
        ),
    ),
}
