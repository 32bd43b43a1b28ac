"""checkpoints: what is counted is complete, and no more is kept than is needed."""

import math

import keras
import numpy as np
import pytest

from fer_lib import storage
from fer_lib.models import classifier
from fer_lib.training import checkpoints


@pytest.fixture
def model(tiny):
    """A classifier with a compiled optimizer that has moved."""
    keras.utils.set_random_seed(0)
    model = classifier.build_classifier(tiny, weights=None, unfreeze="top", dropout=0)
    model.compile(keras.optimizers.Adam(0.1), "categorical_crossentropy", run_eagerly=True)
    step(model)
    return model


def step(model):
    images = np.arange(4 * 48 * 48, dtype=np.uint8).reshape(4, 48, 48)
    model.train_on_batch(images, np.eye(7, dtype=np.float32)[:4])


def rows(count):
    return [
        {"epoch": i + 1, "stage": "100", "loss": 1 / (i + 3), "val_macro_f1": 0.1 * i}
        for i in range(count)
    ]


def state(model):
    return [np.array(keras.ops.convert_to_numpy(v)) for v in model.optimizer.variables]


def files(folder):
    return sorted(path.name for path in (folder / "checkpoint").iterdir())


def test_history_comes_back_exactly_with_its_kinds(model, tmp_path):
    history = rows(3)
    checkpoints.save(tmp_path, history, 1, model, model)
    assert checkpoints.read_history(tmp_path) == history  # "100" stays text, floats keep all bits
    assert isinstance(checkpoints.read_history(tmp_path)[0]["epoch"], int)


def test_a_new_folder_has_no_history(tmp_path):
    assert checkpoints.read_history(tmp_path) == []


def test_weights_and_optimizer_come_back_exactly(model, tiny, tmp_path):
    whole = keras.Model(model.input, model.output)  # never compiled, as in training
    checkpoints.save(tmp_path, rows(1), 1, whole, model)
    weights, optimizer = model.get_weights(), state(model)
    step(model)
    assert any((a != b).any() for a, b in zip(model.get_weights(), weights, strict=True))
    other = classifier.build_classifier(tiny, weights=None, unfreeze="top", dropout=0)
    checkpoints.load_model(tmp_path, 1, other)
    other.compile(keras.optimizers.Adam(0.1), "categorical_crossentropy", run_eagerly=True)
    checkpoints.load_optimizer(tmp_path, 1, other)
    for saved, loaded in ((weights, other.get_weights()), (optimizer, state(other))):
        for a, b in zip(saved, loaded, strict=True):
            np.testing.assert_array_equal(a, b)
    step(other)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_only_the_last_and_the_best_epoch_are_kept(model, tmp_path):
    kept = []
    for epoch, best in ((1, 1), (2, 1), (3, 3), (4, 3)):
        checkpoints.save(tmp_path, rows(epoch), best, model, model)
        kept.append(files(tmp_path))
    assert kept == [
        ["0001.optimizer.npz", "0001.weights.npz"],
        ["0001.weights.npz", "0002.optimizer.npz", "0002.weights.npz"],
        ["0003.optimizer.npz", "0003.weights.npz"],
        ["0003.weights.npz", "0004.optimizer.npz", "0004.weights.npz"],
    ]


@pytest.mark.parametrize("ending", [".weights.npz", ".optimizer.npz", "history.csv"])
def test_a_save_broken_off_anywhere_leaves_the_epoch_before(model, tmp_path, monkeypatch, ending):
    checkpoints.save(tmp_path, rows(1), 1, model, model)
    weights = model.get_weights()
    step(model)
    replacing = storage.replacing

    def broken(path):
        if path.name.endswith(ending):
            raise KeyboardInterrupt
        return replacing(path)

    monkeypatch.setattr(storage, "replacing", broken)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(tmp_path, rows(2), 2, model, model)
    assert checkpoints.read_history(tmp_path) == rows(1)
    checkpoints.load_model(tmp_path, 1, model)
    checkpoints.load_optimizer(tmp_path, 1, model)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_what_a_kill_left_behind_is_cleared_by_the_next_epoch(model, tmp_path):
    checkpoints.save(tmp_path, rows(1), 1, model, model)
    (tmp_path / "checkpoint" / ".1a2b3c4d.0002.weights.npz").write_text("half")
    checkpoints.save(tmp_path, rows(2), 2, model, model)
    assert files(tmp_path) == ["0002.optimizer.npz", "0002.weights.npz"]


@pytest.mark.parametrize(
    "content",
    ["", "a,b\n1,0.5\n2,0.4", "a,b\n1\n", "a,b\n1,2,3\n", "a\n\x98\n", "epoch,stage\n1,al\0\n"],
)
def test_a_damaged_history_is_named(tmp_path, content):
    (tmp_path / "history.csv").write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match="history.csv is damaged"):
        checkpoints.read_history(tmp_path)


def test_a_history_of_an_older_version_is_gone_on_with(tmp_path):
    text = "epoch,stage,loss,compile_seconds\n1,all,0.5,\n2,all,0.4,1.5\n"
    (tmp_path / "history.csv").write_text(text)
    first, second = checkpoints.read_history(tmp_path)
    assert first["epoch"] == 1 and math.isnan(first["compile_seconds"])
    assert second["compile_seconds"] == 1.5
