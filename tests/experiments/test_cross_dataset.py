"""cross_dataset: emotions are matched by name, and what is left out or was seen is counted."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lib import storage
from fer_lib.data import catalogue
from fer_lib.data.faces import Faces
from fer_lib.emotions import CKPLUS7, FER7, FERPLUS8
from fer_lib.experiments import cross_dataset
from fer_lib.experiments.experiment import Experiment
from fer_lib.experiments.runs import Run
from fer_lib.inference.predictor import Predictor, read_sidecar
from support.finished_runs import tiny_run
from support.papermill_runs import run_here, text_and_figures
from support.places import ROOT, write_fer2013_csv


def faces(labels, label_set, name, start):
    """Faces whose first pixel is their emotion's number in FER+'s order, all of them different."""
    images = np.zeros((len(labels), 4, 4), np.uint8)
    images[:, 0, 0] = [FERPLUS8.index(label_set[label]) for label in labels]
    images[:, 1, 1] = np.arange(start, start + len(labels))
    images[:, 2, 2] = ord(name[0])
    return Faces(images, np.array(labels), label_set, name=name)


def splits(label_set, name):
    """Two faces of each emotion to train on, one to validate, three to test."""
    parts = {}
    for split, (start, count) in {"train": (0, 2), "validation": (50, 1), "test": (100, 3)}.items():
        labels = np.repeat(np.arange(len(label_set)), count)
        parts[split] = faces(labels, label_set, f"{name} {split}", start)
    return parts


class Knows:
    """Reads the emotion off the first pixel; what it has no name for, it calls by its first."""

    def __init__(self, label_set, sure=0.9):
        self.label_set, self.sure = tuple(label_set), sure

    def predict(self, images):
        names = [FERPLUS8[number] for number in images[:, 0, 0]]
        columns = [self.label_set.index(n) if n in self.label_set else 0 for n in names]
        rest = (1 - self.sure) / (len(self.label_set) - 1)
        answers = np.full((len(images), len(self.label_set)), rest)
        answers[np.arange(len(images)), columns] = self.sure
        return answers


LOADED = {"fer": splits(FER7, "FER"), "ck": splits(CKPLUS7, "CK+")}


def table(models=None, **options):
    models = models or {"plus": Knows(FERPLUS8), "seven": Knows(FER7[::-1])}
    return cross_dataset.cross_table(models, LOADED, resamples=50, **options)


def test_there_is_a_row_for_each_model_and_data_set_and_order_does_not_matter():
    rows = table()
    assert rows[["model", "dataset"]].to_numpy().tolist() == [
        ["plus", "fer"],
        ["plus", "ck"],
        ["seven", "fer"],
        ["seven", "ck"],
    ]
    assert (rows.accuracy == 1).all() and (rows.macro_f1 == 1).all()
    assert (rows.accuracy_low == 1).all() and (rows.macro_f1_high == 1).all()
    assert rows.test.tolist() == ["FER test", "CK+ test"] * 2


def test_faces_are_brought_to_the_size_and_the_colours_that_a_model_takes():
    class Large(Knows):
        face_size = (64, 64, 3)

        def predict(self, images):
            assert images.shape[1:] == self.face_size
            return super().predict(images[..., 0])

    rows = table({"large": Large(FER7)})
    assert rows.test.tolist() == ["FER test, as 64 x 64 x 3", "CK+ test, as 64 x 64 x 3"]
    assert (rows.accuracy == 1).all()


def test_what_either_side_lacks_is_left_out_and_counted():
    rows = table().set_index(["model", "dataset"])
    columns = ["n", "emotions", "left_out", "left_out_faces", "removed"]
    assert rows.loc[("plus", "fer"), columns].tolist() == [21, 7, "", 0, "contempt"]
    assert rows.loc[("plus", "ck"), columns].tolist() == [21, 7, "", 0, "neutral"]
    assert rows.loc[("seven", "fer"), columns].tolist() == [21, 7, "", 0, ""]
    assert rows.loc[("seven", "ck"), columns].tolist() == [18, 6, "contempt (3)", 3, "neutral"]


def test_a_data_set_can_be_scored_as_a_whole():
    rows = table({"plus": Knows(FERPLUS8)}, whole=["ck"]).set_index("dataset")
    assert rows.n.to_dict() == {"fer": 21, "ck": 42}
    assert rows.test.to_dict() == {"fer": "FER test", "ck": "ck, all of it"}
    with pytest.raises(ValueError, match="whole.*did you mean 'ck'"):
        table(whole=["ck+"])


def test_test_faces_that_were_trained_on_are_counted():
    train, validation, test = LOADED["fer"].values()
    leaky = {"train": train, "validation": validation, "test": test}
    leaky["train"] = dataclasses.replace(
        train, images=np.concatenate([test.images[:2], train.images[2:]])
    )
    leaky["validation"] = dataclasses.replace(
        validation, images=np.concatenate([test.images[2:3], validation.images[1:]])
    )
    models = {"a": Knows(FER7), "b": Knows(FER7)}
    rows = cross_dataset.cross_table(
        models, LOADED | {"leaky": leaky}, trained_on={"a": "leaky"}, resamples=50
    )
    seen = rows.set_index(["model", "dataset"]).seen
    assert seen["a"].to_dict() == {"fer": 3, "ck": 0, "leaky": 3}
    assert seen["b"].isna().all() and rows.trained_on.isna().tolist() == [False] * 3 + [True] * 3
    whole = cross_dataset.cross_table(models, LOADED, whole=["fer"], trained_on={"a": "fer"})
    assert whole.seen[0] == 21  # all of its training and validation faces, and no test face
    with pytest.raises(ValueError, match="trained_on.*did you mean 'a'"):
        table({"a": Knows(FER7)}, trained_on={"aa": "fer"})


def write_run(folder, data, experiment):
    """Write what a run tells of its data and emotions, and a file in its model's place."""
    environment = {split: {"sha256": part.content_hash} for split, part in data.items()}
    storage.write_json(folder / "experiment.json", dataclasses.asdict(experiment))
    storage.write_json(folder / "environment.json", {"data": environment})
    of = {"n": 1, "accuracy": None, "macro_f1": None, "per_class": dict.fromkeys(FER7)}
    scores = {"weights": "random start", "test_name": "test", "test": of, "validation": of}
    storage.write_json(folder / "scores.json", scores)
    (folder / "model.keras").touch()
    return Run(folder)


