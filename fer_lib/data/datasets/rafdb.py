"""RAF-DB: its list file with the aligned faces, or folders named 1 to 7."""

from pathlib import PurePosixPath

from fer_lib import emotions
from fer_lib.data.datasets.cards import Card, Dataset
from fer_lib.data.datasets.image_sets import images, load_files
from fer_lib.data.readers.class_folders import class_entries, class_files
from fer_lib.data.readers.image_files import Entry

CODES = dict(
    zip("1234567", ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"), strict=True)
)
_LISTS = ("list_patition_label.txt", "list_partition_label.txt")


def load_rafdb(*, on_error="raise", split_seed=0, size=48):
    """Load RAF-DB's basic emotions: the list file with the aligned faces, or folders 1 to 7.

    The test faces are the official ones; 10 % of the training faces are held out for validation.
    See `load_files` for the arguments and what is returned.
    """
    options = {"on_error": on_error, "split_seed": split_seed, "size": size}
    return load_files("rafdb", RAFDB.card, _find, **options)


def _find(names, load):
    lists = [name for name in names if PurePosixPath(name).name in _LISTS]
    if not lists:
        found = class_files(names, CODES)
        return class_entries(found, emotions.FER7), []
    aligned = {}
    for name in images(names):
        path = PurePosixPath(name)
        if path.stem.endswith("_aligned") or "aligned" in path.parts:
            aligned[path.stem.removesuffix("_aligned")] = name
    entries = []
    text = load(lists[0]).decode("utf-8", "replace")
    rows = [line.split() for line in text.splitlines() if line.strip()]
    for number, fields in enumerate(rows, start=1):
        stem = PurePosixPath(fields[0]).stem
        split, fault = stem.partition("_")[0], ""
        emotion = CODES.get(fields[1]) if len(fields) == 2 else None
        name = aligned.pop(stem, "")
        if emotion is None or split not in ("train", "test"):
            fault = f"must be like 'train_00001.jpg 5'; it is {' '.join(fields)[:40]!r}"
        elif not name:
            fault = f"has no aligned image ({stem}_aligned.jpg), or is listed twice"
        where = f"{PurePosixPath(lists[0]).name} row {number}"
        entries.append(Entry(name, emotion, split, fault=fault, where=where))
    left = [Entry(name, fault=f"is not in {lists[0]}") for name in aligned.values()]
    return [*entries, *left], []


RAFDB = Dataset(
    load_rafdb,
    Card(
        title="RAF-DB: 15,339 faces from the web, about 40 annotators each, seven emotions",
        source="http://www.whdeng.cn/RAF/model1.html (on request from the makers)",
        licence="non-commercial research, by the agreement with the makers; no redistribution",
        label_set=emotions.FER7,
        counts={
            "train": (705, 717, 281, 4772, 1982, 1290, 2524),
            "test": (162, 160, 74, 1185, 478, 329, 680),
        },
        citation="Li, Deng & Du, Reliable Crowdsourcing and Deep Locality-Preserving Learning for "
        "Expression Recognition in the Wild, 2017, https://doi.org/10.1109/CVPR.2017.277",
        access="list_patition_label.txt and the folder aligned/ of basic/, or class folders "
        "train/1 … test/7, or a zip of either",
        notes="no official validation split; fear and disgust are rare; 100 x 100 colour images "
        "(made grey and 48 x 48 unless size says otherwise); subjects are not named",
    ),
)
