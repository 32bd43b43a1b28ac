"""Data sets by name: how to get them, what is known about them, and their official splits.

To add one: write a loader that returns `{"train", "validation", "test"}` of `Faces` and add it
with its card to `DATASETS`.
"""

import dataclasses
import os
import shutil
import typing
import uuid
import warnings
from pathlib import Path

import numpy as np

from fer_lib import archives, class_folders, emotions, readers, splits, storage

SPLITS = ("train", "validation", "test")
SYNTHETIC = "synthetic faces (not FER-2013)"

# Goodfellow et al. 2013 (https://arxiv.org/abs/1307.0414); faces per class in FER-7's order.
FER2013_COUNTS = {
    "Training": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "PublicTest": (467, 56, 496, 895, 653, 415, 607),
    "PrivateTest": (491, 55, 528, 879, 594, 416, 626),
}
FER2013_FOLDERS = {
    "train": FER2013_COUNTS["Training"],
    "test": tuple(
        map(sum, zip(FER2013_COUNTS["PublicTest"], FER2013_COUNTS["PrivateTest"], strict=True))
    ),
}
# As in torchvision.datasets.FER2013.
FER2013_MD5 = {
    "fer2013.csv": "f8428a1edbd21e88f42c73edd2a14f95",
    "icml_face_data.csv": "b114b9e04e6949e5fe8b6a98b3892b1d",
    "train.csv": "3f0dfb3d3fd99c811a1299cb947e3131",
}
FER2013_HANDLES = ("nicolejyt/facialexpressionrecognition", "msambare/fer2013")

# Split names of the sources, the best one to report on first.
_TRAINING = ("Training", "train")
_HELD_OUT = ("PrivateTest", "test", "PublicTest", "validation")


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
    """A loader, which returns `{"train", "validation", "test"}` of `Faces`, and its card."""

    load: typing.Callable
    card: Card


def load_dataset(name_or_path, **options):
    """Return the train, validation and test faces of a data set.

    Args:
        name_or_path: Key of `DATASETS`; `"auto"` (FER-2013 where it can be had, otherwise
            synthetic faces and a warning that says so); or the path of a CSV file, a folder or a
            zip, which is split like FER-2013 (see `split_by_usage`).
        **options: Passed on to the loader (`on_error`, `split_seed`; `train`, `validation`,
            `test`, `seed` for `"synthetic"`).

    Returns:
        Dict of `Faces` with the keys `"train"`, `"validation"` and `"test"`.

    Raises:
        ValueError: If the name is unknown; the message lists the names and the nearest one.
        FileNotFoundError: If the data is not on disk and cannot be downloaded.
    """
    if name_or_path == "auto":
        name_or_path, notice = resolve_auto()
        if name_or_path == "synthetic":
            warnings.warn(notice, stacklevel=2)
    if isinstance(name_or_path, str) and name_or_path in DATASETS:
        return DATASETS[name_or_path].load(**options)
    if Path(name_or_path).exists():
        return load_path(name_or_path, **options)
    if isinstance(name_or_path, os.PathLike) or os.sep in name_or_path:
        raise FileNotFoundError(f"No data at {name_or_path}: there is no such file or folder.")
    return emotions.lookup(
        DATASETS | {"auto": None}, name_or_path, "data set (and no file or folder)"
    )


def resolve_auto():
    """Choose the data set for `"auto"`.

    Returns:
        `("fer2013" or "synthetic", notice)`: a sentence that says which and why.
    """
    folder = storage.fer_home() / "datasets" / "fer2013"
    if _has_data(folder):
        return "fer2013", f"FER-2013 is read from {folder}."
    try:
        fetch_fer2013()
    except OSError as error:
        return "synthetic", (
            f"{str(error).splitlines()[0]} These are {SYNTHETIC}: their scores say nothing about "
            "real ones."
        )
    return "fer2013", f"FER-2013 was downloaded to {folder}."


def describe(name, loaded=None):
    """Return the card of a data set as text.

    Args:
        name: Key of `DATASETS`, or the path of a data set of your own, which has no card.
        loaded: Optional dict of `Faces` from `load_dataset`, whose counts are added.
    """
    if name not in DATASETS and Path(name).exists():
        return "\n".join([f"Your own data: {Path(name).resolve()}", *_loaded_lines(loaded)])
    card = emotions.lookup(DATASETS, name, "data set").card
    lines = [
        card.title,
        f"Source: {card.source}",
        f"Licence: {card.licence}",
        f"Classes: {', '.join(card.label_set)}",
        *(f"Official {name}: {sum(n):,} faces {n}" for name, n in card.counts.items()),
        f"Cite: {card.citation}",
        f"Access: {card.access}",
        f"Looked for in: {storage.fer_home() / 'datasets' / name}",
        f"Known defects: {card.notes}",
    ]
    return "\n".join([*lines, *_loaded_lines(loaded)])


def _loaded_lines(loaded):
    if not loaded:
        return []
    lines = [f"{split}: {faces.name}, {len(faces):,} faces" for split, faces in loaded.items()]
    skipped = {reason for faces in loaded.values() for reason in faces.skipped}
    lines += [f"{len(skipped):,} rows could not be used and were left out"] if skipped else []
    return [*lines, splits.class_count_table(loaded).to_string()]


