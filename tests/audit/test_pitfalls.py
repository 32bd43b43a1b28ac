"""pitfalls: each trap shows more than is true, by the amount that a hand-made case says."""

import keras
import numpy as np
import pandas as pd
import pytest

from fer_lib import plots
from fer_lib.audit import pitfalls
from fer_lib.audit.pitfalls import Training
from fer_lib.data.datasets.ferplus import COLUMNS
from fer_lib.data.faces import Faces
from fer_lib.data.synthetic import make_faces
from fer_lib.emotions import FER7
from support.papermill_runs import run_here, text_and_figures
from support.places import ROOT


@pytest.fixture(scope="module")
def parts():
    counts = {"train": 140, "validation": 35, "test": 70}
    return {split: make_faces(n, seed=seed) for seed, (split, n) in enumerate(counts.items())}


@pytest.fixture(scope="module")
def settings(tiny):
    return {"backbone": tiny, "epochs": 2}


def answering(split_answers, label=0, classes=7):
    """A training whose answers are given: per split and epoch the share of right ones."""
    faces, probabilities = {}, {}
    for split, shares in split_answers.items():
        n = 40
        images = np.random.default_rng(len(split)).integers(0, 256, (n, 16, 16), dtype=np.uint8)
        faces[split] = Faces(images, np.full(n, label), FER7[:classes], name=split)
        answers = np.full((len(shares), n), label + 1)
        for epoch, share in enumerate(shares):
            answers[epoch, : round(share * n)] = label
        probabilities[split] = np.eye(classes, dtype=np.float32)[answers] * 0.94 + 0.06 / classes
    return Training(None, faces, probabilities, pd.DataFrame())


def value(pitfall, which):
    return pitfall.scores[getattr(pitfall, which)]["accuracy"]["value"]


def statuses(pitfall):
    return {finding.check: finding.status for finding in pitfall.findings}


def test_faces_are_drawn_small_and_without_copies_across_splits(parts):
    test = parts["test"]
    images = np.concatenate([parts["train"].images, test.images[:3, :, ::-1]])
    labels = np.concatenate([parts["train"].labels, test.labels[:3]])
    leaking = parts | {"train": Faces(images, labels, FER7)}
    small = pitfalls.small_parts(leaking, train=143, validation=20, test=70)
    assert len(small["test"]) == 70 and len(small["validation"]) <= 20
    assert not set(small["train"].ids) & {140, 141, 142}
    fewer = pitfalls.small_parts(parts, train=50, validation=20, test=30, seed=3)
    assert len(fewer["train"]) <= 50 and len(fewer["test"]) == 30
    assert (np.diff(fewer["test"].ids) > 0).all()


@pytest.mark.slow
def test_a_training_repeats_with_its_seed_and_answers_after_every_epoch(parts, settings):
    asked = {"validation": parts["validation"], "test": parts["test"][:9]}
    first, again, other = (
        pitfalls.train_network(parts["train"], asked, seed=seed, **settings) for seed in (1, 1, 2)
    )
    assert first.probabilities["test"].shape == (2, 9, 7)
    assert first.probabilities["validation"].shape == (2, 35, 7)
    assert np.allclose(first.probabilities["test"].sum(axis=-1), 1, atol=1e-5)
    assert np.allclose(first.probabilities["test"], again.probabilities["test"], atol=1e-5)
    assert not np.allclose(first.probabilities["test"], other.probabilities["test"], atol=1e-3)
    last = first.model.predict(parts["test"].images[:9], verbose=0)
    assert np.allclose(first.probabilities["test"][-1], last, atol=1e-4)
    columns = ["epoch", "loss", "accuracy", "validation_accuracy", "test_accuracy"]
    assert sorted(first.history) == sorted(columns) and first.history.epoch.tolist() == [1, 2]
    right = (last.argmax(axis=1) == parts["test"].classes[:9]).mean()
    assert first.history.test_accuracy.iloc[-1] == pytest.approx(right)


def test_the_first_of_the_best_epochs_is_taken():
    training = answering({"validation": [0.2, 0.6, 0.6], "test": [0.9, 0.4, 0.5]})
    assert training.best("validation") == 1 and training.best("test") == 0
    assert training.right("test").mean(axis=1) == pytest.approx([0.9, 0.4, 0.5])


