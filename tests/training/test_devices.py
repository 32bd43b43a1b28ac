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


def test_jax_keeps_its_programs_under_fer_home_unless_it_was_given_a_folder(tmp_path, monkeypatch):
    jax = pytest.importorskip("jax")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setenv("FER_HOME", str(tmp_path))
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    try:
        jax.config.update(names[0], None)
        devices.keep_programs()
        assert jax.config.jax_compilation_cache_dir.startswith(str(tmp_path / "cache" / "jax-"))
        jax.config.update(names[0], "elsewhere")
        devices.keep_programs()
        assert jax.config.jax_compilation_cache_dir == "elsewhere"
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def test_processors_of_other_instructions_have_folders_of_their_own(tmp_path):
    names = []
    for flags in ("sse avx", "sse avx avx512", "sse avx"):
        (tmp_path / "cpuinfo").write_text(f"processor: 0\nflags\t: {flags}\n")
        names.append(devices._processor(tmp_path / "cpuinfo"))
    assert names[0] == names[2] != names[1] and len(devices._processor(tmp_path / "none")) == 8
