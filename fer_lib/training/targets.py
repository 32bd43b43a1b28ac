"""Targets: what a classifier is fitted to, and how much each face counts."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from fer_lib.evaluation import calibration

CLASS_WEIGHTS = (None, "balanced")


def class_weights(targets):
    """Return one weight per face: inverse class frequency, 1 on average.

    A class that has less than one face's share of the targets counts as one face.

    Args:
        targets: `float32` `(n, classes)`, rows summing to 1.

    Returns:
        `float32` `(n,)`.
    """
    counts = targets.sum(axis=0)
    per_class = np.where(counts > 0, counts.sum() / (len(counts) * np.maximum(counts, 1)), 0)
    return (targets @ per_class).astype(np.float32)


def smooth(targets, share):
    """Return targets of which a share is spread evenly over all classes.

    Szegedy et al. 2016, arXiv:1512.00567, section 7.

    Args:
        targets: `float32` `(n, classes)`, rows summing to 1.
        share: In [0, 1).
    """
    return targets * np.float32(1 - share) + np.float32(share / targets.shape[1])


def align(targets, ids, wanted):
    """Return other targets of the same faces in the order of these, 0 where there are none.

    A row of zeros has no cross-entropy: what is not known is not learned.

    Args:
        targets: `float32` `(m, classes)`, rows summing to 1.
        ids: Array `(m,)`: which face each row is of.
        wanted: Array `(n,)`: the faces to return rows of.

    Returns:
        `float32` `(n, classes)`.

    Raises:
        ValueError: If less than half of the faces have other targets.

    >>> align(np.eye(2, dtype="float32"), np.array([5, 3]), np.array([3, 4, 5])).tolist()
    [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    """
    places = {face: place for place, face in enumerate(ids.tolist())}
    found = np.array([places.get(face, -1) for face in wanted.tolist()])
    if (found < 0).mean() > 0.5:
        raise ValueError(
            f"auxiliary labels must be of the same faces: {(found >= 0).sum()} of {len(wanted)} "
            "training faces have them."
        )
    return np.where(found[:, None] >= 0, targets[found], 0).astype(np.float32)


def joint_crossentropy(classes):
    """Return the loss of a model with two outputs side by side: the sum of theirs.

    Args:
        classes: Columns of the first output; the others are the second's.
    """
    crossentropy = keras.losses.CategoricalCrossentropy()

    def joint(targets, answers):
        first = crossentropy(targets[:, :classes], answers[:, :classes])
        return first + crossentropy(targets[:, classes:], answers[:, classes:])

    return joint


def first_accuracy(classes):
    """Return the metric `accuracy` of the first `classes` columns."""

    def accuracy(targets, answers):
        first = targets[:, :classes], answers[:, :classes]
        return keras.metrics.categorical_accuracy(*first)

    return keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")


def distill(targets, probabilities, *, weight, temperature):
    """Mix what teachers answer into the targets: knowledge distillation.

    Hinton et al. 2015, arXiv:1503.02531, whose two losses are one here, since the cross-entropy
    is linear in its target. The student's own temperature stays 1.

    Args:
        targets: `float32` `(n, classes)`, rows summing to 1.
        probabilities: The teachers' mean answer, `(n, classes)`, columns in the same order.
        weight: Share of the teachers, in [0, 1].
        temperature: Of the teachers' answer; above 1 makes it more even.

    Returns:
        `float32` `(n, classes)`, rows summing to 1.
    """
    softened = calibration.apply_temperature(probabilities, temperature).astype(np.float32)
    return np.float32(1 - weight) * targets + np.float32(weight) * softened


class Teaching(NamedTuple):
    """Teachers who answer, in every epoch, about the very faces that the model sees.

    Beyer et al. 2022, arXiv:2106.05237: a student learns most where both see the same picture,
    mixed and augmented, and for long.

    Args:
        ask: Function from `uint8` faces to the teachers' mean answer, `(n, classes)`.
        weight, temperature: See `distill`.
    """

    ask: Callable
    weight: float
    temperature: float

    def mix(self, targets, faces):
        """Return targets of these faces with the teachers' answers mixed in.

        Args:
            targets: `float32` `(n, k)`, their first columns the classes that teachers tell apart;
                others stay.
            faces: `uint8` `(n, height, width)` or `(n, height, width, 3)`.
        """
        answers = self.ask(faces)
        classes = answers.shape[1]
        first = distill(
            targets[:, :classes], answers, weight=self.weight, temperature=self.temperature
        )
        return np.concatenate([first, targets[:, classes:]], axis=1)