def test_intervals_are_those_of_their_formulas():
    score = pitfalls.over_faces(np.arange(400) < 100)["accuracy"]
    reach = 1.96 * np.sqrt(0.25 * 0.75 / 400)
    assert score["value"] == 0.25
    assert [score["low"], score["high"]] == pytest.approx([0.25 - reach, 0.25 + reach], abs=0.008)
    # t(0.975) with 2 degrees of freedom is 4.303; the standard error of 1, 2, 3 is 1 / sqrt(3).
    score = pitfalls.over_seeds([1, 2, 3])["accuracy"]
    assert score["value"] == 2 and score["high"] - 2 == pytest.approx(4.303 / np.sqrt(3), abs=1e-3)
    with pytest.raises(ValueError, match="seeds must be at least 2"):
        pitfalls.over_seeds([1])


def test_training_rows_are_told_by_the_audit():
    training = answering({"train": [0.5, 1.0], "validation": [0.5, 0.3], "test": [0.5, 0.4]})
    found = pitfalls.training_rows(training, training.faces["train"])
    assert value(found, "shown") == 1 and value(found, "honest") == pytest.approx(0.4)
    assert statuses(found) == {"evaluation rows": "fail"} and "Epoch 2" in found.note


@pytest.mark.slow
def test_copies_stand_on_both_sides(parts, settings):
    found = pitfalls.copies_before_split(parts, copies=2, **settings)
    assert statuses(found) == {"near-duplicates": "fail"}
    assert found.findings[0].figures["share of test in train"] > 0.5
    assert found.note == "70 faces and 2 copies of each; 42 of them held out."
    assert set(found.scores) == {found.shown, found.honest}


@pytest.mark.slow
def test_an_input_that_is_divided_again_is_next_to_constant(parts, settings):
    found = pitfalls.rescaled_twice(parts, **settings)
    for column in ("standard deviation", "deviation between faces"):
        spread = found.table[column]
        assert spread["rescaled twice"] == pytest.approx(spread["rescaled once"] / 255, rel=0.02)
    assert statuses(found)["input range"] == "fail"
    assert list(found.curves) == ["rescaled twice", "rescaled once"]
    assert "rescaled once the audit says: input range pass" in found.note
    plots.plot_histories(found.curves, metric="validation_accuracy")


def test_binary_accuracy_is_that_of_keras():
    training = answering({"validation": [0.5], "test": [0.35]})
    faces, answers = training.faces["test"], training.probabilities["test"][0]
    metric = keras.metrics.BinaryAccuracy()
    metric.update_state(faces.targets, answers)
    found = pitfalls.binary_accuracy(training)
    assert value(found, "shown") == pytest.approx(float(metric.result()))
    assert value(found, "honest") == pytest.approx(0.35)
    never = found.scores["binary, always answering no"]["accuracy"]
    assert never["low"] == never["high"] == pytest.approx(6 / 7)
    assert "it is the binary accuracy" in found.findings[0].sentence


@pytest.mark.slow
def test_attention_over_the_batch_depends_on_the_neighbours(parts, settings):
    found = pitfalls.attention_over_batch(parts, **settings | {"epochs": 6})
    assert statuses(found) == {"batch dependence": "fail"}
    assert list(found.scores)[2:] == ["one face at a time", "without that layer"]
    gap = value(found, "shown") - value(found, "honest")
    assert f"face by face: {gap:.3f} [" in found.note


def test_sorted_batches_give_the_class_away():
    # Vectors that hardly know their class: averaged over neighbours of that class, they do.
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(2), 64)
    images = np.clip(rng.normal(120 + 10 * classes[:, None, None], 40, (128, 4, 4)), 0, 255)
    faces = Faces(images.astype(np.uint8), classes, FER7[:2])
    pixels = keras.Input((4, 4))
    pooled = keras.layers.Flatten(name="pool")(keras.layers.Rescaling(1 / 90)(pixels))
    blank = keras.Model(pixels, keras.layers.Dense(2)(pooled))
    model = pitfalls.faulty_batch_attention(blank)
    attention = model.get_layer("faulty_batch_attention")
    attention.set_weights([np.zeros(())])  # equal weights for all of the batch
    direction = np.full((16, 32), 1 / 16)
    model.get_layer("head_dense").set_weights([direction, np.zeros(32)])
    middle = 125 / 90
    weights = np.stack([-np.ones(32), np.ones(32)], axis=1)
    model.get_layer("emotion").set_weights([weights, np.array([32, -32]) * middle])
    asked = ((32, None), (32, rng.permutation(128)), (1, None))
    right = [pitfalls.faults._right(model, faces, size, order) for size, order in asked]
    assert right[0].all() and right[1].mean() < 0.8 and right[2].mean() < 0.8
    backwards = np.arange(128)[::-1]
    assert (pitfalls.faults._right(model, faces, 1, backwards) == right[2]).all()


