"""Confusion matrices: intervals of each class; the formulas are tested as metrics' own."""

import numpy as np
import pytest

from fer_lib.evaluation import confusion, metrics

CLASSES = ("happy", "sad", "disgust")
COUNTS = np.array([[700, 90, 10], [80, 400, 20], [8, 12, 30]])


def test_each_class_has_intervals_that_shrink_with_its_faces():
    few, many = confusion.per_class(COUNTS, CLASSES), confusion.per_class(COUNTS * 100, CLASSES)
    for name in CLASSES:
        for rate in ("precision", "recall", "f1"):
            of, more = few[name], many[name]
            assert of[f"{rate}_low"] < of[rate] < of[f"{rate}_high"]
            narrow = more[f"{rate}_high"] - more[f"{rate}_low"]
            assert narrow == pytest.approx((of[f"{rate}_high"] - of[f"{rate}_low"]) / 10, rel=0.1)


def test_the_interval_of_a_recall_is_that_of_a_binomial_share():
    of = confusion.per_class(COUNTS, CLASSES, resamples=20_000)["happy"]
    error = (of["recall"] * (1 - of["recall"]) / of["n"]) ** 0.5
    assert of["recall_high"] - of["recall_low"] == pytest.approx(2 * 1.96 * error, rel=0.03)


def test_a_score_holds_the_same_as_its_matrix():
    labels = np.repeat([0, 1, 2], COUNTS.sum(axis=1))
    answers = np.concatenate([np.repeat([0, 1, 2], row) for row in COUNTS])
    scored = metrics.score(labels, np.eye(3)[answers], CLASSES, resamples=100, seed=2)
    again = confusion.per_class(scored["confusion"], CLASSES, resamples=100, seed=2)
    assert scored["per_class"] == again


def test_a_class_of_few_faces_has_its_scores_and_number_but_no_interval():
    counts = np.array([[700, 90, 0], [80, 400, 0], [0, 0, 3]])
    per_class = confusion.per_class(counts, CLASSES)
    of = per_class["disgust"]
    assert of["n"] == 3 and of["f1"] == of["recall"] == 1.0
    assert [of[f"{rate}_{end}"] for rate in ("f1", "recall") for end in ("low", "high")] == [
        None
    ] * 4
    assert per_class["happy"]["f1_low"] < per_class["happy"]["f1"]
    counts[2, 2] = confusion.FEW
    assert confusion.per_class(counts, CLASSES)["disgust"]["f1_low"] == 1.0


def test_resamples_without_a_face_of_the_class_do_not_pull_its_interval_to_0():
    counts = np.array([[700, 90, 0], [80, 400, 0], [0, 0, 10]])
    drawn = np.stack([counts, counts, counts]).astype(float)
    drawn[0, 2, 2] = 0
    of = confusion.per_class(counts, CLASSES, drawn=drawn)["disgust"]
    assert of["f1"] == of["f1_low"] == of["f1_high"] == 1.0
    assert of["recall_low"] == of["precision_low"] == 1.0


def test_a_class_without_faces_is_0():
    of = confusion.per_class(np.array([[50, 0], [0, 0]]), ("happy", "sad"))["sad"]
    assert of["n"] == 0 and not any(of.values()) and of["f1_low"] is None


@pytest.mark.parametrize("counts", [[[1, 2]], [[1, 0], [0, 1]], np.zeros((3, 3), int)])
def test_a_matrix_of_other_classes_or_no_face_is_refused(counts):
    with pytest.raises(ValueError, match="counts must have shape .3, 3. and a face; got"):
        confusion.per_class(counts, CLASSES)
