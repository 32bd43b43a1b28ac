"""The small trainings that the pitfalls are replayed with, asked after every epoch."""

from typing import NamedTuple

import keras
import numpy as np

from fer_lib.data import splits
from fer_lib.models import classifier
from fer_lib.screen import progress
from fer_lib.training.feed import Feed
from fer_lib.training.optimizers import SCHEDULES, build_optimizer


class Training(NamedTuple):
    """A small training that was asked for its answers after every epoch.

    Args:
        model: The classifier as the last epoch left it.
        faces: Dict of split → `Faces` it was asked about.
        probabilities: Dict of split → `float32` array of shape `(epochs, n, classes)`.
        history: `DataFrame`, one row an epoch: `epoch` (from 1), `loss`, `accuracy` and
            `<split>_accuracy`.
    """

    model: keras.Model
    faces: dict
    probabilities: dict
    history: object

    def right(self, split):
        """Return which faces of a split are recognised, `bool` `(epochs, n)`."""
        return self.probabilities[split].argmax(axis=-1) == self.faces[split].classes

    def best(self, split):
        """Return the place (from 0) of the first epoch with the best accuracy on a split."""
        return int(self.right(split).mean(axis=1).argmax())


def small_parts(parts, *, train, validation, test, seed=0):
    """Draw some faces of each split, without copies from one split to another.

    Args:
        parts: Dict of `Faces` with the keys `"train"`, `"validation"` and `"test"`.
        train, validation, test: Most faces to draw of each. Duplicates and near-duplicates are
            dropped after that: see `splits.drop_duplicates`.
        seed: Seed of the drawing.

    Returns:
        Dict of `Faces` with the same keys.
    """
    drawn = {}
    for split, count in (("train", train), ("validation", validation), ("test", test)):
        rows = np.random.default_rng(seed).permutation(len(parts[split]))[:count]
        drawn[split] = parts[split][np.sort(rows)]
    return splits.drop_duplicates(drawn)[0]


def train_network(
    faces, asked, *, epochs, seed=0, batch_size=32, learning_rate=1e-3, alter=None, **network
):
    """Train a classifier without augmentation and ask it after every epoch.

    Args:
        faces: `Faces` to train on.
        asked: Dict of split → `Faces` to predict after every epoch.
        epochs: Number of epochs; the learning rate falls to 0 over them (cosine).
        seed: Seed of the initial weights, the order and dropout.
        batch_size: Faces per step.
        learning_rate: Peak of the schedule.
        alter: Function from the classifier to the one that is trained, or `None`.
        **network: Go to `classifier.build_classifier` (`backbone`, `weights`, `unfreeze` …).

    Returns:
        A `Training`.
    """
    import pandas as pd

    keras.utils.set_random_seed(seed)
    shape = {"classes": len(faces.label_set), "face_size": faces.images.shape[1:]}
    model = classifier.build_classifier(**shape, **network)
    model = alter(model) if alter else model
    images = np.concatenate([of.images for of in asked.values()])
    feed = Feed(
        model, faces.images, images, augmentation="none", cache="auto", epochs=epochs, seed=seed
    )
    steps = -(-len(faces) // batch_size) * epochs
    rate = SCHEDULES["cosine"](learning_rate, steps)
    feed.compile(build_optimizer("adamw", rate, 1e-4), keras.losses.CategoricalCrossentropy())
    logs, answers = [], []
    for epoch in progress(range(epochs), f"seed {seed}"):
        logs.append(feed.train_epoch(faces.targets, None, epoch, batch_size))
        answers.append(feed.predict())
    ends = np.cumsum([len(of) for of in asked.values()])[:-1]
    parts = dict(zip(asked, np.split(np.stack(answers), ends, axis=1), strict=True))
    history = pd.DataFrame(logs)
    history.insert(0, "epoch", np.arange(1, epochs + 1))
    training = Training(model, dict(asked), parts, history)
    for split in asked:
        history[f"{split}_accuracy"] = training.right(split).mean(axis=1)
    return training


def train_seeds(parts, seeds, **settings):
    """Train one network with several seeds, the runs that most traps share.

    Args:
        parts: Dict of `small_parts`.
        seeds: Number of seeds; they are 0, 1, …
        **settings: Go to `train_network`.

    Returns:
        List of `Training`, asked about `"validation"`, `"test"` and as many faces of `"train"` as
        there are in validation.
    """
    count = min(len(parts["train"]), len(parts["validation"]))
    rows = np.linspace(0, len(parts["train"]), count, endpoint=False).astype(int)
    asked = parts | {"train": parts["train"][rows]}
    return [train_network(parts["train"], asked, seed=seed, **settings) for seed in range(seeds)]
