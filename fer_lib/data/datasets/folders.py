"""TFEID, JAFFE, RAF-DB, AffectNet and FER2013Plus: image files in the layouts people have."""

import re
from pathlib import PurePosixPath

from fer_lib import emotions
from fer_lib.data.datasets.cards import Card, Dataset
from fer_lib.data.datasets.image_sets import images, load_files
from fer_lib.data.readers.class_folders import class_entries, class_files
from fer_lib.data.readers.image_files import Entry

RAFDB_CODES = dict(
    zip("1234567", ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"), strict=True)
)
AFFECTNET_CODES = dict(
    zip(
        "01234567",
        ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt"),
        strict=True,
    )
)
RAFDB_LISTS = ("list_patition_label.txt", "list_partition_label.txt")

_JAFFE = re.compile(r"([A-Z]{2})\.([A-Z]{2})\d\.\d+", re.IGNORECASE)
_TFEID_SUBJECT = re.compile(r"[fm]\d+", re.IGNORECASE)
_COPY_WORD = "aug|augmented|copy|flip|flipped|hflip|vflip|rot|rotated|bright|noise|zoom|shift|crop"
# What the name of an augmented copy has before or after the name of the face it is made of.
_COPY = re.compile(
    rf"^(?:{_COPY_WORD})[ _-]+|[ _-]+(?:{_COPY_WORD})[ _-]*\d*$| ?\(\d+\)$|\.rf\.\w+$",
    re.IGNORECASE,
)


def load_tfeid(*, on_error="raise", split_seed=0, size=48):
    """Load TFEID, split 80/10/10 by the subject that the file names begin with (`f01`, `m12`).

    The emotion is a word in the name of the folder or, failing that, of the file. See
    `load_files` for the arguments and what is returned.
    """
    return _load("tfeid", TFEID, _find_tfeid, on_error, split_seed, size)


def load_jaffe(*, on_error="raise", split_seed=0, size=48):
    """Load JAFFE, split 80/10/10 by subject: `KA.AN1.39.tiff` is subject KA, angry.

    See `load_files` for the arguments and what is returned.
    """
    return _load("jaffe", JAFFE, _find_jaffe, on_error, split_seed, size)


def load_rafdb(*, on_error="raise", split_seed=0, size=48):
    """Load RAF-DB's basic emotions: the list file with the aligned faces, or folders 1 to 7.

    The test faces are the official ones; 10 % of the training faces are held out for validation.
    See `load_files` for the arguments and what is returned.
    """
    return _load("rafdb", RAFDB, _find_rafdb, on_error, split_seed, size)


def load_affectnet(*, on_error="raise", split_seed=0, size=48):
    """Load AffectNet's class folders, named by emotion or by number (0 neutral … 7 contempt).

    AffectNet's test faces are not public: what is reported is its validation split, and 10 % of
    the training faces are held out for validation. See `load_files` for the arguments and what is
    returned.
    """
    return _load("affectnet", AFFECTNET, _find_affectnet, on_error, split_seed, size)


def load_fer2013plus(*, on_error="raise", split_seed=0, size=48):
    """Load "FER2013Plus cleaned, augmented, balanced" without copies on both sides of a split.

    Copies whose names tell the face they were made of are one group with it; training faces that
    are copies of a validation or test face (or the other way round) are left out and listed in
    `Faces.skipped`. See `load_files` for the arguments and what is returned.
    """
    return _load("fer2013plus", FER2013PLUS, _find_fer2013plus, on_error, split_seed, size)


def _load(name, dataset, find, on_error, split_seed, size):
    options = {"on_error": on_error, "split_seed": split_seed, "size": size}
    return load_files(name, dataset.card, find, **options)


def _find_tfeid(names, load):
    entries = []
    for name in images(names):
        path = PurePosixPath(name)
        places = [part for part in (path.parent.name, path.stem) if _words(part)]
        found = _words(places[0]) if places else set()
        subject = _TFEID_SUBJECT.match(path.stem)
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


def _find_jaffe(names, load):
    entries = []
    for name in images(names):
        match = _JAFFE.match(PurePosixPath(name).stem)
        try:
            entries.append(Entry(name, emotions.canonical(match[2]), group=match[1].upper()))
        except (TypeError, ValueError):
            entries.append(Entry(name, fault="must be named like KA.AN1.39.tiff"))
    return entries, []


def _find_rafdb(names, load):
    lists = [name for name in names if PurePosixPath(name).name in RAFDB_LISTS]
    if not lists:
        found = class_files(names, RAFDB_CODES)
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
        emotion = RAFDB_CODES.get(fields[1]) if len(fields) == 2 else None
        name = aligned.pop(stem, "")
        if emotion is None or split not in ("train", "test"):
            fault = f"must be like 'train_00001.jpg 5'; it is {' '.join(fields)[:40]!r}"
        elif not name:
            fault = f"has no aligned image ({stem}_aligned.jpg), or is listed twice"
        where = f"{PurePosixPath(lists[0]).name} row {number}"
        entries.append(Entry(name, emotion, split, fault=fault, where=where))
    left = [Entry(name, fault=f"is not in {lists[0]}") for name in aligned.values()]
    return [*entries, *left], []


def _find_affectnet(names, load):
    found = class_files(names, AFFECTNET_CODES)
    return class_entries(found, emotions.smallest_label_set(e for _, _, e in found)), []


def _find_fer2013plus(names, load):
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
JAFFE = Dataset(
    load_jaffe,
    Card(
        title="JAFFE: 213 posed expressions of ten Japanese women, seven emotions",
        source="https://zenodo.org/records/3451524 (on request from the makers)",
        licence="non-commercial research, by the agreement with the makers; no redistribution",
        label_set=emotions.FER7,
        counts={"all": (30, 29, 32, 31, 31, 30, 30)},
        citation="Lyons et al., Coding Facial Expressions with Gabor Wavelets, 1998, "
        "https://doi.org/10.1109/AFGR.1998.670949",
        access="the files as they are named (KA.AN1.39.tiff), or a zip of them",
        notes="ten subjects only, three or four images of each expression: a random split tests "
        "on trained faces, and one subject more or less moves the score by several points; 256 x "
        "256 pixels with hair and neck; some labels differ from the raters' semantic ratings",
    ),
)
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
AFFECTNET = Dataset(
    load_affectnet,
    Card(
        title="AffectNet: 291,651 labelled faces from the web, eight emotions",
        source="http://mohammadmahoor.com/affectnet/ (on request from the makers)",
        licence="non-commercial research, by the agreement with the makers; no redistribution",
        label_set=emotions.FERPLUS8,
        counts={},
        citation="Mollahosseini, Hasani & Mahoor, AffectNet, 2017, "
        "https://arxiv.org/abs/1708.03985",
        access="class folders train/0 … val/7 (0 neutral, 1 happy, 2 sad, 3 surprise, 4 fear, 5 "
        "disgust, 6 anger, 7 contempt) or named by emotion, or a zip of them",
        notes="the test split is not public; one annotator per face, two of whom agree on 61 %; "
        "training classes are very unequal (134,415 happy, 3,750 contempt), validation is "
        "balanced (500 each); copies on Kaggle are partial; about 0.7 GB in memory at 48 x 48",
    ),
)
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
