"""Networks of a user, in a file of their own."""

NETWORKS = """
import keras
from keras import layers, ops


def plain(image_size, classes):
    return keras.Sequential([
        keras.Input((image_size, image_size, 1)),
        layers.Rescaling(1 / 255, name="rescale"),
        layers.Conv2D(8, 3, strides=4, activation="relu"),
        layers.BatchNormalization(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(classes, activation="softmax"),
    ])


def nested(image_size, classes):
    base = keras.Sequential([
        keras.Input((image_size, image_size, 3)),
        layers.Conv2D(6, 3, strides=4, name="face"),
        layers.BatchNormalization(),
    ])
    base.trainable = False
    x = inputs = keras.Input((image_size, image_size, 3))
    shared = layers.Conv2D(6, 1)
    x = base(x / 127.5 - 1)
    x = ops.relu(shared(shared(x)) + x)
    x = layers.Conv2D(classes, 3)(x)
    return keras.Model(inputs, layers.Softmax()(layers.GlobalAveragePooling2D()(x)))


def logits(image_size, classes):
    x = inputs = keras.Input((image_size, image_size, 1))
    return keras.Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))


def five(image_size):
    return plain(image_size, 5)


def fixed(classes):
    return plain(64, classes)


def demanding(image_size, classes, depth):
    return plain(image_size, classes)


def number():
    return 7


class Free(keras.Model):
    def call(self, x):
        return x


def free():
    return Free()


class Mine(layers.Layer):
    def call(self, x):
        return x


def custom(image_size, classes):
    x = inputs = keras.Input((image_size, image_size, 1))
    x = layers.GlobalAveragePooling2D()(Mine(name="mine")(x))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))
"""


def write_network(folder):
    """Write the file `net.py` and return its path."""
    path = folder / "net.py"
    path.write_text(NETWORKS)
    return path
