"""Comparison: several runs on the same faces, tested against one another and averaged."""

import numpy as np
import pandas as pd
import pytest

from fer_lib import storage
from fer_lib.emotions import FER7
from fer_lib.evaluation import metrics
from fer_lib.evaluation.significance import mcnemar
from fer_lib.experiments import runs
from fer_lib.experiments.comparison import (
    by_test,
    comparable,
    compare_runs,
    ensemble,
    latex,
    pooled,
    reliability_of,
    rivals,
    same_faces,
)
from support.finished_runs import write_run


@pytest.fixture
def found(tmp_path):
    for seed in range(3):
        write_run(tmp_path, seed=seed, answers=seed, validation=True)
    return runs.find_runs(tmp_path)


@pytest.mark.parametrize(("split", "prefix"), [("test", ""), ("validation", "validation_")])
def test_an_ensemble_is_the_mean_of_its_members(found, split, prefix):
    scores = ensemble(found, split, resamples=50)
    members = [run.predictions[f"{prefix}probabilities"] for run in found.values()]
    labels = next(iter(found.values())).predictions[f"{prefix}labels"]
    mean = np.mean(np.float64(members), axis=0)
    assert scores["log_loss"]["value"] == pytest.approx(metrics.log_loss(labels, mean))
    alone = [metrics.log_loss(labels, member) for member in members]
    assert scores["log_loss"]["value"] < np.mean(alone)
    assert list(scores["per_class"]) == list(FER7)


def test_an_ensemble_of_one_run_twice_is_that_run(found):
    run = next(iter(found.values()))
    scores = ensemble({"a": run, "b": run}, resamples=50)
    for metric in metrics.METRICS:
        value = run.scores["test"][metric]["value"]
        assert scores[metric]["value"] == pytest.approx(value, abs=1e-6), metric


def test_runs_of_other_faces_are_refused(found, tmp_path):
    other = write_run(tmp_path / "other", shuffled=True, validation=True)
    with pytest.raises(ValueError, match="other can not be compared with .* other ids"):
        ensemble(found | {"other": other})
    with pytest.raises(ValueError, match="two or more runs; got"):
        ensemble(dict(list(found.items())[:1]))


def test_a_run_without_predictions_is_named(found):
    last = list(found.values())[-1]
    (last.folder / "predictions.npz").unlink()
    with pytest.raises(FileNotFoundError, match=f"{last.folder.name} holds no predictions.npz"):
        ensemble(found)


@pytest.fixture
def rivalling(tmp_path):
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


def test_runs_are_compared_with_the_best_one(rivalling):
    table = compare_runs(rivalling, "good", resamples=200)
    assert table.index.tolist() == ["good", "bad", "same"]
    assert table.mark.tolist() == ["best", "differs", "not told apart"]
    labels, answered, _, _ = same_faces(rivalling)
    p, only_it, only_best = mcnemar(labels, answered["bad"], answered["good"])
    assert table.loc["bad", ["only_it_right", "only_best_right"]].tolist() == [only_it, only_best]
    assert table.p["bad"] == p and table.p_holm["bad"] == pytest.approx(2 * p)
    gap = table.accuracy["bad"] - table.accuracy["good"]
    cell = table.loc["bad", "accuracy − best [95 % interval]"]
    assert cell.startswith(f"{gap:+.4f} [-0.") and cell.endswith("]")
    assert table.p.isna().tolist() == [True, False, False]


def test_runs_that_can_not_be_compared_are_refused(rivalling, tmp_path):
    with pytest.raises(ValueError, match="Unknown run 'god'.*did you mean 'good'"):
        compare_runs(rivalling, "god")
    other = write_run(tmp_path / "more", shuffled=True)
    with pytest.raises(ValueError, match="other can not be compared with good"):
        compare_runs(rivalling | {"other": other}, "good")
    assert compare_runs({"good": rivalling["good"]}, "good").mark.tolist() == ["best"]


def test_runs_of_the_same_faces_are_put_side_by_side(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path, seed=seed, answers=seed, validation=True)
    found = runs.find_runs(tmp_path)
    for split in ("test", "validation"):
        labels, answers, label_set, _ = same_faces(found, split)
        assert list(answers) == list(found) and label_set == FER7
        for label, run in found.items():
            np.testing.assert_array_equal(answers[label], run.predictions["probabilities"])
        np.testing.assert_array_equal(labels, run.predictions["labels"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"shuffled": True}, "other ids of the faces"),
        ({"label_set": FER7[::-1]}, "other emotions or another order of them"),
        ({"validation": False}, "validation: the runs have other ids"),
    ],
)
def test_runs_of_other_faces_are_told_apart(tmp_path, change, reason):
    run = write_run(tmp_path / "a", validation=True)
    other = write_run(tmp_path / "b", **{"validation": True} | change)
    with pytest.raises(ValueError, match=reason):
        same_faces({"one": run, "two": other}, "validation")


