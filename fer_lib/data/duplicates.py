"""Duplicates: identical images, and images that differ by mirroring, a small shift or copying loss.

All pairs are compared by a perceptual hash, in blocks of one matrix product each; what comes near
is confirmed by its pixels.
"""

import functools
import hashlib
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from tokenize import TokenError

import numpy as np

from fer_lib import storage
from fer_lib.data.faces import grey
from fer_lib.screen import progress

# On FER-2013 the best correlation of pairs has its minimum between different photographs and
# copies at 0.91 to 0.92; of 56 random pairs each, 3 in [0.92, 0.93), 1 in [0.93, 0.94) and none
# in [0.94, 0.95) showed two photographs.
THRESHOLD = 0.93
SHIFT = 2  # pixels

_BLANK = 2.0  # grey levels of standard deviation below which an image shows nothing
_HASH_SIDE = 8
_HASH_THRESHOLD = 0.9  # passes 99.5 % of FER-2013's pairs that correlate by 0.92 or more
_SMALLEST = 16  # pixels; below, two pixels of shift are another image
_BLOCK = 512
_SIDE = 48  # pixels of the faces that the thresholds were found on
_VERSION = "1"  # of what near-duplicates are; kept answers of another one are not used


def duplicate_groups(images):
    """Number the groups of exactly identical images.

    Args:
        images: `uint8` array of shape `(n, height, width)` or `(n, height, width, 3)`.

    Returns:
        `int64` array of shape `(n,)`: equal where the images are equal, numbered from 0 in order
        of first appearance.
    """
    numbers = {}
    digests = (hashlib.blake2b(np.ascontiguousarray(image), digest_size=16) for image in images)
    groups = [numbers.setdefault(digest.digest(), len(numbers)) for digest in digests]
    return np.array(groups, dtype=np.int64)


def near_duplicate_groups(images, *, threshold=THRESHOLD):
    """Number the groups of images that are the same picture.

    A group is closed: the near-duplicates of its images, and theirs, are in it. The answer is
    kept under FER_HOME/cache, for it takes seconds for tens of thousands of images.

    Args:
        images: `uint8` array of shape `(n, height, width)` or `(n, height, width, 3)`.
        threshold: See `near_duplicate_pairs`.

    Returns:
        `int64` array of shape `(n,)`: equal within a group, numbered from 0 in order of first
        appearance.
    """
    images = np.ascontiguousarray(images)
    key = hashlib.sha256(f"{_VERSION} {threshold} {images.shape}".encode())
    key.update(images)
    path = storage.fer_home() / "cache" / f"near-duplicates-{key.hexdigest()[:32]}.npy"
    groups = _load(path, len(images))
    if groups is None:
        groups = join(len(images), near_duplicate_pairs(images, threshold=threshold)[0])
        _save(path, groups)
    return groups


def _load(path, n):
    """Return kept groups, or `None` where there are none that fit."""
    try:
        groups = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, TokenError):  # TokenError: of a damaged header
        return None
    return groups if groups.shape == (n,) and groups.dtype == np.int64 else None


def _save(path, groups):
    try:
        with storage.replacing(path) as temporary, open(temporary, "wb") as file:
            np.save(file, groups)
    except OSError as error:
        warnings.warn(f"Near-duplicates could not be kept in {path} ({error}).", stacklevel=3)


def join(n, pairs):
    """Number the connected components of a graph.

    Args:
        n: Number of nodes.
        pairs: Integer array of shape `(m, 2)`: the edges.

    Returns:
        `int64` array of shape `(n,)`, numbered from 0 in order of first appearance.
    """
    from scipy import sparse

    edges = (np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1]))
    graph = sparse.coo_matrix(edges, shape=(n, n))
    component = sparse.csgraph.connected_components(graph, directed=False)[1]
    _, first, number = np.unique(component, return_index=True, return_inverse=True)
    return first.argsort().argsort()[number].astype(np.int64)


