"""FER-2013: the official protocol, and the download of the official files only."""

import dataclasses
import shutil
import warnings
from pathlib import Path

import numpy as np

from fer_lib import emotions, storage
from fer_lib.data.datasets.cards import Card, Dataset, home
from fer_lib.data.readers import archives, class_folders, sources
from fer_lib.data.splits import split_by_usage

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
    folder, found = home("fer2013"), None
    try:
        found = sources.find_parts(folder)
    except FileNotFoundError:
        folder = fetch_fer2013()
    faces = sources.read(folder, on_error=on_error, found=found)
    if difference := _differences(faces):
        warnings.warn(f"FER-2013 in {folder} is not the official one: {difference}.", stacklevel=2)
    parts = split_by_usage(faces, "FER-2013", split_seed=split_seed)
    if parts["test"].name == "FER-2013 test":
        name = "FER-2013 test folder (PublicTest + PrivateTest)"
        parts["test"] = dataclasses.replace(parts["test"], name=name)
    return parts


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
    folder = home("fer2013")
    try:
        import kagglehub
    except ImportError:
        reason = 'kagglehub is not installed (pip install -e ".[data]")'
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
            with storage.replacing_folder(folder) as temporary:
                for split in FER2013_FOLDERS:
                    shutil.copytree(root / split, temporary / split)
            return True
    return False


def _folder_counts(root):
    """Return `{split: faces per class}` of class folders, by their names alone."""
    counts = {}
    for _, split, emotion in class_folders.class_files(archives.walk(root)[0]):
        if emotion in emotions.FER7:
            counts.setdefault(split, [0] * 7)[emotions.FER7.index(emotion)] += 1
    return {split: tuple(numbers) for split, numbers in counts.items()}


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
        access='downloaded by kagglehub (pip install -e ".[data]"), or put there by hand: '
        "fer2013.csv, icml_face_data.csv, train.csv, the train/ and test/ folders, or a zip",
        notes="labels are noisy (human accuracy is about 65 %); identical images within and "
        "across splits, some with different labels; a dozen blank images; disgust is rare; "
        "Kaggle's test folder merges PublicTest and PrivateTest",
    ),
)
