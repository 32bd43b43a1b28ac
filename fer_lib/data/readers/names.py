"""What the names of folders and files tell: the split that they stand for, and the subject."""

import collections
import functools
import re
from pathlib import PurePosixPath

_SPLITS = {
    "train": "train trn training trainset trainingset",
    "validation": "val valid validation valset validset validationset dev devset",
    "test": "test tst testing testset",
}
SPLIT_WORDS = {word: split for split, words in _SPLITS.items() for word in words.split()}
# Words that say nothing of the split or the class, as in "train_data" or "Test Set (images)".
FILLERS = frozenset(
    "set data dataset images image imgs img pictures photos faces face class classes folder split "
    "labels label list annotations annotation emotions emotion expression expressions of x y fer "
    "ferplus raf db rafdb affectnet ck kdef jaffe icml aligned cropped grey gray px".split()
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def words(text):
    """Return the words of a name in lower case: `"FER2013Train_data"` → fer, train, data."""
    return [word.lower() for word in _WORD.findall(text)]


@functools.lru_cache(maxsize=4096)
def split_of(text):
    """Return the split that the name of a folder or file stands for.

    Args:
        text: Name, as `"train_data"`, `"Test Set"` or `"PublicTest"`.

    Returns:
        `"train"`, `"validation"`, `"test"`, `"PublicTest"`, `"PrivateTest"`, or `""` for none.

    Raises:
        ValueError: If it names a split beside other words, or several: `"test_old"`.
    """
    plain = text.lower().replace(" ", "").replace("_", "").replace("-", "")
    for usage in ("PublicTest", "PrivateTest"):
        if plain == usage.lower():
            return usage
    found = words(text)
    splits = {SPLIT_WORDS[word] for word in found if word in SPLIT_WORDS}
    other = [word for word in found if word not in SPLIT_WORDS and word not in FILLERS]
    if splits and (other or len(splits) > 1):
        raise ValueError(
            f"{text!r} names a split, but not clearly: call it train, validation or test, or move "
            "it away"
        )
    return min(splits, default="")


def splits_above(parts):
    """Return what the folders on the way to a file tell of its split, as `(split, folder, fault)`.

    Args:
        parts: Names of folders, outermost first.
    """
    found = {}
    for part in parts:
        try:
            if split := split_of(part):
                found.setdefault(split, part)
        except ValueError as error:
            return "", part, str(error)
    if len(found) > 1:
        return "", "", f"lies below folders of several splits, {' and '.join(found.values())}"
    return next(iter(found.items()), ("", "")) + ("",)


# Where file names tell the subject: the first group is the subject.
_FILE_SUBJECTS = {
    # Lucey et al. 2010, https://doi.org/10.1109/CVPRW.2010.5543262
    "CK+": re.compile(r"(S\d{3})_\d{3}_\d{8}"),
    # Lundqvist et al. 1998: session, sex and number of the model, expression, angle.
    "KDEF": re.compile(r"[AB]([FM]\d{2})(?:AF|AN|DI|HA|NE|SA|SU)(?:FL|HL|S|HR|FR)", re.IGNORECASE),
    # Lyons et al. 1998, https://doi.org/10.1109/AFGR.1998.670949
    "JAFFE": re.compile(r"([A-Z]{2})\.(?:AN|DI|FE|HA|NE|SA|SU)\d\.\d+", re.IGNORECASE),
    # Langner et al. 2010, https://doi.org/10.1080/02699930903485076
    "RaFD": re.compile(r"Rafd\d+_(\d+)_\w+", re.IGNORECASE),
    # Cao et al. 2014, https://doi.org/10.1109/TAFFC.2014.2336244
    "CREMA-D": re.compile(r"(\d{4})_[A-Z]{3}_(?:ANG|DIS|FEA|HAP|NEU|SAD)_\w+"),
}
_FOLDER_SUBJECT = re.compile(
    r"(?:s|sub|subj|subject|p|person|participant|actor|id)[ _-]?\d+", re.IGNORECASE
)


def subjects(names):
    """Find out whom the faces show by the usual patterns of names.

    Args:
        names: List of relative file names.

    Returns:
        `(groups, sentence)`: dict of name → subject, empty where fewer than half of the names
        tell one; and what to say of it.
    """
    names = list(names)
    ways = {
        f"the names of files, which are like {title}'s": functools.partial(_of_file, pattern)
        for title, pattern in _FILE_SUBJECTS.items()
    } | {"the names of folders": _of_folder}
    for way, tell in ways.items():
        found = {name: subject for name in names if (subject := tell(PurePosixPath(name)))}
        if names and 2 * len(found) >= len(names):
            text = f"{len(set(found.values())):,} subjects, told by {way}"
            if missing := len(names) - len(found):
                text += f"; {missing:,} faces without one are each a subject of their own"
            return {name: found.get(name, name) for name in names}, text
    return {}, "unknown: faces of one person may stand on both sides of a split"


def _of_file(pattern, path):
    match = pattern.fullmatch(path.stem)
    return match[1].upper() if match else ""


def _of_folder(path):
    return next((part.lower() for part in path.parts[:-1] if _FOLDER_SUBJECT.fullmatch(part)), "")


def kinds(names, most=5):
    """Return what files there are, as text: `"312 .jpg, 3 .csv, 1 without ending"`."""
    endings = collections.Counter(PurePosixPath(name).suffix.lower() for name in names)
    texts = [
        f"{number:,} {ending or 'without ending'}" for ending, number in endings.most_common(most)
    ]
    return ", ".join(texts) + (" and others" if len(endings) > most else "")
