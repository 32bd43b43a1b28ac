"""Noise: what is too small to mean anything is told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from fer_lib.audit import significance
from fer_lib.emotions import FER7
from fer_lib.evaluation import metrics
from fer_lib.experiments import runs
from support.finished_runs import write_run


@pytest.fixture
def predicted(rng):
    labels = np.arange(700) % 7
    right = rng.random(700) < 0.6
    probabilities = np.eye(7)[np.where(right, labels, (labels + 1) % 7)]
    return labels, probabilities


def test_scores_without_intervals_fail(predicted):
    scores = metrics.score(*predicted, FER7, resamples=50)
    assert significance.intervals(scores).status == "pass"
    del scores["macro_f1"]["low"]
    finding = significance.intervals(scores)
    assert finding.status == "fail" and finding.figures["without"] == ["macro_f1"]
    assert significance.intervals({"accuracy": 0.7}).status == "fail"
    outside = {"accuracy": {"value": 0.7, "low": 0.71, "high": 0.8}}
    assert significance.intervals(outside).status == "fail"


def test_a_class_of_fewer_than_30_faces_is_named():
    labels = np.r_[np.repeat(np.arange(7), 30)]
    assert significance.class_sizes(labels, FER7).status == "pass"
    finding = significance.class_sizes(labels[1:], FER7)
    assert finding.status == "warn" and "angry (29)" in finding.sentence


def test_fewer_than_three_seeds_are_told():
    assert significance.seeds({0: 0.61}).status == "warn"
    assert significance.seeds({0: 0.61, 1: 0.63}).status == "warn"
    finding = significance.seeds({0: 0.61, 1: 0.63, 2: 0.62})
    assert finding.status == "pass" and finding.figures["standard deviation"] == 0.01


def test_a_difference_inside_noise_is_told_from_one_outside(predicted):
    labels, probabilities = predicted
    few, many = probabilities.copy(), probabilities.copy()
    few[:10], many[:100] = np.eye(7)[labels[:10]], np.eye(7)[labels[:100]]
    few[10:16] = np.eye(7)[(labels[10:16] + 2) % 7]
    inside = significance.difference(labels, few, probabilities, "another")
    assert inside.status == "warn" and inside.figures["p"] > 0.05
    outside = significance.difference(labels, many, probabilities, "another")
    assert outside.status == "pass" and outside.figures["p"] < 0.001
    assert outside.figures["difference"] > 0
    same = significance.difference(labels, probabilities, probabilities, "itself")
    assert same.status == "warn" and same.figures["p"] == 1


def answers(only_first, only_second, both=10):
    """Labels and two classifiers of which so many faces only one gets right."""
    labels = np.zeros(only_first + only_second + both, int)
    first, second = labels.copy(), labels.copy()
    second[:only_first] = 1
    first[only_first : only_first + only_second] = 1
    return labels, np.eye(2)[first], np.eye(2)[second]


def test_few_discordant_faces_are_tested_exactly():
    p, only_first, only_second = significance.mcnemar(*answers(9, 2))
    assert (only_first, only_second) == (9, 2)
    assert p == pytest.approx(2 * (1 + 11 + 55) / 2**11)
    assert significance.mcnemar(*answers(0, 0)) == (1.0, 0, 0)


def test_many_discordant_faces_are_tested_by_the_corrected_chi_square():
    # The example of Dietterich's statistic: (|40 - 20| - 1)^2 / 60 = 6.0167, one degree of freedom.
    p, *_ = significance.mcnemar(*answers(40, 20))
    assert p == pytest.approx(0.01417, abs=1e-5)
    assert p == pytest.approx(binomtest(40, 60).pvalue, rel=0.1)
    assert significance.mcnemar(*answers(20, 40))[0] == p
    assert significance.mcnemar(*answers(30, 30))[0] == 1.0


def test_mcnemar_refuses_faces_that_do_not_match():
    labels, first, second = answers(3, 2)
    with pytest.raises(ValueError, match=r"got \(15,\) and \(14, 2\)"):
        significance.mcnemar(labels, first, second[1:])


def test_holm_s_correction_by_hand():
    corrected = significance.holm([0.01, 0.04, 0.03, 0.005])
    assert corrected == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert significance.holm([0.7, 0.8]).tolist() == [1.0, 1.0]
    assert significance.holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_order_and_lies_between_none_and_bonferroni(p_values):
    corrected = significance.holm(p_values)
    assert (corrected >= p_values).all()
    assert (corrected <= np.minimum(np.array(p_values) * len(p_values), 1)).all()
    assert (np.diff(corrected[np.argsort(p_values, kind="stable")]) >= 0).all()


@pytest.fixture
def found(tmp_path):
    """Two runs alike in accuracy and one that always answers with the next class."""
    for seed in (0, 1):
        write_run(tmp_path, seed=seed, answers=seed)
    bad = write_run(tmp_path, seed=2)
    arrays = bad.predictions | {"probabilities": np.roll(bad.predictions["probabilities"], 1, 1)}
    np.savez(bad.folder / "predictions.npz", **arrays)
    return dict(
        zip(
            ("bad", "good", "same"),
            map(
                runs.load_run,
                [bad.folder, *(run.folder for run in list(runs.find_runs(tmp_path).values())[:2])],
            ),
            strict=True,
        )
    )


def test_runs_are_compared_with_the_best_one(found):
    table = significance.compare_runs(found, "good", resamples=200)
    assert table.index.tolist() == ["good", "bad", "same"]
    assert table.mark.tolist() == ["best", "differs", "not told apart"]
    labels, answered, _ = runs.same_faces(found)
    p, only_it, only_best = significance.mcnemar(labels, answered["bad"], answered["good"])
    assert table.loc["bad", ["only_it_right", "only_best_right"]].tolist() == [only_it, only_best]
    assert table.p["bad"] == p and table.p_holm["bad"] == pytest.approx(2 * p)
    gap = table.accuracy["bad"] - table.accuracy["good"]
    cell = table.loc["bad", "accuracy − best [95 % interval]"]
    assert cell.startswith(f"{gap:+.4f} [-0.") and cell.endswith("]")
    assert table.p.isna().tolist() == [True, False, False]


def test_runs_that_can_not_be_compared_are_refused(found, tmp_path):
    with pytest.raises(ValueError, match="Unknown run 'god'.*did you mean 'good'"):
        significance.compare_runs(found, "god")
    other = write_run(tmp_path / "more", shuffled=True)
    with pytest.raises(ValueError, match="other can not be compared with good"):
        significance.compare_runs(found | {"other": other}, "good")
    assert significance.compare_runs({"good": found["good"]}, "good").mark.tolist() == ["best"]
