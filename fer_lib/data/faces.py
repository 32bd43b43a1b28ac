"""Faces: the one data structure between files on disk and models."""

import dataclasses
import functools
import hashlib
import html

import numpy as np

_BLOCK = 1024  # pictures whose wider copies are held at once


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Faces:
    """Face crops with their labels.

    Immutable, its arrays read-only; `faces[index]` takes a slice, a mask or indices and returns
    the same kind of object.

    Args:
        images: `uint8` array of shape `(n, height, width)`, grey, or `(n, height, width, 3)`, RGB;
            values 0 to 255.
        labels: Integer array of shape `(n,)` with values in `[0, len(label_set))`, or `float32`
            array of shape `(n, len(label_set))`: votes or a distribution, not negative, each
            row with a positive sum.
        label_set: Emotion names in the order of the class numbers.
        groups: Optional array of shape `(n,)`: faces of one group (a subject, a sequence) must
            stay on one side of a split.
        ids: Array of shape `(n,)`: where each face came from (row number or file name).
            Defaults to `0 … n - 1`.
        usage: Optional string array of shape `(n,)`: the source's own split names.
        name: What the faces are called in tables and figure titles.
        skipped: Reasons, one string per source row that could not be used.
        notes: How the source was read, one sentence each: what was taken for what.

    Raises:
        ValueError: If shapes, dtypes or ranges do not fit.
    """

    images: np.ndarray
    labels: np.ndarray
    label_set: tuple
    groups: np.ndarray | None = None
    ids: np.ndarray | None = None
    usage: np.ndarray | None = None
    name: str = "faces"
    skipped: tuple = ()
    notes: tuple = ()

    def __post_init__(self):
        put = functools.partial(object.__setattr__, self)
        put("label_set", tuple(self.label_set))
        put("skipped", tuple(self.skipped))
        put("notes", tuple(self.notes))
        if self.ids is None:
            put("ids", np.arange(len(self.images)))
        for field in ("labels", "groups", "ids", "usage"):
            if getattr(self, field) is not None:
                put(field, np.asarray(getattr(self, field)))
        self._validate()
        for field in ("images", "labels", "groups", "ids", "usage"):
            if getattr(self, field) is not None:
                put(field, _read_only(getattr(self, field)))

    def _validate(self):
        images, labels, classes = self.images, self.labels, len(self.label_set)
        check_images(images)
        if labels.ndim == 1:
            if not np.issubdtype(labels.dtype, np.integer):
                raise ValueError(f"labels must be integers; got {labels.dtype}.")
            wrong = np.flatnonzero((labels < 0) | (labels >= classes))
        elif labels.shape[1:] == (classes,):
            sums = labels.sum(axis=1)
            wrong = np.flatnonzero((labels < 0).any(axis=1) | ~(sums > 0) | np.isinf(sums))
        else:
            raise ValueError(
                f"votes must have one column per class ({classes}); got shape {labels.shape}."
            )
        if wrong.size:
            raise ValueError(
                f"labels must fit the {classes} classes {self.label_set}; row {wrong[0]} holds "
                f"{labels[wrong[0]]} ({wrong.size} such rows)."
            )
        for field in ("labels", "groups", "ids", "usage"):
            value = getattr(self, field)
            if value is not None and len(value) != len(images):
                raise ValueError(f"{field} has {len(value)} entries for {len(images)} images.")

    def __len__(self):
        return len(self.images)

    def __repr__(self):
        counts = ", ".join(f"{name} {count:,}" for name, count in self.class_counts().items())
        return f"Faces({self.name!r}: {self._summary()}; {counts})"

    def _repr_html_(self):
        return Splits({"faces": self})._repr_html_()

    def _summary(self):
        height, width = self.images.shape[1:3]
        kind = "colour" if self.images.ndim == 4 else "grey"
        votes = ", with votes" if self.labels.ndim == 2 else ""
        return f"{len(self):,} {kind} faces of {height} x {width} pixels{votes}"

    def __getitem__(self, index):
        if isinstance(index, (int, np.integer)):
            index = [index]
        parts = {
            field: value[index]
            for field in ("images", "labels", "groups", "ids", "usage")
            if (value := getattr(self, field)) is not None
        }
        return dataclasses.replace(self, **parts)

    @property
    def classes(self):
        """`int64` array of shape `(n,)`: the class of each face (of votes, the most voted)."""
        return (self.labels if self.labels.ndim == 1 else self.labels.argmax(1)).astype(np.int64)

    @property
    def targets(self):
        """`float32` array of shape `(n, classes)`, rows summing to 1: what training fits."""
        if self.labels.ndim == 1:
            return np.eye(len(self.label_set), dtype=np.float32)[self.labels]
        return (self.labels / self.labels.sum(axis=1, keepdims=True)).astype(np.float32)

    def examples(self, per_class, seed=0):
        """Return up to `per_class` faces of each class, drawn with a seed, class after class."""
        generator = np.random.default_rng(seed)
        order = generator.permutation(len(self))
        places = [order[self.classes[order] == c][:per_class] for c in range(len(self.label_set))]
        return self[np.concatenate(places)]

    def resized(self, face_size):
        """Return the faces as a classifier takes them, under a name that says so.

        Where they have that form they stay as they are.

        Args:
            face_size: `(height, width)`, grey, or `(height, width, 3)`, RGB; resizing is bilinear,
                over all the pixels that a new one covers.
        """
        (height, width), images = face_size[:2], self.images
        if len(face_size) == 2:
            images = grey(images)
        elif images.ndim == 3:
            images = np.repeat(images[..., None], 3, axis=3)
        if images.shape[1:3] != (height, width):
            from PIL import Image

            kept, bilinear = images, Image.Resampling.BILINEAR
            images = np.empty((len(kept), *face_size), np.uint8)
            for place, image in enumerate(kept):
                images[place] = Image.fromarray(image).resize((width, height), bilinear)
        if images is self.images:
            return self
        name = f"{self.name}, as {' x '.join(map(str, face_size))}"
        return dataclasses.replace(self, images=images, name=name)

    def class_counts(self):
        """Return `{emotion: number of faces}` in the order of the label set."""
        counts = np.bincount(self.classes, minlength=len(self.label_set))
        return dict(zip(self.label_set, counts.tolist(), strict=True))

    @functools.cached_property
    def content_hash(self):
        """SHA-256 (first 16 hexadecimal digits) of images, labels and label set."""
        digest = hashlib.sha256(repr((self.images.shape, self.label_set)).encode())
        digest.update(np.ascontiguousarray(self.images))
        digest.update(np.ascontiguousarray(self.labels.astype(np.float64)))
        return digest.hexdigest()[:16]


