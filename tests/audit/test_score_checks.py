"""Checks: each finds the fault that is planted for it, and passes where there is none."""

import json

import numpy as np
import pytest

from fer_lib.audit import data_checks
from fer_lib.audit.score_checks import (
    class_collapse,
    class_order,
    macro_f1_gap,
    monitored,
    reported_accuracy,
    score_without_duplicates,
    scored_subset,
    selection,
)
from fer_lib.emotions import FER7, FERPLUS8


@pytest.fixture
def predicted(rng):
    """Labels and the probabilities of a fair classifier: 600 faces, some 70 % right."""
    labels = np.arange(600) % 7
    scores = rng.normal(size=(600, 7)) + 2.5 * np.eye(7)[labels]
    return labels, softmax(scores)


def softmax(scores):
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def always(label, n):
    return np.tile(np.eye(7)[label] * 0.9 + 0.1 / 7, (n, 1))


def test_findings_are_plain_json(predicted):
    numbers = {"train": np.arange(5), "test": np.arange(3, 8)}
    findings = [
        data_checks.shared_between_splits("identical images", numbers, 0.1),
        data_checks.conflicting_labels(np.array([0, 0, 1]), np.array([1, 2, 2])),
        class_collapse(*predicted, FER7),
        class_order(*predicted, FER7, FER7),
        reported_accuracy(np.float32(0.5), *predicted, "scores.json"),
        macro_f1_gap(*predicted),
        score_without_duplicates(*predicted, np.arange(600) < 10),
    ]
    for finding in findings:
        assert json.loads(json.dumps(finding._asdict()))["check"] == finding.check
        assert finding.status in ("pass", "warn", "fail") and finding.sentence.endswith(".")


def predictions_of(rng):
    return {
        "ids": np.arange(20),
        "probabilities": softmax(rng.normal(size=(20, 7))),
        "validation_ids": np.arange(20),
        "validation_probabilities": softmax(rng.normal(size=(20, 7))),
    }


SELECTED = {"selected_by": "val_loss", "test_name": "the test", "validation_name": "the other"}


def test_selecting_on_a_split_of_its_own_passes(rng):
    assert selection(SELECTED, predictions_of(rng)).status == "pass"


def test_selecting_on_the_reported_rows_fails(rng):
    predictions = predictions_of(rng)
    predictions["validation_probabilities"][3] = predictions["probabilities"][3]
    finding = selection(SELECTED, predictions)
    assert finding.status == "fail" and finding.figures["shared with test"] == 1
    finding = selection(SELECTED | {"validation_name": "the test"}, predictions_of(rng))
    assert finding.status == "fail" and "reported split" in finding.sentence


def test_selecting_by_test_accuracy_or_without_validation_fails(rng):
    by_test = selection(SELECTED | {"selected_by": "test_accuracy"}, predictions_of(rng))
    assert by_test.status == "fail" and "test_accuracy" in by_test.sentence
    none = predictions_of(rng) | {"validation_ids": np.array([])}
    assert "no validation split" in selection(SELECTED, none).sentence
    assert selection(SELECTED, none).status == "fail"


def test_accuracy_that_rests_on_copies_is_told(rng):
    labels = np.arange(700) % 7
    copies = np.arange(700) < 210
    right = np.where(copies, labels, (labels + (np.arange(700) % 2)) % 7)
    finding = score_without_duplicates(labels, np.eye(7)[right], copies)
    assert finding.status == "warn"
    assert finding.figures["accuracy on copies"] == 1
    assert finding.figures["accuracy without copies"] == 0.5
    fair = np.eye(7)[(labels + (np.arange(700) % 2)) % 7]
    assert score_without_duplicates(labels, fair, copies).status == "pass"
    assert score_without_duplicates(labels, fair, copies & False).status == "pass"
    assert score_without_duplicates(labels, fair, copies | True).status == "fail"


def test_collapse_on_one_class_fails(predicted):
    labels, probabilities = predicted
    assert class_collapse(labels, probabilities, FER7).status == "pass"
    finding = class_collapse(labels, always(3, 600), FER7)
    assert finding.status == "fail" and "'happy' makes up 100%" in finding.sentence
    mostly = np.where((np.arange(600) < 390)[:, None], always(3, 600), probabilities)
    assert "collapsed" in class_collapse(labels, mostly, FER7).sentence


def test_naming_the_majority_where_it_is_the_majority_fails_by_accuracy():
    labels = np.r_[np.full(95, 3), np.zeros(5, int)]
    finding = class_collapse(labels, always(3, 100), FER7)
    assert finding.status == "fail" and "no better" in finding.sentence


def test_a_class_that_is_never_predicted_is_told(predicted):
    labels, probabilities = predicted
    probabilities = probabilities * (np.arange(7) != 1)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    finding = class_collapse(labels, probabilities, FER7)
    assert finding.status == "warn" and finding.figures["never predicted"] == ["disgust"]


def test_another_order_of_classes_is_found_by_name_and_by_predictions(predicted):
    labels, probabilities = predicted
    assert class_order(labels, probabilities, FER7, FER7).status == "pass"
    alphabetical = sorted(FER7)
    finding = class_order(labels, probabilities, alphabetical, FER7)
    assert finding.status == "fail" and "map them by name" in finding.sentence
    assert class_order(labels, probabilities, FERPLUS8, FER7).status == "fail"
    order = [FER7.index(emotion) for emotion in alphabetical]
    finding = class_order(labels, probabilities[:, order], FER7, FER7)
    assert finding.status == "fail" and "surprise is sad" in finding.sentence


def test_a_collapsed_model_is_not_taken_for_another_order(predicted):
    labels, _ = predicted
    assert class_order(labels, always(1, 600), FER7, FER7).status == "pass"


def test_binary_accuracy_is_told_from_categorical(predicted):
    labels, probabilities = predicted
    right = (probabilities.argmax(1) == labels).mean()
    binary = ((probabilities > 0.5) == np.eye(7, dtype=bool)[labels]).mean()
    assert binary > right + 0.05
    assert reported_accuracy(right, *predicted, "it").status == "pass"
    finding = reported_accuracy(binary, *predicted, "it")
    assert finding.status == "fail" and "binary accuracy" in finding.sentence
    finding = reported_accuracy(right + 0.05, *predicted, "it")
    assert finding.status == "fail" and "binary" not in finding.sentence


def test_binary_accuracy_is_keras_s(predicted):
    keras = pytest.importorskip("keras")
    labels, probabilities = predicted
    metric = keras.metrics.BinaryAccuracy()
    metric.update_state(np.eye(7)[labels], probabilities)
    figures = reported_accuracy(0, *predicted, "it").figures
    assert figures["binary"] == pytest.approx(float(metric.result()), abs=1e-4)


def test_watching_what_was_not_measured_fails():
    columns = ["epoch", "loss", "val_loss"]
    assert monitored("val_loss", columns).status == "pass"
    assert monitored("val_acc", columns).status == "fail"


def test_macro_f1_far_below_accuracy_is_told(predicted):
    assert macro_f1_gap(*predicted).status == "pass"
    labels = np.r_[np.full(540, 3), np.arange(60) % 3]
    probabilities = np.eye(7)[np.where(labels == 3, 3, 4)]
    assert macro_f1_gap(labels, probabilities).status == "warn"


def test_scoring_a_part_of_the_split_fails():
    assert scored_subset(3589, 3589, 0).status == "pass"
    assert scored_subset(3137, 3589, 0).status == "fail"
    assert scored_subset(3137, 3137, 452).status == "warn"
