"""metrics: scikit-learn and plain loops are the oracles, resampling rows the bootstrap's."""

import json
import subprocess
import sys

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lib.emotions import FER7
from fer_lib.evaluation import bootstrap, metrics


def calibration_error(labels, p):
    """The sum over Guo et al.'s bins, bin by bin."""
    confidence, right, error = p.max(1) / p.sum(1), p.argmax(1) == labels, 0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


ORACLES = {
    "accuracy": lambda labels, p: sklearn.metrics.accuracy_score(labels, p.argmax(1)),
    "balanced_accuracy": lambda labels, p: sklearn.metrics.recall_score(
        labels, p.argmax(1), labels=np.unique(labels), average="macro"
    ),
    "macro_f1": lambda labels, p: sklearn.metrics.f1_score(
        labels, p.argmax(1), labels=np.unique(labels), average="macro", zero_division=0
    ),
    # scikit-learn clips by the dtype it is given; ours always as for float32.
    "log_loss": lambda labels, p: sklearn.metrics.log_loss(
        labels, p.astype(np.float32), labels=range(p.shape[1])
    ),
    "top2_accuracy": lambda labels, p: sklearn.metrics.top_k_accuracy_score(
        labels, p, k=2, labels=range(p.shape[1])
    ),
    "brier_score": lambda labels, p: (
        p.shape[1] * sklearn.metrics.mean_squared_error(np.eye(p.shape[1])[labels], p)
    ),
    "expected_calibration_error": calibration_error,
}
BEST_AT_0 = ("log_loss", "brier_score", "expected_calibration_error")