def near_duplicate_pairs(images, *, threshold=THRESHOLD):
    """Find the pairs of images that are the same picture.

    Two images are one picture if their pixels correlate by `threshold` at the best of mirrorings
    and shifts of up to 2 pixels; brightness and contrast do not matter.

    The hash of an image is its 8 x 8 lowest cosine coefficients without the mean, scaled to unit
    length (after Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions,
    2010, without rounding to signs). Mirroring negates the coefficients of odd horizontal
    frequency, so one product of the even and one of the odd parts compare an image with another
    and with its mirror image. Comparing it shifted by one pixel along both diagonals leaves at
    most one pixel of two unaccounted for, which the hash tolerates.

    Args:
        images: `uint8` array of shape `(n, height, width)` or `(n, height, width, 3)`, at least 16
            pixels a side: of smaller ones only identical images are found. Colour is compared as
            grey, and sides of 96 pixels or more are averaged to fewer first. Blank images
            (standard deviation below 2 grey levels) equal identical ones only: nothing in them
            could correlate.
        threshold: Smallest correlation of a pair, in (0, 1]. Of pairs below 0.9 the hash passes
            some only.

    Returns:
        `(pairs, correlation)`: `int64` array of shape `(m, 2)`, `pairs[:, 0] < pairs[:, 1]`,
        and `float32` array of shape `(m,)`. Of identical images each is paired with the first
        one, at correlation 1, and only the first with others.

    Raises:
        ValueError: If the threshold is out of range.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie in (0, 1]; got {threshold!r}.")
    images = np.asarray(images)
    groups = duplicate_groups(images)
    firsts = np.unique(groups, return_index=True)[1]
    copies = np.setdiff1d(np.arange(len(images)), firsts)
    exact = np.stack([firsts[groups[copies]], copies], axis=1)
    if min(images.shape[1:3]) < _SMALLEST:
        return exact, np.ones(len(exact), np.float32)
    distinct = _small(images if len(firsts) == len(images) else images[firsts])
    candidates = _candidates(distinct)
    correlation = _correlations(distinct, candidates)
    near = correlation >= threshold
    pairs = np.concatenate([exact, firsts[candidates[near]]])
    correlation = np.concatenate([np.ones(len(exact), np.float32), correlation[near]])
    order = np.lexsort(pairs.T[::-1])
    return pairs[order], correlation[order]


def _small(images):
    """Return images grey and, where they are large, averaged to 48 to 95 pixels a side.

    The thresholds were found at 48 pixels, and larger ones would need their square of time.
    """
    images = grey(images)
    fold = min(images.shape[1:]) // _SIDE
    if fold < 2:
        return images
    height, width = (side // fold * fold for side in images.shape[1:])
    small = np.empty((len(images), height // fold, width // fold), np.uint8)
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK, :height, :width]
        parts = block.reshape(len(block), height // fold, fold, width // fold, fold)
        small[start : start + _BLOCK] = np.rint(parts.mean(axis=(2, 4)))
    return small


def _candidates(images):
    """Return the pairs whose hashes come near, `int64` of shape `(m, 2)`."""
    starts = range(0, len(images), _BLOCK)
    spread = [images[start : start + _BLOCK].std(axis=(1, 2)) for start in starts]
    shown = np.flatnonzero(np.concatenate([np.empty(0), *spread]) >= _BLANK)
    pictures = images if len(shown) == len(images) else images[shown]
    still = _hashes(pictures, 0, 0)
    moved = [_hashes(pictures, y, x) for y in (-1, 1) for x in (-1, 1)]
    starts = range(0, len(shown), _BLOCK)
    found = _in_threads(lambda start: _near_rows(start, still, moved), starts, "comparing images")
    return shown[np.concatenate([np.empty((0, 2), np.int64), *found])]


def _near_rows(start, still, moved):
    """Return the pairs of one block of hashes and those from there on."""
    even, odd = still
    rows, found = slice(start, start + _BLOCK), [np.empty((0, 2), np.int64)]
    for column in range(start, len(even), _BLOCK):
        columns, best = slice(column, column + _BLOCK), None
        for moved_even, moved_odd in moved:
            similarity = moved_odd[rows] @ odd[columns].T
            np.abs(similarity, out=similarity)
            similarity += moved_even[rows] @ even[columns].T
            best = similarity if best is None else np.maximum(best, similarity, out=best)
        left, right = np.divmod(np.flatnonzero(best >= _HASH_THRESHOLD), best.shape[1])
        pairs = np.stack([left + start, right + column], axis=1)
        found.append(pairs[pairs[:, 0] < pairs[:, 1]])
    return np.concatenate(found)


def _in_threads(function, items, label):
    """Map a function of NumPy over items, one thread a core."""
    from threadpoolctl import threadpool_limits

    # Small products are quicker side by side than each on all cores, above all on a busy machine.
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(function, items)
        return list(progress(done, label, total=len(items)))


def _hashes(images, y, x):
    """Return the even and the odd part of the hashes of images moved by `(y, x)` pixels."""
    down, across = (_lowest_cosines(*line) for line in zip(images.shape[1:], (y, x), strict=True))
    lowest = np.empty((len(images), _HASH_SIDE, _HASH_SIDE), np.float32)
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK].astype(np.float32)
        lowest[start : start + _BLOCK] = down @ (block @ across.T)
    lowest[:, 0, 0] = 0
    lowest /= np.linalg.norm(lowest, axis=(1, 2), keepdims=True).clip(1e-6)
    parts = (lowest[:, :, 0::2], lowest[:, :, 1::2])
    return [part.reshape(len(images), _HASH_SIDE * _HASH_SIDE // 2) for part in parts]


@functools.cache
def _lowest_cosines(side, move):
    """Return the weights of a line's pixels in its lowest cosine coefficients once it is moved."""
    from scipy.fft import dct

    whole = dct(np.eye(side), axis=0, norm="ortho")[:_HASH_SIDE]
    places = np.clip(np.arange(side) - move, 0, side - 1)  # past the edge the edge is repeated
    return (whole @ np.eye(side)[places]).astype(np.float32)


