"""runs: what is read from a folder of results, finished or not."""

import dataclasses
import os

import numpy as np
import pandas as pd
import pytest

from fer_lib import storage
from fer_lib.data import synthetic
from fer_lib.experiments import runs
from fer_lib.experiments.experiment import Experiment
from fer_lib.experiments.values import RETIRED
from support.finished_runs import write_run


def test_a_folder_without_an_experiment_is_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a run's folder: it has no experiment.json"):
        runs.load_run(tmp_path)


def test_a_run_reads_what_is_in_its_folder(tmp_path):
    result = write_run(tmp_path, unfreeze="100", seed=3)
    assert result.finished and result.folder == tmp_path / result.experiment.name
    assert result.experiment == Experiment(
        dataset="synthetic", weights=None, unfreeze="100", seed=3
    )
    assert result.history.stage.tolist() == ["100"] * 3  # text, not a number
    assert set(result.predictions) == {"ids", "labels", "probabilities"}
    accuracy = (
        result.predictions["probabilities"].argmax(1) == result.predictions["labels"]
    ).mean()
    assert result.scores["test"]["accuracy"]["value"] == pytest.approx(accuracy)


def test_a_figure_s_title_names_data_weights_and_what_trained(tmp_path):
    result = write_run(tmp_path, unfreeze="100", image_size=96, seed=3)
    title = result.title()
    for part in ("synthetic test", "mobilenet_v2 1.0", "100", "96 px", "seed 3", "ImageNet"):
        assert part in title
    assert "some_file" not in title and result.started_from() == "ImageNet"


def test_the_scores_table_has_an_interval_for_each_headline_score(tmp_path):
    result = write_run(tmp_path)
    table = result.scores_table()
    assert list(table.index) == list(runs.HEADLINE)
    assert list(table.columns) == [f"synthetic {s} (n = 140)" for s in ("test", "validation")]
    score = result.scores["test"]["macro_f1"]
    expected = f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
    assert table.loc["macro_f1"].iloc[0] == expected


def test_the_runs_table_has_a_row_for_every_run_in_every_state(tmp_path):
    write_run(tmp_path, unfreeze="all", epochs=3)
    write_run(tmp_path / "more", unfreeze="100", epochs=2, finished=False)
    write_run(tmp_path, unfreeze="top", epochs=0, finished=False)
    table = runs.runs_table(tmp_path)
    assert table.unfreeze.tolist() == ["top", "100", "all"]
    assert table.state.tolist() == ["not started", "epoch 2 of 15", "finished"]
    assert table.minutes.tolist()[1:] == [1.0, 1.5]
    finished = table.iloc[2]
    assert finished.accuracy_low <= finished.accuracy <= finished.accuracy_high
    assert finished.started_from == "ImageNet, some_file.h5, sha256 0123" and finished.n == 140
    assert table.accuracy.isna().tolist() == [True, True, False]
    assert set(Experiment().identity()) - set(RETIRED) <= set(table.columns)


def test_a_later_parameter_stands_at_its_default_beside_runs_that_set_it(tmp_path):
    for split_seed in (0, 1):
        write_run(tmp_path, split_seed=split_seed)
    table = runs.runs_table(tmp_path)
    assert sorted(table.split_seed) == [0, 1] and "ema" not in table


def test_the_runs_table_of_an_empty_folder_is_empty(tmp_path):
    assert runs.runs_table(tmp_path).empty and runs.runs_table(tmp_path / "none").empty


def test_the_summary_shows_intervals_of_finished_runs_alone(tmp_path):
    write_run(tmp_path, unfreeze="all")
    write_run(tmp_path, unfreeze="top", epochs=0, finished=False)
    summary = runs.summary_table(runs.runs_table(tmp_path))
    cells = summary["accuracy [95 % interval]"].tolist()
    assert cells[0] == "" and cells[1].startswith("0.") and cells[1].endswith("]")
    assert summary.state.tolist() == ["not started", "finished"]


def test_a_table_of_unfinished_runs_can_be_summed_up(tmp_path):
    write_run(tmp_path, epochs=0, finished=False)
    assert len(runs.summary_table(runs.runs_table(tmp_path))) == 1


