"""Test-time augmentation: the mean of a classifier's answers to several views of a face.

To add a set of views: one entry in `VIEWS`, a function from faces to the list of their views.
"""

import numpy as np

from fer_lib.choices import lookup


def _as_it_is(images):
    return [images]


def _flip(images):
    return [images, images[:, :, ::-1]]


def _flip_crops(images):
    """Return ten views: the face and it moved towards each corner, and their mirror images."""
    height, width = images.shape[1:3]
    down, right = max(1, height // 24), max(1, width // 24)  # 2 pixels of 48
    padding = ((0, 0), (down, down), (right, right)) + ((0, 0),) * (images.ndim - 3)
    padded = np.pad(images, padding, mode="edge")
    corners = [(y, x) for y in (0, 2 * down) for x in (0, 2 * right)]
    crops = [padded[:, y : y + height, x : x + width] for y, x in [(down, right), *corners]]
    return [view for crop in crops for view in _flip(crop)]


VIEWS = {"none": _as_it_is, "flip": _flip, "flip_crops": _flip_crops}


def predict_tta(predict, images, policy="flip"):
    """Predict several views of each face and average them (test-time augmentation).

    Ten views are those of Krizhevsky et al. 2012 (sec. 4.1: centre, four corners, mirrored), here
    of faces whose edges are repeated, so that every view keeps the face's size.

    Args:
        predict: Function from `uint8` faces to probabilities `(n, classes)`, such as
            `Predictor.predict` or `functools.partial(model.predict, verbose=0)`.
        images: `uint8` array of shape `(n, height, width)`, values 0 to 255.
        policy: Key of `VIEWS`: `"none"`, `"flip"` (the face and its mirror image) or
            `"flip_crops"` (ten views). Prediction takes so many times longer.

    Returns:
        Float array of shape `(n, classes)`, rows summing to 1.

    Raises:
        ValueError: If the policy is unknown, or images are no faces.
    """
    make_views, images = lookup(VIEWS, policy, "test-time augmentation"), np.asarray(images)
    if images.dtype != np.uint8 or images.ndim < 3:
        raise ValueError(
            "images must be uint8 of shape (n, height, width); "
            f"got {images.dtype} of shape {images.shape}."
        )
    views = make_views(images)
    # A mirrored view has negative strides, which not every reader of arrays takes.
    return sum(np.asarray(predict(np.ascontiguousarray(view))) for view in views) / len(views)
