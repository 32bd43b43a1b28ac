"""What a data set looks like in numbers: for the figures of `plots.data`, without a model.

To add a map of faces: write `name(rows, seed) -> float array (n, 2)` and put it in `EMBEDDINGS`.
"""

import numpy as np

from fer_lib import emotions
from fer_lib.choices import lookup
from fer_lib.data import duplicates
from fer_lib.data.datasets import ferplus
from fer_lib.data.faces import grey

# FER+'s emotions in FER-2013's order, so that a matrix of the two has its agreement on a diagonal.
VOTED = (*emotions.FER7, "contempt")

_BLOCK = 1024  # faces whose float copies are held at once


def mean_faces(faces):
    """Return the mean picture of each class.

    Args:
        faces: `Faces`.

    Returns:
        `{emotion: uint8 array of a face's shape}` of the classes that have faces.
    """
    classes = faces.classes
    return {
        emotion: np.rint(faces.images[classes == number].mean(axis=0)).astype(np.uint8)
        for number, emotion in enumerate(faces.label_set)
        if (classes == number).any()
    }


def intensity(images):
    """Return the mean grey level of each image.

    Args:
        images: `uint8` array of shape `(n, height, width)` or `(n, height, width, 3)`.

    Returns:
        `float64` array of shape `(n,)`, 0 (black) to 255 (white).
    """
    return grey(np.asarray(images)).mean(axis=(1, 2))


def sharpness(images):
    """Return the variance of the Laplacian of each image: low where it is blurred.

    It grows with contrast and noise too, and compares images of one size only (Pech-Pacheco et
    al., Diatom autofocusing in brightfield microscopy, 2000,
    https://doi.org/10.1109/ICPR.2000.903548).

    Args:
        images: `uint8` array of shape `(n, height, width)` or `(n, height, width, 3)`.

    Returns:
        `float64` array of shape `(n,)`, squared grey levels.
    """
    from scipy import ndimage

    images, values = grey(np.asarray(images)), np.empty(len(images))
    kernel = ndimage.generate_binary_structure(2, 1).astype(np.float32)
    kernel[1, 1] = -4
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK].astype(np.float32)
        edges = ndimage.correlate(block, kernel[None], mode="nearest")
        values[start : start + _BLOCK] = edges.var(axis=(1, 2))
    return values


def by_class(values, faces):
    """Return `{emotion: values of its faces}` of the classes that have faces."""
    classes = faces.classes
    return {
        emotion: values[classes == number]
        for number, emotion in enumerate(faces.label_set)
        if (classes == number).any()
    }


def duplicate_counts(parts):
    """Count the faces that have a copy, within each split and across splits.

    Args:
        parts: Dict of `Faces` with some of the keys `"train"`, `"validation"` and `"test"`.

    Returns:
        `{"identical": {…}, "identical or near": {…}}`, each with the keys `"within <split>"`
        (faces beyond the first of each picture) and `"<split> in <other>"` (faces of the split
        whose picture stands in the other one as well). What is near, see
        `duplicates.near_duplicate_pairs`.
    """
    counts = {}
    for kind, number in (
        ("identical", duplicates.duplicate_groups),
        ("identical or near", duplicates.near_duplicate_groups),
    ):
        counts[kind] = {
            f"within {split}": len(faces) - len(np.unique(number(faces.images)))
            for split, faces in parts.items()
        }
        for part, other in (("test", "train"), ("validation", "train"), ("test", "validation")):
            if part in parts and other in parts:
                # Of these two alone: a third split would link faces that are not alike.
                both = np.concatenate([parts[part].images, parts[other].images])
                ours, theirs = np.split(number(both), [len(parts[part])])
                counts[kind][f"{part} in {other}"] = int(np.isin(ours, theirs).sum())
    return counts


