"""Mixing: training faces blended with one another, and their targets with them.

To add a way: one function in `MIXING`.
"""

import numpy as np

from fer_lib.choices import lookup

CHUNK = 512  # faces at a time: as float32 they stay within a processor's cache


def mixup(faces, others, shares, generator):
    """Blend faces as wholes. Zhang et al. 2018, arXiv:1710.09412, equation 2.

    Args:
        faces, others: `uint8` `(n, height, width)`.
        shares: `float32` `(n,)` in [0, 1]: how much of a face stays.
        generator: NumPy generator; not used.

    Returns:
        `(faces, shares)` of the mixed faces, of the same shapes and dtypes.
    """
    kept = shares[:, None, None]
    mixed = faces * kept + others * (1 - kept)
    return np.rint(mixed).astype(np.uint8), shares


def cutmix(faces, others, shares, generator):
    """Put a rectangle of the other face into each. Yun et al. 2019, arXiv:1905.04899, section 3.2.

    Args:
        faces, others: `uint8` `(n, height, width)`.
        shares: `float32` `(n,)` in [0, 1]: how much of a face stays, before its rectangle is cut
            at the border.
        generator: NumPy generator that places the rectangles.

    Returns:
        `(faces, shares)` of the mixed faces; the shares are those of the pixels that stayed.
    """
    inside = True
    for axis, side in ((1, faces.shape[1]), (2, faces.shape[2])):
        length = np.rint(side * np.sqrt(1 - shares))
        start = generator.integers(side, size=len(faces)) - length // 2
        places = np.arange(side) - start[:, None]
        within = (places >= 0) & (places < length[:, None])
        inside = inside & np.expand_dims(within, 3 - axis)
    return np.where(inside, others, faces), 1 - inside.mean(axis=(1, 2), dtype=np.float32)


MIXING = {"mixup": mixup, "cutmix": cutmix}


def mix(way, faces, targets, weights, *, alpha, generator):
    """Mix each face of an epoch with another one.

    Args:
        way: Key of `MIXING`.
        faces: `uint8` `(n, height, width)`.
        targets: `float32` `(n, classes)`, rows summing to 1.
        weights: `float32` `(n,)`, or `None`.
        alpha: Both parameters of the beta distribution of the shares: near 0 leaves most faces
            nearly whole, 1 draws every share alike.
        generator: NumPy generator.

    Returns:
        `(faces, targets, weights)` of the mixed faces.

    Raises:
        ValueError: If the way is unknown.
    """
    blend = lookup(MIXING, way, "mixing")
    partners = generator.permutation(len(faces))
    shares = generator.beta(alpha, alpha, len(faces)).astype(np.float32)
    mixed = np.empty_like(faces)
    for start in range(0, len(faces), CHUNK):
        part = slice(start, start + CHUNK)
        mixed[part], shares[part] = blend(
            faces[part], faces[partners[part]], shares[part], generator
        )
    targets = shares[:, None] * targets + (1 - shares[:, None]) * targets[partners]
    if weights is not None:
        weights = shares * weights + (1 - shares) * weights[partners]
    return mixed, targets, weights
