"""FER+'s votes of ten taggers (Barsoum et al. 2016): the file, and what they agree on."""

import csv

import numpy as np

from fer_lib import emotions
from fer_lib.data.readers import archives
from fer_lib.data.readers.fer2013_csv import USAGES

# The columns of votes: the eight emotions, then two that stand for no emotion.
COLUMNS = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "nf",
)
_TAGGERS = 10
_VOTES = {str(number): number for number in range(_TAGGERS + 1)}
_EMOTIONS = len(emotions.FERPLUS8)


def counted(votes):
    """Return the votes that count: a single vote for an emotion counts as none."""
    return np.where(votes <= 1, 0, votes)


def majority(votes):
    """Return the class of each face that more than half of the counted votes agree on.

    Args:
        votes: Integer array of shape `(n, 10)`, the single votes set to 0.

    Returns:
        `(labels, reasons)`: `int64` array of shape `(n,)`, -1 where there is no such emotion,
        and the reason for it, `str` array of shape `(n,)`.
    """
    labels, reasons = plurality(votes)
    low = (labels >= 0) & (votes.max(axis=1) * 2 <= votes.sum(axis=1))
    return np.where(low, -1, labels), np.where(low, "no emotion has most of the votes", reasons)


def plurality(votes):
    """Return the most voted class of each face, as `majority` does; of equals, the first column."""
    first = votes.argmax(axis=1)
    reasons = np.where(first >= _EMOTIONS, "most votes are for unknown or no face", "")
    reasons = np.where(votes.sum(axis=1) == 0, "no emotion has two votes", reasons)
    return np.where(reasons == "", first, -1), reasons


def soft(votes):
    """Return the votes for the eight emotions of the faces that `plurality` keeps.

    Returns:
        `(labels, reasons)`: `float32` array of shape `(n, 8)`, rows summing to 1, or all 0 where
        the face is left out; and the reasons.
    """
    first, reasons = plurality(votes)
    counts = np.where((first >= 0)[:, None], votes[:, :_EMOTIONS], 0).astype(np.float32)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), reasons


def read_votes(path):
    """Read a file of FER+'s votes: `Usage,Image name,neutral,happiness,…,unknown,NF`.

    Args:
        path: CSV file, https://github.com/microsoft/FERPlus.

    Returns:
        `(votes, usage, named)`: `int64` array of shape `(n, 10)` in the order of `COLUMNS`,
        string array and `bool` array (whether the row names an image) of shape `(n,)`, one row
        per row of FER-2013.

    Raises:
        ValueError: If columns are missing or a row is bad; data rows are counted from 1.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [[field.strip() for field in line] for line in csv.reader(file) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file in UTF-8 ({error}).") from None
    header = [name.lower() for name in lines[0]] if lines else []
    if header != ["usage", "image name", *COLUMNS]:
        raise ValueError(
            f"{path} must have the columns Usage, Image name, {', '.join(COLUMNS)}; it has "
            f"{header[:12]}."
        )
    faults, votes = [], []
    for number, line in enumerate(lines[1:], start=1):
        counts = [_VOTES.get(field) for field in line[2:]]
        if len(line) != len(header):
            faults.append(f"row {number}: has {len(line)} fields instead of {len(header)}")
        elif None in counts:
            faults.append(f"row {number}: votes must be whole numbers to 10; they are {line[2:]}")
        elif line[0] not in USAGES:
            faults.append(f"row {number}: Usage is {line[0][:20]!r}, not one of {USAGES}")
        elif not 1 <= sum(counts) <= _TAGGERS:
            faults.append(f"row {number}: must have 1 to 10 votes; it has {sum(counts)}")
        else:
            votes.append(counts)
    # A row that is left out would shift the join: there is no "skip" here.
    archives.settle(faults, path, "raise")
    if not votes:
        raise ValueError(f"{path} must hold at least one row; it holds none.")
    usage = np.array([line[0] for line in lines[1:]])
    return np.array(votes), usage, np.array([line[1] != "" for line in lines[1:]])
