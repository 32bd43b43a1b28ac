"""Classes by name: leaving some out, and joining data sets over those they share."""

import dataclasses
import hashlib
import os
import re

import numpy as np

from fer_lib import emotions
from fer_lib.data.faces import Faces
from fer_lib.data.readers import labels as reading


def split_names(drop):
    """Return the emotions that `drop` names, and its other names."""
    if isinstance(drop, str):
        drop = (drop,)
    known, other = [], []
    for name in drop:
        try:
            known.append(emotions.canonical(name))
        except ValueError:
            other.append(name)
    return known, other


def without(loaded, names):
    """Leave classes out of a data set.

    Args:
        loaded: Dict of `Faces` of one label set.
        names: Emotion names. Those that the label set lacks are ignored.

    Returns:
        Dict of `Faces` of a smaller label set (in FER-7's order where it is FER-7); the faces
        left out are listed in `Faces.skipped`.
    """
    label_set = next(iter(loaded.values())).label_set
    kept = tuple(name for name in label_set if name not in names)
    if kept == label_set:
        return loaded
    if len(kept) < 2:
        raise ValueError(f"drop must leave two classes or more of {label_set}; got {names}.")
    kept = emotions.in_known_order(kept)
    return {split: _restrict(faces, kept, emotions.DROPPED) for split, faces in loaded.items()}


def with_classes(loaded, labels):
    """Give a data set other classes: fewer, in another order, or several joined into one.

    Args:
        loaded: Dict of `Faces` of one label set.
        labels: `readers.labels.Labels` with classes; each class of the data set is a label.

    Returns:
        Dict of `Faces` of `labels.names`; the faces left out are listed in `Faces.skipped`.

    Raises:
        ValueError: If a class has no faces, or the label set is of names that are no emotions.
    """
    label_set = next(iter(loaded.values())).label_set
    told = [labels.tell(name) for name in label_set]
    if faults := [why for _, why in told if why and not why.startswith(reading.LEFT_OUT)]:
        raise ValueError(f"{faults[0]}.")
    becomes = {name: new for name, (new, _) in zip(label_set, told, strict=True)}
    counts = [faces.class_counts() for faces in loaded.values()]
    there = {becomes[name] for count in counts for name, number in count.items() if number}
    if absent := [name for name in labels.names if name not in there]:
        raise ValueError(
            f"classes names {absent[0]!r}, of which there is no face; there are "
            f"{', '.join(name for name in label_set if any(count[name] for count in counts))}."
        )
    reason = "left out, it is not among classes"
    return {s: _restrict(faces, labels.names, reason, becomes) for s, faces in loaded.items()}


def _restrict(faces, label_set, reason, becomes=None):
    """Return the faces of the classes of `label_set`, numbered by it; the others in `skipped`."""
    called = [(becomes or {}).get(name, None if becomes else name) for name in faces.label_set]
    numbers = emotions.translate(called, label_set)
    keep = numbers[faces.classes] >= 0
    gone = [
        f"{face}: {faces.label_set[number]} {reason}"
        for face, number in zip(faces.ids[~keep], faces.classes[~keep], strict=True)
    ]
    part = faces if keep.all() else faces[np.flatnonzero(keep)]
    if part.labels.ndim == 1:
        labels = numbers[part.labels]
    else:
        labels = np.zeros((len(part), len(label_set)), part.labels.dtype)
        for column, number in enumerate(numbers):
            if number >= 0:
                labels[:, number] += part.labels[:, column]
    return dataclasses.replace(
        part, labels=labels, label_set=label_set, skipped=(*faces.skipped, *gone)
    )


def present(faces):
    """Return faces whose label set has the classes only that occur among them."""
    there = [name for name, count in faces.class_counts().items() if count]
    if len(there) < 2:
        raise ValueError(
            f"{faces.name} must hold faces of two classes or more; it has {', '.join(there)} only."
        )
    if len(there) == len(faces.label_set):
        return faces
    return _restrict(faces, emotions.in_known_order(there), "")


def whole_set(parts, name):
    """Join the splits of one data set.

    Args:
        parts: Dict of `Faces`, as `catalogue.load_dataset` returns it.
        name: What the faces are called.

    Returns:
        `Faces` with the images, labels, ids and, where all have them, groups of all of them.
    """
    faces = list(parts.values())
    columns = {
        field: np.concatenate([getattr(part, field) for part in faces])
        for field in ("images", "labels", "ids", "groups")
        if all(getattr(part, field) is not None for part in faces)
    }
    return dataclasses.replace(faces[0], **{"groups": None} | columns, usage=None, name=name)


