"""Feeding: what an epoch trains on, the whole model on faces or its upper part on features."""

import math
import zlib

import keras
import numpy as np
from keras import ops

from fer_lib import prefix_cache
from fer_lib.augmentation import build_augmentation

# On a GPU, faces or features up to this many bytes are kept in its own memory
# and one call of the framework runs this many steps. On a CPU that gained nothing.
DEVICE_BUDGET = 8 * 2**30
STEPS_PER_CALL = 16


class Feed:
    """Trains and evaluates a classifier, with the frozen layers computed once where that fits.

    On a GPU the faces (or features) lie in the device's memory and an epoch sends row numbers,
    so that indexing, augmentation and enlargement all happen there.

    Args:
        model: A classifier whose `trainable` flags are set.
        images: Training faces, `uint8` `(n, height, width)`.
        validation_images: Validation faces, the same.
        augmentation: Key of `AUGMENTATIONS`.
        cache: `"auto"` or `"none"`; see `training.fit`.
        epochs: Number of epochs that will be trained.
        seed: Seed of order, dropout and augmentation.
        on_device: Whether the training data is kept on the device; by default where there is a
            GPU and it fits.
    """

    def __init__(
        self, model, images, validation_images, *, augmentation, cache, epochs, seed, on_device=None
    ):
        self.seed, self.count, self.views = seed, len(images), 0
        self.rows, self.validation = images, validation_images
        self.trainer = keras.Model(model.input, model.output)  # so that `model` stays uncompiled
        split = prefix_cache.split_at_frozen(model) if cache == "auto" else None
        if split:
            prefix, suffix = split
            self.views = prefix_cache.choose_views(prefix, len(images), augmentation, epochs)
        if self.views:
            features = prefix_cache.compute_views(
                prefix,
                images,
                augmentation=augmentation,
                views=self.views,
                seed=seed,
                progress="frozen layers",
            )
            self.rows = features.reshape(-1, *features.shape[2:])
            self.validation = prefix_cache.compute_features(prefix, validation_images)
            self.trainer = suffix
        elif augmentation != "none":
            augment = build_augmentation(augmentation, seed)
            self.trainer = keras.Model(model.input, model(augment(model.input)))
        self.evaluator = self.trainer  # augmentation is the identity outside training
        layers = [*model.layers, *self.trainer.layers]  # the suffix shares the model's layers
        self.random = [layer for layer in layers if hasattr(layer, "seed_generator")]
        self.on_device = _on_gpu() if on_device is None else on_device
        self.on_device = self.on_device and self.rows.nbytes <= DEVICE_BUDGET
        if self.on_device:
            table = Table(self.rows)
            number = keras.Input((), dtype="int32")
            self.trainer = keras.Model(number, self.trainer(table(number)))

    def compile(self, optimizer, loss):
        """Compile what trains."""
        self.trainer.compile(
            optimizer,
            loss,
            metrics=["accuracy"],
            steps_per_execution=STEPS_PER_CALL if self.on_device else 1,
        )

    def train_epoch(self, targets, weights, epoch, batch_size, on_steps=lambda done: None):
        """Train one epoch; its order and randomness depend on `(seed, epoch)` alone.

        Args:
            targets: `float32` `(n, classes)`, rows summing to 1.
            weights: `float32` `(n,)`, or `None`.
            epoch: Number of the epoch, from 0.
            batch_size: Faces per step.
            on_steps: Called with the number of steps done so far in this epoch.

        Returns:
            Dict of `loss` and `accuracy`, means over the epoch.
        """
        self._reseed(epoch)
        generator = np.random.default_rng([self.seed, epoch])
        order = generator.permutation(self.count)
        places = order
        if self.views:  # one random view of each face
            places = generator.integers(self.views, size=len(order)) * self.count + order
        steps = math.ceil(len(order) / batch_size)  # Keras counts a last call as a whole one
        logs = self.trainer.fit(
            places.astype("int32") if self.on_device else self.rows[places],
            targets[order],
            sample_weight=None if weights is None else weights[order],
            batch_size=batch_size,
            shuffle=False,
            verbose=0,
            callbacks=[
                keras.callbacks.LambdaCallback(
                    on_train_batch_end=lambda batch, logs: on_steps(min(batch + 1, steps))
                )
            ],
        ).history
        return {"loss": logs["loss"][-1], "accuracy": logs["accuracy"][-1]}

    def predict(self):
        """Return the probabilities of the validation faces, `float32` `(n, classes)`."""
        return self.evaluator.predict(self.validation, batch_size=256, verbose=0)

    def _reseed(self, epoch):
        """Set the random state of layers from `(seed, epoch)` and their own names alone."""
        for layer in self.random:
            name = zlib.crc32(layer.name.encode())
            state = np.random.default_rng([self.seed, epoch, name]).integers(2**31, size=2)
            layer.seed_generator.state.assign(state.astype("uint32"))


class Table(keras.layers.Layer):
    """An array in the device's memory: row numbers in, rows out.

    Args:
        rows: Array of shape `(n, ...)`.

    Call arguments:
        numbers: `int32` tensor of shape `(batch,)`, values in `[0, n)`.

    Returns:
        Tensor of shape `(batch, ...)` and the array's dtype.
    """

    def __init__(self, rows):
        super().__init__(trainable=False, dtype=str(rows.dtype), autocast=False)
        self.rows = self.add_weight(
            shape=rows.shape, dtype=str(rows.dtype), initializer="zeros", trainable=False
        )
        self.rows.assign(rows)

    def call(self, numbers):
        """Return the rows of these numbers."""
        return ops.take(self.rows, numbers, axis=0)


def _on_gpu():
    return any("gpu" in device.lower() for device in keras.distribution.list_devices())
