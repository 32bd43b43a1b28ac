"""feed: the same epoch whether the faces lie in memory, on the device or behind cached features."""

import types

import keras
import numpy as np
import pytest

from fer_lib.models import classifier
from fer_lib.training import feed, mixing
from fer_lib.training import targets as targets_of


def fed(tiny, faces, *, unfreeze="all", on_device=None, epochs=2, **settings):
    """Return weights, logs and validation probabilities after some epochs."""
    keras.utils.set_random_seed(3)
    model = classifier.build_classifier(tiny, weights=None, unfreeze=unfreeze)
    settings = {"augmentation": "standard", "cache": "auto", "epochs": 2, "seed": 5} | settings
    fed = feed.Feed(
        model, faces["train"].images, faces["validation"].images, on_device=on_device, **settings
    )
    fed.compile(keras.optimizers.SGD(1e-2), keras.losses.CategoricalCrossentropy())
    steps = []
    logs = [
        fed.train_epoch(faces["train"].targets, None, epoch, 32, steps.append)
        for epoch in range(epochs)
    ]
    return model.get_weights(), logs, fed.predict(), steps


def assert_same(one, other, exact=True):
    for a, b in zip(one[0], other[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=0 if exact else 1e-5)
    for log, same in zip(one[1], other[1], strict=True):
        assert log == (same if exact else pytest.approx(same, abs=1e-5))
    np.testing.assert_allclose(one[2], other[2], atol=0 if exact else 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("unfreeze", ["top", "all"])
@pytest.mark.parametrize("augmentation", ["none", "standard"])
def test_data_on_the_device_gives_the_same_training(tiny, tiny_faces, unfreeze, augmentation):
    settings = {"unfreeze": unfreeze, "augmentation": augmentation}
    exact = keras.backend.backend() == "tensorflow"
    in_memory = fed(tiny, tiny_faces, on_device=False, **settings)
    assert_same(in_memory, fed(tiny, tiny_faces, on_device=True, **settings), exact)


def test_data_too_large_for_the_device_stays_in_memory(tiny, tiny_faces, monkeypatch):
    monkeypatch.setattr(feed, "DEVICE_BUDGET", tiny_faces["train"].images.nbytes - 1)
    monkeypatch.setattr(feed, "Table", None)
    fed(tiny, tiny_faces, on_device=True, epochs=1)


@pytest.mark.slow
@pytest.mark.parametrize("unfreeze", ["top", "all"])
def test_an_epoch_in_portions_is_the_same_epoch(tiny, tiny_faces, monkeypatch, unfreeze):
    whole = fed(tiny, tiny_faces, unfreeze=unfreeze)
    monkeypatch.setattr(feed, "PORTION", 1)
    if unfreeze == "top":
        monkeypatch.setattr(feed, "STEPS_PER_CALL", {"cached": 2})
    portions = fed(tiny, tiny_faces, unfreeze=unfreeze)
    for a, b in zip(portions[0], whole[0], strict=True):
        np.testing.assert_array_equal(a, b)
    for log, same in zip(portions[1], whole[1], strict=True):
        assert log == pytest.approx(same, abs=1e-6)
    assert portions[3] == ([2, 4, 6, 7] if unfreeze == "top" else [*range(1, 8)]) * 2


@pytest.mark.slow
def test_several_steps_per_call_change_no_result_and_report_their_steps(
    tiny, tiny_faces, monkeypatch
):
    several = fed(tiny, tiny_faces, on_device=True)
    monkeypatch.setattr(feed, "STEPS_PER_CALL", {})
    single = fed(tiny, tiny_faces, on_device=True)
    assert_same(several, single)
    assert single[3] == [*range(1, 8)] * 2  # 210 faces in batches of 32
    assert several[3] == [7, 7]


def test_a_table_returns_the_rows_of_its_array_in_their_dtype(rng):
    rows = rng.integers(0, 256, (5, 3, 2), dtype=np.uint8)
    found = keras.ops.convert_to_numpy(feed.Table(rows)(np.array([4, 0, 4], np.int32)))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, rows[[4, 0, 4]])


def fitted(tiny, faces, monkeypatch, epoch=0, targets=None, weights=None, **settings):
    """Return what one epoch hands to Keras's `fit`: faces, targets, weights."""
    given = []

    def fit(self, x, y=None, sample_weight=None, **options):
        if y is None:  # batches of TensorFlow
            parts = zip(*x.as_numpy_iterator(), strict=True)
            x, y, sample_weight = [*(np.concatenate(part) for part in parts), None][:3]
        given.extend([x, y, sample_weight])
        return types.SimpleNamespace(history={"loss": [0.0], "accuracy": [0.0]})

    model = classifier.build_classifier(
        tiny, weights=None, unfreeze=settings.pop("unfreeze", "all")
    )
    settings = {"augmentation": "none", "cache": "auto", "epochs": 2, "seed": 5} | settings
    images, validation = faces["train"].images, faces["validation"].images
    made = feed.Feed(model, images, validation, on_device=False, **settings)
    made.compile(keras.optimizers.SGD(1e-2), keras.losses.CategoricalCrossentropy())
    monkeypatch.setattr(keras.Model, "fit", fit)
    targets = faces["train"].targets if targets is None else targets
    made.train_epoch(targets, weights, epoch, 32)
    return given


def test_an_epoch_has_every_face_once_in_an_order_of_its_own(tiny, tiny_faces, monkeypatch):
    numbers = np.eye(210, dtype=np.float32)
    orders = [
        fitted(tiny, tiny_faces, monkeypatch, epoch, numbers)[1].argmax(axis=1)
        for epoch in (0, 0, 1)
    ]
    assert sorted(orders[0]) == list(range(210)) == sorted(orders[2])
    assert (orders[0] == orders[1]).all() and (orders[0] != orders[2]).any()


@pytest.mark.parametrize("unfreeze", ["top", "all"])  # also where the frozen layers could be cached
def test_faces_are_mixed_with_their_targets_and_weights(tiny, tiny_faces, monkeypatch, unfreeze):
    options = {"mixing": "mixup", "mixing_alpha": 1.0, "unfreeze": unfreeze}
    numbers, weights = np.eye(210, dtype=np.float32), np.arange(210, dtype=np.float32)
    epochs = [
        fitted(tiny, tiny_faces, monkeypatch, epoch, numbers, weights, **options)
        for epoch in (0, 0, 1)
    ]
    faces, targets, mixed = epochs[0]
    assert ((targets > 0.01).sum(axis=1) == 2).mean() > 0.8
    expected = np.tensordot(targets, tiny_faces["train"].images.astype(np.float32), 1)
    np.testing.assert_allclose(faces, expected, atol=0.51)
    np.testing.assert_allclose(mixed, targets @ weights, rtol=1e-3)
    assert (epochs[1][0] == faces).all() and (epochs[2][0] != faces).any()


@pytest.mark.slow
@pytest.mark.parametrize("way", mixing.MIXING)
def test_mixing_on_the_device_gives_the_same_training(tiny, tiny_faces, way):
    exact = keras.backend.backend() == "tensorflow"
    in_memory = fed(tiny, tiny_faces, on_device=False, mixing=way)
    assert_same(in_memory, fed(tiny, tiny_faces, on_device=True, mixing=way), exact)


def test_a_batch_that_is_filled_up_with_zero_weight_has_the_gradient_of_the_smaller_one(rng):
    faces, targets = rng.normal(size=(10, 5)).astype("float32"), np.eye(3, dtype="float32")
    targets, weights = targets[rng.integers(3, size=10)], rng.uniform(1, 2, 10).astype("float32")

    def trained(weights, fill):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Dense(3, activation="softmax")])
        loss = keras.losses.CategoricalCrossentropy()
        model.compile(keras.optimizers.SGD(0.5), loss, run_eagerly=True)
        parts = (faces, targets, weights)
        if fill:
            parts = feed._in_whole_batches(*parts, 8)
            assert [len(part) for part in parts] == [16] * 3 and (parts[2][10:] == 0).all()
            np.testing.assert_array_equal(parts[0][10:], faces[:6])
        x, y, sample_weight = parts
        model.fit(x, y, sample_weight=sample_weight, batch_size=8, shuffle=False, verbose=0)
        return model.get_weights()

    for given in (None, weights):
        for one, other in zip(trained(given, False), trained(given, True), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)


