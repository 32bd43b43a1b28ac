"""Robustness: damaged, foreign or old files and a full disk are named, and cost nothing done."""

import dataclasses
import json
import os
import re
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import zipfile
from contextlib import contextmanager

import keras
import numpy as np
import pytest

from fer_lib import storage
from fer_lib.data import synthetic
from fer_lib.data.readers import cache
from fer_lib.experiments import runner, runs
from fer_lib.models import classifier
from fer_lib.models.weights import _base, find_weights
from fer_lib.training import checkpoints
from support.finished_runs import experiment
from support.places import ROOT


@pytest.fixture(scope="module")
def saved(tiny, tmp_path_factory):
    """A classifier and its file."""
    model = classifier.build_classifier(tiny, weights=None, image_size=32)
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model.save(path)
    return model, path


def truncate(path, share=0.5):
    with open(path, "rb+") as file:
        file.truncate(int(path.stat().st_size * share))


# Damaged files.


@pytest.mark.parametrize("array", ["images", "labels"])
@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_cache_is_parsed_anew(array, damage, tmp_path):
    source, parsed = tmp_path / "source.csv", []
    source.write_text("x")

    def parse(path):
        parsed.append(path)
        return synthetic.make_faces(14)

    whole = np.array(cache.cached(source, parse, version="1").images)
    (file,) = (storage.fer_home() / "cache").glob(f"*/{array}.npy")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.unlink()  # the old one is still mapped
    file.write_bytes(content[:-100] if damage == "truncated" else content)
    again = cache.cached(source, parse, version="1")
    assert len(parsed) == 2
    np.testing.assert_array_equal(again.images, whole)
    cache.cached(source, parse, version="1")
    assert len(parsed) == 2  # and cached whole


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_truncated_weights_are_refused_by_name(saved, suffix, share, tmp_path):
    model, file = saved
    path = tmp_path / f"broken{suffix}"
    if suffix == ".keras":
        shutil.copy(file, path)
    else:
        _base("Tiny", 1.0, None).save_weights(path)
    truncate(path, share)
    with pytest.raises(ValueError, match=rf"broken{suffix} does not hold weights of Tiny 1.0"):
        find_weights("tiny", "Tiny", 1.0, str(path))


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_weights_of_another_model_are_refused_by_name(tiny, suffix, tmp_path):
    path = tmp_path / f"other{suffix}"
    inputs = keras.Input((8,))
    other = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    other.save(path) if suffix == ".keras" else other.save_weights(path)
    with pytest.raises(ValueError, match=rf"other{suffix} does not hold weights of Tiny 1.0"):
        find_weights("tiny", "Tiny", 1.0, str(path))


def test_weights_of_another_width_are_refused_by_name(tiny, tmp_path):
    path = tmp_path / "wide.weights.h5"
    _base("Tiny", 2.0, None).save_weights(path)
    with pytest.raises(ValueError, match=r"wide.weights.h5 does not hold weights of Tiny 1.0"):
        find_weights("tiny", "Tiny", 1.0, str(path))


# Files with code.


def write_lambda(path, witness):
    """Save a model whose loading would run code: its Lambda writes the file `witness`."""
    inputs = keras.Input((48, 48))
    code = f"lambda x: [open({str(witness)!r}, 'w').close(), x][1]"
    outputs = keras.layers.Lambda(eval(code), output_shape=(48, 48))(inputs)
    model = keras.Model(inputs, keras.layers.Dense(7)(keras.layers.Flatten()(outputs)))
    model.save(path)
    witness.unlink(missing_ok=True)  # building the model wrote it too


def write_module(path, saved, witness):
    """Save a model that names a class of another module, which loading would import."""
    module = path.parent / "evil_module.py"
    module.write_text(f"open({str(witness)!r}, 'w').close()\nclass Layer: pass\n")
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                layer = config["config"]["layers"][2]
                layer["module"], layer["class_name"] = "evil_module", "Layer"
                layer["registered_name"] = None
                content = json.dumps(config)
            new.writestr(name, content)


