"""mixing: faces and targets are blended by the same shares."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lib.training.mixing import CHUNK, MIXING, cutmix, mix, mixup


def blended(way, n=40, alpha=1.0, seed=0, side=20, weights=None):
    """Mix faces of a constant grey value, each of a class of its own."""
    values = np.linspace(0, 255, n).astype(np.uint8)
    faces = np.broadcast_to(values[:, None, None], (n, side, side + 3)).copy()
    generator = np.random.default_rng(seed)
    targets = np.eye(n, dtype=np.float32)
    return values, *mix(way, faces, targets, weights, alpha=alpha, generator=generator)


@pytest.mark.parametrize("way", MIXING)
def test_the_targets_say_what_is_in_the_face(way):
    values, faces, targets, _ = blended(way)
    assert faces.dtype == np.uint8 and targets.dtype == np.float32
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(faces.mean(axis=(1, 2)), targets @ values, atol=0.51)
    assert ((targets > 0.05).sum(axis=1) == 2).mean() > 0.5


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(sorted(MIXING)), st.floats(0.01, 10), st.integers(0, 2**31))
def test_any_strength_gives_faces_and_distributions(way, alpha, seed):
    values, faces, targets, _ = blended(way, n=12, alpha=alpha, seed=seed, side=7)
    assert (targets >= 0).all() and (targets <= 1).all()
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(faces.mean(axis=(1, 2)), targets @ values, atol=0.51)


def test_a_weak_mixing_leaves_most_faces_nearly_whole():
    weak, strong = (blended("mixup", n=400, alpha=a)[2].max(axis=1) for a in (0.05, 1.0))
    assert (weak > 0.95).mean() > 0.7 > 0.5 > (strong > 0.95).mean()


def test_mixup_is_the_convex_combination():
    faces, others = np.full((1, 2, 2), 100, np.uint8), np.full((1, 2, 2), 200, np.uint8)
    mixed, shares = mixup(faces, others, np.float32([0.3]), None)
    assert (mixed == 170).all() and shares == np.float32(0.3)


def test_cutmix_puts_one_rectangle_in(rng):
    faces, others = np.zeros((60, 30, 30), np.uint8), np.full((60, 30, 30), 9, np.uint8)
    mixed, shares = cutmix(faces, others, np.full(60, 0.75, np.float32), rng)
    for image, share in zip(mixed == 9, shares, strict=True):
        assert image[np.ix_(image.any(1), image.any(0))].all()
        assert share == pytest.approx(1 - image.mean(), abs=1e-6)
    # Of a quarter's area, less what lies beyond the border.
    assert (mixed == 9).mean(axis=(1, 2)).max() == pytest.approx(0.25, abs=0.02)
    assert shares.min() >= 0.74 and len(set(shares.tolist())) > 5


@pytest.mark.parametrize("way", MIXING)
def test_weights_are_blended_like_targets_also_beyond_a_chunk(way, rng):
    n = CHUNK + 10
    weights = rng.uniform(size=n).astype(np.float32)
    _, _, targets, mixed = blended(way, n=n, side=4, weights=weights)
    np.testing.assert_allclose(mixed, targets @ weights, atol=1e-5)


def test_the_generator_decides():
    one, again, other = (blended("cutmix", seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one[1], again[1])
    assert (one[1] != other[1]).any()


def test_an_unknown_way_is_refused():
    with pytest.raises(ValueError, match="Unknown mixing 'mixupp'.*did you mean 'mixup'"):
        blended("mixupp")
