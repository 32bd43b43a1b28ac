"""devices: what is asked for and not there is said; here there is a CPU alone."""

import os
import subprocess
import sys

import keras
import pytest

from fer_lib.training import devices
from support.places import ROOT

on_tensorflow = keras.backend.backend() == "tensorflow"


class ResourceExhaustedError(Exception):
    """Named like TensorFlow's."""


@pytest.mark.parametrize(
    "error",
    [
        ResourceExhaustedError("failed to allocate memory"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 10 bytes."),
        RuntimeError("CUDA out of memory. Tried to allocate 10 bytes."),
    ],
)
def test_too_large_a_batch_is_explained(error):
    with pytest.raises(MemoryError, match="batch_size=96 does not fit.*try batch_size=48") as seen:
        with devices.explaining_memory(96):
            raise error
    assert seen.value.__cause__ is error


def test_a_batch_of_one_can_not_be_halved():
    with pytest.raises(MemoryError, match="try a smaller image_size"):
        with devices.explaining_memory(1):
            raise ResourceExhaustedError


def test_other_errors_are_left_as_they_are():
    with pytest.raises(ValueError, match="^lower learning_rate$"):
        with devices.explaining_memory(96):
            raise ValueError("lower learning_rate")


@pytest.mark.skipif(on_tensorflow, reason="TensorFlow can")
def test_determinism_is_refused_where_it_can_not_be_had():
    with pytest.raises(ValueError, match="XLA_FLAGS"):
        devices.make_deterministic()


CODE = """
import sys
from fer_lib.data import synthetic
from fer_lib.experiments import runner
from fer_lib.experiments.experiment import Experiment
from tensorflow.python.framework import config
from support.tiny_backbone import installed

counts = {"train": 64, "validation": 35, "test": 35}
data = {s: synthetic.make_faces(n, seed=n) for s, n in counts.items()}
with installed():
    for folder in sys.argv[1:]:
        this = Experiment(
            dataset="synthetic", backbone="tiny", weights=None, image_size=32, epochs=2,
            batch_size=32, deterministic=True, augmentation="strong", results_dir=folder,
        )
        runner.run(this, data)
print(config.is_op_determinism_enabled())
"""


@pytest.mark.slow
@pytest.mark.skipif(not on_tensorflow, reason="of TensorFlow")
def test_a_deterministic_run_has_the_same_scores_twice(tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    env = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    command = [sys.executable, "-c", CODE, *folders]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("True")
    one, two = (next(folder.glob("*/scores.json")).read_bytes() for folder in folders)
    assert one == two


@pytest.mark.parametrize(
    "flags, dense, quick",
    [
        ("fma avx2 avx512f avx512_bf16", True, True),
        ("avx2 amx_bf16 amx_tile", True, True),
        ("avx2 amx_bf16 amx_tile", False, False),
        ("fma avx2", True, False),
        ("avx512_bf16x", True, False),
    ],
)
def test_bfloat16_is_taken_where_processor_and_network_gain_by_it(
    tmp_path, monkeypatch, flags, dense, quick
):
    monkeypatch.setattr(devices, "on_gpu", lambda: False)
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor : 0\nflags : {flags}\n")
    assert devices.quick_in_bfloat16(dense, file) == quick
    assert not devices.quick_in_bfloat16(True, tmp_path / "none")
    monkeypatch.setattr(devices, "on_gpu", lambda: True)
    assert devices.quick_in_bfloat16(dense, file)
