"""Duplicates: every planted copy is found, whatever was done to it, and nothing else."""

import io
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_lib.data import duplicates
from fer_lib.data.synthetic import make_faces


@pytest.fixture(scope="module")
def photographs():
    """Images with structure at every scale, each another one: smoothed noise."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(5)
    images = sum(
        weight * gaussian_filter(rng.normal(size=(120, 60, 60)), (0, sigma, sigma)) * sigma
        for sigma, weight in ((8, 3), (3, 2), (1, 1))
    )
    low, high = images.min((1, 2), keepdims=True), images.max((1, 2), keepdims=True)
    return (20 + 200 * (images - low) / (high - low)).astype(np.uint8)


def crop(image, y=0, x=0):
    return image[6 + y : 54 + y, 6 + x : 54 + x]


def jpeg(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "jpeg", quality=quality)
    return np.asarray(Image.open(file))


def all_crops(photographs):
    return np.stack([crop(image) for image in photographs])


CHANGES = {
    "an exact copy": lambda image: crop(image),
    "a mirror image": lambda image: crop(image)[:, ::-1],
    "moved by one pixel": lambda image: crop(image, 1, 0),
    "moved by two pixels": lambda image: crop(image, -2, 2),
    "mirrored and moved": lambda image: crop(image, 2, -1)[:, ::-1],
    "brighter": lambda image: np.clip(crop(image).astype(int) + 30, 0, 255),
    "of less contrast": lambda image: 60 + crop(image) * 0.4,
    "recompressed": lambda image: jpeg(crop(image), 40),
    "recompressed, moved and darker": lambda image: jpeg(crop(image, 1, 2), 60) * 0.7,
    "rescaled": lambda image: np.asarray(
        Image.fromarray(crop(image)).resize((96, 96), 2).resize((48, 48), 3)
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_copy_of_each_image_is_found_and_nothing_else(photographs, change):
    copies = np.stack([change(image) for image in photographs]).astype(np.uint8)
    images = np.concatenate([all_crops(photographs), copies])
    pairs, correlation = duplicates.near_duplicate_pairs(images)
    n = len(photographs)
    assert pairs.tolist() == [[i, i + n] for i in range(n)]
    assert (correlation >= duplicates.THRESHOLD).all() and (correlation <= 1).all()
    assert duplicates.near_duplicate_groups(images).tolist() == [*range(n), *range(n)]


def test_different_images_are_no_pair(photographs):
    assert not len(duplicates.near_duplicate_pairs(all_crops(photographs))[0])
    assert not len(duplicates.near_duplicate_pairs(photographs[:, 12:, 12:][:, :48, :48])[0])


def test_moving_by_more_than_two_pixels_makes_another_image(photographs):
    detail = np.stack([crop(image, 5, 5) for image in photographs])
    images = np.concatenate([all_crops(photographs), detail])
    pairs, _ = duplicates.near_duplicate_pairs(images)
    assert len(pairs) < 0.1 * len(photographs)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 119),
    st.integers(-2, 2),
    st.integers(-2, 2),
    st.booleans(),
    st.floats(0.4, 1.2),
    st.floats(-15, 15),
)
def test_any_shift_mirroring_and_exposure_is_found(photographs, place, y, x, flip, gain, offset):
    changed = np.clip(crop(photographs[place], y, x) * gain + offset, 0, 255).astype(np.uint8)
    if flip:
        changed = changed[:, ::-1]
    images = np.concatenate([all_crops(photographs), changed[None]])
    groups = duplicates.near_duplicate_groups(images)
    assert groups[-1] == groups[place]
    assert len(set(groups.tolist())) == len(photographs)


def test_pairs_do_not_depend_on_the_order_of_the_images_or_the_size_of_blocks(
    photographs, monkeypatch, rng
):
    copies = np.stack([crop(image, 1, 1) for image in photographs])
    images = np.concatenate([all_crops(photographs), copies])
    order = rng.permutation(len(images))
    monkeypatch.setattr(duplicates, "_BLOCK", 7)
    pairs, _ = duplicates.near_duplicate_pairs(images[order])
    assert {frozenset(pair) for pair in order[pairs].tolist()} == {
        frozenset((i, i + 120)) for i in range(120)
    }


def test_blank_images_equal_identical_ones_only(photographs):
    blank = np.stack([np.full((48, 48), level, np.uint8) for level in (0, 255, 128, 0)])
    faint = (np.indices((48, 48)).sum(0) % 2 + 100).astype(np.uint8)  # one grey level of pattern
    images = np.concatenate([blank, faint[None], faint[None, ::-1, ::-1], all_crops(photographs)])
    pairs, correlation = duplicates.near_duplicate_pairs(images)
    assert pairs.tolist() == [[0, 3], [4, 5]] and correlation.tolist() == [1, 1]
    assert images[4].tobytes() == images[5].tobytes()


def test_a_group_is_closed_under_chains(photographs):
    chain = np.stack([crop(photographs[0], 0, x) for x in (-3, -1, 1, 3)])
    groups = duplicates.near_duplicate_groups(np.concatenate([chain, all_crops(photographs[1:])]))
    assert groups[:4].tolist() == [0, 0, 0, 0] and groups[4:].tolist() == list(range(1, 120))


def test_identical_images_are_paired_with_the_first(photographs):
    images = all_crops(photographs)[[0, 1, 0, 0]]
    pairs, correlation = duplicates.near_duplicate_pairs(images)
    assert pairs.tolist() == [[0, 2], [0, 3]] and correlation.tolist() == [1, 1]


def test_a_stricter_threshold_finds_fewer(photographs):
    copies = np.stack([jpeg(crop(image), 10) for image in photographs])
    images = np.concatenate([all_crops(photographs), copies])
    loose = len(duplicates.near_duplicate_pairs(images, threshold=0.9)[0])
    strict = len(duplicates.near_duplicate_pairs(images, threshold=0.999)[0])
    assert strict < loose == 120


def test_of_tiny_images_and_of_none_only_identical_ones_are_found(rng):
    tiny = rng.integers(0, 256, (5, 8, 8), dtype=np.uint8)[[0, 1, 0]]
    assert duplicates.near_duplicate_groups(tiny).tolist() == [0, 1, 0]
    assert duplicates.near_duplicate_groups(tiny[:0]).shape == (0,)
    assert duplicates.near_duplicate_pairs(np.zeros((0, 48, 48), np.uint8))[0].shape == (0, 2)


def test_images_need_not_be_square(photographs):
    images = all_crops(photographs)[:, :40]
    images = np.concatenate([images, images[:, :, ::-1]])
    assert duplicates.near_duplicate_groups(images).tolist() == [*range(120), *range(120)]


@pytest.mark.parametrize("threshold", [0, -1, 1.01, float("nan")])
def test_a_threshold_outside_0_and_1_is_an_error(threshold):
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        duplicates.near_duplicate_pairs(make_faces(7).images, threshold=threshold)


def test_join_numbers_components_by_first_appearance():
    assert duplicates.join(6, np.array([[1, 4], [5, 0], [4, 3]])).tolist() == [0, 1, 2, 1, 1, 0]
    assert duplicates.join(3, np.empty((0, 2), int)).tolist() == [0, 1, 2]


def test_copies_among_large_colour_faces_are_found():
    small = make_faces(12, seed=4).images
    large = np.repeat(np.repeat(small, 3, axis=1), 3, axis=2)
    colour = np.stack([large, large, large], axis=-1)
    colour[11] = colour[3][:, ::-1]
    pairs, correlation = duplicates.near_duplicate_pairs(colour)
    assert [3, 11] in pairs.tolist() and correlation.min() > 0.93
    expected = duplicates.near_duplicate_pairs(np.concatenate([small[:11], small[3:4, :, ::-1]]))[0]
    assert pairs.tolist() == expected.tolist()


@pytest.mark.slow
@pytest.mark.realdata
def test_duplicates_of_fer2013_are_found_in_less_than_a_minute(real_data):
    from fer_lib.data.readers import sources

    images = sources.read(real_data / "fer2013").images
    started = time.process_time()
    pairs, correlation = duplicates.near_duplicate_pairs(images)
    assert time.process_time() - started < 60  # of one core; the wall clock has two
    assert (correlation == 1).sum() >= 1532
    assert len(pairs) > 3500
    groups = np.bincount(duplicates.join(len(images), pairs))
    assert groups.max() < 100


def test_groups_are_kept_and_a_damaged_file_is_not_believed(fer_home, rng, monkeypatch):
    images = rng.integers(0, 256, (6, 48, 48), dtype=np.uint8)
    images[3] = images[1]
    groups = duplicates.near_duplicate_groups(images)
    np.testing.assert_array_equal(groups, [0, 1, 2, 1, 3, 4])
    (kept,) = (fer_home / "cache").glob("near-duplicates-*.npy")
    with monkeypatch.context() as patch:
        patch.setattr(duplicates, "near_duplicate_pairs", None)
        np.testing.assert_array_equal(duplicates.near_duplicate_groups(images), groups)
    kept.write_bytes(kept.read_bytes()[:-3])
    np.testing.assert_array_equal(duplicates.near_duplicate_groups(images), groups)
    np.testing.assert_array_equal(np.load(kept), groups)


def test_no_damage_of_a_kept_file_s_header_is_an_error(tmp_path):
    path = tmp_path / "groups.npy"
    np.save(path, np.arange(5))
    whole = path.read_bytes()
    for place in range(0, 128, 3):
        for value in (0, 40, 39, 255):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            groups = duplicates._load(path, 5)
            assert groups is None or len(groups) == 5


def test_memory_stays_at_some_megabytes_beside_the_images(rng):
    images = rng.integers(0, 256, (6000, 48, 48), np.uint8)
    tracemalloc.start()
    duplicates.near_duplicate_pairs(images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # As numbers of 8 bytes the images alone are 110 MB: 100,000 of them did not fit.
    assert peak < 40 << 20
