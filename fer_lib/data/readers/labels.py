"""What the labels of a source stand for: emotions by name, numbers by scheme, own classes."""

import dataclasses
import functools
import re

from fer_lib import emotions
from fer_lib.choices import lookup, suggest
from fer_lib.data.readers import names

_RAFDB = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
_AFFECTNET = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")
_CKPLUS = ("neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise")

# Numberings of emotions, by the data set that uses them.
SCHEMES = {
    "fer2013": dict(enumerate(emotions.FER7)),
    "ckextended": dict(enumerate((*emotions.FER7, "contempt"))),
    "ferplus": dict(enumerate(emotions.FERPLUS8)),
    "rafdb": dict(enumerate(_RAFDB, start=1)),
    "affectnet": dict(enumerate(_AFFECTNET)),
    "ckplus": dict(enumerate(_CKPLUS)),
}
_BASED = {"0-based": 0, "1-based": 1}
# What `Faces.skipped` says of what is left out by rule, at its end.
LEFT_OUT = "left out"
_NUMBER = re.compile(r"\s*[+-]?\d+(?:\.0*)?(?:e[+-]?\d+)?\s*", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Labels:
    """How labels are understood.

    Args:
        classes: Names of classes in the order of their numbers, in a tuple; emotions in any
            spelling or names of your own (`("boredom", "pain")`). Or pairs of a name and the
            labels that it stands for. Empty for the emotions that are there.
        scheme: Key of `SCHEMES`, `"0-based"` or `"1-based"` (numbers count `classes`), or None.
        drop: Folders or labels to leave out.
    """

    classes: tuple = ()
    scheme: str | None = None
    drop: tuple = ()

    @functools.cached_property
    def _table(self):
        """Return `{plain label: class}` of the own classes."""
        return {_plain(label): name for name, members in self.classes for label in (name, *members)}

    @functools.cached_property
    def names(self):
        """The class names, `()` where the emotions that are there are the classes."""
        return tuple(name for name, _ in self.classes)

    @functools.cached_property
    def _told(self):
        return {}

    def tell(self, text):
        """Return `(class, fault)` of a label or of a folder's name.

        The fault is `""` where there is a class; it begins with `LEFT_OUT` where the caller asked
        to leave the label out.
        """
        if text not in self._told:
            self._told[text] = self._tell(str(text))
        return self._told[text]

    def _tell(self, text):
        if _plain(text) in {_plain(name) for name in self.drop}:
            return None, emotions.DROPPED
        if _NUMBER.fullmatch(text):
            return self._number(int(float(text)))
        for spelling in (text, _core(text)):
            if name := self._named(spelling):
                break
        else:
            if self.names:
                known = ", ".join(self.names)
                return None, f"{text!r} is none of the classes {known}{suggest(text, self._table)}"
            try:
                emotions.canonical(text)
            except ValueError as error:
                return None, str(error)
            return None, f"{text!r} is none of the classes"
        return (name, "") if name in (self.names or (name,)) else (None, self._apart(name))

    def _named(self, text):
        if _plain(text) in self._table:
            return self._table[_plain(text)]
        try:
            return self._table.get(emotion := emotions.canonical(text), emotion)
        except ValueError:
            return None

    @staticmethod
    def _apart(name):
        return f"{LEFT_OUT}, {name} is not among classes"

    def _number(self, number):
        if str(number) in self._table:
            return self._table[str(number)], ""
        if self.scheme is None:
            return None, ask(f"the label is the number {number}")
        if self.scheme in _BASED:
            place = number - _BASED[self.scheme]
            if 0 <= place < len(self.names):
                return self.names[place], ""
            last = _BASED[self.scheme] + len(self.names) - 1
            return None, f"label is {number}, not one of {_BASED[self.scheme]} to {last}"
        table = SCHEMES[self.scheme]
        if number not in table:
            return None, f"label is {number}, not one of {min(table)} to {max(table)}"
        return self.tell(table[number])

    def check_dropped(self, source):
        """Raise ValueError if `drop` names what is no folder or label of the source."""
        told = {_plain(text): str(text) for text in self._told}
        for name in self.drop:
            if _plain(name) not in told:
                raise ValueError(
                    f"drop names {name!r}, which is neither an emotion nor a folder or label of "
                    f"{source}{suggest(name, told.values())}."
                )

    @property
    def key(self):
        """What a cache must know of them."""
        return repr((self.classes, self.scheme, sorted(self.drop)))


def understood(classes=(), labels=None, drop=()):
    """Return the `Labels` of what a caller asks for.

    Args:
        classes: Sequence of names, names joined by commas, or dict of name → labels it stands for.
        labels: Key of `SCHEMES`, `"0-based"`, `"1-based"`, or None.
        drop: Sequence of names, or names joined by commas.

    Raises:
        ValueError: If they do not go together.
    """
    pairs = classes if isinstance(classes, dict) else dict.fromkeys(listed(classes), ())
    pairs = [(str(name), tuple(map(str, listed(members)))) for name, members in pairs.items()]
    canonical = []
    for name, members in pairs:
        try:
            canonical.append((emotions.canonical(name), (name, *members)))
        except ValueError:
            canonical.append((name, members))
    names_ = [name for name, _ in canonical]
    # Of two spellings of one emotion (calm and neutral, say) each stays what it is called.
    pairs = tuple(
        own if names_.count(name[0]) > 1 else name
        for own, name in zip(pairs, canonical, strict=True)
    )
    if len(pairs) == 1:
        raise ValueError(f"classes must name two classes or more; got {pairs[0][0]!r}.")
    if labels is not None:
        lookup((*SCHEMES, *_BASED), labels, "numbering (labels)")
    if labels in _BASED and not pairs:
        raise ValueError(f'labels="{labels}" numbers the classes: name them in order, classes=(…).')
    return Labels(pairs, labels, tuple(map(str, listed(drop))))


def listed(value):
    """Return names as a tuple: of a sequence, or of a text with commas."""
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return tuple(value)


def ask(what):
    """Return the sentence that asks for a numbering."""
    ways = "; ".join(
        f'labels="{name}" ({min(table)} {table[min(table)]} … {max(table)} {table[max(table)]})'
        for name, table in SCHEMES.items()
        if name != "ckextended"
    )
    return (
        f"{what}, and numberings differ: say which it is, {ways}; or name the classes in the "
        'order of their numbers, classes=(…) with labels="0-based" or "1-based"'
    )


def is_number(text):
    """Whether a label is a whole number."""
    return bool(_NUMBER.fullmatch(str(text)))


def label_set(found, labels=None):
    """Return the classes in order: the own ones, or the smallest known set that has all found."""
    if labels is not None and labels.names:
        return labels.names
    return emotions.smallest_label_set(found)


def _plain(text):
    return str(text).strip().lower().replace("_", "").replace("-", "").replace(" ", "")


def _core(text):
    """Return a name without numbers, split names and filler words: `"0_angry"` → angry."""
    rest = [word for word in names.words(text) if word not in names.FILLERS]
    kept = []
    for word in rest:
        try:
            if names.split_of(word):
                continue
        except ValueError:
            pass
        kept.append(word)
    return "".join(kept)
