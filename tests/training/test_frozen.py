"""prefix_cache: the cut is where it may be, and computing it once changes no bit."""

import os
import types

import keras
import numpy as np
import pandas as pd
import pytest

from fer_lib.models.classifier import build_classifier
from fer_lib.training import frozen, loop
from fer_lib.training.augmentation import build_augmentation

exact = keras.backend.backend() == "tensorflow"  # XLA may fuse the two ways differently


@pytest.fixture(scope="module")
def images(tiny_faces):
    """Twenty synthetic faces."""
    return tiny_faces["train"].images[:20]


def classifier(backbone, unfreeze, **options):
    keras.utils.set_random_seed(1)
    return build_classifier(backbone, weights=None, unfreeze=unfreeze, **options)


def composed(prefix, suffix, images):
    return suffix.predict(frozen.compute_features(prefix, images), verbose=0)


def names(model):
    return [layer.name for layer in model.layers]


def test_top_is_cut_right_before_the_head_s_dropout(tiny):
    prefix, suffix = frozen.split_at_frozen(classifier(tiny, "top"))
    assert prefix.layers[-1].name == "pool" and prefix.output_shape == (None, 32)
    assert names(suffix)[-2:] == ["dropout", "emotion"] and not prefix.trainable_weights


def test_a_cut_inside_a_residual_block_moves_to_the_block_s_start(tiny):
    model = classifier(tiny, "100")
    assert not model.get_layer("conv_3_expand").trainable
    prefix, suffix = frozen.split_at_frozen(model)
    assert prefix.layers[-1].name == "relu_2"
    assert "conv_3_expand" in names(suffix) and "add_3" in names(suffix)


def test_mobilenet_v2_is_cut_at_the_end_of_block_10():
    model = classifier("mobilenet_v2", "100", alpha=0.35)
    prefix, _ = frozen.split_at_frozen(model)
    assert prefix.layers[-1].name == "block_10_project_BN"
    assert not prefix.trainable_weights


def test_mobilenet_v1_is_cut_at_the_end_of_block_8():
    prefix, _ = frozen.split_at_frozen(classifier("mobilenet", "100", alpha=0.25))
    assert prefix.layers[-1].name == "conv_pw_8_relu"


def test_nothing_is_cut_where_everything_trains(tiny):
    assert frozen.split_at_frozen(classifier(tiny, "all")) is None