@pytest.mark.parametrize("kind", ["lambda", "module"])
@pytest.mark.parametrize("use", ["weights", "run"])
def test_a_model_file_with_code_is_refused_and_its_code_not_run(
    saved, kind, use, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    path, witness = tmp_path / "model.keras", tmp_path / "witness"
    write_lambda(path, witness) if kind == "lambda" else write_module(path, saved[1], witness)
    if use == "weights":
        with pytest.raises(ValueError, match=r"model.keras does not hold weights of Tiny"):
            find_weights("tiny", "Tiny", 1.0, str(path))
    else:
        storage.write_json(tmp_path / "experiment.json", dataclasses.asdict(experiment(tmp_path)))
        with pytest.raises((ValueError, TypeError)):
            runs.load_run(tmp_path).model()
    assert not witness.exists()


# Folders of other versions.


def write_old_run(folder, change):
    """Write a run's parameters as another version would have."""
    parameters = dataclasses.asdict(experiment(folder))
    change(parameters)
    storage.write_json(folder / "old" / "experiment.json", parameters)
    return folder / "old"


def test_a_run_that_lacks_a_newer_parameter_reads_with_its_default(tmp_path):
    folder = write_old_run(tmp_path, lambda parameters: parameters.pop("weight_decay"))
    assert runs.load_run(folder).experiment == experiment(tmp_path)
    assert runs.runs_table(tmp_path).weight_decay.tolist() == [1e-4]


def test_a_run_with_a_parameter_of_another_version_is_refused_by_name(tmp_path):
    folder = write_old_run(tmp_path, lambda parameters: parameters.update(zoom=2))
    with pytest.raises(ValueError, match=r"old.experiment.json.*zoom"):
        _ = runs.load_run(folder).experiment
    (row,) = runs.runs_table(tmp_path).to_dict("records")
    assert row["run"] == "old" and re.search(r"damaged: .*old.experiment.json.*zoom", row["state"])


def test_a_run_with_a_value_of_another_version_is_refused_by_name(tmp_path):
    folder = write_old_run(tmp_path, lambda parameters: parameters.update(epochs="many"))
    with pytest.raises(ValueError, match=r"old.experiment.json.*epochs must be"):
        _ = runs.load_run(folder).experiment


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_damaged_experiment_is_refused_by_name(text, tmp_path):
    (tmp_path / "experiment.json").write_text(text)
    with pytest.raises(ValueError, match=r"experiment.json"):
        _ = runs.load_run(tmp_path).experiment


# A damaged checkpoint.


def test_a_damaged_checkpoint_is_refused_by_name(tiny, tiny_faces, tmp_path, monkeypatch):
    save = checkpoints.save

    def save_and_stop(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save", save_and_stop)
    wanted = experiment(tmp_path, epochs=3)
    with pytest.raises(KeyboardInterrupt):
        runner.run(wanted, tiny_faces)
    monkeypatch.undo()
    (weights,) = (tmp_path / wanted.name / "checkpoint").glob("*.weights.*")
    truncate(weights)
    with pytest.raises((ValueError, OSError), match=r"0001.weights"):
        runner.run(wanted, tiny_faces)


# A full disk.


@contextmanager
def largest_file(size):
    """Let no file of this process grow beyond so many bytes, as a full disk or a quota would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an OSError instead
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_write_that_does_not_fit_leaves_the_old_file(tmp_path):
    path = tmp_path / "scores.json"
    storage.write_json(path, {"old": 1})
    with largest_file(100), pytest.raises(OSError):
        storage.write_json(path, {"new": "x" * 1000})
    assert storage.read_json(path) == {"old": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["scores.json"]


def test_a_model_that_does_not_fit_is_an_error_and_no_file(saved, tmp_path):
    path = tmp_path / "model.keras"
    with largest_file(10_000), pytest.raises(OSError), storage.replacing(path) as temporary:
        saved[0].save(temporary)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_does_not_fit_costs_the_cache_alone(tmp_path):
    source = tmp_path / "source.csv"
    source.write_text("x")
    with largest_file(1000), pytest.warns(UserWarning, match=r"source.csv could not be cached"):
        faces = cache.cached(source, lambda path: synthetic.make_faces(14), version="1")
    assert len(faces) == 14
    assert not list((storage.fer_home() / "cache").glob(".*"))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_is_said_and_earlier_results_are_whole(tmp_path, monkeypatch):
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(words, capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        run_here(monkeypatch, disk, seed=0)
        (first,) = (path.parent for path in disk.glob("*/scores.json"))
        before = {p.name: p.read_bytes() for p in first.iterdir() if p.is_file()}
        filler, free = disk / "filler", shutil.disk_usage(disk).free
        filler.write_bytes(bytes(free - 40_000))
        # In a process of its own: what ends it must not end the tests.
        words = [sys.executable, TINY_RUN, disk, "1"]
        full = subprocess.run(words, capture_output=True, text=True, timeout=300)
        assert full.returncode == 1, full.returncode  # an error, not the end of the process
        assert "No space left" in full.stderr
        assert len(list(disk.glob("*/scores.json"))) == 1
        assert not list(disk.glob("**/.fer-*"))
        assert before == {p.name: p.read_bytes() for p in first.iterdir() if p.is_file()}
        filler.unlink()
        run_here(monkeypatch, disk, seed=1)
        assert len(list(disk.glob("*/scores.json"))) == 2
    finally:
        subprocess.run(["umount", str(disk)], check=True)


TINY_RUN = str(ROOT / "tests" / "soak" / "tiny_run.py")


def run_here(patch, results, seed):
    """Train in this process."""
    patch.setattr(sys, "argv", [TINY_RUN, str(results), str(seed)])
    runpy.run_path(TINY_RUN)
