"""Roboflow's exports (FaceRec2 among them): class folders, or a table of 0/1 columns."""

import os
import re
from pathlib import PurePosixPath

from fer_lib import emotions, storage
from fer_lib.data.datasets.cards import Card, Dataset, home
from fer_lib.data.datasets.image_sets import images, load_files
from fer_lib.data.readers import labels as labelling
from fer_lib.data.readers import path_tables
from fer_lib.data.readers.class_folders import class_entries, class_files
from fer_lib.data.readers.image_files import Entry

TABLE = "_classes.csv"
# Roboflow names each copy that it augmented from one photograph <photograph>.rf.<hash>.jpg.
_COPY = re.compile(r"\.rf\.[0-9A-Za-z]+$")


def load_facerec2(*, on_error="raise", split_seed=0, size=48, colour=False):
    """Load a Roboflow export from FER_HOME/datasets/facerec2.

    Both forms are known: "Folder" (`train/<class>/x.jpg`, also `valid` and `test`) and
    "Multi-Class" (`train/_classes.csv` beside the images, one 0/1 column per class).
    `Faces.groups` holds the photographs, which keeps augmented copies on one side of a split.

    Args:
        on_error: `"raise"`, or `"skip"` to drop files and rows that cannot be used.
        split_seed: Seed of the faces held out where the export lacks a split.
        size: Height and width in pixels that the images are resized to.
        colour: Whether to read colour.

    Returns:
        Dict of `Faces` with the keys `"train"`, `"validation"` and `"test"`.

    Raises:
        FileNotFoundError: If it is not on disk; `fetch_facerec2` downloads it.
        ValueError: If rows do not have just one class, or files cannot be read.
    """
    options = {"on_error": on_error, "split_seed": split_seed, "size": size, "colour": colour}
    return load_files("facerec2", FACEREC2.card, _find, **options)


def fetch_facerec2(workspace, project, version, *, form="folder"):
    """Download an export with the roboflow client to FER_HOME/datasets/facerec2.

    Args:
        workspace, project: Their names in the address of the project on Roboflow.
        version: Number of the version, an integer.
        form: `"folder"` or `"multiclass"`.

    Returns:
        Path of the folder.

    Raises:
        FileExistsError: If the folder holds files already.
        FileNotFoundError: If roboflow is not installed, ROBOFLOW_API_KEY is not set or the
            download fails.
    """
    folder = home("facerec2")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} holds files already; move it away to download again.")
    key = os.environ.get("ROBOFLOW_API_KEY")
    if not key:
        raise _not_fetched("ROBOFLOW_API_KEY is not set (an account's settings show its key)")
    try:
        import roboflow
    except ImportError:
        raise _not_fetched("roboflow is not installed (pip install roboflow)") from None
    try:
        with storage.replacing_folder(folder) as temporary:
            client = roboflow.Roboflow(api_key=key)
            release = client.workspace(workspace).project(project).version(version)
            release.download(form, location=str(temporary))
    except Exception as error:  # the client raises many kinds: network, HTTP, names
        raise _not_fetched(f"{workspace}/{project}/{version}: {type(error).__name__}") from None
    return folder


def _not_fetched(reason):
    return FileNotFoundError(
        f"FaceRec2 could not be downloaded: {reason}.\n"
        f"Export it by hand from {FACEREC2.card.source}\n"
        f"and put it into {home('facerec2')}: {FACEREC2.card.access}"
    )


def _find(names, load):
    labels = labelling.Labels()
    tables = [name for name in sorted(names) if PurePosixPath(name).name == TABLE]
    if not tables:
        found = class_files(names)
        entries = class_entries(found, emotions.smallest_label_set(e for _, _, e in found))
    else:
        entries, _ = path_tables.find([*tables, *images(names)], load, labels)
        listed = {entry.name for entry in entries}
        unlisted = [name for name in images(names) if name not in listed]
        entries += [Entry(name, fault=f"stands in no {TABLE}") for name in unlisted]
    return [entry._replace(group=_photograph(entry)) for entry in entries], []


def _photograph(entry):
    """Return what all copies of one photograph share: its class and name."""
    return f"{entry.emotion}/{_COPY.sub('', PurePosixPath(entry.name).stem)}"


FACEREC2 = Dataset(
    load_facerec2,
    Card(
        title="FaceRec2: facial expressions as exported by Roboflow",
        source="https://universe.roboflow.com (search for the project FaceRec2)",
        licence="stated on the project's page (README.roboflow.txt of the export)",
        label_set=emotions.FER7,
        counts={},
        citation="the project's page on Roboflow Universe, with the number of the version",
        access='the exports "Folder" (train/<class>/x.jpg, valid/, test/) or "Multi-Class" '
        "(train/_classes.csv beside the images), or a zip of one; or "
        "datasets.fetch_facerec2(workspace, project, version) with a key in ROBOFLOW_API_KEY",
        notes="versions differ in faces, classes and augmentation: name the version; augmented "
        "copies of one photograph (<photograph>.rf.<hash>.jpg) are one group here",
    ),
)