def predictions(seed=0, n=400, classes=7, signal=1.5):
    """Labels and softmax rows that favour the label by `signal`."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, size=n, p=rng.dirichlet(np.ones(classes)))
    logits = rng.normal(size=(n, classes)) + signal * np.eye(classes)[labels]
    return labels, np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


@pytest.mark.parametrize("name", metrics.METRICS)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 9999), n=st.integers(1, 60), classes=st.integers(3, 8))
def test_every_metric_agrees_with_scikit_learn(name, seed, n, classes):
    labels, probabilities = predictions(seed, n, classes)
    value = metrics.METRICS[name](labels, probabilities)
    assert isinstance(value, float)
    assert value == pytest.approx(ORACLES[name](labels, probabilities), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_every_metric_is_best_on_certain_and_right_probabilities(name):
    labels = np.arange(21) % 7
    best = 0.0 if name in BEST_AT_0 else 1.0
    assert metrics.METRICS[name](labels, np.eye(7)[labels]) == pytest.approx(best, abs=1e-6)


def test_a_mean_over_classes_is_over_those_that_occur():
    labels = np.array([0, 1, 1])
    right = np.eye(4)[labels]
    assert metrics.macro_f1(labels, right) == 1.0
    assert metrics.macro_f1(labels, np.eye(4)[[0, 1, 3]]) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.balanced_accuracy(labels, right) == 1.0
    assert metrics.confusion_matrix(labels, right).tolist() == [
        [1, 0, 0, 0],
        [0, 2, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]


def test_confusion_rows_are_true_classes():
    counts = metrics.confusion_matrix([0, 0, 2], np.eye(3)[[1, 1, 2]])
    assert counts.tolist() == [[0, 2, 0], [0, 0, 0], [0, 0, 1]]


def test_many_faces_of_a_small_dtype_do_not_overflow():
    labels = np.full(300, 19, dtype=np.uint8)
    assert metrics.confusion_matrix(labels, np.eye(20)[labels])[19, 19] == 300


def test_ties_never_put_accuracy_above_top2():
    labels, uniform = np.array([0, 1, 2, 3]), np.full((4, 4), 0.25)
    assert metrics.accuracy(labels, uniform) == 0.25
    assert metrics.top2_accuracy(labels, uniform) == 0.5


def test_log_loss_is_the_same_for_both_float_dtypes_and_finite_for_a_certain_mistake():
    labels, probabilities = np.array([0, 1]), np.array([[0.0, 1.0], [0.5, 0.5]])
    expected = (-np.log(np.finfo(np.float32).eps) + np.log(2)) / 2
    assert metrics.log_loss(labels, probabilities) == pytest.approx(expected)
    assert metrics.log_loss(labels, probabilities.astype(np.float32)) == pytest.approx(expected)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_the_fast_bootstrap_agrees_with_resampling_rows(name):
    labels, probabilities = predictions(n=120)
    fast = metrics._bootstrap(labels, probabilities, metrics._MEANS, 4000, seed=1)[0][name]
    slow = bootstrap.resample_rows(metrics.METRICS[name], labels, probabilities, 4000, seed=2)
    if name == "expected_calibration_error":  # which resampling only raises
        value = metrics.expected_calibration_error(labels, probabilities)
        assert slow.mean() > value
        slow += value - slow.mean()
    spread = slow.std()
    assert spread > 0
    assert fast.mean() == pytest.approx(slow.mean(), abs=0.1 * spread)
    assert fast.std() == pytest.approx(spread, rel=0.06)
    tails = [0.025, 0.5, 0.975]
    near = 0.1 * spread + 1 / 120  # shares of 120 faces come in steps
    assert np.quantile(fast, tails) == pytest.approx(np.quantile(slow, tails), abs=near)


def test_the_accuracy_interval_is_the_binomial_one():
    labels = np.zeros(1000, dtype=int)
    probabilities = np.eye(3)[np.repeat([0, 1], [600, 400])]
    interval = metrics.score(labels, probabilities, "abc")["accuracy"]
    half = 1.96 * np.sqrt(0.6 * 0.4 / 1000)
    assert interval["low"] == pytest.approx(0.6 - half, abs=0.004)
    assert interval["high"] == pytest.approx(0.6 + half, abs=0.004)


def test_a_wider_confidence_gives_a_wider_interval():
    labels, probabilities = predictions()
    narrow, wide = (
        metrics.score(labels, probabilities, FER7, confidence=c)["macro_f1"] for c in (0.5, 0.99)
    )
    assert wide["low"] < narrow["low"] < narrow["value"] < narrow["high"] < wide["high"]


def test_score_is_plain_json_and_holds_every_metric():
    labels, probabilities = predictions()
    result = metrics.score(labels, probabilities.astype(np.float32), FER7, resamples=200)
    assert json.loads(json.dumps(result)) == result
    assert result["n"] == 400 and result["resamples"] == 200 and result["seed"] == 0
    for name, metric in metrics.METRICS.items():
        assert result[name]["value"] == pytest.approx(metric(labels, probabilities), abs=1e-6)
        assert result[name]["low"] < result[name]["value"] < result[name]["high"]


def test_per_class_is_scikit_learns_report():
    labels, probabilities = predictions(n=60)
    probabilities[:, 3] = 0
    probabilities /= probabilities.sum(1, keepdims=True)
    report = metrics.score(labels, probabilities, FER7, resamples=1)["per_class"]
    oracle = sklearn.metrics.precision_recall_fscore_support(
        labels, probabilities.argmax(1), labels=range(7), zero_division=0
    )
    rows = [[row["precision"], row["recall"], row["f1"], row["n"]] for row in report.values()]
    assert tuple(report) == FER7
    assert rows == pytest.approx(np.transpose(oracle))


def test_score_repeats_with_the_seed_and_only_the_interval_changes_with_it():
    labels, probabilities = predictions()
    first, again, other = (
        metrics.score(labels, probabilities, FER7, resamples=100, seed=seed) for seed in (3, 3, 4)
    )
    assert first == again
    assert first["log_loss"]["low"] != other["log_loss"]["low"]
    assert first["log_loss"]["value"] == other["log_loss"]["value"]


def test_a_new_metric_is_scored_with_an_interval(monkeypatch):
    def misses(labels, probabilities):
        return float((probabilities.argmax(1) != labels).sum())

    monkeypatch.setitem(metrics.METRICS, "misses", misses)
    labels, probabilities = predictions(n=50)
    interval = metrics.score(labels, probabilities, FER7, resamples=200)["misses"]
    assert interval["low"] < interval["value"] == misses(labels, probabilities) < interval["high"]


def test_one_face_is_enough():
    result = metrics.score([2], np.eye(7)[[2]], FER7, resamples=10)
    assert result["accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert result["macro_f1"]["value"] == 1.0


GOOD = np.full((2, 4), 0.25)


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([], np.empty((0, 4)), r"n > 0; got \(0,\) and \(0, 4\)"),
        ([0], GOOD, r"got \(1,\) and \(2, 4\)"),
        ([[0], [1]], GOOD, r"got \(2, 1\)"),
        ([0, 1], GOOD[0], r"got \(2,\) and \(4,\)"),
        ([0.0, 1.0], GOOD, "integer class numbers; got float64"),
        ([0, 4], GOOD, r"lie in \[0, 4\); row 1 holds 4 \(1 such rows\)"),
        ([-1, 0], GOOD, "row 0 holds -1"),
        ([0, 1], GOOD * [[1], [np.nan]], "finite; row 1 holds"),
        ([0, 1], GOOD * 2, r"sum to 1 within 1e-3; row 0 holds 2.0 \(2 such rows\)"),
        ([0, 1], GOOD + [[0, 0, 0, 0], [0.5, 0, 0, -0.5]], "not be negative; row 1"),
    ],
)
@pytest.mark.parametrize("name", metrics.METRICS)
def test_what_does_not_fit_is_named(name, labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        metrics.METRICS[name](labels, probabilities)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label_set": FER7}, "each of the 4 columns of probabilities; got 7 names"),
        ({"resamples": 0}, "resamples=0"),
        ({"confidence": 95}, "confidence=95"),
    ],
)
def test_score_names_an_option_that_does_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        metrics.score([0, 1], GOOD, **{"label_set": "abcd"} | arguments)


def test_float16_sums_within_the_tolerance_are_accepted():
    labels, probabilities = predictions(n=50)
    result = metrics.score(labels, probabilities.astype(np.float16), FER7, resamples=10)
    assert result["log_loss"]["value"] == pytest.approx(
        metrics.log_loss(labels, probabilities), abs=1e-2
    )


def test_the_brier_score_sums_over_all_classes():
    labels = np.array([0, 1])
    assert metrics.brier_score(labels, np.eye(3)[[1, 1]]) == 1.0  # (2 + 0) / 2
    assert metrics.brier_score(labels, np.full((2, 3), 1 / 3)) == pytest.approx(2 / 3)


def test_calibration_error_is_the_gap_of_confidence_and_accuracy():
    labels = np.repeat([0, 1], [6, 4])
    sure = np.tile([0.9, 0.1], (10, 1))  # right in 6 of 10 cases
    assert metrics.expected_calibration_error(labels, sure) == pytest.approx(0.3)
    assert metrics.expected_calibration_error(
        labels, np.tile([0.6, 0.4], (10, 1))
    ) == pytest.approx(0)


def test_reliability_holds_every_face_in_the_bin_of_its_confidence():
    labels, probabilities = predictions()
    table = metrics.reliability(labels, probabilities)
    low, high, confidence = (np.array(table[key]) for key in ("low", "high", "confidence"))
    assert sum(table["n"]) == 400 and min(table["n"]) > 0
    assert ((low < confidence) & (confidence <= high)).all()
    assert np.allclose(high - low, 1 / 15)
    right = np.dot(table["n"], table["accuracy"])
    assert right == pytest.approx(400 * metrics.accuracy(labels, probabilities))
    one = metrics.reliability([0], np.array([[1.0, 0.0]]))  # the last bin holds certainty
    assert one["high"] == [1.0] and one["n"] == [1]


def test_the_calibration_interval_of_a_calibrated_classifier_holds_its_value():
    rng = np.random.default_rng(0)
    _, probabilities = predictions(n=1000)
    labels = (rng.random((1000, 1)) > probabilities.cumsum(1)).sum(1).clip(max=6)
    interval = metrics.score(labels, probabilities, FER7)["expected_calibration_error"]
    assert 0 <= interval["low"] < interval["value"] < interval["high"] < 0.1


def test_kl_divergence_is_0_at_the_targets_and_the_log_loss_of_one_class_targets():
    labels, probabilities = predictions()
    assert metrics.kl_divergence(probabilities, probabilities) == pytest.approx(0, abs=1e-9)
    assert metrics.kl_divergence(np.eye(7)[labels], probabilities) == pytest.approx(
        metrics.log_loss(labels, probabilities)
    )
    half, p = np.array([[0.5, 0.5]]), np.array([[0.9, 0.1]])
    assert metrics.kl_divergence(half, p) == pytest.approx(
        0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1)
    )


def test_votes_are_scored_with_an_interval_only_where_there_are_votes():
    labels, probabilities = predictions()
    votes = 0.5 * np.eye(7)[labels] + 0.5 / 7
    plain = metrics.score(labels, probabilities, FER7, resamples=100)
    voted = metrics.score(labels, probabilities, FER7, targets=votes, resamples=100)
    divergence = voted.pop("kl_divergence")
    assert voted == plain
    assert divergence["low"] < divergence["value"] < divergence["high"]
    assert divergence["value"] == metrics.kl_divergence(votes, probabilities)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (GOOD[:1], r"the shape of probabilities, \(2, 4\); got \(1, 4\)"),
        (GOOD * 4, "rows of targets must sum to 1"),
        (GOOD * np.nan, "targets must be finite"),
        (GOOD + [[0.5, -0.5, 0, 0]], "targets must not be negative"),
    ],
)
def test_targets_that_do_not_fit_are_named(targets, message):
    with pytest.raises(ValueError, match=message):
        metrics.kl_divergence(targets, GOOD)


def test_a_paired_difference_is_that_of_resampled_rows():
    labels, first = predictions(n=150)
    _, second = predictions(seed=1, n=150, signal=0)
    second = (first + 0.4 * second) / 1.4
    paired = metrics.paired_difference(labels, first, second, resamples=4000)

    def gap(labels, rows):
        return metrics.macro_f1(labels, rows[:, :7]) - metrics.macro_f1(labels, rows[:, 7:])

    rows = np.hstack([first, second])
    slow = bootstrap.resample_rows(gap, labels, rows, 2000, seed=3)
    assert paired["macro_f1"]["value"] == pytest.approx(gap(labels, rows))
    ends = [paired["macro_f1"]["low"], paired["macro_f1"]["high"]]
    assert ends == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.1 * np.ptp(ends))


def widths(scores):
    named = {k: v for k, v in scores.items() if isinstance(v, dict) and "value" in v}
    return np.array([v["high"] - v["low"] for v in named.values()])


def test_copies_of_faces_do_not_narrow_an_interval_over_groups():
    labels, first = predictions(n=150)
    _, second = predictions(seed=1, n=150)
    copies, four = np.tile(np.arange(150), 4), [np.tile(labels, 4)]
    four += [np.tile(p, (4, 1)) for p in (first, second)]
    for target in (None, first):  # also of votes
        targets = None if target is None else np.tile(target, (4, 1))
        whole = metrics.score(labels, first, FER7, targets=target, resamples=4000)
        grouped = metrics.score(
            *four[:2], FER7, targets=targets, groups=copies, resamples=4000, seed=1
        )
        assert grouped["groups"] == 150 and grouped["n"] == 600
        assert widths(grouped) == pytest.approx(widths(whole), rel=0.1, abs=1e-12)
    by_face = metrics.score(*four[:2], FER7, resamples=4000)
    assert widths(by_face)[0] == pytest.approx(widths(whole)[0] / 2, rel=0.1)
    told = [name for name, of in whole["per_class"].items() if of["recall_low"] is not None]
    assert len(told) > 3
    recall = [
        np.mean(
            [
                scores["per_class"][e]["recall_high"] - scores["per_class"][e]["recall_low"]
                for e in told
            ]
        )
        for scores in (whole, grouped, by_face)
    ]
    assert recall[1] == pytest.approx(recall[0], rel=0.1) and recall[2] < 0.7 * recall[0]
    paired = metrics.paired_difference(labels, first, second, resamples=4000)
    grouped = metrics.paired_difference(*four, groups=copies, resamples=4000, seed=1)
    assert widths(grouped) == pytest.approx(widths(paired), rel=0.1)


def test_a_metric_of_ones_own_is_resampled_by_group_too(monkeypatch):
    def misses(labels, probabilities):
        return float((probabilities.argmax(1) != labels).mean())

    monkeypatch.setitem(metrics.METRICS, "misses", misses)
    labels, probabilities = predictions(n=50)
    groups = np.arange(50) // 5
    found = metrics.score(labels, probabilities, FER7, groups=groups, resamples=2000)
    accuracy = found["accuracy"]
    expected = [1 - accuracy["high"], 1 - accuracy["low"]]
    assert [found["misses"]["low"], found["misses"]["high"]] == pytest.approx(expected, abs=0.03)


def test_groups_that_do_not_fit_are_refused_and_one_group_resamples_faces():
    labels, probabilities = predictions(n=50)
    with pytest.raises(ValueError, match=r"groups must have shape \(50,\), one for each face"):
        metrics.score(labels, probabilities, FER7, groups=np.arange(49))
    plain = metrics.score(labels, probabilities, FER7, resamples=50)
    one = metrics.score(labels, probabilities, FER7, groups=np.zeros(50), resamples=50)
    assert one == plain and "groups" not in plain


def test_a_paired_interval_is_narrower_than_the_scores_own():
    labels, first = predictions()
    second = first.copy()
    second[:10] = np.roll(second[:10], 1, axis=1)
    paired = metrics.paired_difference(labels, first, second)["accuracy"]
    own = metrics.score(labels, first, FER7)["accuracy"]
    assert paired["high"] - paired["low"] < 0.5 * (own["high"] - own["low"])
    same = metrics.paired_difference(labels, first, first)
    assert set(same) == {"accuracy", "balanced_accuracy", "macro_f1"}
    assert all(set(interval.values()) == {0.0} for interval in same.values())
    with pytest.raises(ValueError, match="must have one shape"):
        metrics.paired_difference(labels, first, np.full((400, 8), 1 / 8))


def test_importing_metrics_loads_neither_scikit_learn_nor_scipy():
    code = "import sys; from fer_lib.evaluation import metrics; "
    code += "print({'sklearn', 'scipy', 'pandas'} & set(sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert output.stdout.strip() == "set()", output.stderr