def _correlations(images, pairs):
    """Return the correlation of each pair at its best mirroring and shift, `float32` `(m,)`."""
    blocks = [pairs[start : start + _BLOCK] for start in range(0, len(pairs), _BLOCK)]
    found = _in_threads(
        lambda some: _best_correlations(*images[some.T]), blocks, "confirming pairs"
    )
    return np.concatenate([np.empty(0, np.float32), *found]).clip(max=1)


def _best_correlations(left, right):
    """Do so for the images of each side, `uint8` `(m, height, width)`."""
    left, right = left.astype(np.float32), right.astype(np.float32)
    height, width = (side - 2 * SHIFT for side in left.shape[1:])
    centre = left[:, SHIFT:-SHIFT, SHIFT:-SHIFT]
    centre = centre - centre.mean(axis=(1, 2), keepdims=True)
    centre /= np.linalg.norm(centre, axis=(1, 2), keepdims=True).clip(1e-6)
    # The mean of the centre is 0, so of each window only its spread needs to be known.
    sums, squares = _window_sums(right, height, width), _window_sums(right**2, height, width)
    spread = np.sqrt((squares - sums**2 / (height * width)).clip(1e-6)).astype(np.float32)
    best = np.full(len(left), -1, np.float32)
    for ours in (centre, np.ascontiguousarray(centre[:, :, ::-1])):
        for y, x in np.ndindex(2 * SHIFT + 1, 2 * SHIFT + 1):
            products = np.einsum("nyx,nyx->n", ours, right[:, y : y + height, x : x + width])
            np.maximum(best, products / spread[:, y, x], out=best)
    return best


def _window_sums(images, height, width):
    """Return the sums over every window of a size, `float64` `(n, rows, columns)`."""
    total = np.pad(images.astype(np.float64).cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    rows = total[:, height:] - total[:, :-height]
    return rows[:, :, width:] - rows[:, :, :-width]