def _read_only(array):
    """Return a view that cannot be written through; the caller's own array stays as it is."""
    view = array.view()
    view.flags.writeable = False
    return view


def check_images(images):
    """Raise `ValueError` unless an array holds faces, grey or RGB."""
    shape = np.shape(images)
    if (
        not isinstance(images, np.ndarray)
        or images.dtype != np.uint8
        or (len(shape) != 3 and not (len(shape) == 4 and shape[3] == 3))
    ):
        raise ValueError(
            "images must be uint8 of shape (n, height, width) or (n, height, width, 3); got "
            f"{getattr(images, 'dtype', type(images))} of shape {shape}."
        )


def grey(images):
    """Return the grey values of pictures (ITU-R 601-2 luma, as Pillow's); grey ones as they are.

    Args:
        images: `uint8` array of shape `(n, height, width)` or `(n, height, width, 3)`.

    Returns:
        `uint8` array of shape `(n, height, width)`.
    """
    if np.ndim(images) == 3:
        return images
    grey_values = np.empty(images.shape[:3], np.uint8)
    for start in range(0, len(images), _BLOCK):
        red, green, blue = np.moveaxis(images[start : start + _BLOCK].astype(np.uint32), 3, 0)
        values = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
        grey_values[start : start + _BLOCK] = values
    return grey_values


class Splits(dict):
    """The faces of each split, `{"train", "validation", "test"}`: a dict that prints short."""

    def __repr__(self):
        lines = [f"{split}: {faces.name}, {faces._summary()}" for split, faces in self.items()]
        rows = self._table()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in rows
        ]
        return "\n".join(lines)

    def _repr_html_(self):
        lines = [
            f"<div><b>{html.escape(split)}</b>: {html.escape(faces.name)}, {faces._summary()}</div>"
            for split, faces in self.items()
        ]
        head, *body = self._table()
        cells = [
            f"<th>{html.escape(row[0])}</th>{''.join(f'<td>{cell}</td>' for cell in row[1:])}"
            for row in body
        ]
        names = "".join(f"<th>{html.escape(name)}</th>" for name in head)
        rows = "".join(f"<tr>{row}</tr>" for row in cells)
        return f"{''.join(lines)}<table><tr>{names}</tr>{rows}</table>"

    def _table(self):
        """Return rows of text: classes down, splits across, and the sums."""
        counts = [faces.class_counts() for faces in self.values()]
        classes = list(dict.fromkeys(name for count in counts for name in count))
        rows = [["class", *self]]
        rows += [[name, *(f"{count.get(name, 0):,}" for count in counts)] for name in classes]
        return [*rows, ["all", *(f"{sum(count.values()):,}" for count in counts)]]
