"""targets: what is fitted, and how much each face counts."""

import keras
import numpy as np
import pytest

from fer_lib.training import targets


def one_hot(*labels, classes=3):
    return np.eye(classes, dtype=np.float32)[list(labels)]


def test_class_weights_are_one_on_average_and_bear_an_absent_class():
    weights = targets.class_weights(one_hot(0, 0, 0, 1))
    assert weights.mean() == pytest.approx(weights[:3].sum() * 2 / 4)
    np.testing.assert_allclose(weights[:3].sum(), weights[3])


def test_votes_weigh_by_their_shares_of_the_classes():
    votes = np.array([[0.5, 0.5, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    weights = targets.class_weights(votes)
    # Each class weighs 4 / 3 in all, among its 2.5 or 1.5 votes.
    expected = np.array([0.5 / 2.5 + 0.5 / 1.5, 1 / 2.5, 1 / 2.5, 1 / 1.5]) * 4 / 3
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_smoothing_is_that_of_keras_s_loss():
    hard = one_hot(0, 2, 1)
    probabilities = np.float32([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.1, 0.8, 0.1]])
    keras_s = keras.losses.CategoricalCrossentropy(label_smoothing=0.3)(hard, probabilities)
    ours = keras.losses.CategoricalCrossentropy()(targets.smooth(hard, 0.3), probabilities)
    assert float(ours) == pytest.approx(float(keras_s), rel=1e-6)


def test_distilled_targets_are_the_labels_and_the_softened_answers_by_weight():
    answers = np.float32([[0.8, 0.2, 0], [0.1, 0.1, 0.8]])
    mixed = targets.distill(one_hot(1, 2), answers, weight=0.25, temperature=2.0)
    np.testing.assert_allclose(mixed[0], [0.25 * 2 / 3, 0.75 + 0.25 / 3, 0], atol=1e-4)
    np.testing.assert_allclose(mixed.sum(axis=1), 1, rtol=1e-6)
    unmixed = targets.distill(one_hot(1, 2), answers, weight=0.0, temperature=2.0)
    np.testing.assert_array_equal(unmixed, one_hot(1, 2))
    assert mixed.dtype == np.float32


# a second output


def test_other_labels_are_found_by_the_faces_own_numbers():
    found = targets.align(one_hot(0, 1, 2), np.array([30, 10, 20]), np.array([10, 20, 99]))
    np.testing.assert_array_equal(found, [[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    assert found.dtype == np.float32


def test_labels_of_other_faces_are_refused():
    with pytest.raises(ValueError, match="of the same faces: 1 of 3"):
        targets.align(one_hot(0), np.array([7]), np.array([7, 8, 9]))


def test_the_joint_loss_is_the_sum_of_both_and_unknown_labels_cost_nothing():
    answers = np.array([[0.5, 0.5, 0.2, 0.8], [0.1, 0.9, 0.6, 0.4]], np.float32)
    aims = np.array([[1, 0, 0, 1], [0, 1, 0, 0]], np.float32)
    first = -(np.log(0.5) + np.log(0.9)) / 2
    second = -np.log(0.8) / 2
    joint = targets.joint_crossentropy(2)
    assert float(joint(aims, answers)) == pytest.approx(first + second, rel=1e-4)
    accuracy = targets.first_accuracy(2)
    accuracy.update_state(aims, answers)
    accuracy.update_state(aims[:1, [1, 0, 3, 2]], answers[:1])
    assert float(accuracy.result()) == pytest.approx(2 / 3)
