"""JAX: the core passes on it, and what it trains answers the same on TensorFlow."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fer_lib.synthetic import make_faces

HERE = Path(__file__).parent
CORE = ("augmentation", "prefix_cache", "feed", "training")
TRAIN = """
import sys, keras
from fer_lib import models, training
from fer_lib.synthetic import make_faces

faces = make_faces(140, seed=0)
keras.utils.set_random_seed(0)
model = models.build_classifier("mini_xception", weights=None)
part = faces.images, faces.targets
training.fit(model, part, part, stages=[training.Stage("all", "all", 2, 1e-3)], folder=sys.argv[1])
model.save(sys.argv[1] + "/model.keras")
print(keras.backend.backend(), *model.predict(faces.images[:9], verbose=0).ravel().tolist())
"""


@pytest.fixture
def jax():
    """The environment of a process on JAX; the suite's own backend is TensorFlow."""
    pytest.importorskip("jax")
    import keras

    if keras.backend.backend() != "tensorflow":
        pytest.skip("is about going from JAX to TensorFlow")
    return os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}


@pytest.mark.slow
def test_the_core_passes_on_jax(jax):
    files = [HERE / f"test_{name}.py" for name in CORE]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, env=jax, cwd=HERE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.slow
def test_a_model_trained_on_jax_answers_the_same_on_tensorflow(jax, tmp_path):
    import keras

    command = [sys.executable, "-c", TRAIN, str(tmp_path)]
    done = subprocess.run(command, env=jax, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    backend, *numbers = done.stdout.splitlines()[-1].split()
    assert backend == "jax"
    model = keras.models.load_model(tmp_path / "model.keras", compile=False)
    answers = model.predict(make_faces(140, seed=0).images[:9], verbose=0)
    np.testing.assert_allclose(answers.ravel(), np.array(numbers, float), atol=1e-5)
    assert np.ptp(answers, axis=0).max() > 0.01  # it tells faces apart