def load_path(path, *, on_error="raise", split_seed=0):
    """Read a CSV file, a folder or a zip and split it by `split_by_usage`."""
    path = Path(path).resolve()
    return split_by_usage(readers.read(path, on_error=on_error), path.name, split_seed=split_seed)


def split_by_usage(faces, name, *, split_seed=0):
    """Split faces by the source's own split names, and make the splits that it lacks.

    The test faces are, of those there are, PrivateTest, test, PublicTest or validation; the
    validation faces are the next. Where only the test faces have a name, 10 % of the training
    faces are held out for validation; without names the split is 80/10/10. What is held out is
    stratified and shares no group and no identical image with the rest (`splits.holdout`).

    Args:
        faces: `Faces`.
        name: What the data is called; each split's `name` begins with it.
        split_seed: Seed of the faces held out.

    Returns:
        Dict of `Faces` with the keys `"train"`, `"validation"` and `"test"`.

    Raises:
        ValueError: If there are several split names and none for training.
    """
    usages = [] if faces.usage is None else np.unique(faces.usage).tolist()
    training = [usage for usage in usages if usage in _TRAINING]
    held = [usage for usage in _HELD_OUT if usage in usages]
    if held and not training and len(held) > 1:
        raise ValueError(f"{name} must hold training faces; its splits are {usages}.")
    if not (held and training):
        rest, test = splits.holdout(faces, 0.1, seed=split_seed)
        train, validation = splits.holdout(rest, 1 / 9, seed=split_seed)
        names = (f"80 % of {name}", f"10 % of {name} for validation", f"10 % of {name} for test")
        return _named((train, validation, test), names)
    train, test = _with_usage(faces, training[0]), _with_usage(faces, held[0])
    names = [f"{name} {usage}" for usage in (training[0], held[0])]
    if len(held) > 1:
        validation = _with_usage(faces, held[1])
        return _named((train, validation, test), (names[0], f"{name} {held[1]}", names[1]))
    train, validation = splits.holdout(train, 0.1, seed=split_seed)
    made = (f"{names[0]} (90 %)", f"{names[0]} (10 % held out)", names[1])
    return _named((train, validation, test), made)


def _with_usage(faces, usage):
    rows = np.flatnonzero(faces.usage == usage)
    if rows[-1] - rows[0] == len(rows) - 1:  # a slice stays memory-mapped
        return faces[rows[0] : rows[-1] + 1]
    return faces[rows]


def _named(parts, names):
    named = zip(SPLITS, parts, names, strict=True)
    return {split: dataclasses.replace(faces, name=name) for split, faces, name in named}


# FER-2013


def load_fer2013(*, on_error="raise", split_seed=0):
    """Load FER-2013 from FER_HOME/datasets/fer2013, where it is downloaded to if absent.

    The official protocol: fit on Training, select on PublicTest, report once on PrivateTest.
    Where the copy lacks a split, see `split_by_usage`; the names of the splits say what they are.

    Args:
        on_error: `"raise"`, or `"skip"` to drop rows that cannot be read.
        split_seed: Seed of the faces held out where the copy lacks a split.

    Returns:
        Dict of `Faces` with the keys `"train"`, `"validation"` and `"test"`.

    Raises:
        FileNotFoundError: If it is not there and cannot be downloaded.
        ValueError: If rows cannot be read.
    """
    folder = storage.fer_home() / "datasets" / "fer2013"
    if not _has_data(folder):
        folder = fetch_fer2013()
    faces = readers.read(folder, on_error=on_error)
    if difference := _differences(faces):
        warnings.warn(f"FER-2013 in {folder} is not the official one: {difference}.", stacklevel=2)
    parts = split_by_usage(faces, "FER-2013", split_seed=split_seed)
    if parts["test"].name == "FER-2013 test":
        name = "FER-2013 test folder (PublicTest + PrivateTest)"
        parts["test"] = dataclasses.replace(parts["test"], name=name)
    return parts


def _has_data(folder):
    try:
        readers.find_source(folder)
    except FileNotFoundError:
        return False
    return True


def _differences(faces):
    """Return how the class counts differ from the official ones, `""` where they do not."""
    if faces.usage is None:  # the competition's train.csv, or all rows without their usage
        everything = np.sum(list(FER2013_COUNTS.values()), axis=0).tolist()
        training = FER2013_COUNTS["Training"]
        found = {"Training": (faces, training if len(faces) <= sum(training) else everything)}
    else:
        official = FER2013_COUNTS | FER2013_FOLDERS
        usages = [usage for usage in np.unique(faces.usage).tolist() if usage in official]
        found = {usage: (faces[faces.usage == usage], official[usage]) for usage in usages}
    texts = [f"{len(faces.skipped)} rows were skipped"] if faces.skipped else []
    for usage, (part, counts) in found.items():
        for (emotion, count), expected in zip(part.class_counts().items(), counts, strict=True):
            if count != expected:
                texts.append(f"{usage} has {count} {emotion} faces instead of {expected}")
    return "; ".join(texts)


