"""feed: the same epoch whether the faces lie in memory, on the device or behind cached features."""

import keras
import numpy as np
import pytest

from fer_lib import feed, models


def fed(tiny, faces, *, unfreeze="all", on_device=None, epochs=2, **settings):
    """Return weights, logs and validation probabilities after some epochs."""
    keras.utils.set_random_seed(3)
    model = models.build_classifier(tiny, weights=None, unfreeze=unfreeze)
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


def test_several_steps_per_call_change_no_result_and_report_their_steps(
    tiny, tiny_faces, monkeypatch
):
    several = fed(tiny, tiny_faces, on_device=True)
    monkeypatch.setattr(feed, "STEPS_PER_CALL", 1)
    single = fed(tiny, tiny_faces, on_device=True)
    assert_same(several, single)
    assert single[3] == [*range(1, 8)] * 2  # 210 faces in batches of 32
    assert several[3] == [7, 7]


def test_a_table_returns_the_rows_of_its_array_in_their_dtype(rng):
    rows = rng.integers(0, 256, (5, 3, 2), dtype=np.uint8)
    found = keras.ops.convert_to_numpy(feed.Table(rows)(np.array([4, 0, 4], np.int32)))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, rows[[4, 0, 4]])
