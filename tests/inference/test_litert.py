"""litert: a model becomes a file that computes the same, on any number of cores."""

import keras
import numpy as np
import pytest
from keras import layers

from fer_lib.inference import litert

tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the converter needs TensorFlow"
)


@pytest.fixture(scope="module")
def model():
    """A small model from faces to five numbers."""
    keras.utils.set_random_seed(0)
    face = keras.Input((8, 8), dtype="uint8")
    x = layers.Rescaling(1 / 255)(layers.Reshape((8, 8, 1))(face))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(x))
    return keras.Model(face, layers.Dense(5)(layers.Flatten()(x)))


@pytest.fixture(scope="module")
def content(model):
    """The file of the model."""
    return litert.convert(litert.trace(model))


@tensorflow
def test_a_file_answers_as_the_model_does_whatever_the_batch(model, content, rng, tmp_path):
    images = rng.integers(0, 256, (20, 8, 8), np.uint8)
    expected = model.predict(images, verbose=0)
    (tmp_path / "model.tflite").write_bytes(content)
    for file in (content, str(tmp_path / "model.tflite")):
        network = litert.open_network(file)
        for count in (20, 3, 1, 20):
            np.testing.assert_allclose(network(images[:count]), expected[:count], atol=1e-5)


@tensorflow
def test_the_number_of_cores_changes_nothing(content, rng, monkeypatch):
    batches = list(rng.integers(0, 256, (30, 4, 8, 8), np.uint8))
    results = []
    for cores in (1, 3):
        monkeypatch.setattr(litert, "cores", lambda cores=cores: cores)
        results.append(np.stack(list(litert.compute(content, batches))))
    np.testing.assert_array_equal(*results)
    network = litert.open_network(content)
    np.testing.assert_array_equal(results[0], [network(batch) for batch in batches])


@tensorflow
def test_what_is_no_such_file_is_an_error():
    with pytest.raises(ValueError):
        litert.open_network(b"not a model")
    with pytest.raises(ValueError):
        list(litert.compute(b"not a model", [np.zeros((1, 8, 8), np.uint8)]))


def test_there_is_a_core():
    assert litert.cores() >= 1
