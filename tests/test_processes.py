"""distribution: two processes on one machine train one model, over loopback.

JAX alone: TensorFlow's way for several processes, `MultiWorkerMirroredStrategy`, fails under
Keras 3's `fit` (keras issue 20585), so nothing here is offered for it.
"""

import json
import socket
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

CODE = """
import json, sys
address, process, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
import jax
if count > 1:
    jax.distributed.initialize(address, num_processes=count, process_id=process)
import keras
from fer_lib import distribution, models, optimizers, synthetic
from tiny_backbone import installed

faces = synthetic.make_faces(128, seed=1)
# Each process reads its part of every batch of 32, as it would from its own disk.
part = 32 // count
rows = [row for row in range(128) if row % 32 // part == process]
with installed(), distribution.data_parallel("data" if count > 1 else "none") as devices:
    if count > 1:
        keras.distribution.distribution().auto_shard_dataset = False  # the parts are cut already
    keras.utils.set_random_seed(0)
    model = models.build_classifier("tiny", weights=None, image_size=32, dropout=0.0)
    model.compile(optimizers.build_optimizer("sgd", 0.1, 1e-3), "categorical_crossentropy")
    loss = model.fit(
        faces.images[rows], faces.targets[rows],
        batch_size=part, epochs=3, shuffle=False, verbose=0,
    ).history["loss"]
    weights = [float(keras.ops.sum(keras.ops.abs(each.value))) for each in model.weights]
print(json.dumps({
    "devices": devices, "processes": jax.process_count(), "loss": loss, "weights": weights
}))
"""


def start(environment, address, process, count):
    return subprocess.Popen(
        [sys.executable, "-c", CODE, address, str(process), str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment | {"PYTHONPATH": str(ROOT / "tests")},
    )


def answers(processes):
    try:
        done = [process.communicate(timeout=240) for process in processes]
    finally:
        [process.kill() for process in processes]
    for process, (_, errors) in zip(processes, done, strict=True):
        assert process.returncode == 0, errors[-3000:]
    return [json.loads(out.splitlines()[-1]) for out, _ in done]


@pytest.mark.slow
def test_two_processes_over_loopback_train_like_one(on_jax):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    [alone] = answers([start(on_jax, address, 0, 1)])
    first, second = answers([start(on_jax, address, process, 2) for process in range(2)])
    assert (alone["processes"], alone["devices"]) == (1, 1)
    assert (first["processes"], first["devices"]) == (2, 2)
    np.testing.assert_allclose(first["weights"], second["weights"], rtol=1e-6)
    np.testing.assert_allclose(first["weights"], alone["weights"], rtol=1e-4)
    np.testing.assert_allclose(first["loss"], alone["loss"], atol=1e-4)
    assert alone["loss"][-1] < alone["loss"][0] - 0.01  # it learned more than the tolerance