def mix(*sources, name=None):
    """Join data sets over the emotions that all of them have.

    Each source's splits stay what they are. A face of one source that is identical to one of
    another source's later split (train before validation before test) is left out, so that
    FER-2013 and FER+, say, can be joined without leaks. What is left out is in `Faces.skipped`.

    Args:
        *sources: Two or more dicts of `Faces`, as `load_dataset` returns them, of one image size.
            Votes stay votes; where only some sources have votes, the others' labels become
            one-hot rows.
        name: What the mixture is called. Defaults to the sources' names joined by `" + "`.

    Returns:
        Dict of `Faces` with the keys of the sources. `ids` and `groups` begin with the source's
        name; a face without a group is a group of its own.

    Raises:
        ValueError: If image sizes or splits differ or fewer than two emotions are shared.
    """
    if len(sources) < 2:
        raise ValueError(f"mix needs two data sets or more; got {len(sources)}.")
    names = _unique([_source_name(parts) for parts in sources])
    for parts, called in zip(sources, names, strict=True):
        _check_fits(parts, called, sources[0], names[0])
    label_set = next(iter(sources[0].values())).label_set
    others = [set(next(iter(parts.values())).label_set) for parts in sources[1:]]
    shared = emotions.in_known_order([e for e in label_set if all(e in other for other in others)])
    if len(shared) < 2:
        raise ValueError(
            f"{' and '.join(names)} must share two emotions or more; shared: {shared}."
        )
    sources = [
        {
            s: _restrict(faces, shared, "is no class of all the sources")
            for s, faces in parts.items()
        }
        for parts in sources
    ]
    sources = _without_later_duplicates(sources)
    mixed = name or " + ".join(names)
    return {
        split: _join([parts[split] for parts in sources], names, f"{mixed}: {split}")
        for split in sources[0]
    }


def leaving_out(sources, left_out):
    """Join data sets for a test on one of them, whose faces are all in test.

    Of the others train and validation are joined, as by `mix`; their test faces stay unused.

    Args:
        sources: `{name: dict of Faces}` of two or more data sets.
        left_out: Name of the one to test on.

    Returns:
        Dict of `Faces` of the emotions that all of them have.
    """
    parts = {name: dict(faces) for name, faces in sources.items()}
    for name, faces in parts.items():
        if name == left_out:
            whole = whole_set(faces, f"{name}, left out of training")
            parts[name] = {split: whole if split == "test" else whole[:0] for split in faces}
        else:
            faces["test"] = faces["test"][:0]
    joined = mix(*parts.values(), name=" + ".join(name for name in parts if name != left_out))
    called = parts[left_out]["test"].name
    return joined | {"test": dataclasses.replace(joined["test"], name=called)}


def _source_name(parts):
    """Return what the names of a data set's splits have in common."""
    names = [re.sub(r"^\d+ % of ", "", faces.name) for faces in parts.values()]
    prefix = os.path.commonprefix(names)
    whole = prefix if prefix in names else prefix.rpartition(" ")[0]
    return whole.rstrip(" :(") or names[0]


def _unique(names):
    return [
        name if names.count(name) == 1 else f"{name} ({place})"
        for place, name in enumerate(names, start=1)
    ]


def _check_fits(parts, name, first, first_name):
    if set(parts) != set(first):
        raise ValueError(
            f"{name} must have the splits of {first_name} {tuple(first)}; it has {tuple(parts)}."
        )
    sizes = {faces.images.shape[1:] for faces in [*parts.values(), *first.values()]}
    if len(sizes) > 1:
        raise ValueError(
            f"{name} and {first_name} must have faces of one size; got "
            f"{' and '.join(' x '.join(map(str, size)) for size in sorted(sizes))} pixels."
        )


def _without_later_duplicates(sources):
    """Leave out of each split what is identical to a face in a later split of another source."""
    later = [set() for _ in sources]
    kept = [{} for _ in sources]
    for split in reversed(list(sources[0])):
        hashes = [[_digest(image) for image in parts[split].images] for parts in sources]
        for place, parts in enumerate(sources):
            elsewhere = set().union(*(later[o] for o in range(len(sources)) if o != place))
            keep = np.array([image not in elsewhere for image in hashes[place]], bool)
            faces = parts[split]
            reason = "is identical to a face in a later split of another source"
            gone = tuple(f"{face}: {reason}" for face in faces.ids[~keep])
            part = faces if keep.all() else faces[np.flatnonzero(keep)]
            kept[place][split] = dataclasses.replace(part, skipped=faces.skipped + gone)
        for place, images in enumerate(hashes):
            later[place].update(images)
    return [{split: parts[split] for split in sources[0]} for parts in kept]


def _digest(image):
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _join(parts, names, name):
    votes = any(faces.labels.ndim == 2 for faces in parts)
    grouped = any(faces.groups is not None for faces in parts)
    return Faces(
        np.concatenate([faces.images for faces in parts]),
        np.concatenate([faces.targets if votes else faces.labels for faces in parts]),
        parts[0].label_set,
        groups=np.concatenate([_groups(f, n) for f, n in zip(parts, names, strict=True)])
        if grouped
        else None,
        ids=np.concatenate([_prefixed(f.ids, n) for f, n in zip(parts, names, strict=True)]),
        name=name,
        skipped=[f"{n} {r}" for f, n in zip(parts, names, strict=True) for r in f.skipped],
        notes=[f"{n}: {r}" for f, n in zip(parts, names, strict=True) for r in f.notes],
    )


def _groups(faces, name):
    if faces.groups is None:
        return _prefixed(faces.ids, f"{name} #")
    return _prefixed(faces.groups, name)


def _prefixed(values, name):
    return np.array([f"{name}: {value}" for value in values.tolist()], dtype=str)