def test_what_fills_whole_batches_is_left_as_it_is(rng):
    faces, targets = rng.normal(size=(16, 2)), rng.normal(size=(16, 3))
    assert feed._in_whole_batches(faces, targets, None, 8) == (faces, targets, None)


@pytest.mark.parametrize("way", [None, "mixup"])
def test_where_every_shape_is_compiled_all_batches_have_one(tiny, tiny_faces, monkeypatch, way):
    monkeypatch.setattr(feed, "_compiles_every_shape", lambda: True)
    numbers = np.eye(210, dtype=np.float32)
    faces, targets, weights = fitted(tiny, tiny_faces, monkeypatch, 0, numbers, mixing=way)
    assert len(faces) == len(targets) == len(weights) == 224  # 7 batches of 32
    np.testing.assert_array_equal(targets[210:], targets[:14])
    np.testing.assert_array_equal(faces[210:], faces[:14])
    np.testing.assert_allclose(weights, [1] * 192 + [32 / 18] * 18 + [0] * 14, rtol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="is about tf.data")
def test_batches_come_in_order_and_are_not_tuned(rng):
    rows, targets = rng.integers(0, 256, (70, 4, 4), np.uint8), np.eye(7, dtype="float32")[[3] * 70]
    batches = feed._in_batches(rows, targets, None, 32, parallel=1)["x"]
    parts = list(batches.as_numpy_iterator())
    assert [len(part) for part, _ in parts] == [32, 32, 6] and len(batches) == 3
    np.testing.assert_array_equal(np.concatenate([part for part, _ in parts]), rows)
    assert batches.options().autotune.enabled is False


