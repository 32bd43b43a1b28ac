"""ensembles: several runs answer together, and are scored like one."""

import numpy as np
import pandas as pd
import pytest

from fer_lib.emotions import FER7
from fer_lib.evaluation import metrics
from fer_lib.experiments import ensembles, runs
from support.finished_runs import write_run


@pytest.fixture
def found(tmp_path):
    for seed in range(3):
        write_run(tmp_path, seed=seed, answers=seed, validation=True)
    return runs.find_runs(tmp_path)


def test_an_ensemble_is_the_mean_of_its_members(found):
    scores, _ = ensembles.ensemble(found, resamples=50)
    for split, prefix in (("test", ""), ("validation", "validation_")):
        members = [run.predictions[f"{prefix}probabilities"] for run in found.values()]
        labels = next(iter(found.values())).predictions[f"{prefix}labels"]
        mean = np.mean(np.float64(members), axis=0)
        assert scores[split]["log_loss"]["value"] == pytest.approx(metrics.log_loss(labels, mean))
        alone = [metrics.log_loss(labels, member) for member in members]
        assert scores[split]["log_loss"]["value"] < np.mean(alone)
        assert list(scores[split]["per_class"]) == list(FER7)
        assert scores[f"{split}_name"] == f"synthetic {split}"
    assert scores["members"] == [run.folder.name for run in found.values()]


def test_an_ensemble_of_one_run_twice_is_that_run(found):
    run = next(iter(found.values()))
    scores, _ = ensembles.ensemble({"a": run, "b": run}, resamples=50)
    for metric in metrics.METRICS:
        value = run.scores["test"][metric]["value"]
        assert scores["test"][metric]["value"] == pytest.approx(value, abs=1e-6), metric


def test_an_ensemble_is_a_row_of_the_table(found, tmp_path):
    scores, row = ensembles.ensemble(found, resamples=50)
    table = pd.concat([runs.runs_table(tmp_path), row], ignore_index=True)
    assert len(table) == 4 and table.run[3] == "mean of 3 runs"
    assert table.accuracy[3] == scores["test"]["accuracy"]["value"]
    assert table.backbone[3] == "mobilenet_v2" and pd.isna(table.seed[3])
    assert table.minutes[3] == pytest.approx(table.minutes[:3].sum())
    summary = runs.summary_table(table)
    other = write_run(tmp_path / "more", unfreeze="100", dropout=0.5, validation=True)
    _, mixed = ensembles.ensemble({"other": other} | found, resamples=50)
    assert "dropout" not in mixed and mixed.backbone[0] == "mobilenet_v2"
    assert summary["accuracy [95 % interval]"].str.endswith("]").all()


def test_runs_of_other_faces_are_refused(found, tmp_path):
    other = write_run(tmp_path / "other", shuffled=True, validation=True)
    with pytest.raises(ValueError, match="other can not be compared with .* other ids"):
        ensembles.ensemble(found | {"other": other})
    with pytest.raises(ValueError, match="two or more runs; got"):
        ensembles.ensemble(dict(list(found.items())[:1]))


def test_a_run_without_predictions_is_named(found):
    last = list(found.values())[-1]
    (last.folder / "predictions.npz").unlink()
    with pytest.raises(FileNotFoundError, match=f"{last.folder.name} holds no predictions.npz"):
        ensembles.ensemble(found)