def test_the_easy_rows_are_those_the_taggers_agree_on(monkeypatch):
    training = answering({"validation": [0.5], "test": [0.5]})
    votes = np.zeros((30, len(COLUMNS)), int)
    votes[:10, 0], votes[10:20, :2], votes[20:] = 9, [6, 4], 1
    test = training.faces["test"]
    answer = (test[:30], votes, "30 faces have votes.")
    monkeypatch.setattr(pitfalls.rows.exploration, "find_votes", lambda name: answer)
    found, notice = pitfalls.easy_faces(training, "fer2013")
    assert notice == answer[2]
    assert {k: round(v["accuracy"]["value"], 2) for k, v in found.scores.items()} == {
        "8 of 10 taggers agree (n = 10)": 1.0,
        "more than half agree (n = 20)": 1.0,
        "all test faces (n = 40)": 0.5,
    }
    assert statuses(found) == {"scored faces": "fail"}
    monkeypatch.undo()
    found, notice = pitfalls.easy_faces(training, "synthetic")
    assert found is None and "synthetic has no votes" in notice


def test_the_epoch_of_the_best_test_score_is_too_good():
    trainings = [
        answering({"validation": [0.2, 0.6, 0.5], "test": [0.5, 0.4, 0.3]}),
        answering({"validation": [0.6, 0.3, 0.2], "test": [0.5, 0.7, 0.3]}),
    ]
    found = pitfalls.epoch_chosen_on_test(trainings)
    assert value(found, "shown") == pytest.approx(0.6)
    assert value(found, "honest") == pytest.approx(0.45)
    assert found.table.values.tolist() == [[1, 2, 0.5, 0.4], [2, 1, 0.7, 0.5]]
    assert statuses(found) == {"selection of the epoch": "fail"}
    assert "the gap is 0.150" in found.note


def test_the_best_seed_is_shown_and_the_mean_is_honest():
    trainings = [answering({"validation": [0.5], "test": [share]}) for share in (0.4, 0.5, 0.45)]
    found = pitfalls.one_seed(trainings)
    assert found.shown == "seed 1" and value(found, "shown") == 0.5
    assert value(found, "honest") == pytest.approx(0.45) and "0.0500" in found.note
    assert statuses(found) == {"seeds": "warn"}


def test_the_summary_and_its_figure_hold_both_numbers():
    trainings = [answering({"validation": [0.5], "test": [share]}) for share in (0.4, 0.5)]
    seed, binary = pitfalls.one_seed(trainings), pitfalls.binary_accuracy(trainings[0])
    table = pitfalls.summary([seed, None, binary])
    assert list(table.index) == [seed.trap, binary.trap]
    assert table["number it shows"].iloc[0].startswith("0.500 [")
    assert table["honest number"].iloc[1].startswith("0.400 [")
    assert table["audit"].tolist() == ["warn: seeds", "fail: accuracy in scores.json"]
    passed = binary._replace(findings=[binary.findings[0]._replace(status="pass")])
    assert pitfalls.summary([passed])["audit"].item() == "not caught"
    ax = plots.plot_gaps([seed, binary], title="both")
    assert [text.get_text() for text in ax.get_yticklabels()] == [seed.trap, binary.trap]
    drawn = [container.lines[0].get_xdata().tolist() for container in ax.containers]
    assert drawn == [
        [value(each, which) for each in (seed, binary)] for which in ("shown", "honest")
    ]


@pytest.mark.slow
def test_the_notebook_runs_on_synthetic_faces(tmp_path, tiny):
    small = {"dataset": "synthetic", "train": 70, "validation": 35, "test": 35}
    small |= {"backbone": tiny, "rescaled_backbone": tiny, "alpha": 1.0}
    small |= {"image_size": 32, "epochs": 1, "seeds": 2, "figures": tmp_path / "figures"}
    path, output = ROOT / "notebooks" / "pitfalls.ipynb", tmp_path / "out.ipynb"
    run_here(tmp_path, path, output, **small)
    printed, figures = text_and_figures(output)
    assert figures == 10 and "synthetic has no votes" in printed
    table = pd.read_csv(tmp_path / "figures" / "pitfalls.csv")
    assert len(table) == 8 and (tmp_path / "figures" / "pitfalls.png").exists()
