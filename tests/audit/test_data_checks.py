"""Checks of the splits: each finds the fault that is planted for it."""

import numpy as np
import pytest

from fer_lib.audit import data_checks


@pytest.mark.parametrize(
    ("shared", "status"), [(0, "pass"), (1, "warn"), (10, "warn"), (11, "fail")]
)
def test_images_shared_between_splits_warn_then_fail(shared, status):
    numbers = {
        "train": np.arange(500),
        "validation": np.arange(1000, 1100),
        "test": np.r_[np.arange(shared), np.arange(2000, 2100 - shared)],
    }
    finding = data_checks.shared_between_splits("identical images", numbers, 0.10)
    assert finding.status == status
    assert finding.figures["test in train"] == shared
    assert finding.figures["validation in train"] == finding.figures["test in validation"] == 0


def test_one_subject_in_two_splits_fails_where_none_is_tolerated():
    numbers = {"train": np.arange(50), "validation": np.r_[49, np.arange(60, 90)]}
    assert data_checks.shared_between_splits("subjects", numbers, 0).status == "fail"
    numbers["validation"][0] = 99
    assert data_checks.shared_between_splits("subjects", numbers, 0).status == "pass"


def test_identical_images_with_two_labels_are_counted():
    numbers = np.r_[0, 0, 0, 1, 1, np.arange(2, 200)]
    classes = np.r_[3, 3, 4, 5, 5, np.zeros(198, int)]
    finding = data_checks.conflicting_labels(numbers, classes)
    assert finding.status == "warn"
    assert finding.figures == {
        "repeated images": 3,
        "images of several labels": 1,
        "faces of these": 3,
    }
    classes[2] = 3
    assert data_checks.conflicting_labels(numbers, classes).status == "pass"
    assert data_checks.conflicting_labels(np.array([0, 0, 1]), np.array([0, 1, 1])).status == "fail"


def test_scored_rows_of_train_are_found_by_id_and_pixels_together():
    train = np.arange(100), np.arange(100)
    same_ids_other_faces = np.arange(50), np.arange(200, 250)
    assert data_checks.trained_on_evaluation_rows(train, same_ids_other_faces).status == "pass"
    copies_with_other_ids = np.arange(500, 550), np.arange(50)
    assert data_checks.trained_on_evaluation_rows(train, copies_with_other_ids).status == "pass"
    planted = np.r_[7, np.arange(500, 549)], np.r_[7, np.arange(200, 249)]
    finding = data_checks.trained_on_evaluation_rows(train, planted)
    assert finding.status == "fail" and finding.figures["of these rows of train"] == 1
