"""runs: what is read from a folder of results, finished or not."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from fer_lib import metrics, runs, storage, synthetic
from fer_lib.emotions import FER7
from fer_lib.experiment import Experiment


def probabilities(n, seed=0):
    """Rows summing to 1 whose largest entry is the label in two of three cases."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 7
    guesses = np.where(np.arange(n) % 3 == 0, (labels + 1) % 7, labels)
    values = rng.uniform(0, 0.1, (n, 7))
    values[np.arange(n), guesses] += rng.uniform(0.2, 2, n)
    return labels, (values / values.sum(1, keepdims=True)).astype(np.float32)


def write_run(folder, *, epochs=3, finished=True, **parameters):
    """Write the folder of a run, as far as it has come."""
    experiment = Experiment(dataset="synthetic", weights=None, **parameters)
    folder = folder / experiment.name
    storage.write_json(folder / "experiment.json", dataclasses.asdict(experiment))
    if epochs:
        rows = {"epoch": range(1, epochs + 1), "stage": experiment.unfreeze}
        rows |= {"val_accuracy": 0.1, "seconds": 30.0}
        pd.DataFrame(rows).to_csv(folder / "history.csv", index=False)
    if finished:
        labels, test = probabilities(140)
        scores = {"weights": "ImageNet, some_file.h5, sha256 0123", "best_epoch": 2}
        for split in ("test", "validation"):
            scores |= {f"{split}_name": f"synthetic {split}"}
            scores |= {split: metrics.score(labels, test, FER7, resamples=50)}
        ids = np.arange(140)
        arrays = {"ids": ids, "labels": labels, "probabilities": test}
        np.savez(folder / "predictions.npz", **arrays)
        storage.write_json(folder / "scores.json", scores)
    return runs.load_run(folder)


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
    expected = f"{score['value']:.4f} [{score['low']:.4f}, {score['high']:.4f}]"
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
    assert set(Experiment().identity()) <= set(table.columns)


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
    for unfreeze in ("all", "top", "100"):
        for image_size in (96, 48):
            write_run(tmp_path, unfreeze=unfreeze, image_size=image_size)
    write_run(tmp_path, unfreeze="top", seed=5, finished=False)
    found = runs.find_runs(tmp_path, "*-48px-*")
    assert [result.experiment.unfreeze for result in found.values()] == ["top", "100", "all"]
    assert all(label == result.label() for label, result in found.items())
    assert len(runs.find_runs(tmp_path)) == 6
    with pytest.raises(FileNotFoundError, match="No finished run .* matches 'ck"):
        runs.find_runs(tmp_path, "ck*")


def test_runs_with_the_same_label_are_told_apart_by_their_hash(tmp_path):
    names = {write_run(tmp_path, dropout=dropout).folder.name for dropout in (0.1, 0.2)}
    labels = list(runs.find_runs(tmp_path))
    assert len(labels) == 2 and {label[-8:] for label in labels} == {name[-8:] for name in names}


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


def test_published_copies_hold_what_a_report_needs_and_no_model_or_face(tmp_path):
    result = write_run(tmp_path / "runs")
    storage.write_json(result.folder / "environment.json", {"python": "3"})
    (result.folder / "model.keras").write_bytes(b"weights")
    (copy,) = runs.publish([result.folder], tmp_path / "figures" / "runs")
    assert sorted(path.name for path in copy.iterdir()) == sorted(runs.PUBLISHED)
    table = runs.runs_table(tmp_path / "runs")
    pd.testing.assert_frame_equal(runs.runs_table(tmp_path / "figures" / "runs"), table)
    assert runs.publish([result.folder], copy.parent) == [copy]  # the same again changes nothing


def test_other_scores_are_not_published_over(tmp_path):
    result = write_run(tmp_path / "runs")
    storage.write_json(result.folder / "environment.json", {})
    (copy,) = runs.publish([result.folder], tmp_path / "copies")
    storage.write_json(result.folder / "scores.json", result.scores | {"best_epoch": 3})
    with pytest.raises(FileExistsError, match="holds other scores"):
        runs.publish([result.folder], tmp_path / "copies")
    assert storage.read_json(copy / "scores.json")["best_epoch"] == 2


def test_an_unfinished_run_is_not_published(tmp_path):
    result = write_run(tmp_path / "runs", finished=False)
    with pytest.raises(FileNotFoundError, match="is not finished"):
        runs.publish([result.folder], tmp_path / "copies")
    assert not (tmp_path / "copies").exists()
