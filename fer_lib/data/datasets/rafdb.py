"""RAF-DB: its list file with the aligned faces, or folders named 1 to 7."""

from fer_lib import emotions
from fer_lib.data.datasets.cards import Card, Dataset
from fer_lib.data.datasets.image_sets import load_files
from fer_lib.data.readers import annotations
from fer_lib.data.readers.class_folders import class_entries, class_files
from fer_lib.data.readers.labels import Labels

_LABELS = Labels(scheme="rafdb")


def load_rafdb(*, on_error="raise", split_seed=0, size=48, colour=False):
    """Load RAF-DB's basic emotions: the list file with the aligned faces, or folders 1 to 7.

    The test faces are the official ones; 10 % of the training faces are held out for validation.
    See `load_files` for the arguments and what is returned.
    """
    options = {"on_error": on_error, "split_seed": split_seed, "size": size, "colour": colour}
    return load_files("rafdb", RAFDB.card, _find, **options)


def _find(names, load):
    entries, _ = annotations.find_rafdb(names, load, _LABELS)
    if not entries:
        entries = class_entries(class_files(names, _LABELS), emotions.FER7)
    return entries, []


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
