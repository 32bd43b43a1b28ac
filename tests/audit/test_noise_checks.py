"""Checks of noise: what is too small to mean anything is told."""

import numpy as np
import pytest

from fer_lib.audit import noise_checks
from fer_lib.emotions import FER7
from fer_lib.evaluation import metrics


@pytest.fixture
def predicted(rng):
    labels = np.arange(700) % 7
    right = rng.random(700) < 0.6
    probabilities = np.eye(7)[np.where(right, labels, (labels + 1) % 7)]
    return labels, probabilities


def test_scores_without_intervals_fail(predicted):
    scores = metrics.score(*predicted, FER7, resamples=50)
    assert noise_checks.intervals(scores).status == "pass"
    del scores["macro_f1"]["low"]
    finding = noise_checks.intervals(scores)
    assert finding.status == "fail" and finding.figures["without"] == ["macro_f1"]
    assert noise_checks.intervals({"accuracy": 0.7}).status == "fail"
    outside = {"accuracy": {"value": 0.7, "low": 0.71, "high": 0.8}}
    assert noise_checks.intervals(outside).status == "fail"


def test_a_class_of_fewer_than_30_faces_is_named():
    labels = np.r_[np.repeat(np.arange(7), 30)]
    assert noise_checks.class_sizes(labels, FER7).status == "pass"
    finding = noise_checks.class_sizes(labels[1:], FER7)
    assert finding.status == "warn" and "angry (29)" in finding.sentence


def test_fewer_than_three_seeds_are_told():
    assert noise_checks.seeds({0: 0.61}).status == "warn"
    assert noise_checks.seeds({0: 0.61, 1: 0.63}).status == "warn"
    finding = noise_checks.seeds({0: 0.61, 1: 0.63, 2: 0.62})
    assert finding.status == "pass" and finding.figures["standard deviation"] == 0.01


def test_many_looks_at_the_test_faces_are_told():
    assert noise_checks.looks(0.7, 3589, 1).status == "pass"
    finding = noise_checks.looks(0.7, 3589, 10)
    assert finding.status == "warn" and "10 settings" in finding.sentence
    # sqrt(0.7 * 0.3 / 3589) = 0.00765, and sqrt(2 ln 10) = 2.146.
    assert finding.figures["gain by chance"] == pytest.approx(0.0164, abs=1e-4)


def test_a_difference_inside_noise_is_told_from_one_outside(predicted):
    labels, probabilities = predicted
    few, many = probabilities.copy(), probabilities.copy()
    few[:10], many[:100] = np.eye(7)[labels[:10]], np.eye(7)[labels[:100]]
    few[10:16] = np.eye(7)[(labels[10:16] + 2) % 7]
    inside = noise_checks.difference(labels, few, probabilities, "another")
    assert inside.status == "warn" and inside.figures["p"] > 0.05
    outside = noise_checks.difference(labels, many, probabilities, "another")
    assert outside.status == "pass" and outside.figures["p"] < 0.001
    assert outside.figures["difference"] > 0
    same = noise_checks.difference(labels, probabilities, probabilities, "itself")
    assert same.status == "warn" and same.figures["p"] == 1
