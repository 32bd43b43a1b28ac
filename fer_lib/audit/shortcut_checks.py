"""Checks of shortcuts: what tells the class of a face without its expression.

A data set whose happy faces come from one source and whose sad ones from another can be solved by
the frame of the picture, the grid of its JPEG file or the folder that it lies in. A classifier
that sees these alone tells how far that goes (Geirhos et al., Shortcut Learning in Deep Neural
Networks, 2020, doi:10.1038/s42256-020-00257-z). What a picture measured before it was brought to
one size is not kept and not judged.

To add one: write a function of `Faces` that returns a float array of shape `(n, features)`, or
`None`, and list it in `SHORTCUTS`.
"""

import dataclasses
import functools
import re

import numpy as np

from fer_lib import emotions
from fer_lib.audit.finding import Check, Finding
from fer_lib.data.combine import whole_set
from fer_lib.data.faces import grey
from fer_lib.data.readers import names
from fer_lib.evaluation import bootstrap, metrics

FACES_TO_FIT = 6000
# A gain over chance that is told: the frame of FER-2013's crops is worth 0.01.
GAIN_TOLERATED = 0.02
# A shortcut that closes a quarter of the way from chance to every answer being right.
SHARE_TOLERATED = 0.25
_STRIP, _GRID, _MOST_WEIGHT = 2, 8, 10
_SOURCES = 40


