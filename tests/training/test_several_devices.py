"""devices: several train as one does; here on devices simulated on the CPU."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from fer_lib.training.devices import check_batch, data_parallel
from support.places import ROOT

CODE = """
import json, sys
backend = sys.argv[1]
# TensorFlow normalises each device's share of the batch by itself, JAX the whole batch.
batch_norm = "frozen" if backend == "tensorflow" else "adapt"
# With adapting normalisation, steps of 0.1 magnify a difference in the last digit a thousandfold.
rate = 0.1 if backend == "tensorflow" else 0.02
if backend == "tensorflow":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    four = [tf.config.LogicalDeviceConfiguration()] * 4
    tf.config.set_logical_device_configuration(cpu, four)
import keras
from fer_lib.data import synthetic
from fer_lib.models import classifier
from fer_lib.training import devices, optimizers
from support.tiny_backbone import installed

faces = synthetic.make_faces(128, seed=1)
for mode in ("none", "data"):
    with installed(), devices.data_parallel(mode) as count:
        keras.utils.set_random_seed(0)
        model = classifier.build_classifier(
            "tiny", weights=None, image_size=32, batch_norm=batch_norm, dropout=0.0
        )
        optimizer = optimizers.build_optimizer("sgd", rate, 1e-3)
        model.compile(optimizer, "categorical_crossentropy")
        history = model.fit(
            faces.images, faces.targets, batch_size=32, epochs=3, shuffle=False, verbose=0
        ).history["loss"]
        probabilities = model.predict(faces.images, batch_size=32, verbose=0)
    value = model.weights[0].value
    copies = value.sharding.device_set if backend == "jax" else getattr(value, "values", [value])
    print(json.dumps({
        "devices": count,
        "copies": len(copies),
        "loss": history,
        "probabilities": probabilities[:8].tolist(),
        "steps": int(keras.ops.convert_to_numpy(optimizer.iterations)),
    }))
"""
# Largest difference of an epoch's mean loss between one device and four. The order of sums differs.
TOLERANCE = 1e-5


@pytest.fixture(params=["jax", "tensorflow"])
def environment(request):
    """The environment of a process on this backend."""
    if request.param == "jax":
        return request.getfixturevalue("on_jax")
    return os.environ | {"KERAS_BACKEND": "tensorflow"}


def train(environment, devices, code, *words):
    """Train on one and on all devices of a process that simulates some; return what it says."""
    env = environment | {"PYTHONPATH": str(ROOT / "tests")}
    env |= {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    command = [sys.executable, "-c", code, environment["KERAS_BACKEND"], *words]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.slow
def test_four_devices_train_like_one(environment):
    one, four = train(environment, 4, CODE)
    assert (one["devices"], four["devices"]) == (1, 4)
    assert (one["copies"], four["copies"]) == (1, 4)  # of the weights
    assert one["steps"] == four["steps"] == 12  # the batch is global
    np.testing.assert_allclose(four["loss"], one["loss"], atol=TOLERANCE)
    np.testing.assert_allclose(four["probabilities"], one["probabilities"], atol=1e-4)
    assert one["loss"][-1] < one["loss"][0] - 100 * TOLERANCE  # it learned more than that


RUN_CODE = """
import json, sys
backend, folder = sys.argv[1:]
if backend == "tensorflow":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from fer_lib.data import synthetic
from fer_lib.experiments import runner
from fer_lib.experiments.experiment import Experiment
from support.tiny_backbone import installed

# No multiple of the batch, nor of the devices: 70 faces to train on, 37 to validate.
counts = {"train": 70, "validation": 37, "test": 35}
data = {s: synthetic.make_faces(n, seed=n) for s, n in counts.items()}
for mode in ("none", "data"):
    with installed():
        this = Experiment(
            dataset="synthetic", backbone="tiny", weights=None, image_size=32, epochs=2,
            head_epochs=0, learning_rate=0.01, batch_size=32, dropout=0.0, augmentation="none",
            batch_norm="frozen", mixed_precision="none",
            ema=0.5, mixing="mixup", distribute=mode,
            results_dir=f"{folder}/{mode}",
        )
        notices = runner.set_up(this)
        run = runner.run(this, data)
    print(json.dumps({
        "notices": notices,
        "loss": run.history.loss.tolist(),
        "val_loss": run.history.val_loss.tolist(),
        "probabilities": run.predictions["probabilities"].tolist(),
    }))
"""


@pytest.mark.slow
def test_an_experiment_on_two_devices_is_the_one_on_one(environment, tmp_path):
    one, two = train(environment, 2, RUN_CODE, tmp_path)
    assert not one["notices"] and "shared by 2 devices" in two["notices"][0]
    for figure in ("loss", "val_loss", "probabilities"):
        np.testing.assert_allclose(two[figure], one[figure], atol=1e-4)
    assert abs(one["loss"][-1] - one["loss"][0]) > 0.01  # more than the tolerance


def test_one_device_is_left_alone_and_data_is_refused():
    with data_parallel("auto") as devices:
        assert devices == 1
    with data_parallel("none") as devices:
        assert devices == 1
    with pytest.raises(ValueError, match="needs several devices"), data_parallel("data"):
        pass
    with pytest.raises(ValueError, match="Unknown distribute mode 'both'"), data_parallel("both"):
        pass


def test_a_batch_that_devices_can_not_share_is_refused():
    check_batch(64, 4)
    with pytest.raises(ValueError, match="multiple of the 4 devices; got 66: use 64"):
        check_batch(66, 4)
