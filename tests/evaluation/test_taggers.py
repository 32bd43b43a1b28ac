"""taggers: the expected score of one voter is that of drawing each of them in turn."""

import numpy as np
import pytest

from fer_lib.evaluation import confusion, metrics, taggers

LABELS = ("sad", "happy", "fear")


def drawn_in_turn(votes, classes, answer=None, majority=False):
    """Score each tagger of each face against the others, face by face and tagger by tagger."""
    right = total = 0.0
    for number, row in enumerate(votes):
        people = np.repeat(np.arange(len(row)), row)
        for place, said in enumerate(people):
            others = np.bincount(np.delete(people, place), minlength=len(row))
            most = others[:classes].max()
            named = np.flatnonzero(others[:classes] == most) if most else []
            counted = np.where(others > 1, others, 0).sum()
            if not len(named) or (majority and (most < 2 or 2 * most <= counted)):
                continue
            given = said if answer is None else answer[number]
            right += (given in named) / len(named) / len(people)
            total += 1 / len(people)
    return right / total


def some_votes(seed=0, n=60):
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet([0.6, 0.6, 0.6, 0.2, 0.1], size=n)
    return np.array([generator.multinomial(generator.integers(8, 11), p) for p in shares])


@pytest.mark.parametrize("majority", [False, True])
def test_the_score_is_that_of_every_tagger_against_the_others(majority):
    votes = some_votes()
    score = taggers.tagger_score(votes, LABELS, majority=majority, resamples=50)
    assert score["accuracy"]["value"] == pytest.approx(drawn_in_turn(votes, 3, None, majority))
    assert score["accuracy"]["low"] < score["accuracy"]["value"] < score["accuracy"]["high"]
    answers = np.random.default_rng(1).dirichlet(np.ones(3), size=len(votes))
    model = taggers.model_score(votes, answers, LABELS, majority=majority, resamples=50)
    expected = drawn_in_turn(votes, 3, answers.argmax(axis=1), majority)
    assert model["accuracy"]["value"] == pytest.approx(expected)
    gap = model["accuracy"]["value"] - score["accuracy"]["value"]
    assert model["difference"]["value"] == pytest.approx(gap)
    assert model["n"] == pytest.approx(score["n"])


def test_taggers_who_agree_are_right_and_a_lone_one_is_wrong():
    alike = np.array([[10, 0, 0, 0], [0, 10, 0, 0], [0, 0, 9, 0]])
    score = taggers.tagger_score(alike, LABELS, resamples=20)
    assert score["accuracy"] == {"value": 1, "low": 1, "high": 1}
    assert score["macro_f1"]["value"] == 1 and score["n"] == 3
    split = np.array([[9, 1, 0, 0]])
    assert taggers.tagger_score(split, LABELS, resamples=5)["accuracy"]["value"] == 0.9


def test_an_answer_that_is_no_emotion_is_not_right_but_makes_no_label():
    votes = np.array([[6, 0, 0, 4], [0, 0, 0, 10]])
    score = taggers.tagger_score(votes, LABELS, resamples=5)
    assert score["accuracy"]["value"] == pytest.approx(0.6) and score["n"] == 1
    labelled = taggers.tagger_score(votes, LABELS, labels=np.array([0, 2]), resamples=5)
    assert labelled["accuracy"]["value"] == pytest.approx(0.3) and labelled["n"] == 2


def test_two_who_tie_are_half_a_label_each():
    # Of the others, 5 against 4: the drawn one is in the smaller half and wrong.
    votes = np.array([[5, 5, 0]])
    assert taggers.tagger_score(votes, LABELS, resamples=5)["accuracy"]["value"] == 0
    # Left out is the one of 9 who breaks the tie: the others are 4 and 4.
    votes = np.array([[5, 4, 0]])
    expected = 5 / 9 * 0.5
    score = taggers.tagger_score(votes, LABELS, resamples=5)
    assert score["accuracy"]["value"] == pytest.approx(expected)


def test_against_labels_it_is_the_share_of_votes_and_recall_is_by_class():
    votes = some_votes(3)
    labels = np.random.default_rng(4).integers(3, size=len(votes))
    score = taggers.tagger_score(votes, LABELS, labels=labels, resamples=20)
    shares = votes / votes.sum(axis=1, keepdims=True)
    right = shares[np.arange(len(votes)), labels]
    assert score["accuracy"]["value"] == pytest.approx(right.mean())
    for number, label in enumerate(LABELS):
        of = score["per_class"][label]
        assert of["recall"] == pytest.approx(right[labels == number].mean())
        assert of["n"] == pytest.approx((labels == number).sum())
    table = np.zeros((4, 4))
    for row, label in zip(shares, labels, strict=True):
        table[label] += [*row[:3], row[3:].sum()]
    assert score["macro_f1"]["value"] == pytest.approx(confusion.macro_f1(table))


def test_faces_of_one_group_are_drawn_together():
    votes = np.repeat(some_votes(5, 20), 6, axis=0)
    groups = np.repeat(np.arange(20), 6)
    wide, narrow = (
        taggers.tagger_score(votes, LABELS, groups=g, resamples=400)["accuracy"]
        for g in (groups, None)
    )
    assert wide["high"] - wide["low"] > 1.8 * (narrow["high"] - narrow["low"])


def test_an_error_is_accepted_where_enough_taggers_made_it():
    votes = np.array([[5, 3, 2], [8, 2, 0], [9, 0, 1], [0, 10, 0]])
    answers, labels = np.array([1, 1, 2, 1]), np.array([0, 0, 0, 1])
    shares = [
        taggers.accepted_errors(votes, answers, labels, least=least, resamples=50)
        for least in (1, 2, 3)
    ]
    assert [share["value"] for share in shares] == pytest.approx([1, 2 / 3, 1 / 3])
    assert all(share["errors"] == 3 for share in shares)
    none = taggers.accepted_errors(votes, labels, labels)
    assert none["errors"] == 0 and np.isnan(none["value"])


def test_votes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="two votes or more.*row 1 holds"):
        taggers.tagger_score(np.array([[2, 0, 0], [1, 0, 0]]), LABELS)
    with pytest.raises(ValueError, match="at least 3 columns"):
        taggers.tagger_score(np.array([[2, 0]]), LABELS)
    with pytest.raises(ValueError, match="sum to 1"):
        taggers.model_score(np.array([[2, 0, 0]]), np.array([[0.2, 0.2, 0.2]]), LABELS)


def test_a_model_that_says_what_most_say_scores_as_against_their_label():
    votes = some_votes(7)
    votes = votes[votes[:, :3].max(axis=1) > 6]  # nobody decides alone
    probabilities = np.eye(3)[votes[:, :3].argmax(axis=1)]
    assert metrics.accuracy(votes[:, :3].argmax(axis=1), probabilities) == 1
    model = taggers.model_score(votes, probabilities, LABELS, resamples=10)
    assert model["accuracy"]["value"] == 1 and model["difference"]["value"] > 0
