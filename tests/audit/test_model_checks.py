"""Checks of models: planted faults of tiny networks, flat and nested."""

import keras
import numpy as np
import pytest
from keras import layers

from fer_lib.audit import model_checks
from fer_lib.data.synthetic import make_faces


@pytest.fixture(scope="module")
def images():
    return make_faces(21, seed=0).images


def network(prepare, across_the_batch=False):
    """A tiny classifier whose pixels go through `prepare` before the convolution."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((48, 48), dtype="uint8")
    x = layers.Reshape((48, 48, 1))(inputs)
    x = layers.Conv2D(4, 3, strides=4)(prepare(x))
    x = layers.GlobalAveragePooling2D()(x)
    if across_the_batch:  # on a 2-D tensor the faces of a batch attend to one another
        x = layers.Attention()([x, x])
    return keras.Model(inputs, layers.Dense(7, activation="softmax")(x))


def nested(prepare):
    """The same with rescaling and convolution inside a backbone that is called as a layer."""
    keras.utils.set_random_seed(0)
    inside = keras.Input((48, 48, 1))
    x = layers.Conv2D(4, 3, strides=4)(prepare(inside))
    backbone = keras.Model(inside, layers.GlobalAveragePooling2D()(x))
    inputs = keras.Input((48, 48), dtype="uint8")
    x = backbone(layers.Reshape((48, 48, 1))(inputs))
    return keras.Model(inputs, layers.Dense(7, activation="softmax")(x))


RIGHT = layers.Rescaling(1 / 127.5, -1)


def test_a_model_that_sees_faces_one_by_one_passes(images):
    finding = model_checks.batch_dependence(network(RIGHT), images)
    assert finding.status == "pass" and finding.figures["faces"] == 21


def test_attention_across_the_batch_fails(images):
    finding = model_checks.batch_dependence(
        network(layers.Rescaling(1.0), across_the_batch=True), images
    )
    assert finding.status == "fail" and "depends on its batch" in finding.sentence


@pytest.mark.parametrize("build", [network, nested])
def test_faces_rescaled_once_pass(images, build):
    finding = model_checks.input_range(build(RIGHT), images)
    assert finding.status == "pass"
    assert finding.figures["minimum"] == -1 and 0.2 < finding.figures["standard deviation"] < 1


FAULTS = {
    "divided by 255 twice": (lambda x: layers.Rescaling(1 / 255)(x / 255), "fail", "constant"),
    "divided by 255, then to -1": (lambda x: RIGHT(x / 255), "fail", "constant"),
    "black": (lambda x: x * 0.0, "fail", "constant"),
    "saturated": (lambda x: layers.ReLU(1.0)(x), "fail", "saturated"),
    "not a number": (lambda x: x * float("nan"), "fail", "not numbers"),
    "not rescaled": (lambda x: x * 1.0, "warn", "nothing rescaled"),
}


@pytest.mark.parametrize("build", [network, nested])
@pytest.mark.parametrize(("fault", "status", "words"), FAULTS.values(), ids=FAULTS)
def test_what_the_first_convolution_sees_wrong_is_told(images, build, fault, status, words):
    finding = model_checks.input_range(build(lambda x: fault(layers.Rescaling(1.0)(x))), images)
    assert finding.status == status and words in finding.sentence


def test_looking_leaves_the_model_as_it_was(images):
    model = nested(RIGHT)
    before = model.predict(images, verbose=0)
    seen = model_checks.first_convolution_input(model, images)
    assert seen.shape == (21, 48, 48, 1)
    np.testing.assert_allclose(seen[..., 0], images / 127.5 - 1, atol=1e-5)
    assert np.array_equal(model.predict(images, verbose=0), before)
    convolution = model.layers[2].layers[-2]
    assert "call" not in vars(convolution)


def test_a_model_without_a_convolution_is_told(images):
    model = keras.Sequential([keras.Input((48, 48)), layers.Flatten(), layers.Dense(7)])
    finding = model_checks.input_range(model, images)
    assert finding.status == "warn" and "no 2-D convolution" in finding.sentence