@pytest.mark.parametrize("options", [{}, {"dropout": 0.0}, {"image_size": 64}])
@pytest.mark.parametrize("unfreeze", ["top", "100"])
def test_prefix_and_suffix_together_are_the_model(tiny, images, unfreeze, options):
    model = classifier(tiny, unfreeze, **options)
    prefix, suffix = frozen.split_at_frozen(model)
    whole = model.predict(images, verbose=0)
    np.testing.assert_allclose(composed(prefix, suffix, images), whole, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(not exact, reason="compiles for minutes on other backends")
@pytest.mark.parametrize("backbone, alpha", [("mobilenet", 0.25), ("mobilenet_v2", 0.35)])
def test_the_real_networks_are_whole_again_after_the_cut(images, backbone, alpha):
    model = classifier(backbone, "100", alpha=alpha)
    prefix, suffix = frozen.split_at_frozen(model)
    whole = model.predict(images, verbose=0)
    np.testing.assert_allclose(composed(prefix, suffix, images), whole, atol=1e-5)


def test_prefix_and_suffix_share_the_model_s_layers(tiny):
    model = classifier(tiny, "100")
    parts = frozen.split_at_frozen(model)
    variables = {id(weight) for weight in model.weights}
    assert {id(weight) for part in parts for weight in part.weights} == variables


# features


def test_features_do_not_depend_on_the_batch_size(tiny, images):
    prefix, _ = frozen.split_at_frozen(classifier(tiny, "100"))
    large = frozen.compute_features(prefix, images)
    small = frozen.compute_features(prefix, images, batch_size=8)  # 20 = 8 + 8 + 4
    assert large.shape == (20, 12, 12, 16) and large.dtype == np.float32
    np.testing.assert_allclose(small, large, atol=1e-5)
    assert frozen.feature_bytes(prefix, 20) == large.nbytes


def test_views_are_seeded_augmentations_of_the_same_faces(tiny, images):
    prefix, _ = frozen.split_at_frozen(classifier(tiny, "100"))
    forward = frozen.forward_pass(prefix, 60)
    views = [np.empty((3, 20, 12, 12, 16), np.float32) for _ in range(3)]
    for features, seed in zip(views, (0, 0, 1), strict=True):
        frozen.compute_views(forward, images, features, augmentation="flip", seed=seed)
    np.testing.assert_array_equal(views[0], views[1])
    assert (views[0] != views[2]).any() and (views[0][0] != views[0][1]).any()
    layer = build_augmentation("flip", 0)
    flipped = keras.ops.convert_to_numpy(layer(images, training=True))
    expected = frozen.compute_features(prefix, flipped)
    np.testing.assert_allclose(views[0][0], expected, atol=1e-5)


def test_without_augmentation_the_one_view_is_the_face(tiny, images):
    prefix, _ = frozen.split_at_frozen(classifier(tiny, "top"))
    forward = frozen.forward_pass(prefix, 20)
    views = np.empty((1, 20, 32), np.float32)
    frozen.compute_views(forward, images, views, augmentation="none", seed=0)
    np.testing.assert_array_equal(views[0], frozen.compute_features(prefix, images))


def reserved(tiny, augmentation="flip"):
    prefix, _ = frozen.split_at_frozen(classifier(tiny, "100"))
    return frozen.reserve(prefix, 20, augmentation, 3), prefix


def test_what_does_not_fit_in_memory_lies_in_a_nameless_file(tiny, images, tmp_path, monkeypatch):
    told, progress = [], frozen.screen.progress

    def telling(items=None, text=None, **options):
        told.append(text)
        return progress(items, text, **options)

    monkeypatch.setattr(frozen.screen, "progress", telling)
    monkeypatch.setenv("FER_HOME", str(tmp_path))
    monkeypatch.setattr(frozen, "MEMORY_BUDGET", 1000)
    features, prefix = reserved(tiny)
    assert isinstance(features, np.memmap) and features.shape == (3, 20, 12, 12, 16)
    assert list(tmp_path.iterdir()) == [tmp_path / "cache"]
    assert not list((tmp_path / "cache").iterdir())  # so that nothing can be left of it
    forward = frozen.forward_pass(prefix, 60)
    settings = {"augmentation": "flip", "seed": 0}
    frozen.compute_views(forward, images, features, **settings, progress="frozen layers")
    assert told[-1] == "frozen layers, view 3 of 3, 0.0 GB in a file"
    expected = np.empty(features.shape, np.float32)
    frozen.compute_views(forward, images, expected, **settings)
    np.testing.assert_array_equal(features, expected)


def test_the_file_has_as_many_views_as_half_of_the_free_disk(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_HOME", str(tmp_path))
    monkeypatch.setattr(frozen, "MEMORY_BUDGET", 1000)
    one = 20 * 12 * 12 * 16 * 4
    for free, views in ((one * 5, 2), (one * 2, 1)):
        usage = types.SimpleNamespace(free=free)
        monkeypatch.setattr(frozen.shutil, "disk_usage", lambda folder, usage=usage: usage)
        assert len(reserved(tiny)[0]) == views
    usage.free = one
    assert reserved(tiny)[0] is None
    usage.free = 100 * one
    monkeypatch.setattr(frozen, "FILE_BUDGET", one)
    assert len(reserved(tiny)[0]) == 1


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="nothing reserves room there")
def test_a_full_disk_is_told_before_anything_is_computed(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_HOME", str(tmp_path))
    monkeypatch.setattr(frozen, "MEMORY_BUDGET", 1000)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(frozen.os, "posix_fallocate", full)
    with pytest.warns(UserWarning, match="run every epoch: no room in .*cache.*No space left"):
        assert reserved(tiny)[0] is None


@pytest.fixture
def litert_calls(monkeypatch):
    """Conversion at any number of faces; the list of how many batches LiteRT ran each time."""
    calls = []
    compute = frozen.litert.compute
    monkeypatch.setattr(frozen, "WORTH_CONVERTING", 1)
    monkeypatch.setattr(
        frozen.litert,
        "compute",
        lambda content, batches: calls.append(len(batches)) or compute(content, batches),
    )
    return calls


@pytest.mark.skipif(not exact, reason="the converter needs TensorFlow")
@pytest.mark.parametrize("unfreeze", ["top", "100"])
def test_litert_computes_the_same_features(tiny, tiny_faces, litert_calls, unfreeze):
    prefix, _ = frozen.split_at_frozen(classifier(tiny, unfreeze))
    images = tiny_faces["train"].images[:70]
    features = frozen.forward_pass(prefix, 70, exact=False)(images, None)
    expected = frozen.compute_features(prefix, images)
    assert litert_calls == [1, 3] and features.dtype == np.float32  # a trial, 32 + 32 + 6 faces
    assert features.shape == expected.shape
    np.testing.assert_allclose(features, expected, atol=1e-5 * abs(expected).max())


def test_what_must_be_exact_or_is_small_is_keras_s_own(tiny, images, litert_calls, monkeypatch):
    prefix, _ = frozen.split_at_frozen(classifier(tiny, "top"))
    expected = frozen.compute_features(prefix, images)
    np.testing.assert_array_equal(frozen.forward_pass(prefix, 99)(images), expected)
    monkeypatch.setattr(frozen, "WORTH_CONVERTING", 100)
    forward = frozen.forward_pass(prefix, 99, exact=False)
    np.testing.assert_array_equal(forward(images), expected)
    assert not litert_calls


@pytest.mark.skipif(not exact, reason="the converter needs TensorFlow")
@pytest.mark.parametrize("answer, words", [("wrong", "other features"), ("error", "can not run")])
def test_keras_stands_in_where_litert_fails(tiny, images, monkeypatch, answer, words):
    prefix, _ = frozen.split_at_frozen(classifier(tiny, "top"))

    def compute(content, batches):
        if answer == "error":
            raise RuntimeError("no such operation")
        return [np.full((len(batch), *prefix.output_shape[1:]), np.nan) for batch in batches]

    monkeypatch.setattr(frozen.litert, "compute", compute)
    monkeypatch.setattr(frozen, "WORTH_CONVERTING", 1)
    with pytest.warns(UserWarning, match=words):
        forward = frozen.forward_pass(prefix, 20, exact=False)
    expected = frozen.compute_features(prefix, images)
    np.testing.assert_array_equal(forward(images), expected)


@pytest.mark.parametrize(
    "augmentation, epochs, views_that_fit, views",
    [
        ("none", 10, 100, 1),
        ("none", 10, 0.5, 0),
        ("standard", 3, 100, 3),
        ("standard", 50, 100, 8),
        ("standard", 50, 2.9, 2),
        ("standard", 50, 0.99, 0),
    ],
)
def test_as_many_views_are_chosen_as_are_useful_and_fit(
    tiny, augmentation, epochs, views_that_fit, views
):
    prefix, _ = frozen.split_at_frozen(classifier(tiny, "100"))
    budget = int(views_that_fit * frozen.feature_bytes(prefix, 1000))
    chosen = frozen.choose_views(prefix, 1000, augmentation, epochs, budget)
    assert chosen == views


# training on what was computed once


def trained(tiny, tiny_faces, folder, unfreeze, cache):
    model = classifier(tiny, unfreeze)
    history = loop.fit(
        model,
        *((tiny_faces[s].images, tiny_faces[s].targets) for s in ("train", "validation")),
        stages=[loop.Stage(unfreeze, unfreeze, 2, 3e-3)],
        folder=folder,
        batch_size=32,
        cache=cache,
    )
    return history.drop(columns=["seconds", "compile_seconds"]), model.get_weights()


@pytest.mark.slow
@pytest.mark.parametrize("unfreeze", ["top", "100"])
def test_training_on_cached_features_changes_no_bit(tiny, tiny_faces, tmp_path, unfreeze):
    results = [
        trained(tiny, tiny_faces, tmp_path / cache, unfreeze, cache) for cache in ("exact", "none")
    ]
    (history, weights), (plain_history, plain_weights) = results
    for cached, plain in zip(weights, plain_weights, strict=True):
        np.testing.assert_allclose(cached, plain, rtol=0, atol=0 if exact else 1e-5)
    numbers = history.select_dtypes("number").to_numpy()
    plain_numbers = plain_history.select_dtypes("number").to_numpy()
    np.testing.assert_allclose(numbers, plain_numbers, rtol=0, atol=0 if exact else 1e-4)
    assert history.loss.iloc[-1] < history.loss.iloc[0]


@pytest.mark.slow
def test_what_fits_nowhere_is_trained_without_the_cache(tiny, tiny_faces, tmp_path, monkeypatch):
    fits, _ = trained(tiny, tiny_faces, tmp_path / "fits", "top", "auto")
    monkeypatch.setattr(frozen, "reserve", lambda *arguments: None)
    monkeypatch.setattr(frozen, "compute_views", None)
    too_large, _ = trained(tiny, tiny_faces, tmp_path / "large", "top", "auto")
    np.testing.assert_allclose(too_large.loss, fits.loss, atol=1e-5)


@pytest.mark.slow
def test_training_from_the_file_changes_no_bit(tiny, tiny_faces, tmp_path, monkeypatch):
    history, weights = trained(tiny, tiny_faces, tmp_path / "memory", "100", "exact")
    monkeypatch.setenv("FER_HOME", str(tmp_path))
    monkeypatch.setattr(frozen, "MEMORY_BUDGET", 1000)
    kinds = []
    reserve = frozen.reserve
    monkeypatch.setattr(
        frozen, "reserve", lambda *given: kinds.append(reserve(*given)) or kinds[-1]
    )
    from_file, same = trained(tiny, tiny_faces, tmp_path / "file", "100", "exact")
    assert [type(features) for features in kinds] == [np.memmap]
    pd.testing.assert_frame_equal(from_file, history)
    for weight, expected in zip(same, weights, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.skipif(not exact, reason="the converter needs TensorFlow")
def test_training_on_litert_s_features_is_the_same_but_for_rounding(
    tiny, tiny_faces, tmp_path, litert_calls
):
    fast, weights = trained(tiny, tiny_faces, tmp_path / "fast", "top", "auto")
    slow, exact_weights = trained(tiny, tiny_faces, tmp_path / "slow", "top", "exact")
    assert litert_calls == [1, 7, 5]  # a trial, 210 training and 140 validation faces
    np.testing.assert_allclose(fast.loss, slow.loss, atol=1e-5)
    for fast_weight, slow_weight in zip(weights, exact_weights, strict=True):
        np.testing.assert_allclose(fast_weight, slow_weight, atol=1e-4)