def test_devices_share_each_step_and_the_last_one_evenly(tiny, tiny_faces, monkeypatch):
    rows, _, _ = fitted(tiny, tiny_faces, monkeypatch, parallel=4)
    assert len(rows) == 208  # of 210


@pytest.mark.slow
def test_predictions_for_several_devices_are_those_for_one(tiny, tiny_faces, monkeypatch):
    one = fed(tiny, tiny_faces, epochs=1)[2]
    predict = keras.Model.predict

    def even(self, rows, batch_size, **options):
        assert len(rows) % 3 == 0 and batch_size % 3 == 0
        return predict(self, rows, batch_size=batch_size, **options)

    monkeypatch.setattr(keras.Model, "predict", even)
    faces = tiny_faces | {"validation": tiny_faces["validation"][:-1]}  # 139
    three = fed(tiny, faces, epochs=1, parallel=3, on_device=False)[2]
    np.testing.assert_allclose(three, one[:-1], atol=1e-5)


# teachers


class Asked:
    """A teacher who remembers the faces it was asked about and always answers the first class."""

    def __init__(self):
        self.faces = []

    def __call__(self, images):
        self.faces.append(images)
        return np.eye(7, dtype=np.float32)[np.zeros(len(images), int)]


@pytest.mark.parametrize("mixing", [None, "mixup"])
def test_teachers_answer_about_the_very_faces_that_the_model_sees(
    tiny, tiny_faces, monkeypatch, mixing
):
    asked = Asked()
    settings = {"augmentation": "strong", "mixing": mixing, "unfreeze": "top"}
    teaching = targets_of.Teaching(asked, weight=0.25, temperature=1.0)
    faces, targets, _ = fitted(tiny, tiny_faces, monkeypatch, teaching=teaching, **settings)
    np.testing.assert_array_equal(np.concatenate(asked.faces), faces)
    assert faces.dtype == np.uint8 and len(faces) == len(tiny_faces["train"])
    labels = (targets - 0.25 * np.eye(7)[0]) / 0.75
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-5)
    given = tiny_faces["train"].targets.sum(axis=0)
    np.testing.assert_allclose(labels.sum(axis=0), given, rtol=0.2 if mixing else 1e-5)
    # Other faces in the next epoch, the same ones in the same epoch.
    again, other = Asked(), Asked()
    fitted(tiny, tiny_faces, monkeypatch, teaching=teaching._replace(ask=again), **settings)
    fitted(tiny, tiny_faces, monkeypatch, 1, teaching=teaching._replace(ask=other), **settings)
    np.testing.assert_array_equal(again.faces[0], asked.faces[0])
    assert (other.faces[0] != asked.faces[0]).any()


def test_teachers_are_asked_in_portions_and_on_the_device_too(tiny, tiny_faces, monkeypatch):
    monkeypatch.setattr(feed, "TAUGHT", 2)
    in_memory, on_device = Asked(), Asked()
    for asked, place in ((in_memory, False), (on_device, True)):
        teaching = targets_of.Teaching(asked, weight=1.0, temperature=1.0)
        settings = {"augmentation": "none", "on_device": place, "teaching": teaching}
        _, _, answers, steps = fed(tiny, tiny_faces, epochs=1, **settings)
        assert steps[-1] == 7 and np.isfinite(answers).all()
    assert [len(faces) for faces in in_memory.faces] == [64, 64, 64, 18]
    np.testing.assert_array_equal(np.concatenate(in_memory.faces), on_device.faces[0])


def test_a_second_output_keeps_its_own_labels():
    targets = np.float32([[0, 1, 0, 0.5, 0.5]])
    teaching = targets_of.Teaching(lambda faces: np.float32([[1, 0, 0]]), 0.5, 1.0)
    np.testing.assert_allclose(teaching.mix(targets, None), [[0.5, 0.5, 0, 0.5, 0.5]], atol=1e-4)