def find_votes(dataset):
    """Return FER-2013's faces beside FER+'s votes for them, where both are on disk.

    Args:
        dataset: Key of `catalogue.DATASETS` or a path: only FER-2013's faces have votes.

    Returns:
        `(faces, votes, notice)`: `Faces` with FER-2013's labels, without the rows that FER+ gives
        no image name (no faces); `int64` array of shape `(n, 10)` in the order of
        `ferplus.COLUMNS`; and a sentence that names the file and its hash. `(None, None, notice)`
        where there are none, or the rows of the two files do not belong together: the sentence
        says why.
    """
    if dataset not in ("fer2013", "ferplus"):
        return None, None, f"{dataset} has no votes: FER+'s taggers saw FER-2013's faces only."
    try:
        faces, votes, named, version = ferplus.read_joined()
    except (FileNotFoundError, ValueError) as error:
        reason = " ".join(str(error).splitlines())
        return None, None, f"There are no votes to compare. {reason}"
    keep = np.flatnonzero(named[faces.ids])
    return faces[keep], votes[faces.ids[keep]], f"{len(keep):,} faces have votes {version}."


def voted(votes):
    """Return the emotion that more than half of the taggers who count agree on.

    FER+'s majority protocol (Barsoum et al. 2016, https://arxiv.org/abs/1608.01041): single votes
    count as none.

    Args:
        votes: Integer array of shape `(n, 10)` in the order of `ferplus.COLUMNS`.

    Returns:
        `int64` array of shape `(n,)`: places in `VOTED`, -1 where there is no such emotion.
    """
    labels, _ = ferplus.majority(np.where(votes <= 1, 0, votes))
    # The last entry is where -1 points to.
    return np.append(emotions.translate(emotions.FERPLUS8, VOTED), -1)[labels]


def vote_entropy(votes):
    """Return how much the taggers disagree on each face.

    Args:
        votes: Array of shape `(n, columns)`, not negative, each row with a positive sum.

    Returns:
        `float64` array of shape `(n,)`: Shannon entropy in bits, 0 where all agree and log2 of
        the number of columns at most.
    """
    from scipy.stats import entropy

    return entropy(np.asarray(votes, float), base=2, axis=1)


def agreement(first, second, shape):
    """Count faces by two labels.

    Args:
        first: Integer array of shape `(n,)`, values in `[0, shape[0])`.
        second: Integer array of shape `(n,)`, values in `[-1, shape[1] - 1)`; -1, no label, is
            counted in the last column.
        shape: `(rows, columns)` of the matrix.

    Returns:
        `int64` array of that shape.
    """
    counts = np.zeros(shape, np.int64)
    np.add.at(counts, (first, second), 1)
    return counts


def embedding(images, method="pca", *, seed=0):
    """Place faces on a plane so that similar pictures lie near one another.

    Each face is first freed of its brightness and contrast.

    Args:
        images: `uint8` array of shape `(n, height, width)`, n at least 3; a few thousand at most
            for `"tsne"`.
        method: Key of `EMBEDDINGS`.
        seed: Seed of the methods that draw numbers.

    Returns:
        Float array of shape `(n, 2)`, in units without meaning.
    """
    place = lookup(EMBEDDINGS, method, "embedding")
    if len(images) < 3:
        raise ValueError(f"A map needs at least 3 faces; got {len(images)}.")
    return place(standardised(images), seed)


def standardised(images):
    """Return each image as a row of mean 0 and standard deviation 1, `float32`.

    A blank image becomes zeros.
    """
    rows = np.asarray(images).reshape(len(images), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    return rows / np.maximum(rows.std(axis=1, keepdims=True), 1)


def pca(rows, seed):
    """Project on the two directions of largest variance."""
    from sklearn.decomposition import PCA

    return PCA(2, svd_solver="randomized", random_state=seed).fit_transform(rows)


def tsne(rows, seed):
    """Keep near neighbours together (van der Maaten & Hinton 2008), from 50 components."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    components = min(50, *rows.shape)
    reduced = PCA(components, svd_solver="randomized", random_state=seed).fit_transform(rows)
    perplexity = min(30, (len(rows) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)


EMBEDDINGS = {"pca": pca, "tsne": tsne}