def test_a_run_knows_its_data_as_long_as_that_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(cross_dataset, "load_predictor", lambda folder: Knows(FER7))
    run = write_run(tmp_path / "run", LOADED["fer"], Experiment(dataset="fer"))
    rows = table({"run": run})
    assert rows.trained_on.tolist() == ["fer", "fer"] and rows.seen.tolist() == [0, 0]
    other = write_run(tmp_path / "other", LOADED["ck"], Experiment(dataset="fer"))
    assert table({"other": other}).seen.isna().all()
    gone = write_run(tmp_path / "gone", LOADED["fer"], Experiment(dataset="rafdb"))
    assert table({"gone": gone}).seen.isna().all()  # not on this machine
    (run.folder / "model.keras").unlink()
    with pytest.raises(FileNotFoundError, match="run: .* holds no model.keras"):
        table({"run": run})


def test_a_run_s_own_draw_of_the_faces_is_found_again(tmp_path, monkeypatch):
    knows_nothing = SimpleNamespace(label_set=FER7, predict=lambda faces: np.ones((len(faces), 7)))
    monkeypatch.setattr(cross_dataset, "load_predictor", lambda folder: knows_nothing)
    data = str(write_fer2013_csv(tmp_path / "fer2013.csv"))
    this = Experiment(dataset=data, split_seed=1)
    run = write_run(tmp_path / "run", this.load_data(), this)
    rows = cross_dataset.cross_table({"run": run}, {data: catalogue.load_dataset(data)})
    assert rows.seen.tolist() == [0]  # not known if its faces were another draw's


def test_what_is_no_model_or_shares_too_little_is_said():
    with pytest.raises(ValueError, match="'nothing' is None.*load_predictor"):
        table({"nothing": None})
    with pytest.raises(ValueError, match=r"short and CK\+ test must share two.*\['sad'\]"):
        table({"short": Knows(("sad", "neutral"))})


def test_a_removed_answer_leaves_its_share_to_the_others():
    answers = np.array([[0.5, 0.3, 0.2], [1, 0, 0]])
    aligned, unanswered = cross_dataset.align(answers, ("neutral", "sad", "fear"), ("fear", "sad"))
    np.testing.assert_allclose(aligned, [[0.4, 0.6], [0.5, 0.5]])
    assert unanswered == 1
    with pytest.raises(ValueError, match="label_set must hold happy"):
        cross_dataset.align(answers, ("neutral", "sad", "fear"), ("happy", "sad"))


