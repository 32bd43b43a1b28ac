"""FER+: FER-2013's faces with the votes of ten taggers (Barsoum et al. 2016)."""

import dataclasses
import functools

import numpy as np

from fer_lib import emotions, storage
from fer_lib.choices import lookup
from fer_lib.data.datasets.cards import Card, Dataset, home, missing
from fer_lib.data.readers import archives, fer2013_csv, sources
from fer_lib.data.readers.votes import (
    COLUMNS,
    counted,
    majority,
    plurality,
    read_votes,
    soft,
)
from fer_lib.data.splits import split_by_usage

VOTES_FILES = ("fer2013new.csv", "label.csv")
# Faces per class of the majority protocol on fer2013new.csv.
MAJORITY_COUNTS = {
    "Training": (8740, 7287, 3149, 3014, 2100, 119, 532, 119),
    "PublicTest": (1182, 865, 415, 351, 287, 24, 62, 13),
    "PrivateTest": (1090, 893, 396, 384, 273, 18, 83, 16),
}
_EMOTIONS = len(emotions.FERPLUS8)


__all__ = ["COLUMNS", "load_ferplus", "majority", "read_joined", "read_votes"]

PROTOCOLS = {"majority": majority, "soft": soft, "plurality": plurality}


def load_ferplus(*, protocol="majority", votes_file=None, on_error="raise", split_seed=0):
    """Load FER+: the pixels of FER-2013's CSV file joined, row by row, with the taggers' votes.

    In every protocol a single vote for an emotion counts as none, as in the authors' code, and a
    face whose most votes are for unknown or "not a face" is left out.

    Args:
        protocol: Key of `PROTOCOLS`: `"majority"` (more than half of the votes that count agree),
            `"plurality"` (the most voted emotion; of equals, the first of the label set) or
            `"soft"` (the distribution of the votes over the emotions as target).
        votes_file: Name of the file of votes in FER_HOME/datasets/ferplus. Defaults to the first
            of `VOTES_FILES` that is there. Its name and the beginning of its SHA-256 stand in the
            names of the splits, because two differing files were published.
        on_error: `"raise"`, or `"skip"` to drop rows of pixels that cannot be read.
        split_seed: Seed of the faces held out where the copy of FER-2013 lacks a split.

    Returns:
        Dict of `Faces` of FER+-8; what a protocol leaves out is in `Faces.skipped`.

    Raises:
        FileNotFoundError: If the pixels or the votes are not on disk.
        ValueError: If the two files do not belong together.
    """
    choose = lookup(PROTOCOLS, protocol, "FER+ protocol")
    faces, votes, named, version = read_joined(votes_file=votes_file, on_error=on_error)
    labels, reasons = choose(counted(votes))
    reasons = np.where(named, reasons, "has no image name")
    # Split as FER-2013: a face is held out under both label sets, so models may start from another.
    parts = split_by_usage(faces, f"FER+ {protocol}", split_seed=split_seed)
    return {
        split: dataclasses.replace(_relabel(part, labels, reasons), name=f"{part.name} {version}")
        for split, part in parts.items()
    }


def read_joined(*, votes_file=None, on_error="raise"):
    """Read the pixels of FER-2013's CSV file and the taggers' votes, and check that they belong.

    Args:
        votes_file, on_error: See `load_ferplus`.

    Returns:
        `(faces, votes, named, version)`: `Faces` of FER-2013 with row numbers as `ids`; `votes`
        and `named` of `read_votes`, to be indexed by these; and the votes file's name and hash.

    Raises:
        FileNotFoundError, ValueError: As `load_ferplus`.
    """
    pixels, file = _find_pixels(), _find_votes(votes_file)
    votes, usage, named = read_votes(file)
    faces = sources.read(pixels, on_error=on_error)
    _check_join(faces, votes, usage, pixels, file)
    return faces, votes, named, f"({file.name} {storage.file_hash(file)[:8]})"


