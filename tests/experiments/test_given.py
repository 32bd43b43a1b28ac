"""Given: the faces of a run fit together, or the message says what does not."""

import dataclasses

import numpy as np
import pytest

from fer_lib.experiments import given


def reordered(faces, label_set):
    """The same faces with their classes numbered by another order, or by more classes."""
    labels = np.array([label_set.index(faces.label_set[c]) for c in faces.classes])
    return dataclasses.replace(faces, labels=labels, label_set=label_set)


def test_label_sets_in_another_order_are_matched_by_name(tiny_faces):
    turned = tuple(reversed(tiny_faces["test"].label_set))
    data = tiny_faces | {"test": reordered(tiny_faces["test"], turned)}
    checked = given.check(data)
    assert checked["test"].label_set == tiny_faces["train"].label_set
    assert (checked["test"].classes == tiny_faces["test"].classes).all()
    assert checked["test"].content_hash == tiny_faces["test"].content_hash
    assert checked["train"] is tiny_faces["train"]


def test_votes_are_matched_by_name_too(tiny_faces):
    test = tiny_faces["test"]
    votes = dataclasses.replace(test, labels=10 * test.targets)
    turned = dataclasses.replace(
        votes, labels=votes.labels[:, ::-1], label_set=tuple(reversed(votes.label_set))
    )
    checked = given.check(tiny_faces | {"test": turned})["test"]
    np.testing.assert_array_equal(checked.labels, votes.labels)


def test_a_class_that_train_does_not_know_is_refused_and_an_empty_one_is_not(tiny_faces):
    more = (*tiny_faces["test"].label_set, "contempt")
    test = reordered(tiny_faces["test"], more)
    assert given.check(tiny_faces | {"test": test})["test"].label_set == more[:-1]
    labels = np.where(np.arange(len(test)) < 3, 7, test.labels)
    strange = dataclasses.replace(test, labels=labels)
    with pytest.raises(ValueError, match="has faces of contempt, which train does not know"):
        given.check(tiny_faces | {"test": strange})


def test_a_class_without_a_training_face_is_a_warning(tiny_faces):
    train = tiny_faces["train"]
    with pytest.warns(UserWarning, match="Train has no face of angry, test has"):
        given.check(tiny_faces | {"train": train[train.classes != 0]})


def test_missing_and_empty_splits_and_other_sizes_are_told_before_training(tiny_faces):
    with pytest.raises(ValueError, match="validation is missing"):
        given.check({k: v for k, v in tiny_faces.items() if k != "validation"})
    with pytest.raises(ValueError, match="test .synthetic test. has no faces"):
        given.check(tiny_faces | {"test": tiny_faces["test"][:0]})
    small = dataclasses.replace(tiny_faces["test"], images=tiny_faces["test"].images[:, ::2, ::2])
    with pytest.raises(ValueError, match=r"must have one size; train's are .48, 48."):
        given.check(tiny_faces | {"test": small})


def test_intervals_are_drawn_by_what_is_known_of_the_faces(tiny_faces):
    test = tiny_faces["test"]
    assert given.resampled(test) == (None, "")
    groups, what = given.resampled(dataclasses.replace(test, groups=np.arange(140) // 7))
    assert len(np.unique(groups)) == 20 and what == "subjects or sequences"
    twice = test[np.repeat(np.arange(70), 2)]
    groups, what = given.resampled(twice)
    assert len(np.unique(groups)) <= 70 and what == "nearly identical pictures"


def test_faces_that_were_passed_in_are_called_by_their_own_name(tiny_faces):
    assert given.name_of(tiny_faces) == "given: synthetic"


def test_folds_hold_each_face_once_and_no_subject_twice(tiny_faces):
    groups = {"train": np.arange(210) // 10, "validation": 100 + np.arange(140) // 10}
    groups["test"] = 200 + np.arange(140) // 10
    data = {s: dataclasses.replace(f, groups=groups[s]) for s, f in tiny_faces.items()}
    held = []
    for fold in (1, 2, 3):
        parts = given.in_fold(data, 3, fold)
        people = [set(part.groups.tolist()) for part in parts.values()]
        assert not people[0] & people[1] and not people[2] & (people[0] | people[1])
        assert sum(map(len, parts.values())) == 490
        assert parts["test"].name == f"synthetic, fold {fold} of 3: test"
        assert (given.in_fold(data, 3, fold)["test"].ids == parts["test"].ids).all()
        held += parts["test"].ids.tolist()
    assert len(held) == len(set(held)) == 490


def test_a_fraction_is_of_train_alone_and_of_each_class(tiny_faces):
    parts = given.with_fraction(tiny_faces, 0.2)
    assert parts["test"] is tiny_faces["test"] and parts["train"].name == "20 % of synthetic train"
    counts, whole = parts["train"].class_counts(), tiny_faces["train"].class_counts()
    assert all(abs(counts[name] - 0.2 * n) <= 1.5 for name, n in whole.items())
    other = given.with_fraction(tiny_faces, 0.2, seed=1)
    assert set(other["train"].ids) != set(parts["train"].ids)


@pytest.mark.parametrize("soft", [False, True])
def test_what_is_no_validation_face_any_more_is_trained_on(tiny_faces, soft):
    train, validation = tiny_faces["train"], tiny_faces["validation"]
    if soft:
        train = dataclasses.replace(train, labels=0.9 * train.targets + 0.1 / 7)
    parts = given.with_validation(tiny_faces | {"train": train}, 0.3)
    more, part = parts["train"], parts["validation"]
    assert parts["test"] is tiny_faces["test"] and 0 < len(part) < len(validation) / 2
    assert len(more) + len(part) == len(train) + len(validation)
    np.testing.assert_array_equal(more.targets[: len(train)], train.targets)
    images = [image.tobytes() for image in (*more.images[len(train) :], *part.images)]
    assert sorted(images) == sorted(image.tobytes() for image in validation.images)
    assert len(set(more.ids.tolist())) == len(more)
    assert more.name == f"{train.name}, and {len(validation) - len(part):,} more"
    assert part.name == f"30 % of {validation.name}"
