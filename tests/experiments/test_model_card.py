"""A shipped classifier: files that are scored one by one, and a card that says so."""

import dataclasses

import pandas as pd
import pytest

from fer_lib import storage
from fer_lib.experiments import model_card, runner
from fer_lib.experiments.experiment import Experiment
from fer_lib.inference.predictor import load_predictor, sidecar
from support.places import write_fer2013_csv

pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai-edge-litert")


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    import keras

    if keras.backend.backend() != "tensorflow":
        pytest.skip("export needs Keras on TensorFlow")
    folder = tmp_path_factory.mktemp("card")
    data = write_fer2013_csv(folder / "faces.csv")
    experiment = Experiment(
        dataset=str(data), backbone=tiny, weights=None, epochs=2, results_dir=str(folder / "runs")
    )
    return runner.run(experiment)


@pytest.mark.slow
def test_every_file_is_scored_and_the_card_names_it(run, tmp_path):
    ends = dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high"), 0.5)
    ends |= dict.fromkeys(("macro_f1", "macro_f1_low", "macro_f1_high"), 0.25)
    row = {"model": run.label(), "trained_on": run.experiment.dataset, "test": "CK+", "n": 927}
    row |= ends | {"emotions": 6, "left_out": "contempt (54)", "seen": None}
    pd.DataFrame([row, row | {"model": "another", "n": 1}]).to_csv(tmp_path / "cross.csv")
    cross = model_card.read_cross(tmp_path / "cross.csv", run)
    table = model_card.ship(
        run, tmp_path, name="mine", formats=("keras", "litert_int8"), cross=cross
    )
    assert list(table.index) == ["mine.keras", "mine_int8.tflite"]
    assert (table.same_label > 0.8).all()
    card = (tmp_path / "mine.md").read_text()
    for file in table.index:
        about = storage.read_json(sidecar(tmp_path / file))
        assert about["test"]["accuracy"]["value"] == table.test_accuracy[file]
        assert about["test"]["n"] == len(run.predictions["ids"])
        assert f"| {file} |" in card
        load_predictor(tmp_path / file)  # the description still fits the file
    for wanted in ("not what a person feels", "prohibited", "seed 0", "-p epochs 2", "| happy |"):
        assert wanted in card
    assert "| CK+ | 927 | 6 | 0.500 [0.500, 0.500] | 0.250 [0.250, 0.250] | contempt (54) |" in card
    assert "another" not in card
    written = card + sidecar(tmp_path / "mine.keras").read_text()
    assert run.experiment.dataset not in written and "pytest_of" not in written
    with pytest.raises(ValueError, match="has no row of"):
        other = dataclasses.replace(run)
        other.__dict__["experiment"] = dataclasses.replace(run.experiment, dataset="jaffe")
        model_card.read_cross(tmp_path / "cross.csv", other)


@pytest.mark.slow
def test_a_run_whose_data_changed_is_refused(run, tmp_path):
    data = tmp_path / "other.csv"
    write_fer2013_csv(data, per_class=12)
    other = dataclasses.replace(run.experiment, dataset=str(data))
    run = dataclasses.replace(run)
    run.__dict__["experiment"] = other
    with pytest.raises(ValueError, match="does not hold the faces that"):
        model_card.ship(run, tmp_path / "out")


@pytest.mark.slow
def test_an_unfinished_run_is_refused(run, tmp_path):
    storage.write_json(tmp_path / "experiment.json", dataclasses.asdict(run.experiment))
    with pytest.raises(ValueError, match="is not finished"):
        model_card.ship(type(run)(tmp_path), tmp_path / "out")


def test_the_command_gives_what_is_not_at_its_default():
    words = model_card.command(Experiment(weights=None, learning_rate=0.5, unfreeze="100"))
    assert words.endswith("out.ipynb -p weights None -p unfreeze 100 -p learning_rate 0.5")
