"""views: what a classifier is shown of a face, and the mean of its answers."""

import numpy as np
import pytest

from fer_lib.evaluation import test_time

FACES = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)


def remembering(seen):
    """A predictor that answers by the mean of the face's left half, and keeps what it saw."""

    def predict(images):
        seen.append(images)
        left = images[:, :, : images.shape[2] // 2].mean(axis=(1, 2)) / 255
        return np.stack([left, 1 - left], axis=1).astype(np.float32)

    return predict


@pytest.mark.parametrize(("policy", "count"), [("none", 1), ("flip", 2), ("flip_crops", 10)])
def test_the_answer_is_the_mean_over_the_views(policy, count):
    seen = []
    answer = test_time.predict_tta(remembering(seen), FACES, policy)
    assert len(seen) == count == len(test_time.VIEWS[policy](FACES))
    expected = np.mean([remembering([])(view) for view in seen], axis=0)
    np.testing.assert_allclose(answer, expected, atol=1e-6)
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-6)
    assert len({view.tobytes() for view in seen}) == count  # no view twice


@pytest.mark.parametrize("policy", test_time.VIEWS)
@pytest.mark.parametrize("shape", [(3, 48, 48), (2, 40, 30), (1, 5, 7), (2, 48, 48, 3)])
def test_every_view_is_of_the_faces_kind_and_begins_with_the_face(policy, shape, rng):
    faces, seen = rng.integers(0, 256, shape, dtype=np.uint8), []
    test_time.predict_tta(remembering(seen), faces, policy)
    assert all(view.shape == shape and view.dtype == np.uint8 for view in seen)
    assert all(view.flags.c_contiguous for view in seen)
    np.testing.assert_array_equal(seen[0], faces)


@pytest.mark.parametrize("policy", ["flip", "flip_crops"])
def test_a_mirrored_face_gets_the_same_answer(policy):
    predict = remembering([])
    answer = test_time.predict_tta(predict, FACES, policy)
    mirrored = test_time.predict_tta(predict, FACES[:, :, ::-1], policy)
    np.testing.assert_allclose(answer, mirrored, atol=1e-6)
    assert abs(predict(FACES) - predict(FACES[:, :, ::-1])).max() > 1e-3


def test_crops_move_the_face_by_two_pixels_of_48_and_repeat_its_edge():
    corner = test_time.VIEWS["flip_crops"](FACES)[2]  # after the face and its mirror image
    np.testing.assert_array_equal(corner[:, 2:, 2:], FACES[:, :-2, :-2])
    np.testing.assert_array_equal(corner[:, 0, 2:], FACES[:, 0, :-2])
    np.testing.assert_array_equal(corner[:, 1, 2:], FACES[:, 0, :-2])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="Unknown test-time augmentation 'flips'.*'flip'"):
        test_time.predict_tta(remembering([]), FACES, "flips")
    with pytest.raises(ValueError, match="uint8 .*; got float64"):
        test_time.predict_tta(remembering([]), FACES / 255)
    with pytest.raises(ValueError, match=r"got uint8 of shape \(48, 48\)"):
        test_time.predict_tta(remembering([]), FACES[0])
