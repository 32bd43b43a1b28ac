"""own networks and runs that are gone on with: from parameters to a finished run, and further."""

import dataclasses

import pytest

from fer_lib.audit import chain_checks
from fer_lib.experiments import runner, runs
from fer_lib.experiments.experiment import Experiment, from_words
from fer_lib.experiments.model_card import ship
from fer_lib.inference import explanations
from fer_lib.inference.predictor import load_predictor
from support.own_networks import write_network


@pytest.fixture(scope="module")
def finished(tiny_faces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    name = f"{write_network(folder)}:nested"
    how = {"weights": None, "epochs": 1, "augmentation": "none", "results_dir": str(folder)}
    return runner.run(Experiment(dataset="given", backbone=name, **how), tiny_faces)


def test_a_run_of_an_own_network_has_all_that_a_run_has(finished, tiny_faces, tmp_path):
    assert finished.scores["weights"].startswith("own network net.py:nested, sha256 ")
    assert finished.scores["temperature"] != 1 and finished.label().startswith("net.py:nested")
    answers = finished.model().predict(tiny_faces["test"].images, verbose=0)
    assert abs(answers - finished.predictions["probabilities"]).max() < 1e-5
    assert list(finished.history.stage) == ["all"]
    explain = explanations.explainer("grad_cam", load_predictor(finished.folder))
    assert explain(tiny_faces["test"].images[:2]).shape == (2, 48, 48)
    table = ship(finished, tmp_path, formats=("litert_float16",), data=tiny_faces)
    assert table["same_label"].min() > 0.9
    assert runs.runs_table(finished.folder.parent)["backbone"].str.contains("#").all()


def test_a_finished_run_is_gone_on_with_head_and_all(finished, tiny_faces):
    folder = finished.folder
    words = [f"weights={folder}", "epochs=1"]
    further = from_words(words, [folder / "experiment.json"])
    assert further.name != finished.experiment.name
    more = runner.run(further, tiny_faces)
    assert more.scores["weights"].startswith(f"run {folder.name}, sha256")
    assert more.history.loss[0] <= finished.history.loss[0]
    (chain,) = chain_checks.ancestors(more)
    assert chain.run.folder == folder


def test_a_run_of_other_classes_gives_its_body_alone(finished):
    own = tuple(finished.label_set)
    assert runner._start(str(finished.folder), own) == str(finished.folder)
    assert runner._start(str(finished.folder), own[::-1]) == finished.folder / "model.keras"
    assert runner._start("imagenet", own) == "imagenet"


def test_a_backbone_s_run_is_gone_on_with_without_the_head_s_epochs(tiny, tiny_faces, tmp_path):
    start = Experiment(dataset="given", backbone=tiny, weights=None, results_dir=str(tmp_path))
    model = runner.build_model(start, tiny_faces)
    folder = tmp_path / "a run"
    folder.mkdir()
    model.save(folder / "model.keras")
    on = dataclasses.replace(start, weights=str(folder))
    again = runner.build_model(on, tiny_faces)
    assert all(
        (a == b).all() for a, b in zip(model.get_weights(), again.get_weights(), strict=True)
    )
    assert again.goes_on and [s.name for s in runner._stages(on, again)] == ["all"]
    alone = dataclasses.replace(start, weights=str(folder / "model.keras"))
    assert not runner.build_model(alone, tiny_faces).goes_on
