"""TFEID: posed expressions of Taiwanese models, the emotion a word in the folder or file name."""

import re
from pathlib import PurePosixPath

from fer_lib import emotions
from fer_lib.data.datasets.cards import Card, Dataset
from fer_lib.data.datasets.image_sets import images, load_files
from fer_lib.data.readers.image_files import Entry

_SUBJECT = re.compile(r"[fm]\d+", re.IGNORECASE)


def load_tfeid(*, on_error="raise", split_seed=0, size=48, colour=False):
    """Load TFEID, split 80/10/10 by the subject that the file names begin with (`f01`, `m12`).

    The emotion is a word in the name of the folder or, failing that, of the file. See
    `load_files` for the arguments and what is returned.
    """
    options = {"on_error": on_error, "split_seed": split_seed, "size": size, "colour": colour}
    return load_files("tfeid", TFEID.card, _find, **options)


def _find(names, load):
    entries = []
    for name in images(names):
        path = PurePosixPath(name)
        places = [part for part in (path.parent.name, path.stem) if _words(part)]
        found = _words(places[0]) if places else set()
        subject = _SUBJECT.match(path.stem)
        fault = ""
        if len(found) != 1:
            fault = f"must name one emotion; it names {', '.join(sorted(found)) or 'none'}"
        elif not subject:
            fault = "must begin with the subject, as f01 or m12"
        emotion, group = min(found, default=None), subject[0].lower() if subject else ""
        entries.append(Entry(name, emotion, group=group, fault=fault))
    return entries, []


def _words(text):
    """Return the emotions named by the words of a file or folder name (not by two letters)."""
    found = set()
    for word in re.split(r"[^a-z]+", text.lower()):
        try:
            found |= {emotions.canonical(word)} if len(word) > 2 else set()
        except ValueError:
            pass
    return found


TFEID = Dataset(
    load_tfeid,
    Card(
        title="TFEID: posed expressions of 40 Taiwanese models, eight emotions",
        source="http://bml.ym.edu.tw/tfeid (on request from the makers)",
        licence="academic research, by the agreement with the makers",
        label_set=emotions.FERPLUS8,
        counts={},
        citation="Chen & Yen, Taiwanese Facial Expression Image Database, Brain Mapping "
        "Laboratory, National Yang-Ming University, 2007",
        access="class folders (anger/f01_….jpg) or files whose names hold subject and emotion "
        "(f01_anger_….jpg), or a zip of them",
        notes="posed in a laboratory; few faces (268 or 336 in most publications), so intervals "
        "are wide; subjects stand in every class; not cropped to the face",
    ),
)