def fetch_fer2013():
    """Download FER-2013 from Kaggle with kagglehub, check it, and return its folder.

    Returns:
        Path of FER_HOME/datasets/fer2013, with a CSV file of known checksum or Kaggle's class
        folders with the official counts.

    Raises:
        FileNotFoundError: If it cannot be had; the message says what to put where.
    """
    folder = storage.fer_home() / "datasets" / "fer2013"
    try:
        import kagglehub
    except ImportError:
        reason = 'kagglehub is not installed (pip install "fer_lib[data]")'
        raise _not_found(folder, reason) from None
    faults = []
    for handle in FER2013_HANDLES:
        if not (fault := _fetch(kagglehub, handle, folder)):
            return folder
        faults.append(f"{handle}: {fault}")
    raise _not_found(folder, "; ".join(faults))


def _fetch(kagglehub, handle, folder):
    """Keep what a Kaggle handle holds if it is the official data; else return what is wrong."""
    for force in (False, True):  # kagglehub keeps what it once got: a wrong copy is replaced once
        try:
            downloaded = Path(kagglehub.dataset_download(handle, force_download=force))
        except Exception as error:  # there are many kinds: network, HTTP, credentials
            return type(error).__name__
        if _keep_csv(downloaded, folder) or _keep_folders(downloaded, folder):
            return ""
    return "not the official files (checksum or class counts differ)"


def _not_found(folder, reason):
    return FileNotFoundError(
        f"FER-2013 is missing and could not be downloaded: {reason}.\n"
        f"Get fer2013.csv (or the train/ and test/ folders) from {FER2013.card.source}\n"
        f"and put it (a zip will do) into {folder}"
    )


def _keep_csv(downloaded, folder):
    for name, md5 in FER2013_MD5.items():
        for path in sorted(downloaded.rglob(name)):
            if storage.file_hash(path, "md5") == md5:
                with storage.replacing(folder / name) as temporary:
                    shutil.copyfile(path, temporary)
                return True
    return False


def _keep_folders(downloaded, folder):
    roots = [path.parent for path in sorted(downloaded.rglob("train")) if path.is_dir()]
    for root in roots:
        if _folder_counts(root) == FER2013_FOLDERS:
            temporary = folder / f".{uuid.uuid4().hex[:8]}"
            try:
                for split in FER2013_FOLDERS:
                    shutil.copytree(root / split, temporary / split)
                for split in FER2013_FOLDERS:
                    os.replace(temporary / split, folder / split)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            return True
    return False


def _folder_counts(root):
    """Return `{split: faces per class}` of class folders, by their names alone."""
    counts = {}
    for _, split, emotion in class_folders.class_files(archives.walk(root)[0]):
        if emotion in emotions.FER7:
            counts.setdefault(split, [0] * 7)[emotions.FER7.index(emotion)] += 1
    return {split: tuple(numbers) for split, numbers in counts.items()}


def load_synthetic(*, train=3500, validation=700, test=1400, seed=0):
    """Draw synthetic faces: no download, and no claim about real faces.

    Args:
        train, validation, test: Numbers of faces.
        seed: Non-negative integer; the three splits are drawn with seeds of their own.

    Returns:
        Dict of `Faces` with the keys `"train"`, `"validation"` and `"test"`.
    """
    from fer_lib.synthetic import make_faces

    parts = [
        make_faces(number, seed=len(SPLITS) * seed + place)
        for place, number in enumerate((train, validation, test))
    ]
    return _named(parts, [f"{SYNTHETIC}: {split}" for split in SPLITS])


FER2013 = Dataset(
    load_fer2013,
    Card(
        title="FER-2013: 35,887 grey 48 x 48 faces from web searches, seven emotions",
        source="https://www.kaggle.com/datasets/msambare/fer2013 (folders) or "
        "https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-"
        "recognition-challenge/data (CSV)",
        licence="none stated by the makers; the photographs belong to their owners. Research use.",
        label_set=emotions.FER7,
        counts=FER2013_COUNTS,
        citation="Goodfellow et al., Challenges in Representation Learning: A report on three "
        "machine learning contests, 2013, https://arxiv.org/abs/1307.0414",
        access='downloaded by kagglehub (pip install "fer_lib[data]"), or put there by hand: '
        "fer2013.csv, icml_face_data.csv, train.csv, the train/ and test/ folders, or a zip",
        notes="labels are noisy (human accuracy is about 65 %); identical images within and "
        "across splits, some with different labels; a dozen blank images; disgust is rare; "
        "Kaggle's test folder merges PublicTest and PrivateTest",
    ),
)

DATASETS = {
    "fer2013": FER2013,
    "synthetic": Dataset(
        load_synthetic,
        Card(
            title="Synthetic faces, drawn by fer_lib: for tests and demonstrations without data",
            source="fer_lib/synthetic.py",
            licence="MIT, like fer_lib",
            label_set=emotions.FER7,
            counts={},
            citation="none",
            access="drawn on the spot, always available",
            notes="drawings, not photographs: scores say nothing about real faces",
        ),
    ),
}
