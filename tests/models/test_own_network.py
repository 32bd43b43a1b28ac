"""own networks: a function of a file, or a `.keras` file, in the place of a backbone."""

import keras
import numpy as np
import pytest

from fer_lib.experiments.experiment import Experiment
from fer_lib.models import own_network
from fer_lib.models.classifier import build_classifier, trainable_summary
from support.own_networks import NETWORKS, write_network


@pytest.fixture
def file(tmp_path):
    return write_network(tmp_path)


def built(name, **options):
    return build_classifier(name, **{"classes": 7, "image_size": 48} | options)


def faces(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("name", ["plain", "nested"])
def test_a_classifier_answers_as_the_network_of_the_file(file, name, tmp_path):
    keras.utils.set_random_seed(3)
    model = built(f"{file}:{name}")
    images = faces(4, 48, 48)
    scope = {}
    exec(NETWORKS, scope)
    keras.utils.set_random_seed(3)
    network = scope[name](48, 7)
    pixels = np.repeat(images[..., None], network.input_shape[3], axis=3).astype(np.float32)
    answers = model.predict_on_batch(images)
    np.testing.assert_allclose(answers, network.predict_on_batch(pixels), atol=1e-6)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert [w.shape for w in model.trainable_weights] == [
        w.shape for w in network.trainable_weights
    ]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict_on_batch(images), answers)
    assert "last map" in trainable_summary(model)


def test_a_keras_file_is_a_network_with_its_weights(file, tmp_path):
    scope = {}
    exec(NETWORKS, scope)
    network, images = scope["plain"](48, 7), faces(3, 48, 48)
    network.save(tmp_path / "mine.keras")
    model = built(str(tmp_path / "mine.keras"))
    expected = network.predict_on_batch(images[..., None].astype(np.float32))
    np.testing.assert_allclose(model.predict_on_batch(images), expected, atol=1e-6)


def test_colour_faces_reach_a_network_of_three_channels(file):
    model = built(f"{file}:nested", face_size=(48, 48, 3))
    assert model.input_shape == (None, 48, 48, 3)
    with pytest.raises(ValueError, match=r"plain must take faces of shape \(n, height, width, 3\)"):
        built(f"{file}:plain", face_size=(48, 48, 3))


@pytest.mark.parametrize(
    "name, message",
    [
        ("gone", "has no function gone; its functions are .*plain"),
        ("five", r"each of the 7 classes of the data; its output has the shape \(None, 5\)"),
        ("logits", "logits must end in a softmax"),
        ("custom", "layer mine is a Mine, which a saved model cannot be opened with"),
        ("demanding", "demanding needs depth; it can have image_size, classes, channels, dropout"),
        ("fixed", r"takes 64 x 64 pixels: set image_size to that"),
        ("number", "must be a functional or sequential Keras model .* got int"),
        ("free", "must be a functional or sequential Keras model .* got Free"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_in_a_sentence(file, name, message):
    with pytest.raises(ValueError, match=message):
        built(f"{file}:{name}")


def test_a_damaged_keras_file_is_named(tmp_path):
    (tmp_path / "mine.keras").write_bytes(b"no model")
    with pytest.raises(ValueError, match="mine.keras is no .keras file, or is damaged"):
        built(str(tmp_path / "mine.keras"))


def test_the_hash_of_the_file_is_part_of_the_run(file):
    name = f"{file}:plain"
    one = Experiment(backbone=name)
    assert one.backbone == own_network.with_hash(name) and "#" in one.backbone
    assert one.network == "net.py:plain" and "-net.py_plain-all-" in one.name
    file.write_text(NETWORKS + "\n# another line\n")
    assert Experiment(backbone=name).name != one.name
    with pytest.raises(ValueError, match="is not the file that the run was begun with"):
        built(one.backbone)
    file.unlink()
    assert Experiment(backbone=one.backbone) == one  # a table of runs needs no file
    with pytest.raises(FileNotFoundError, match="there is no file"):
        Experiment(backbone=name)


def test_a_file_without_a_function_and_parameters_that_do_not_reach_it_are_refused(file):
    with pytest.raises(ValueError, match="must name a function: .*net.py:build"):
        Experiment(backbone=str(file))
    with pytest.raises(ValueError, match="alpha is not for own networks: leave it at 1.0"):
        Experiment(backbone=f"{file}:plain", alpha=0.5).validate()
