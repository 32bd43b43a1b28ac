"""human and beside_taggers: votes are found for FER-2013's own faces, and set beside models."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from fer_lib.data import catalogue
from fer_lib.data.datasets.ferplus import COLUMNS
from fer_lib.data.synthetic import make_faces
from fer_lib.emotions import FER7
from fer_lib.experiments import beside_taggers, cross_dataset, human
from support.layouts import csv_bytes

USAGES = ("Training", "PublicTest", "PrivateTest")


class Sure:
    """A model that sees one emotion everywhere."""

    label_set = FER7

    def predict(self, images):
        return np.tile(np.eye(7)[3] * 0.86 + 0.02, (len(images), 1))


@pytest.fixture
def loaded(fer_home):
    """FER-2013 and FER+ of 84 drawn faces: each has nine votes for its label and one for none."""
    faces = make_faces(84, seed=1)
    usage = np.repeat(USAGES, 28)
    lines = ["Usage,Image name," + ",".join(COLUMNS)]
    names = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    for number, label in enumerate(faces.labels):
        votes = [9 * (name == names[label]) for name in COLUMNS[:8]]
        lines.append(f"{usage[number]},fer{number:07}.png,{','.join(map(str, votes))},1,0")
    for folder in ("fer2013", "ferplus"):
        (fer_home / "datasets" / folder).mkdir(parents=True)
    text = csv_bytes(faces.images, faces.labels, usage)
    (fer_home / "datasets" / "fer2013" / "fer2013.csv").write_bytes(text)
    (fer_home / "datasets" / "ferplus" / "fer2013new.csv").write_text("\n".join(lines) + "\n")
    return {name: catalogue.load_dataset(name) for name in ("fer2013", "ferplus")}


def test_votes_stand_in_the_order_of_the_faces_own_emotions(loaded):
    for parts in loaded.values():
        test = parts["test"]
        votes = human.votes_for(test)
        assert votes.shape == (len(test), 10)
        assert (votes[:, : len(test.label_set)].argmax(axis=1) == test.classes).all()
        assert len(human.all_rows(test)) == 28


def test_other_faces_have_no_votes(loaded, fer_home):
    test = loaded["fer2013"]["test"]
    assert human.votes_for(dataclasses.replace(test, images=255 - test.images)) is None
    assert human.votes_for(dataclasses.replace(test, ids=test.ids.astype(str))) is None
    assert human.votes_for(dataclasses.replace(test, ids=test.ids + 10**6)) is None
    (fer_home / "datasets" / "ferplus" / "fer2013new.csv").unlink()
    assert human.human_score(test) is None


def test_a_tagger_stands_last_in_the_table_across_data_sets(loaded):
    table = cross_dataset.cross_table({"sure": Sure()}, loaded, resamples=20)
    people = table[table["model"] == human.NAME].set_index("dataset")
    assert list(people.index) == ["fer2013", "ferplus"] and len(table) == 4
    # All labels are those of the votes here: the nine who agree are right, the tenth is not.
    assert people.accuracy.tolist() == pytest.approx([0.9, 0.9])
    assert people.n.tolist() == [28, 28] and people.seen.isna().all()


def test_models_stand_beside_taggers_number_by_number(loaded):
    table = beside_taggers.tagger_table({"sure": Sure()}, loaded, resamples=20)
    assert list(table) == list(beside_taggers.COLUMNS)
    of = table.set_index(["model", "dataset", "against", "measure"]).sort_index()
    share = (loaded["ferplus"]["test"].classes == 1).mean()  # FER+'s second emotion is happy
    row = of.loc["sure", "ferplus", "the other nine, all faces", "accuracy"]
    assert row.value.item() == pytest.approx(share)
    row = of.loc["sure", "ferplus", "the other nine, all faces", "difference"]
    assert row.value.item() == pytest.approx(share - 0.9)
    row = of.loc["sure", "ferplus", "all votes", "errors that 2 taggers accept"]
    assert row.value.item() == 0 and row.n.item() == round(28 * (1 - share))
    kl = of.loc["sure", "ferplus", "all votes", "kl_divergence"].value.item()
    assert kl == pytest.approx(-share * np.log(0.88) - (1 - share) * np.log(0.02), abs=0.02)


def test_without_votes_the_table_is_empty():
    parts = {"test": make_faces(20, seed=3)}
    table = beside_taggers.tagger_table({"sure": Sure()}, {"drawn": parts})
    assert table.empty and list(table) == list(beside_taggers.COLUMNS)


def test_a_run_s_faces_are_told_by_their_rows_and_labels(loaded, fer_home):
    for parts in loaded.values():
        test = parts["test"]
        of = {"ids": test.ids, "labels": test.classes}
        run = SimpleNamespace(has_predictions=True, predictions=of, label_set=test.label_set)
        assert human.score_of(run, resamples=20)["accuracy"]["value"] == pytest.approx(0.9)
        of["labels"] = (test.classes + 1) % 7  # rows of another data set
        assert human.score_of(run, resamples=20) is None
    (fer_home / "datasets" / "ferplus" / "fer2013new.csv").unlink()
    assert human.score_of(run) is None