def test_runs_are_found_by_pattern_in_the_order_of_a_table(tmp_path):
    for unfreeze in ("all", "progressive", "top", "100"):
        for image_size in (96, 48):
            write_run(tmp_path, unfreeze=unfreeze, image_size=image_size)
    write_run(tmp_path, unfreeze="top", seed=5, finished=False)
    found = runs.find_runs(tmp_path, "*-48px-*")
    modes = [result.experiment.unfreeze for result in found.values()]
    assert modes == ["top", "100", "progressive", "all"]
    assert all(label == result.label() for label, result in found.items())
    assert len(runs.find_runs(tmp_path)) == 8
    with pytest.raises(FileNotFoundError, match="No finished run .* matches 'ck"):
        runs.find_runs(tmp_path, "ck*")


def test_runs_with_the_same_label_are_told_apart_by_what_differs(tmp_path):
    for attention in (None, "mha", "se"):
        write_run(tmp_path, attention=attention, image_size=64)
    label = "mobilenet_v2 1.0, all, 64 px, seed 0"
    assert set(runs.find_runs(tmp_path)) == {
        f"{label}, attention {attention}" for attention in (None, "mha", "se")
    }


def test_runs_that_differ_in_more_are_told_apart_by_their_hash(tmp_path):
    several = ({}, {"dropout": 0.1}, {"ema": 0.9}, {"learning_rate": 0.1})
    names = {write_run(tmp_path, **parameters).folder.name for parameters in several}
    labels = list(runs.find_runs(tmp_path))
    assert len(labels) == 4 and {label[-8:] for label in labels} == {name[-8:] for name in names}


def test_scores_that_an_older_version_did_not_have_are_missing_in_the_tables(tmp_path):
    new, old = write_run(tmp_path, seed=1), write_run(tmp_path, seed=2)
    scores = storage.read_json(old.folder / "scores.json")
    for split in ("test", "validation"):
        for name in ("brier_score", "expected_calibration_error", "reliability"):
            del scores[split][name]
    storage.write_json(old.folder / "scores.json", scores)
    table = runs.runs_table(tmp_path)
    assert table.brier_score.isna().tolist() == [False, True]
    assert table.accuracy.notna().all()
    assert table.brier_score[0] == new.scores["test"]["brier_score"]["value"]
    assert runs.load_run(old.folder).scores_table().loc["brier_score"].tolist() == ["–", "–"]
    assert len(runs.summary_table(table)) == 2


def test_the_runs_table_tells_what_chooses_a_run_and_what_it_costs(tmp_path):
    result = write_run(tmp_path)
    scores = result.scores | {"parameters": 1200, "multiply_adds": 34000}
    storage.write_json(result.folder / "scores.json", scores)
    row = runs.runs_table(tmp_path).iloc[0]
    assert row.validation_macro_f1 == result.scores["validation"]["macro_f1"]["value"]
    assert (row.parameters, row.multiply_adds) == (1200, 34000)


def test_mistakes_are_the_most_confident_ones_first(tmp_path):
    result, faces = write_run(tmp_path), synthetic.make_faces(140)
    faces = dataclasses.replace(faces, labels=result.predictions["labels"])
    mistakes = result.mistakes(faces, count=10)
    assert len(mistakes["images"]) == 10 and (np.diff(mistakes["confidence"]) <= 0).all()
    assert (mistakes["predicted"] != mistakes["labels"]).all()
    rows = mistakes["ids"]
    np.testing.assert_array_equal(mistakes["images"], faces.images[rows])
    np.testing.assert_array_equal(mistakes["labels"], faces.classes[rows])
    values = result.predictions["probabilities"]
    wrong = values.argmax(1) != result.predictions["labels"]
    assert mistakes["confidence"][0] == values.max(1)[wrong].max()


def test_mistakes_on_other_faces_are_refused(tmp_path):
    with pytest.raises(ValueError, match="does not hold the faces that"):
        write_run(tmp_path).mistakes(synthetic.make_faces(140)[::-1])