def test_faces_without_an_answer_are_counted():
    certain = Knows(FER7, sure=1.0)
    certain.predict = lambda images: np.eye(7)[np.full(len(images), 6)]  # neutral, always
    rows = table({"certain": certain}).set_index("dataset")
    assert rows.unanswered.to_dict() == {"fer": 0, "ck": 18}


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(8)), st.integers(0, 2**31))
def test_scores_do_not_depend_on_the_order_of_the_model_s_emotions(order, seed):
    answers = np.random.default_rng(seed).dirichlet(np.ones(8), 5)
    names = [FERPLUS8[number] for number in order]
    aligned, _ = cross_dataset.align(answers[:, order], names, FER7)
    np.testing.assert_allclose(aligned, cross_dataset.align(answers, FERPLUS8, FER7)[0])
    np.testing.assert_allclose(aligned.sum(axis=1), 1)


def test_data_sets_that_are_missing_are_named(monkeypatch):
    monkeypatch.setattr(catalogue, "resolve_auto", lambda: ("synthetic", "no FER-2013 here"))
    real = catalogue.load_dataset
    monkeypatch.setattr(
        catalogue,
        "load_dataset",
        lambda name: LOADED["fer"] if name == "synthetic" else real(name),
    )
    loaded, notices = cross_dataset.load_at_hand("auto, ckplus")
    assert list(loaded) == ["synthetic"]
    assert notices[0] == "no FER-2013 here" and notices[1].startswith("ckplus is left out: CK+")
    with pytest.raises(FileNotFoundError, match="None of the data sets.*\njaffe is left out"):
        cross_dataset.load_at_hand(["jaffe"])
    with pytest.raises(ValueError, match="did you mean 'ckplus'"):
        cross_dataset.load_at_hand("ckpluss")


def test_runs_without_a_model_are_no_models(tmp_path):
    with pytest.raises(FileNotFoundError, match="Make one: papermill notebooks/run_experiment"):
        cross_dataset.find_models(tmp_path)
    run = write_run(tmp_path / "run", LOADED["fer"], Experiment(dataset="fer"))
    assert list(cross_dataset.find_models(tmp_path).values()) == [run]
    with pytest.raises(FileNotFoundError, match="none of the peers' files"):
        cross_dataset.find_models(tmp_path, peers_folder=tmp_path)
    (run.folder / "model.keras").unlink()
    with pytest.raises(FileNotFoundError, match="published copies hold none"):
        cross_dataset.find_models(tmp_path)


def test_a_shipped_model_is_a_model_and_says_what_it_was_trained_on(tmp_path, monkeypatch):
    found = cross_dataset.find_models(tmp_path, predictors="default, ferplus")
    assert list(found) == ["default", "ferplus"]
    assert all(isinstance(model, Predictor) for model in found.values())
    (path,) = (model.path for name, model in found.items() if name == "default")
    source = read_sidecar(path)["trained_on"]
    assert source in catalogue.DATASETS
    monkeypatch.setattr(Predictor, "predict", lambda self, images: Knows(FER7).predict(images))
    loaded = {source: LOADED["fer"]}
    rows = cross_dataset.cross_table({"default": found["default"]}, loaded, resamples=50)
    assert rows.trained_on.tolist() == [source] and rows.seen.tolist() == [0]
    with pytest.raises(FileNotFoundError, match="'defalt' is neither"):
        cross_dataset.find_models(tmp_path, predictors="defalt")


@pytest.mark.slow
def test_the_notebook_scores_runs_on_what_is_at_hand(tmp_path, tiny):
    data, run = tiny_run(tmp_path, tiny)
    path, output = ROOT / "notebooks" / "cross_dataset.ipynb", tmp_path / "out.ipynb"
    figures = tmp_path / "figures"
    options = {"results_dir": tmp_path / "runs", "figures": figures, "predictors": ""}
    run_here(tmp_path, path, output, data_sets=f"{data},ckplus", whole="", **options)
    printed, drawn = text_and_figures(output)
    assert "ckplus is left out" in printed and drawn == 2
    (row,) = pd.read_csv(figures / "cross_dataset.csv").to_dict("records")
    assert row["accuracy"] == pytest.approx(run.scores["test"]["accuracy"]["value"])
    assert row["n"] == run.scores["test"]["n"] and row["seen"] == 0
    assert (figures / "cross_dataset.pdf").is_file()

    options = {"results_dir": tmp_path / "none", "data_sets": data, "predictors": ""}
    with pytest.raises(FileNotFoundError, match="Make one: papermill"):
        run_here(tmp_path, path, output, **options)
