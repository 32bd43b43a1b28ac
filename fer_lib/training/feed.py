"""Feeding: what an epoch trains on, the whole model on faces or its upper part on features."""

import math
import zlib

import keras
import numpy as np
from keras import ops

from fer_lib.training import devices, frozen, mixing
from fer_lib.training.augmentation import build_augmentation
from fer_lib.training.optimizers import exchange_averages

# On a GPU, faces or features up to this many bytes are kept in its own memory.
DEVICE_BUDGET = 8 * 2**30
# One call of the framework runs this many steps where they are short: on a GPU, and of the layers
# that are left where the frozen ones are cached. On a CPU the head alone gains half, others none.
STEPS_PER_CALL = {"gpu": 16, "cached": 8}
PREDICTED = 256  # faces per step of a prediction
PORTION = 512 * 2**20  # bytes of faces or features that are put in an epoch's order at once
TAUGHT = 16  # calls of the framework for which teachers are asked at once


class Feed:
    """Trains and evaluates a classifier, with the frozen layers computed once where that fits.

    On a GPU the faces (or features) lie in the device's memory and an epoch sends row numbers,
    so that indexing, augmentation and enlargement all happen there.

    Args:
        model: A classifier whose `trainable` flags are set.
        images: Training faces, `uint8` `(n, height, width)`.
        validation_images: Validation faces, the same.
        augmentation: Key of `AUGMENTATIONS`.
        cache: `"auto"`, `"exact"` or `"none"`; see `loop.fit`.
        epochs: Number of epochs that will be trained.
        seed: Seed of order, dropout, augmentation and mixing.
        mixing: Key of `mixing.MIXING`, or `None`. Mixed faces differ every epoch, so that nothing
            is cached.
        mixing_alpha: See `mixing.mix`.
        teaching: `targets.Teaching`, or `None`. Teachers answer about the faces that the model
            sees, mixed and augmented, so that nothing is cached.
        parallel: Number of devices that share each step; see `devices.data_parallel`. With
            several nothing is cached, and the data stays in memory.
        on_device: Whether the training data is kept on the device; by default where there is a
            GPU and it fits.
    """

    def __init__(
        self,
        model,
        images,
        validation_images,
        *,
        augmentation,
        cache,
        epochs,
        seed,
        mixing=None,
        mixing_alpha=0.2,
        teaching=None,
        parallel=1,
        on_device=None,
    ):
        self.seed, self.count, self.views = seed, len(images), 0
        self.mixing, self.mixing_alpha, self.parallel = mixing, mixing_alpha, parallel
        self.teaching, self.augment = teaching, None
        self.rows, self.validation = images, validation_images
        self.trainer = keras.Model(model.input, model.output)  # so that `model` stays uncompiled
        cached = cache != "none" and not (mixing or teaching) and parallel == 1
        split = frozen.split_at_frozen(model) if cached else None
        if split:
            prefix, suffix = split
            features = frozen.reserve(prefix, len(images), augmentation, epochs)
            self.views = 0 if features is None else len(features)
        if self.views:
            passing = self.views * len(images) + len(validation_images)
            forward = frozen.forward_pass(prefix, passing, exact=cache == "exact")
            frozen.compute_views(
                forward,
                images,
                features,
                augmentation=augmentation,
                seed=seed,
                progress="frozen layers",
            )
            self.rows = features.reshape(-1, *features.shape[2:])
            self.validation = forward(validation_images)
            self.trainer = suffix
        elif augmentation != "none":
            augment = build_augmentation(augmentation, seed)
            if teaching:  # they and the model see the same face: it is made before the step
                self.augment = augment
            else:
                self.trainer = keras.Model(model.input, model(augment(model.input)))
        self.evaluator = self.trainer  # augmentation is the identity outside training
        layers = [*model.layers, *self.trainer.layers]  # the suffix shares the model's layers
        layers += [self.augment] if self.augment else []
        self.random = [layer for layer in layers if hasattr(layer, "seed_generator")]
        self.on_device = devices.on_gpu() and parallel == 1 if on_device is None else on_device
        self.on_device = self.on_device and self.rows.nbytes <= DEVICE_BUDGET
        if self.on_device:
            self.table = Table(self.rows)
            number = keras.Input((), dtype="int32")
            self.trainer = keras.Model(number, self.trainer(self.table(number)))

    def compile(self, optimizer, loss, accuracy=None):
        """Compile what trains; `accuracy` is Keras's where it is not given."""
        kind = "gpu" if self.on_device else "cached" if self.views else None
        self.trainer.compile(
            optimizer,
            loss,
            # Its state exists already: made in the first step, TensorFlow traces that step twice.
            metrics=[accuracy or keras.metrics.CategoricalAccuracy("accuracy")],
            steps_per_execution=STEPS_PER_CALL.get(kind, 1),
        )
        optimizer.build(self.trainer.trainable_variables)

    def train_epoch(self, targets, weights, epoch, batch_size, on_steps=lambda done: None):
        """Train one epoch; its order and randomness depend on `(seed, epoch)` alone.

        Where the optimizer keeps averages of the weights, these are the model's before and after.

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
        whole = _compiles_every_shape() and self.count > batch_size
        if not whole:
            # Devices share a step evenly: a few faces, other ones each epoch, are left out.
            order = order[: len(order) // self.parallel * self.parallel]
        rows, targets, weights = self._rows(order, targets, weights, generator)
        if whole:
            rows, targets, weights = _in_whole_batches(rows, targets, weights, batch_size)
        exchange_averages(self.trainer.optimizer)
        portion = self._portion(len(rows), batch_size)
        totals, steps = {"loss": 0.0, "accuracy": 0.0}, 0
        for start in range(0, len(rows), portion):
            part = slice(start, start + portion)
            logs, count = self._fit(
                rows[part],
                targets[part],
                None if weights is None else weights[part],
                batch_size,
                lambda done, before=steps: on_steps(before + done),
            )
            steps += math.ceil(count / batch_size)
            for name in totals:
                totals[name] += logs[name] * (count / len(rows))
        exchange_averages(self.trainer.optimizer)
        return totals

    def _portion(self, count, batch_size):
        """Return how many faces are put in order at once, a multiple of those of one call."""
        if self.on_device or (self.mixing and not self.teaching):  # no rows to be put in order
            return count
        call = batch_size * self.trainer.steps_per_execution
        if self.teaching:
            return call * TAUGHT
        return call * max(1, PORTION // (call * self.rows[:1].nbytes))

    def _fit(self, rows, targets, weights, batch_size, on_steps):
        """Train on these rows or numbers of rows in this order; return means and their number."""
        steps = math.ceil(len(rows) / batch_size)  # Keras counts a last call as a whole one
        if not (self.mixing or self.teaching or self.on_device):
            rows = self.rows[rows]
        elif self.teaching and not self.on_device:
            rows, targets = self._taught(rows, targets)
        logs = self.trainer.fit(
            **_in_batches(rows, targets, weights, batch_size, self.parallel),
            shuffle=False,
            verbose=0,
            callbacks=[
                keras.callbacks.LambdaCallback(
                    on_train_batch_end=lambda batch, logs: on_steps(min(batch + 1, steps))
                )
            ],
        ).history
        return {name: logs[name][-1] for name in ("loss", "accuracy")}, len(rows)

    def _rows(self, order, targets, weights, generator):
        """Return mixed faces, or the numbers of faces or features, and the rest in this order."""
        targets = targets[order]
        weights = None if weights is None else weights[order]
        faces = None
        if self.mixing:
            # Before the first step and in NumPy: the same on every backend, and 0.4 s for
            # FER-2013's 28,709 faces on one core, where its epoch takes a minute.
            faces, targets, weights = mixing.mix(
                self.mixing,
                self.rows[order],
                targets,
                weights,
                alpha=self.mixing_alpha,
                generator=generator,
            )
        elif self.teaching:
            faces = self.rows[order]
        if faces is not None:
            if not self.on_device:
                return faces, targets, weights
            if self.teaching:
                faces, targets = self._taught(faces, targets)
            self.table.rows.assign(faces)
            return np.arange(len(order), dtype="int32"), targets, weights
        places = order
        if self.views:  # one random view of each face
            places = generator.integers(self.views, size=len(order)) * self.count + order
        return places.astype("int32"), targets, weights

    def _taught(self, faces, targets):
        """Return augmented faces, and the targets with what the teachers answer about these."""
        if self.augment:
            faces = frozen.augmented(self.augment, faces)
        return faces, self.teaching.mix(targets, faces)

    def predict(self):
        """Return the probabilities of the validation faces, `float32` `(n, classes)`."""
        faces, count = self.validation, len(self.validation)
        if self.parallel == 1:
            return frozen.compute_features(self.evaluator, faces, batch_size=PREDICTED)
        if count % self.parallel:
            missing = (0, -count % self.parallel)
            faces = np.pad(faces, [missing] + [(0, 0)] * (faces.ndim - 1), mode="edge")
        size = PREDICTED // self.parallel * self.parallel
        return self.evaluator.predict(faces, batch_size=size, verbose=0)[:count]

    def _reseed(self, epoch):
        """Set the random state of layers from `(seed, epoch)` and their own names alone."""
        for layer in self.random:
            name = zlib.crc32(layer.name.encode())
            state = np.random.default_rng([self.seed, epoch, name]).integers(2**31, size=2)
            layer.seed_generator.state.assign(state.astype("uint32"))


def _compiles_every_shape():
    """Return whether a smaller last batch would be a program of its own, compiled anew."""
    return keras.backend.backend() == "jax"


def _in_whole_batches(rows, targets, weights, batch_size):
    """Fill the last batch up with the epoch's first faces, whose weight is zero.

    The gradient is that of the smaller batch: Keras divides the loss by the batch's size, so the
    others weigh as much more. Batch normalisation sees the faces that fill it up: its statistics
    are of a whole batch, as in every other step.

    Args:
        rows: Array of `n` faces, features or their numbers.
        targets: `float32` `(n, classes)`.
        weights: `float32` `(n,)`, or `None`.
        batch_size: Faces per step, at most `n`.

    Returns:
        The three, of a length that is a multiple of `batch_size`.
    """
    missing = -len(rows) % batch_size
    if not missing:
        return rows, targets, weights
    left = batch_size - missing
    weights = np.ones(len(rows), np.float32) if weights is None else weights.astype(np.float32)
    weights[-left:] *= batch_size / left
    weights = np.concatenate([weights, np.zeros(missing, np.float32)])
    return *(np.concatenate([array, array[:missing]]) for array in (rows, targets)), weights


def _in_batches(rows, targets, weights, batch_size, parallel):
    """Return the arguments by which `fit` takes arrays in this order.

    On TensorFlow they become a data set of our own. Keras's is tuned by a thread of `tf.data`,
    which sleeps 10 ms, then 20, 40 and so on up to a minute, and the end of an epoch often waits
    for its next awakening: epochs of 7 s then take 10.2.
    """
    if keras.backend.backend() != "tensorflow" or parallel > 1:
        return {"x": rows, "y": targets, "sample_weight": weights, "batch_size": batch_size}
    import tensorflow as tf

    arrays = (rows, targets) if weights is None else (rows, targets, weights)
    with tf.device("cpu"):
        tensors = [tf.convert_to_tensor(array) for array in arrays]
    batches = tf.data.Dataset.range(0, len(rows), batch_size).map(
        lambda start: tuple(tensor[start : start + batch_size] for tensor in tensors)
    )
    options = tf.data.Options()
    options.autotune.enabled = False
    return {"x": batches.prefetch(2).with_options(options)}


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
