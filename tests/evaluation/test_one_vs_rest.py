"""one_vs_rest: how well each emotion's probability ranks the faces."""

import numpy as np
import pytest

from fer_lib.emotions import FER7
from fer_lib.evaluation import one_vs_rest


def area_by_pairs(is_it, p):
    """Of all pairs of a face with and one without the emotion, the share ranked rightly."""
    gaps = p[is_it][:, None] - p[~is_it][None, :]
    return ((gaps > 0) + 0.5 * (gaps == 0)).mean()


@pytest.fixture
def predicted(rng):
    """Labels, probabilities of which some tie, and the label set."""
    labels = np.arange(140) % 7
    rows = rng.uniform(size=(140, 7)) + np.eye(7)[labels]
    rows = np.repeat(rows[::2], 2, axis=0)  # every row twice
    return labels, rows / rows.sum(1, keepdims=True), FER7


def test_the_area_is_the_share_of_pairs_in_the_right_order(predicted):
    labels, probabilities, _ = predicted
    table, curves = one_vs_rest.ranking_table(*predicted), one_vs_rest.roc_curves(*predicted)
    assert tuple(table.index) == (*FER7, "mean") and tuple(curves) == FER7
    for number, emotion in enumerate(FER7):
        expected = area_by_pairs(labels == number, probabilities[:, number])
        assert table.roc_auc[emotion] == pytest.approx(expected)
        assert curves[emotion]["area"] == pytest.approx(expected)
        assert table.n[emotion] == 20
    assert table.roc_auc["mean"] == pytest.approx(table.roc_auc[:-1].mean())
    assert table.n["mean"] == 140


def test_curves_run_from_corner_to_corner(predicted):
    for curve in one_vs_rest.roc_curves(*predicted).values():
        x, y = curve["false_positive_rate"], curve["true_positive_rate"]
        assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
        assert (np.diff(x) >= 0).all() and (np.diff(y) >= 0).all()
    for curve in one_vs_rest.precision_recall_curves(*predicted).values():
        assert curve["recall"][0] == 1 and curve["recall"][-1] == 0
        assert curve["share"] == pytest.approx(1 / 7)
        steps = -np.diff(curve["recall"]) * curve["precision"][:-1]
        assert curve["average_precision"] == pytest.approx(steps.sum())


def test_an_emotion_that_no_face_has_has_no_area():
    labels = np.array([0, 1, 0, 1])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.7, 0.2, 0.1]])
    table = one_vs_rest.ranking_table(labels, probabilities, ("sad", "happy", "fear"))
    assert table.loc["fear", ["roc_auc", "average_precision"]].isna().all()
    assert table.n.tolist() == [2, 2, 0, 4] and table.n.dtype == int
    assert table.roc_auc["sad"] == table.roc_auc["mean"] == 0.75
    for curves in (one_vs_rest.roc_curves, one_vs_rest.precision_recall_curves):
        assert list(curves(labels, probabilities, ("sad", "happy", "fear"))) == ["sad", "happy"]


def test_a_label_set_of_another_size_is_named(predicted):
    labels, probabilities, _ = predicted
    with pytest.raises(ValueError, match="each of the 7 columns of probabilities; got 2 names"):
        one_vs_rest.roc_curves(labels, probabilities, ("sad", "happy"))
