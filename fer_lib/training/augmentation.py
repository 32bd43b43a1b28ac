"""Augmentation of raw faces, in one resampling at their own size, before the model enlarges them.

To add a policy: one entry in `AUGMENTATIONS`.
"""

import math

import keras
from keras import ops

from fer_lib.choices import lookup

# Each value is the largest deviation; angles in degrees, the others as shares of the side or range.
AUGMENTATIONS = {
    "none": {},
    "flip": {"flip": True},
    "standard": {"flip": True, "rotation": 10, "translation": 0.08, "zoom": 0.1},
    "strong": {
        "flip": True,
        "rotation": 15,
        "translation": 0.1,
        "zoom": 0.15,
        "brightness": 0.15,
        "contrast": 0.25,
        "erasing": 0.35,
    },
    # As far as trainings of hundreds of epochs go: faces turned, shifted and scaled until they
    # hardly stay in the picture.
    "geometric": {
        "flip": True,
        "rotation": 30,
        "translation": 0.2,
        "zoom": 0.2,
        "brightness": 0.2,
        "contrast": 0.3,
        "erasing": 0.35,
    },
}


def build_augmentation(policy, seed=0):
    """Return the layer of an augmentation policy, or `None` for `"none"`.

    Args:
        policy: Key of `AUGMENTATIONS`.
        seed: Seed of its random numbers.

    Raises:
        ValueError: If the policy is unknown.
    """
    settings = lookup(AUGMENTATIONS, policy, "augmentation")
    return RandomFace(**settings, seed=seed, name="augmentation") if settings else None


@keras.saving.register_keras_serializable("fer_lib")
class RandomFace(keras.layers.Layer):
    """Flip, rotate, shift and zoom faces in one resampling, then change their light.

    One affine resampling costs a third of Keras's four layers in a row and blurs once instead of
    four times. Outside training it returns its input.

    Args:
        flip: Whether to mirror half of the faces left to right.
        rotation: Largest rotation, in degrees.
        translation: Largest shift, as a share of the side.
        zoom: Largest relative change of scale.
        brightness: Largest shift of the grey value, as a share of 255.
        contrast: Largest relative change of contrast around the face's mean.
        erasing: Largest side of a rectangle set to the face's mean, as a share of the side;
            half of the faces get one (Zhong et al. 2020, arXiv:1708.04896).
        seed: Seed of the random numbers.

    Call arguments:
        images: Tensor of shape `(n, height, width)` or `(n, height, width, 3)`, values 0 to 255,
            any dtype.

    Returns:
        Tensor of the same shape and dtype, values 0 to 255.
    """

    def __init__(
        self,
        flip=False,
        rotation=0,
        translation=0,
        zoom=0,
        brightness=0,
        contrast=0,
        erasing=0,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.settings = {
            "flip": flip,
            "rotation": rotation,
            "translation": translation,
            "zoom": zoom,
            "brightness": brightness,
            "contrast": contrast,
            "erasing": erasing,
        }
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def get_config(self):
        """Return the arguments that rebuild the layer."""
        return super().get_config() | self.settings | {"seed": self.seed}

    def compute_output_spec(self, images, training=False):
        """Return the input's own shape and dtype."""
        return keras.KerasTensor(images.shape, images.dtype)

    def call(self, images, training=False):
        """Return the augmented faces, or `images` itself outside training."""
        if not training:
            return images
        colour = len(images.shape) == 4
        faces = self._resample(ops.cast(images if colour else images[..., None], "float32"))
        if self.settings["brightness"] or self.settings["contrast"]:
            faces = self._relight(faces)
        if self.settings["erasing"]:
            faces = self._erase(faces)
        faces = faces if colour else faces[..., 0]
        return ops.cast(ops.round(ops.clip(faces, 0, 255)), images.dtype)

    def _uniform(self, faces, limit, columns=1):
        shape = (ops.shape(faces)[0], columns)
        return keras.random.uniform(shape, -limit, limit, seed=self.seed_generator)

    def _resample(self, faces):
        height, width = faces.shape[1:3]
        settings = self.settings
        angle = self._uniform(faces, math.radians(settings["rotation"]))[:, 0]
        zoom = 1 + self._uniform(faces, settings["zoom"])[:, 0]
        shift = self._uniform(faces, settings["translation"], 2)
        mirror = ops.where(self._uniform(faces, 1.0)[:, 0] > 0, 1.0, -1.0)
        if not settings["flip"]:
            mirror = ops.ones_like(mirror)
        # Output pixel (x, y) is read at a0 x + a1 y + a2, b0 x + b1 y + b2, about the centre.
        a0, a1 = ops.cos(angle) * zoom * mirror, -ops.sin(angle) * zoom
        b0, b1 = ops.sin(angle) * zoom * mirror, ops.cos(angle) * zoom
        x, y = (width - 1) / 2, (height - 1) / 2
        a2 = x - a0 * x - a1 * y + shift[:, 0] * width
        b2 = y - b0 * x - b1 * y + shift[:, 1] * height
        zero = ops.zeros_like(a0)
        transform = ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)
        return ops.image.affine_transform(
            faces,
            transform,
            interpolation="bilinear",
            fill_mode="nearest",
            data_format="channels_last",
        )

    def _relight(self, faces):
        mean = ops.mean(faces, axis=(1, 2), keepdims=True)
        gain = 1 + self._uniform(faces, self.settings["contrast"])[..., None, None]
        shift = 255 * self._uniform(faces, self.settings["brightness"])[..., None, None]
        return (faces - mean) * gain + mean + shift

    def _erase(self, faces):
        height, width = faces.shape[1:3]
        random = (self._uniform(faces, 1.0, 5) + 1) / 2
        erased = ops.cast(random[:, 4:] > 0.5, faces.dtype)
        sides = random[:, 2:4] * self.settings["erasing"] * erased
        centre, half = random[:, 0:2, None], sides[:, :, None] / 2
        rows = ops.abs(ops.arange(height, dtype="float32") / height - centre[:, 0]) < half[:, 0]
        columns = ops.abs(ops.arange(width, dtype="float32") / width - centre[:, 1]) < half[:, 1]
        mean = ops.mean(faces, axis=(1, 2), keepdims=True)
        inside = rows[:, :, None] & columns[:, None, :]
        return ops.where(inside[..., None], mean, faces)
