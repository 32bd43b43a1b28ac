"""by_group: groups that differ are told apart, others are not, and small ones are refused."""

import numpy as np
import pytest

from fer_lib.evaluation import by_group

LABELS = ("sad", "happy", "fear")


def answers(labels, right, seed=0, sure=0.8):
    """Probabilities of answers that are right as often as said."""
    generator = np.random.default_rng(seed)
    hit = generator.random(len(labels)) < right
    named = np.where(hit, labels, (labels + generator.integers(1, 3, len(labels))) % 3)
    return np.full((len(labels), 3), (1 - sure) / 2) + (sure - (1 - sure) / 2) * np.eye(3)[named]


def faces(n=900, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 3, n), np.where(generator.random(n) < 0.4, "old", "young")


def test_a_group_that_is_recognised_less_often_is_found():
    labels, group = faces()
    told = answers(labels, np.where(group == "old", 0.5, 0.8))
    table = by_group.group_table(labels, told, LABELS, group, resamples=300)
    assert table["group"].tolist() == ["young", "old"] and table["judged"].all()
    young, old = table.to_dict("records")
    assert young["recall"] == pytest.approx(0.8, abs=0.06)
    assert old["recall_low"] < old["recall"] < old["recall_high"] < young["recall_low"]
    assert old["overconfidence"] == pytest.approx(0.3, abs=0.06)
    assert table.attrs["recall_p"] < 0.01 and table.attrs["overconfidence_p"] < 0.01
    mine = group == "old"
    right = told.argmax(axis=1) == labels
    by_hand = [right[mine & (labels == c)].mean() for c in range(3)]
    assert old["recall"] == pytest.approx(np.mean(by_hand))
    assert [old[f"recall of {name}"] for name in LABELS] == pytest.approx(by_hand)


def test_groups_that_differ_in_their_emotions_alone_are_not_told_apart():
    generator = np.random.default_rng(1)
    group = np.repeat(["a", "b"], 600)
    shares = {"a": [0.6, 0.2, 0.2], "b": [0.2, 0.2, 0.6]}
    labels = np.array([generator.choice(3, p=shares[name]) for name in group])
    told = answers(labels, np.array([0.9, 0.7, 0.4])[labels], seed=2)
    table = by_group.group_table(labels, told, LABELS, group, resamples=300)
    right = told.argmax(axis=1) == labels
    assert right[:600].mean() > right[600:].mean() + 0.15  # accuracy would accuse
    assert table.attrs["recall_p"] > 0.05


def test_p_is_uniform_where_nothing_differs():
    found = []
    for seed in range(30):
        labels, group = faces(300, seed)
        told = answers(labels, 0.7, seed + 100)
        table = by_group.group_table(labels, told, LABELS, group, resamples=60, seed=seed)
        found.append(table.attrs["recall_p"])
    assert 0.3 < np.mean(found) < 0.7 and min(found) < 0.25


def test_people_are_drawn_and_exchanged_whole():
    """Twelve people of 60 faces: who is good at it differs by person, not by group."""
    person = np.repeat(np.arange(12), 60)
    generator = np.random.default_rng(3)
    labels, group = generator.integers(0, 3, 720), np.where(person % 2, "a", "b")
    told = answers(labels, generator.uniform(0.3, 1, 12)[person], seed=4)
    alone, whole = (
        by_group.group_table(labels, told, LABELS, group, subjects=s, resamples=400)
        for s in (None, person)
    )
    width = [(t["recall_high"] - t["recall_low"]).mean() for t in (alone, whole)]
    assert width[1] > 1.5 * width[0]
    assert whole.attrs["recall_p"] > alone.attrs["recall_p"]
    with pytest.raises(ValueError, match="one is in a, b"):
        by_group.group_table(labels, told, LABELS, group, subjects=person // 2)


def test_small_and_unknown_groups_are_refused():
    labels, group = faces(400)
    group = group.astype(object)
    group[:49] = "tall"
    group[49:110] = None
    table = by_group.group_table(labels, answers(labels, 0.7), LABELS, group, resamples=50)
    judged = dict(zip(table["group"], table["judged"], strict=True))
    assert judged == {"young": True, "old": True, "not known": False, "tall": False}
    assert table.set_index("group").loc[["tall", "not known"], "recall"].isna().all()
    few = by_group.group_table(labels[:60], answers(labels[:60], 0.7), LABELS, group[:60])
    assert few.attrs["recall_p"] is None and not few["judged"].any()
    with pytest.raises(ValueError, match="shape .60,., one for each face"):
        by_group.group_table(labels[:60], answers(labels[:60], 0.7), LABELS, group)
