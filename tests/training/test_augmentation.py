"""augmentation: every policy keeps faces faces, is silent outside training, and can be seeded."""

import keras
import numpy as np
import pytest

from fer_lib.data import synthetic
from fer_lib.training.augmentation import AUGMENTATIONS, RandomFace, build_augmentation

POLICIES = [policy for policy in AUGMENTATIONS if policy != "none"]


@pytest.fixture(scope="module")
def images():
    """64 synthetic faces."""
    return synthetic.make_faces(64, seed=5).images


def augmented(layer, images):
    return keras.ops.convert_to_numpy(layer(images, training=True))


@pytest.mark.parametrize("policy", POLICIES)
def test_faces_stay_uint8_of_their_shape_but_change(policy, images):
    seen = augmented(build_augmentation(policy), images)
    assert seen.dtype == np.uint8 and seen.shape == images.shape
    assert 0.3 < (seen != images).any(axis=(1, 2)).mean() <= 1


@pytest.mark.parametrize("policy", POLICIES)
def test_black_and_white_do_not_wrap_around(policy):
    for value, near in ((0, 60), (255, 195)):
        seen = augmented(build_augmentation(policy), np.full((64, 48, 48), value, np.uint8))
        assert (seen <= near).all() if value == 0 else (seen >= near).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_outside_training_it_is_the_identity(policy, images):
    layer = build_augmentation(policy)
    for arguments in ({"training": False}, {}):
        seen = keras.ops.convert_to_numpy(layer(images, **arguments))
        np.testing.assert_array_equal(seen, images)
    inputs = keras.Input((48, 48), dtype="uint8")
    model = keras.Model(inputs, layer(inputs))
    np.testing.assert_array_equal(model.predict(images, verbose=0), images)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_seed_decides_and_each_call_differs(policy, images):
    first, again = build_augmentation(policy, seed=1), build_augmentation(policy, seed=1)
    one = augmented(first, images)
    np.testing.assert_array_equal(one, augmented(again, images))
    assert (augmented(first, images) != one).any()
    assert (augmented(build_augmentation(policy, seed=2), images) != one).any()


@pytest.mark.parametrize("policy", POLICIES)
def test_brightness_is_kept_on_average(policy, images):
    seen = augmented(build_augmentation(policy), images)
    assert abs(seen.mean() - images.mean()) < 10
    assert abs(seen.std() - images.std()) < 15


@pytest.mark.parametrize("policy", POLICIES)
def test_the_layer_survives_its_configuration(policy, images):
    layer = build_augmentation(policy, seed=4)
    again = RandomFace.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(augmented(layer, images), augmented(again, images))


def test_a_model_with_augmentation_can_be_saved(tmp_path, images):
    inputs = keras.Input((48, 48), dtype="uint8")
    model = keras.Model(inputs, build_augmentation("strong")(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[1].settings == model.layers[1].settings
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), images)


def test_flip_mirrors_about_half_of_the_faces_and_leaves_the_others(images):
    seen = augmented(build_augmentation("flip"), images)
    same = (seen == images).all(axis=(1, 2))
    mirrored = (seen == images[:, :, ::-1]).all(axis=(1, 2))
    assert (same ^ mirrored).all()
    assert 0.25 < mirrored.mean() < 0.75


def test_flip_mirrors_faces_that_are_not_square(rng):
    images = rng.integers(0, 256, (32, 20, 31), dtype=np.uint8)
    seen = augmented(RandomFace(flip=True), images)
    assert ((seen == images) | (seen == images[:, :, ::-1])).all(axis=(1, 2)).all()


def test_a_shift_moves_a_dot_no_further_than_allowed():
    images = np.zeros((64, 48, 48), np.uint8)
    images[:, 24, 24] = 255
    seen = augmented(RandomFace(translation=0.1), images).astype(float)
    rows, columns = np.indices((48, 48))
    mass = seen.sum(axis=(1, 2))
    shifts = np.stack([(seen * axis).sum(axis=(1, 2)) / mass - 24 for axis in (rows, columns)])
    assert np.abs(shifts).max() < 0.1 * 48 + 0.5
    assert shifts.min() < -2 and shifts.max() > 2 and (shifts.std(axis=1) > 1).all()


def test_a_rotation_keeps_the_centre_and_turns_no_further_than_allowed():
    images = np.zeros((64, 49, 49), np.uint8)
    images[:, 24, :] = 255  # a level line
    seen = augmented(RandomFace(rotation=10), images).astype(float)
    assert (seen[:, 24, 24] > 150).all()
    rows = np.arange(49)[:, None]
    ends = [(seen[:, :, c : c + 1] * rows).sum((1, 2)) / seen[:, :, c].sum(1) for c in (4, 44)]
    angles = np.degrees(np.arctan2(ends[1] - ends[0], 40))
    assert np.abs(angles).max() < 10.5 and angles.min() < -3 and angles.max() > 3


def test_each_face_is_augmented_differently(images):
    same = np.repeat(images[:1], 32, axis=0)
    seen = augmented(build_augmentation("standard"), same)
    assert len({face.tobytes() for face in seen}) == 32


def test_erasing_fills_a_rectangle_with_the_mean():
    images = np.zeros((64, 48, 48), np.uint8)
    images[:, ::2] = 200
    seen = augmented(RandomFace(erasing=0.4), images)
    erased = seen == 100
    shares = erased.mean(axis=(1, 2))
    assert 0.2 < (shares > 0).mean() < 0.75 and shares.max() <= 0.4**2 + 0.02
    for mask in erased[shares > 0]:
        assert mask[np.ix_(mask.any(1), mask.any(0))].all()
    assert ((seen == images) | erased).all()


def test_none_is_no_layer_and_an_unknown_policy_an_error():
    assert build_augmentation("none") is None
    with pytest.raises(ValueError, match="Unknown augmentation 'standart'.*did you mean 'standard"):
        build_augmentation("standart")


@pytest.mark.parametrize("policy", POLICIES)
def test_the_three_channels_of_a_face_are_changed_together(policy, images):
    grey = augmented(build_augmentation(policy, seed=2), images)
    repeated = np.repeat(images[..., None], 3, axis=3)
    colour = augmented(build_augmentation(policy, seed=2), repeated)
    assert colour.dtype == np.uint8 and colour.shape == (64, 48, 48, 3)
    for channel in range(3):
        assert np.abs(colour[..., channel].astype(int) - grey).max() <= 1