def border(faces):
    """Return what the frame of each picture looks like: grey levels, contrast and padding."""
    images = grey(faces.images)
    columns = []
    for turned in (images, images[:, ::-1], *(np.swapaxes(images, 1, 2)[:, ::s] for s in (1, -1))):
        strip = turned[:, :_STRIP].reshape(len(images), -1).astype(np.float32)
        flat = np.ptp(turned[:, : turned.shape[1] // 4], axis=2) <= 2
        padding = np.cumprod(flat, axis=1).sum(axis=1)
        columns += [strip.mean(axis=1), strip.std(axis=1), padding]
    return np.stack(columns, axis=1).astype(np.float32)


def jpeg_grid(faces):
    """Return how much steeper each picture is at each place of a grid of 8 pixels."""
    images, columns = grey(faces.images), []
    for axis in (1, 2):
        other = 3 - axis
        steps = np.empty((len(images), images.shape[axis] - 1), np.float32)
        for start in range(0, len(images), 1024):  # wider copies of some at a time
            block = images[start : start + 1024].astype(np.int16)
            steps[start : start + 1024] = abs(np.diff(block, axis=axis)).mean(axis=other)
        steps /= steps.mean(axis=1, keepdims=True) + 1e-3
        columns += [steps[:, phase::_GRID].mean(axis=1) for phase in range(_GRID)]
    return np.stack(columns, axis=1)


def source(faces):
    """Return which kind of file and which folders each picture is from, but for class names."""
    if faces.ids.dtype.kind not in "UO":
        return None
    of = [_origin(str(name), faces.label_set) for name in faces.ids]
    told, counts = np.unique([word for words in of for word in words], return_counts=True)
    common = told[np.argsort(-counts, kind="stable")][:_SOURCES]
    return np.array([[word in words for word in common] for words in of], np.float32)


def _origin(name, label_set):
    """Return the folders of a file's name and its ending, without what names class or split."""
    *folders, file = re.split(r"[/\\]", name)
    kept = {word for word in folders if not _names_class_or_split(word, label_set)}
    return kept | {file[file.rfind(".") :].lower() if "." in file else ""}


@functools.lru_cache(maxsize=4096)
def _names_class_or_split(word, label_set):
    if not re.search("[A-Za-z]", word) or word in label_set:
        return True
    for part in re.split(r"[^A-Za-z]+", word):
        try:
            emotions.canonical(part)
            return True
        except ValueError:
            continue
    try:
        return bool(names.split_of(word))
    except ValueError:
        return True


SHORTCUTS = {"border": border, "JPEG grid": jpeg_grid, "file source": source}


def shortcuts(fitted, scored, kinds=None, *, groups=None, seed=0):
    """Tell how well each shortcut alone names the class of faces that it was not fitted on.

    Args:
        fitted, scored: `Faces` of one label set.
        kinds: Keys of `SHORTCUTS`; by default all.
        groups: Array of shape `(n,)`, equal for scored faces that are drawn together; or `None`.
        seed: Of the fit and of the resampling.

    Returns:
        `{kind: (probabilities, gain)}` of the kinds that there are: float array of shape
        `(n, classes)` for the scored faces, and `{"value", "low", "high"}`, how much more of them
        are right than by always naming the class that most fitted faces have.
    """
    fitted = fitted[np.random.default_rng(seed).permutation(len(fitted))[:FACES_TO_FIT]]
    classes = len(fitted.label_set)
    constant = scored.classes == np.bincount(fitted.classes).argmax()
    found = {}
    for kind in SHORTCUTS if kinds is None else kinds:
        features = [SHORTCUTS[kind](faces) for faces in (fitted, scored)]
        if any(of is None for of in features):
            continue
        if kind == "file source":  # columns of both, by name of the folder
            features = np.split(SHORTCUTS[kind](_joined(fitted, scored)), [len(fitted)])
        probabilities = _answers(*features, fitted.classes, classes, seed)
        right = probabilities.argmax(axis=1) == scored.classes
        gains = (right.astype(float) - constant)[:, None]
        rows = np.arange(len(scored)) if groups is None else groups
        drawn = bootstrap.resample_groups(np.hstack([gains, np.ones_like(gains)]), rows, 1000, seed)
        gain = bootstrap.interval(float(gains.mean()), drawn[:, 0] / drawn[:, 1])
        found[kind] = probabilities, gain
    return found


def _joined(fitted, scored):
    both = {"fitted": fitted, "scored": scored}
    return whole_set({k: dataclasses.replace(f, groups=None) for k, f in both.items()}, "both")


def _answers(known, asked, classes, count, seed):
    """Return what a small random forest says, `(n, count)`."""
    from sklearn.ensemble import RandomForestClassifier

    if len(np.unique(classes)) < 2 or not known.shape[1]:
        return np.tile(np.bincount(classes, minlength=count) / len(classes), (len(asked), 1))
    how = {"n_estimators": 60, "max_depth": 6, "min_samples_leaf": 5, "random_state": seed}
    model = RandomForestClassifier(**how).fit(known, classes)
    probabilities = np.zeros((len(asked), count))
    probabilities[:, model.classes_] = model.predict_proba(asked)
    return probabilities


def shortcut(kind, told, gain, labels, answers=None):
    """Check that a shortcut does not tell the class.

    Args:
        kind: Key of `SHORTCUTS`.
        told: Float array of shape `(n, classes)`: what a classifier of the shortcut alone says.
        gain: `{"value", "low", "high"}` of `shortcuts`.
        labels: Integer array of shape `(n,)`.
        answers: Float array of shape `(n, classes)`: what the run says of the faces; `None`
            without a run. Its accuracy is told also with each face weighted by how rare its class
            is where the shortcut looks so, which makes the shortcut useless (the weights are at
            most 10).
    """
    accuracy = metrics.accuracy(labels, told)
    figures = {"accuracy of it alone": round(accuracy, 4)}
    figures |= {f"gain {end}": round(gain[end], 4) for end in ("value", "low", "high")}
    text = f"{kind} alone names {accuracy:.1%} of the test faces, which is "
    text += f"{bootstrap.in_words(gain, signed=True)} against the most frequent class"
    if gain["low"] <= GAIN_TOLERATED:
        return Finding(f"shortcut: {kind}", "pass", figures, f"{text}.")
    shares = np.bincount(labels, minlength=told.shape[1]) / len(labels)
    if answers is not None:
        seen = told[np.arange(len(labels)), labels]
        weights = np.minimum(shares[labels] / np.maximum(seen, 1e-6), _MOST_WEIGHT)
        right = answers.argmax(axis=1) == labels
        without = float(np.average(right, weights=weights))
        figures |= {"accuracy": round(float(right.mean()), 4)}
        figures |= {"accuracy without it": round(without, 4)}
        text += f"; the run's accuracy is {right.mean():.4f}, and {without:.4f} where it tells "
        text += "nothing (by weights)"
    way = gain["low"] / max(1 - shares.max(), 1e-9)
    if way > SHARE_TOLERATED:
        text += ". A network may learn this instead of faces: crop or encode all classes alike."
        return Finding(f"shortcut: {kind}", "fail", figures, text)
    return Finding(f"shortcut: {kind}", "warn", figures, f"{text}: say so beside the score.")


def score_without_known_people(labels, probabilities, known, groups):
    """Check that the accuracy does not rest on people or videos that train shows too.

    Args:
        labels: Integer array of shape `(n,)`.
        probabilities: Float array of shape `(n, classes)`.
        known: Boolean array of shape `(n,)`: faces whose subject or sequence stands in train.
        groups: Array of shape `(n,)`: that subject or sequence.
    """
    check = "score without known people"
    right = (probabilities.argmax(axis=1) == labels).astype(float)
    figures = {"faces": int(known.sum()), "accuracy": round(float(right.mean()), 4)}
    if not known.any():
        text = "No test face is of a subject or sequence of train."
        return Finding(check, "pass", figures, text)
    text = f"{known.sum():,} of {len(labels):,} test faces are of a subject or sequence of train"
    if known.all():
        text += ": there is no score without them. Split by subject (splits.holdout)."
        return Finding(check, "fail", figures, text)
    columns = np.stack([right, np.ones(len(right)), right * ~known, ~known], axis=1)
    drawn = bootstrap.resample_groups(columns, groups, 1000, 0)
    drawn = drawn[drawn[:, 3] > 0]
    gains = drawn[:, 0] / drawn[:, 1] - drawn[:, 2] / drawn[:, 3]
    without = float(right[~known].mean())
    gain = bootstrap.interval(float(right.mean() - without), gains)
    figures |= {"accuracy without them": round(without, 4)}
    figures |= {f"gain {end}": round(float(gain[end]), 4) for end in ("value", "low", "high")}
    text += f": accuracy is {right.mean():.4f} with them and {without:.4f} without, a gain of "
    text += f"{bootstrap.in_words(gain, signed=True)}. Split by subject (splits.holdout)."
    return Finding(check, "fail" if gain["low"] > 0 else "warn", figures, text)


def people_known(parts):
    """Check that it is known who is on the pictures, without which no split can keep them apart.

    Args:
        parts: Dict of `Faces`.
    """
    unknown = [split for split, faces in parts.items() if faces.groups is None]
    figures = {"unknown in": unknown}
    if not unknown:
        text = "Subjects or sequences are known in every split."
        return Finding("people", "pass", figures, text)
    text = f"Subjects are not known in {', '.join(unknown)}: pictures of one person, or frames of "
    text += "one video, may stand in two splits unless they are nearly identical. Say so."
    return Finding("people", "warn", figures, text)


def _each_shortcut(kind):
    def find(evidence):
        parts = evidence.parts
        if not {"train", "test"} <= parts.keys() or not len(parts["train"]):
            return None
        known = evidence.near if evidence.groups is None else evidence.groups
        found = shortcuts(parts["train"], parts["test"], [kind], groups=known["test"])
        if kind not in found:
            return None
        told, gain = found[kind]
        answers = None
        if evidence.run is not None and np.array_equal(
            evidence.scored, np.arange(len(parts["test"]))
        ):
            answers = evidence.probabilities
        return shortcut(kind, told, gain, parts["test"].classes, answers)

    return find


def _known_people(evidence):
    if evidence.groups is None or (evidence.scored < 0).any():
        return None
    groups = evidence.groups["test"][evidence.scored]
    known = np.isin(groups, evidence.groups["train"])
    return score_without_known_people(evidence.labels, evidence.probabilities, known, groups)


CHECKS = (
    *(Check("L2", ("data",), _each_shortcut(kind)) for kind in SHORTCUTS),
    Check("L3.2", ("data",), lambda e: people_known(e.parts)),
    Check("L3.2", ("data", "run"), _known_people),
)
