"""networks: the published ones are as published, ours is small; test_backbones has the contract."""

import functools

import keras
import numpy as np
import pytest

from fer_lib.data import synthetic
from fer_lib.models import classifier
from fer_lib.models.classifier import build_classifier
from fer_lib.models.from_scratch import NETWORKS


@functools.cache
def built(name):
    """The network as it comes, one for all tests: they only look at it."""
    keras.utils.set_random_seed(4)
    return build_classifier(name)


def convolutions(model):
    return [layer for layer in model.layers if type(layer) is keras.layers.Conv2D]


def names_of(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


@pytest.mark.parametrize("name, parameters", [("cnn5x5", 1_485_831), ("cnn4", 4_478_727)])
def test_a_published_network_has_the_published_number_of_parameters(name, parameters):
    assert built(name).count_params() == parameters


def test_cnn5x5_is_the_published_sequence():
    model = built("cnn5x5")
    assert [(c.filters, c.kernel_size[0]) for c in convolutions(model)] == [
        (64, 5), (64, 3), (64, 3), (128, 3), (128, 3),
    ]  # fmt: skip
    pools = [layer for layer in model.layers if "pool" in layer.name]
    assert [(type(p).__name__, p.pool_size[0], p.strides[0]) for p in pools] == [
        ("MaxPooling2D", 5, 2), ("AveragePooling2D", 3, 2), ("AveragePooling2D", 3, 2),
    ]  # fmt: skip
    assert [d.units for d in names_of(model, keras.layers.Dense)] == [1024, 1024, 7]
    assert [d.rate for d in names_of(model, keras.layers.Dropout)] == [0.2, 0.2]


def test_cnn10_has_ten_normalised_convolutions_and_three_normalised_dense_layers():
    model = build_classifier("cnn10", dropout=0.4)
    widths = [c.filters for c in convolutions(model)]
    assert widths == [w for width in (32, 64, 128, 256, 512) for w in (width, width)]
    assert len(names_of(model, keras.layers.BatchNormalization)) == 10
    assert [d.units for d in names_of(model, keras.layers.Dense)] == [512, 256, 128, 7]
    assert len(names_of(model, keras.layers.LayerNormalization)) == 3
    assert [d.rate for d in names_of(model, keras.layers.Dropout)] == [0.4] * 3


@pytest.mark.parametrize(
    "name, least, most",
    [
        ("mini_xception", 50_000, 60_000),
        ("separable", 140_000, 180_000),
        ("se_resnet", 1_500_000, 3_500_000),
        ("resnet12", 1_000_000, 1_400_000),
        ("resnet14", 1_400_000, 1_700_000),
    ],
)
def test_a_network_is_as_large_as_it_is_said_to_be(name, least, most):
    assert least < built(name).count_params() < most


@pytest.mark.parametrize("layers_with_weights", [12, 14])
def test_the_number_of_a_residual_network_counts_its_layers(layers_with_weights):
    model = built(f"resnet{layers_with_weights}")
    path = [c for c in convolutions(model) if c.kernel_size == (3, 3)]
    assert len(path) + 1 == layers_with_weights


@pytest.mark.parametrize("name", NETWORKS)
def test_grey_faces_of_48_are_taken_as_they_are(name):
    model = built(name)
    prepared = [layer.name for layer in model.layers if layer.name in classifier.INPUT_LAYERS]
    assert prepared == ["face", "face_channel", "rescale"]
    assert convolutions(model)[0].input.shape == (None, 48, 48, 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_seed_makes_the_same_network(name):
    first = built(name).trainable_weights
    keras.utils.set_random_seed(4)
    for one, other in zip(first, build_classifier(name).trainable_weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_ours_learns_synthetic_faces():
    keras.utils.set_random_seed(0)
    faces = synthetic.make_faces(140, seed=0)
    model = build_classifier("se_resnet", dropout=0)
    model.compile(keras.optimizers.Adam(2e-3), "categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(faces.images, faces.targets, batch_size=28, epochs=4, verbose=0).history
    assert history["accuracy"][-1] > 0.5 > 0.35 > history["accuracy"][0]


@pytest.mark.slow
def test_mini_xception_trains_on_batches_of_changing_size():
    """Its shortcut as one convolution of stride 2 crashed the process on a CPU."""
    faces = synthetic.make_faces(14, seed=0)
    model = build_classifier("mini_xception")
    model.compile("sgd", "categorical_crossentropy")
    for part in (slice(0, 8), slice(8, 14), slice(0, 8)):
        assert np.isfinite(model.train_on_batch(faces.images[part], faces.targets[part]))