def _relabel(faces, labels, reasons):
    """Give faces the labels of their rows; those whose row has a reason are left out with it."""
    dropped = [(row, reasons[row]) for row in faces.ids if reasons[row]]
    kept = faces[np.flatnonzero(reasons[faces.ids] == "")]
    return dataclasses.replace(
        kept,
        labels=labels[kept.ids],
        label_set=emotions.FERPLUS8,
        skipped=(*faces.skipped, *(f"row {row + 1}: {why}" for row, why in dropped)),
    )


def _find_pixels():
    for folder in (home("ferplus"), home("fer2013")):
        for name in fer2013_csv.CSV_NAMES[:2]:
            for path in (folder / name, folder / f"{name}.zip"):
                if path.exists():
                    return path
        for path in sorted(folder.glob("*.zip")):
            with archives.opened_zip(path) as archive:
                names = [name.rpartition("/")[2] for name in archive.namelist()]
            if set(names) & set(fer2013_csv.CSV_NAMES[:2]):
                return path
    raise missing("fer2013", FERPLUS.card, "fer2013.csv (the pixels)")


def _find_votes(name):
    for wanted in (name,) if name else VOTES_FILES:
        if (path := home("ferplus") / wanted).is_file():
            return path
    raise missing("ferplus", FERPLUS.card, name or VOTES_FILES[0])


def _check_join(faces, votes, usage, pixels, file):
    """Raise if the two files' rows do not correspond."""
    rows = faces.ids
    if faces.usage is None:
        raise ValueError(f"{pixels} must have a column Usage: FER+ is joined by row.")
    if rows.max() >= len(votes):
        raise ValueError(f"{file} has {len(votes)} rows, but {pixels} has {rows.max() + 1}.")
    wrong = np.flatnonzero(faces.usage != usage[rows])
    if wrong.size:
        row = rows[wrong[0]]
        raise ValueError(
            f"Row {row + 1} is {usage[row]} in {file} and {faces.usage[wrong[0]]} in {pixels}: "
            "FER+ is joined by row, so both need their original order."
        )
    numbers = emotions.translate(emotions.FERPLUS8, emotions.FER7)
    most = votes[rows, :_EMOTIONS].argmax(axis=1)
    agreement = (numbers[most] == faces.labels).mean()
    if len(faces) >= 100 and agreement < 0.4:  # 0.63 in the original order; 0.2 by chance
        raise ValueError(
            f"Only {agreement:.0%} of the labels in {pixels} are the most voted ones of {file}: "
            "FER+ is joined by row, so both need their original order."
        )


FERPLUS = Dataset(
    load_ferplus,
    Card(
        title="FER+: FER-2013's faces with the votes of ten taggers, eight emotions",
        source="https://github.com/microsoft/FERPlus (fer2013new.csv) and "
        "https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-"
        "recognition-challenge/data (fer2013.csv)",
        licence="votes MIT (Microsoft); the photographs belong to their owners. Research use.",
        label_set=emotions.FERPLUS8,
        counts=MAJORITY_COUNTS,
        citation="Barsoum et al., Training Deep Networks for Facial Expression Recognition with "
        "Crowd-Sourced Label Distribution, 2016, https://arxiv.org/abs/1608.01041",
        access="fer2013new.csv in datasets/ferplus and fer2013.csv in datasets/ferplus or "
        "datasets/fer2013",
        notes="the counts are the majority protocol's on fer2013new.csv; the published ones "
        "(25,045 / 3,191 / 3,137) are 0.06 to 0.5 % lower, and the label.csv files published "
        "beside it, without a first line, hold other votes for 1,602 rows; 173 rows have no "
        "image name (no faces); 1,580 faces have two most voted emotions (plurality takes the "
        "first); the number in an image name is not the row; a protocol that "
        "leaves out the faces on which taggers disagree scores higher on the easier rest; "
        "FER-2013's duplicates remain",
    ),
)
# The same faces with the taggers' votes as targets, for `Experiment.dataset`.
FERPLUS_SOFT = Dataset(functools.partial(load_ferplus, protocol="soft"), FERPLUS.card, "ferplus")
