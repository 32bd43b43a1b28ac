"""FER2013Plus as shared on Kaggle, without copies of one face on both sides of a split."""

import re
from pathlib import PurePosixPath

from fer_lib import emotions
from fer_lib.data.datasets.cards import Card, Dataset
from fer_lib.data.datasets.image_sets import load_files
from fer_lib.data.readers.class_folders import class_entries, class_files

_COPY_WORD = "aug|augmented|copy|flip|flipped|hflip|vflip|rot|rotated|bright|noise|zoom|shift|crop"
# What the name of an augmented copy has before or after the name of the face it is made of.
_COPY = re.compile(
    rf"^(?:{_COPY_WORD})[ _-]+|[ _-]+(?:{_COPY_WORD})[ _-]*\d*$| ?\(\d+\)$|\.rf\.\w+$",
    re.IGNORECASE,
)


def load_fer2013plus(*, on_error="raise", split_seed=0, size=48, colour=False):
    """Load "FER2013Plus cleaned, augmented, balanced" without copies on both sides of a split.

    Copies whose names tell the face they were made of are one group with it; training faces that
    are copies of a validation or test face (or the other way round) are left out and listed in
    `Faces.skipped`. See `load_files` for the arguments and what is returned.
    """
    options = {"on_error": on_error, "split_seed": split_seed, "size": size, "colour": colour}
    return load_files("fer2013plus", FER2013PLUS.card, _find, **options)


def _find(names, load):
    found = class_files(names)
    entries = class_entries(found, emotions.smallest_label_set(e for _, _, e in found))
    entries = [entry._replace(group=f"{entry.emotion}/{_original(entry)}") for entry in entries]
    is_copy = {entry.group for entry in entries if _original(entry) != _stem(entry)}
    left_out = []
    for split, later in (("train", ("validation", "test")), ("validation", ("test",))):
        held = {entry.group for entry in entries if entry.split in later} & is_copy
        left_out += [e for e in entries if e.split == split and e.group in held and not e.fault]
    gone = {entry.name for entry in left_out}
    kept = [entry for entry in entries if entry.name not in gone]
    return kept, [f"{name}: left out, copies of it are held out" for name in sorted(gone)]


def _stem(entry):
    return PurePosixPath(entry.name).stem


def _original(entry):
    """Return the name of the face that a copy was made of, as far as its own name tells."""
    stem, before = _stem(entry), None
    while stem != before:
        stem, before = _COPY.sub("", stem) or stem, stem
    return stem


FER2013PLUS = Dataset(
    load_fer2013plus,
    Card(
        title='FER2013Plus: FER-2013 "cleaned, augmented, balanced", as shared on Kaggle',
        source="https://www.kaggle.com/datasets?search=fer2013plus",
        licence="none beyond FER-2013's: the photographs belong to their owners. Research use.",
        label_set=emotions.FERPLUS8,
        counts={},
        citation="Goodfellow et al. 2013 and Barsoum et al. 2016 (see fer2013 and ferplus), and "
        "the page it was downloaded from",
        access="class folders train/<emotion> and test/<emotion> (suprise is understood), or a zip "
        "of them",
        notes="augmented copies may stand on both sides of its splits, which raises scores; copies "
        "are grouped with their face where names tell (x_aug1.png, aug_x.png, x (2).png, "
        "x.rf.<hash>.jpg) and never split; where names do not tell, only a search for near-"
        "duplicates finds them; not comparable with FER-2013's or FER+'s official splits",
    ),
)
