"""Chain: what a start or a teacher has learned is found in the scored faces, however far back."""

import dataclasses

import numpy as np
import pytest

from fer_lib import storage
from fer_lib.audit import chain_checks, report
from fer_lib.audit.evidence import Evidence
from fer_lib.data import catalogue
from fer_lib.data.synthetic import make_faces
from fer_lib.experiments import given, runs
from fer_lib.experiments.experiment import Experiment


def faces(seed, n=70):
    return make_faces(n, seed=seed)


@pytest.fixture
def chain(tmp_path, monkeypatch):
    """Runs `first` -> `second` -> `third`, each started from or taught by the one before."""
    data = {
        name: {"train": faces(10 * place), "validation": faces(10 * place + 1, 21)}
        for place, name in enumerate(("a", "b", "c"))
    }
    for place, parts in enumerate(data.values()):
        parts["test"] = faces(10 * place + 2)
    monkeypatch.setattr(catalogue, "load_dataset", lambda name, **options: data[name])

    def write(name, **parameters):
        experiment = Experiment(epochs=1, results_dir=str(tmp_path), **parameters)
        folder = tmp_path / name
        storage.write_json(folder / "experiment.json", dataclasses.asdict(experiment))
        storage.write_json(folder / "scores.json", {})
        (folder / "model.keras").touch()
        return runs.load_run(folder)

    write("first", dataset="a", weights=None)
    write("second", dataset="b", weights=str(tmp_path / "first" / "model.keras"))
    third = write("third", dataset="c", weights="imagenet", distill_from=str(tmp_path / "second"))
    return data, third


def audited(data, run):
    evidence = Evidence(run, given.check(data["c"]))
    (check,) = chain_checks.CHECKS
    return check.find(evidence)


def test_the_whole_chain_is_followed(chain):
    data, third = chain
    found = chain_checks.ancestors(third)
    assert [ancestor.run.folder.name for ancestor in found] == ["second", "first"]
    assert audited(data, third).status == "pass"
    assert chain_checks.ancestors(found[-1].run) == []


def test_scored_rows_that_a_start_two_steps_back_has_learned_fail(chain):
    data, third = chain
    scored = data["c"]["test"]
    images = data["a"]["train"].images.copy()
    images[:30] = scored.images[:30]
    data["a"]["train"] = dataclasses.replace(data["a"]["train"], images=images)
    finding = audited(data, third)
    assert finding.status == "fail" and "the score measures memory" in finding.sentence
    assert max(v for v in finding.figures.values() if isinstance(v, int)) >= 30


def test_faces_that_the_run_itself_trains_on_are_counted_elsewhere(chain):
    data, third = chain
    data["a"]["train"] = data["c"]["train"]  # the same data set, without a scored row
    assert audited(data, third).status == "pass"


def test_a_start_of_which_nothing_is_known_is_told(chain, tmp_path):
    data, third = chain
    told = dataclasses.asdict(third.experiment) | {"weights": str(tmp_path / "gone.weights.h5")}
    storage.write_json(third.folder / "experiment.json", told)
    finding = audited(data, runs.load_run(third.folder))
    assert finding.status == "warn" and "gone.weights.h5" in finding.sentence


def test_shipped_models_say_what_they_were_trained_on(chain, tmp_path):
    told = {"dataset": "c", "weights": "fer", "distill_from": "default,ferplus"}
    experiment = Experiment(**told, results_dir=str(tmp_path))
    storage.write_json(tmp_path / "run" / "experiment.json", dataclasses.asdict(experiment))
    found = chain_checks.ancestors(runs.load_run(tmp_path / "run"))
    assert {ancestor.name: ancestor.trained_on for ancestor in found} == {
        "default": "fer2013_soft",
        "ferplus": "ferplus_soft",
        "fer": "fer2013",
    }


def test_the_audit_runs_the_check():
    assert "chain_checks" in report.MODULES
    one = np.zeros((1, 48, 48), np.uint8)
    finding = chain_checks.inherited_rows(one, one + 1, {"a teacher": one})
    assert finding.status == "fail" and finding.figures == {"a teacher": 1}


def test_what_was_learned_before_is_priced():
    images = np.random.default_rng(0).integers(0, 256, (40, 48, 48)).astype(np.uint8)
    scored, own, theirs = images[:20], images[20:30], np.concatenate([images[:5], images[30:]])
    right = np.arange(20) < 8  # all five that were learned, and 3 of 15 others
    finding = chain_checks.inherited_rows(scored, own, {"teacher": theirs}, right=right)
    assert finding.status == "fail" and finding.figures["teacher"] == 5
    assert finding.figures["accuracy"] == 0.4 and finding.figures["accuracy without them"] == 0.2