def test_mistakes_on_faces_of_other_labels_are_refused(tmp_path):
    faces = synthetic.make_faces(140)
    relabelled = dataclasses.replace(faces, labels=(faces.labels + 1) % 7)
    with pytest.raises(ValueError, match="does not hold the faces"):
        write_run(tmp_path).mistakes(relabelled)


def test_a_run_saves_its_figures_with_it(tmp_path):
    import matplotlib.pyplot as plt

    result = write_run(tmp_path)
    ax = plt.subplots()[1]
    assert result.save_figure(ax, "curves") is ax
    names = {path.name for path in (result.folder / "figures").iterdir()}
    assert names == {"curves.png", "curves.pdf"}


DAMAGES = ["", "{", "{}", "[]", "null", '"text"', "\x00" * 40]


@pytest.mark.parametrize("name", ["scores.json", "experiment.json", "history.csv"])
@pytest.mark.parametrize("content", DAMAGES)
def test_a_damaged_run_is_named_and_the_others_are_listed(tmp_path, name, content):
    whole, broken = write_run(tmp_path), write_run(tmp_path, seed=1)
    if (name, content) == ("experiment.json", "{}"):
        content = '{"epochs": "many"}'  # an empty one is an experiment at its defaults
    (broken.folder / name).write_text(content)
    with pytest.warns(UserWarning, match=f"{broken.folder.name}/{name}"):
        assert [run.folder for run in runs.find_runs(tmp_path).values()] == [whole.folder]
    table = runs.runs_table(tmp_path).set_index("run")
    assert table.state[whole.folder.name] == "finished"
    assert table.state[broken.folder.name].startswith("damaged: ")
    assert name in table.state[broken.folder.name]
    assert len(runs.summary_table(table.reset_index())) == 2


@pytest.mark.parametrize("content", [b"", b"PK", b"\x00" * 100])
def test_damaged_predictions_and_models_are_named(tmp_path, content):
    result = write_run(tmp_path)
    for name, read in (("predictions.npz", lambda run: run.predictions),):
        (result.folder / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is damaged"):
            read(runs.load_run(result.folder))


def test_two_runs_of_one_name_are_both_listed(tmp_path):
    first, second = (write_run(tmp_path / place, answers=n) for n, place in enumerate("ab"))
    found = runs.find_runs(tmp_path)
    assert {run.folder for run in found.values()} == {first.folder, second.folder}
    assert sorted(name.rpartition("/")[2] for name in found) == ["a", "b"]
    assert len(runs.runs_table(tmp_path)) == 2


def test_a_run_shows_itself_in_a_line(tmp_path):
    assert repr(write_run(tmp_path)).endswith(", finished)")
    assert "not finished" in repr(write_run(tmp_path, seed=1, finished=False))


def test_a_table_reads_each_small_file_of_a_run_once_and_nothing_inside_of_it(
    tmp_path, monkeypatch
):
    """A sweep of thousands of runs is a table within seconds."""
    results = [write_run(tmp_path / "depth", seed=seed) for seed in range(3)]
    (results[0].folder / "figures").mkdir()
    read, real = [], storage.read_json
    monkeypatch.setattr(storage, "read_json", lambda path: read.append(path.name) or real(path))
    monkeypatch.setattr(pd, "read_csv", None)
    searched = []
    monkeypatch.setattr(
        os, "scandir", lambda path, scan=os.scandir: searched.append(str(path)) or scan(path)
    )
    table = runs.runs_table(tmp_path)
    assert table.minutes.tolist() == [1.5] * 3 and set(table.state) == {"finished"}
    assert sorted(read) == ["experiment.json"] * 3 + ["scores.json"] * 3
    assert not any("figures" in path for path in searched)
    assert len(runs.runs_table(tmp_path, "*-s1-*")) == 1


def test_a_link_to_a_run_is_listed_and_one_to_a_parent_does_no_harm(tmp_path):
    run = write_run(tmp_path / "elsewhere")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "linked").symlink_to(run.folder)
    (tmp_path / "runs" / "round").symlink_to(tmp_path)
    assert runs.runs_table(tmp_path / "runs").run.tolist() == ["linked"]
