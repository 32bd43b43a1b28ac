"""Emotion names: the label sets of the field, their spellings, and one colour each."""

import numpy as np

from fer_lib.choices import lookup

FER7 = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FERPLUS8 = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt")
CKPLUS7 = ("angry", "disgust", "fear", "happy", "sad", "surprise", "contempt")

LABEL_SETS = {"fer7": FER7, "ferplus8": FERPLUS8, "ckplus7": CKPLUS7}

# One colour per emotion, the same in every figure; told apart in grey and by the colour-blind
# (Okabe and Ito's palette, https://jfly.uni-koeln.de/color/, plus grey for neutral).
COLOURS = {
    "angry": "#D55E00",
    "disgust": "#009E73",
    "fear": "#CC79A7",
    "happy": "#F0E442",
    "sad": "#0072B2",
    "surprise": "#E69F00",
    "neutral": "#8C8C8C",
    "contempt": "#56B4E9",
}

SPELLINGS = {
    "angry": ("anger", "an", "ang", "angery", "annoyed"),
    "disgust": ("disgusted", "di", "dis", "disgusting", "digust"),
    "fear": ("fearful", "fe", "fea", "afraid", "scared", "fearfull"),
    "happy": ("happiness", "ha", "hap", "joy", "smile", "hapiness"),
    "sad": ("sadness", "sa", "unhappy"),
    "surprise": ("surprised", "su", "sur", "suprise", "suprised", "surprize", "surprice"),
    "neutral": ("neutrality", "ne", "neu", "natural", "calm"),
    "contempt": ("contemptuous", "co", "con", "contemp"),
}
# What `Faces.skipped` says of a face that the caller asked to leave out.
DROPPED = "left out by drop"
_CANONICAL = {name: name for name in SPELLINGS} | {
    spelling: name for name, spellings in SPELLINGS.items() for spelling in spellings
}


def canonical(name):
    """Return the emotion that a spelling stands for: `"Anger"`, `"AN"` → `"angry"`.

    Raises:
        ValueError: If the spelling is not known; the message lists the emotions and the nearest.
    """
    return lookup(
        _CANONICAL,
        str(name).strip().lower().replace("_", "").replace("-", "").replace(" ", ""),
        "emotion",
    )


def smallest_label_set(names):
    """Return the first of FER-7, CK+-7 and FER+-8 that has every emotion of `names` (or None)."""
    found = {name for name in names if name}
    return next(labels for labels in (FER7, CKPLUS7, FERPLUS8) if found <= set(labels))


def in_known_order(names):
    """Return emotion names as the label set that has just these, or else in their own order."""
    known = (labels for labels in LABEL_SETS.values() if set(labels) == set(names))
    return next(known, tuple(names))


def translate(label_set, to):
    """Map class numbers of one label set to those of another, by emotion name.

    Args:
        label_set: Sequence of emotion names that today's class numbers index.
        to: Sequence of emotion names to number them by.

    Returns:
        `int64` array of shape `(len(label_set),)`: the class number in `to`, or -1 where `to`
        has no such emotion.
    """
    place = {name: number for number, name in enumerate(to)}
    return np.array([place.get(name, -1) for name in label_set], dtype=np.int64)
