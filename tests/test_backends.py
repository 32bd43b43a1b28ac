"""JAX: the core passes on it, and what it trains answers the same on TensorFlow."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from fer_lib.data.synthetic import make_faces

# Trains from one start, without what each backend draws by itself: dropout and augmentation.
TRAIN = """
import json, sys, keras
from fer_lib.data.synthetic import make_faces
from fer_lib.models import classifier
from fer_lib.training import loop

start, folder = sys.argv[1:]
faces = make_faces(128, seed=0)
model = keras.models.load_model(start, compile=False)
part = faces.images, faces.targets
history = loop.fit(
    model, part, part, stages=[loop.Stage("all", "all", 3, 1e-3)], folder=folder,
    augmentation="none",
)
model.save(folder + "/model.keras")
answers = model.predict(faces.images[:9], verbose=0).tolist()
print(json.dumps([keras.backend.backend(), history.loss.tolist(), answers]))
"""
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
# Largest differences of an epoch's mean loss and of a probability after three epochs.
LOSS_TOLERANCE, PROBABILITY_TOLERANCE = 1e-3, 1e-2


@pytest.fixture
def jax(on_jax):
    """The environment of a process on JAX; the suite's own backend is TensorFlow."""
    import keras

    if keras.backend.backend() != "tensorflow":
        pytest.skip("is about going from JAX to TensorFlow")
    return on_jax


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Return a function that trains in a process: backend, losses, answers and folder."""
    import keras

    from fer_lib.models import classifier

    keras.utils.set_random_seed(0)
    start = tmp_path_factory.mktemp("start") / "start.keras"
    classifier.build_classifier("mini_xception", weights=None, dropout=0.0).save(start)
    known = {}

    def trained(name, environment):
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            command = [sys.executable, "-c", TRAIN, str(start), str(folder)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr[-3000:]
            backend, *numbers = json.loads(done.stdout.splitlines()[-1])
            known[name] = (backend, *map(np.array, numbers), folder)
        return known[name]

    return trained


@pytest.mark.slow
def test_a_model_trained_on_jax_answers_the_same_on_tensorflow(jax, train):
    import keras

    backend, _, expected, folder = train("JAX", jax)
    assert backend == "jax"
    model = keras.models.load_model(folder / "model.keras", compile=False)
    answers = model.predict(make_faces(128, seed=0).images[:9], verbose=0)
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    assert np.ptp(answers, axis=0).max() > 100 * 1e-5  # it tells faces apart


@pytest.mark.slow
def test_backends_and_threads_train_the_same_within_the_stated_tolerance(jax, train):
    _, expected_loss, expected, _ = train("default", os.environ)
    _, again_loss, again, _ = train("again", os.environ)
    np.testing.assert_array_equal(expected_loss, again_loss)  # to the bit
    np.testing.assert_array_equal(expected, again)
    for name, environment in {"JAX": jax, "thread": os.environ | ONE_THREAD}.items():
        _, loss, probabilities, _ = train(name, environment)
        gaps = np.abs(loss - expected_loss).max(), np.abs(probabilities - expected).max()
        print(f"{name}: loss {gaps[0]:.1e}, probability {gaps[1]:.1e}")
        assert gaps[0] < LOSS_TOLERANCE and gaps[1] < PROBABILITY_TOLERANCE
    assert expected_loss[0] - expected_loss[-1] > 10 * LOSS_TOLERANCE  # it learned more than that