def test_other_labels_of_the_same_ids_are_told(tmp_path):
    run, other = write_run(tmp_path / "a"), write_run(tmp_path / "b")
    arrays = other.predictions | {"labels": (other.predictions["labels"] + 1) % 7}
    np.savez(other.folder / "predictions.npz", **arrays)
    found = {"one": run, "two": runs.load_run(other.folder)}
    with pytest.raises(ValueError, match="two can not be compared with one .* other labels of"):
        same_faces(found)


def test_comparable_runs_hold_predictions_of_the_same_faces(tmp_path):
    found = {name: write_run(tmp_path / name) for name in ("a", "b", "bare")}
    found["shuffled"] = write_run(tmp_path / "shuffled", shuffled=True)
    (found["bare"].folder / "predictions.npz").unlink()
    assert list(comparable(found, "a")) == ["a", "b"]
    assert list(comparable(found, "shuffled")) == ["shuffled"]
    assert comparable(found, "bare") == {}
    assert found["a"].has_predictions and not found["bare"].has_predictions


def test_rivals_report_on_the_same_faces_and_come_best_first(tmp_path):
    found = {name: write_run(tmp_path / name, validation=True) for name in "abcd"}
    for name, value in zip("abcd", (0.5, 0.4, 0.6, 0.9), strict=True):
        found[name].scores["validation"]["macro_f1"]["value"] = value
    found["d"].scores["test_name"] = "other faces"
    assert rivals(found, "a") == ["c", "b"]
    assert rivals(found, "d") == []


def test_a_run_s_reliability_is_shown_before_and_after(tmp_path):
    run = write_run(tmp_path, validation=True)
    before, after = reliability_of(run).items()
    assert before[0].startswith("as scored, ECE 0.") and after[0].startswith("temperature ")
    assert before[1] == run.scores["test"]["reliability"]
    assert sum(after[1]["n"]) == 140 and after[1] != before[1]


def test_without_predictions_the_scores_tell_what_they_hold(tmp_path):
    run = write_run(tmp_path)
    assert len(reliability_of(run)) == 1  # no validation to fit on
    (run.folder / "predictions.npz").unlink()
    ((name, table),) = reliability_of(run).items()
    value = run.scores["test"]["expected_calibration_error"]["value"]
    assert name == f"as scored, ECE {value:.3f}" and table == run.scores["test"]["reliability"]
    del run.scores["test"]["reliability"]
    assert reliability_of(run) == {}


def test_runs_that_know_groups_are_compared_by_them(rivalling):
    alone = compare_runs(rivalling, "good", resamples=500)
    for run in rivalling.values():
        groups = np.arange(140) // 20
        np.savez(run.folder / "predictions.npz", **run.predictions | {"groups": groups})
    grouped = {label: runs.load_run(run.folder) for label, run in rivalling.items()}
    table = compare_runs(grouped, "good", resamples=500)
    assert table.p["bad"] > alone.p["bad"]  # seven people, not 140 faces
    assert table.p["bad"] == pytest.approx(2 / 2**7)
    assert len(np.unique(same_faces(grouped).groups)) == 7


def test_runs_are_sorted_by_the_faces_that_they_report_on(tmp_path):
    for seed in range(3):
        write_run(tmp_path, seed=seed)
    other = write_run(tmp_path, seed=3)
    storage.write_json(other.folder / "scores.json", other.scores | {"test_name": "other faces"})
    sets = by_test(runs.find_runs(tmp_path))
    assert {name: len(of) for name, of in sets.items()} == {"synthetic test": 3, "other faces": 1}


def test_folds_are_scored_together_by_their_people(tmp_path):
    folds = {}
    for fold in (1, 2, 3):
        run = write_run(tmp_path, folds=3, fold=fold, answers=fold)
        own = {"ids": run.predictions["ids"] + 1000 * fold, "groups": np.arange(140) // 20}
        np.savez(run.folder / "predictions.npz", **run.predictions | own)
        folds[str(fold)] = runs.load_run(run.folder)
    scores, spread = pooled(folds, resamples=50)
    assert scores["n"] == 420 and scores["groups"] == 21
    each = [run.scores["test"]["accuracy"]["value"] for run in folds.values()]
    assert scores["accuracy"]["value"] == pytest.approx(np.mean(each))
    assert spread.accuracy.tolist() == pytest.approx([np.mean(each), np.std(each, ddof=1)])
    with pytest.raises(ValueError, match="A face stands in the test set of two runs"):
        pooled({"a": folds["1"], "b": folds["1"]})


def test_a_table_is_latex_without_characters_that_latex_may_not_know():
    table = pd.DataFrame(
        {"accuracy − best": ["−0.01 [95 %]", None], "p": [0.04651, None]}, index=["a_b", "c"]
    )
    text = latex(table.rename_axis("run"))
    assert text.startswith("\\begin{tabular}{llr}") and "run" not in text
    assert r"a\_b & $-$0.01 [95 \%] & 0.04651 \\" in text
    assert r"c & -- & -- \\" in text
    assert text.isascii()
