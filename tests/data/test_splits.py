"""Splits: nothing that belongs together is torn apart, and every class stands on both sides."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lib import emotions
from fer_lib.data import duplicates, splits
from fer_lib.data.faces import Faces
from fer_lib.data.synthetic import make_faces


def make(rng, n, *, groups=None, labels=None, copies=0):
    """Random faces; the last `copies` images are copies of the first."""
    images = rng.integers(0, 256, (n, 8, 8), dtype=np.uint8)
    if copies:
        images[-copies:] = images[:copies]
    labels = np.arange(n) % 7 if labels is None else labels
    return Faces(images, labels, emotions.FER7, groups=groups, name="test faces")


def straddling(left, right):
    """Groups and images that stand on both sides."""
    images = {i.tobytes() for i in left.images} & {i.tobytes() for i in right.images}
    groups = set() if left.groups is None else set(left.groups) & set(right.groups)
    return images, groups


def test_duplicate_groups_are_the_identical_images(rng):
    images = rng.integers(0, 256, (5, 48, 48), dtype=np.uint8)
    groups = splits.duplicate_groups(images[[0, 1, 0, 2, 1, 0]])
    assert groups.tolist() == [0, 1, 0, 2, 1, 0]
    nearly = images[[0, 0]]
    nearly[1, 47, 47] ^= 1
    assert splits.duplicate_groups(nearly).tolist() == [0, 1]
    assert splits.duplicate_groups(images[:0]).shape == (0,)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.2, 0.3, 0.5]), st.integers(0, 60))
def test_holdout_without_groups_parts_the_faces_and_keeps_duplicates_together(
    seed, fraction, copies
):
    faces = make(np.random.default_rng(seed), 350, copies=copies)
    rest, held = splits.holdout(faces, fraction, seed=seed)
    assert sorted([*rest.ids, *held.ids]) == list(range(350))
    assert straddling(rest, held) == (set(), set())
    assert set(rest.classes) == set(held.classes) == set(range(7))
    assert abs(len(held) / 350 - fraction) < 0.07


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(40, 120), st.sampled_from([0.1, 1 / 9, 0.2, 0.3]))
def test_holdout_keeps_large_groups_together(seed, subjects, fraction):
    rng = np.random.default_rng(seed)
    groups = np.sort(rng.integers(0, subjects, 980))
    faces = make(rng, 980, groups=groups, labels=rng.integers(0, 7, 980))
    rest, held = splits.holdout(faces, fraction, seed=seed)
    assert straddling(rest, held) == (set(), set())
    assert abs(len(held) / 980 - fraction) < 0.08
    share = np.bincount(held.classes, minlength=7) / np.bincount(faces.classes, minlength=7)
    assert np.abs(share - fraction).max() < 0.2


def test_groups_joined_by_a_duplicate_stay_together(rng):
    # a copied image joins groups 0 and 1, another one joins 1 and 2: all three are one
    groups = np.repeat(np.arange(70), 2)
    faces = make(rng, 140, groups=groups, labels=np.repeat(np.arange(70) % 7, 2))
    images = faces.images.copy()
    images[2], images[4] = images[0], images[3]
    faces = Faces(images, faces.labels, faces.label_set, groups=groups)
    sides = set()
    for seed in range(30):
        rest, held = splits.holdout(faces, 0.2, seed=seed)
        assert straddling(rest, held) == (set(), set())
        side = {0, 1, 2} & set(held.groups)
        assert side in (set(), {0, 1, 2})
        sides.add(bool(side))
    assert sides == {True, False}


def test_strata_are_exact_to_one_face_where_nothing_is_grouped(rng):
    labels = np.repeat(np.arange(7), (400, 44, 410, 720, 480, 320, 500))
    faces = make(rng, len(labels), labels=labels)
    _, held = splits.holdout(faces, 0.1)
    expected = np.bincount(labels) / 10
    assert np.abs(np.bincount(held.classes) - expected).max() <= 1


def test_the_same_seed_gives_the_same_split_and_another_one_another(rng):
    faces = make(rng, 140)
    first, again, other = (splits.holdout(faces, 0.1, seed=seed)[1] for seed in (3, 3, 4))
    assert first.ids.tolist() == again.ids.tolist() != other.ids.tolist()


def test_the_split_is_the_one_of_every_other_machine():
    images = np.arange(70, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)
    faces = Faces(images, np.arange(70) % 7, emotions.FER7)
    assert splits.holdout(faces, 0.1)[1].ids.tolist() == [5, 6, 25, 29, 31, 35, 51]
    grouped = Faces(images, np.arange(70) % 7, emotions.FER7, groups=np.arange(70) // 3)
    assert splits.holdout(grouped, 0.2)[1].ids.tolist() == [
        3,
        4,
        5,
        12,
        13,
        14,
        45,
        46,
        47,
        57,
        58,
        59,
        63,
        64,
        65,
        69,
    ]


def test_votes_are_stratified_by_the_most_voted_class(rng):
    votes = np.eye(7, dtype=np.float32)[np.arange(140) % 7] * 6 + 1
    _, held = splits.holdout(make(rng, 140, labels=votes), 0.2)
    assert np.bincount(held.classes).tolist() == [4] * 7


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5])
def test_a_fraction_outside_0_and_1_is_an_error(rng, fraction):
    with pytest.raises(ValueError, match="between 0 and 1"):
        splits.holdout(make(rng, 70), fraction)


def test_a_class_with_one_face_is_an_error_that_names_it(rng):
    labels = np.r_[np.zeros(50, int), np.ones(49, int), 1 + 1]
    with pytest.raises(ValueError, match="test faces has 1 of 'fear'"):
        splits.holdout(make(rng, 100, labels=labels), 0.1)


def test_copies_of_one_face_are_not_two(rng):
    labels = np.r_[2, np.zeros(98, int), 2]
    with pytest.raises(ValueError, match="1 of 'fear'"):
        splits.holdout(make(rng, 100, labels=labels, copies=1), 0.1)


def test_too_few_faces_for_all_classes_are_an_error(rng):
    with pytest.raises(ValueError, match="too few"):
        splits.holdout(make(rng, 21), 0.1)


@pytest.mark.parametrize("subjects", [2, 3, 4, 5, 7, 9])
def test_few_subjects_are_split_by_subject(rng, subjects):
    groups = np.arange(7 * 6 * subjects) // 42
    held = set()
    for seed in range(6):
        faces = make(rng, len(groups), groups=groups)
        rest, part = splits.holdout(faces, 0.1, near_duplicates=True, seed=seed)
        assert not set(rest.groups) & set(part.groups) and len(set(part.groups)) == 1
        held |= set(part.groups)
    assert len(held) > 1  # another seed holds out another subject


def test_two_subjects_make_three_splits_and_a_warning_says_what_they_share(rng):
    faces = make(rng, 280, groups=np.arange(280) // 140)
    with pytest.warns(UserWarning, match="shows one subject only"):
        parts = splits.split_by_usage(faces, "mine")
    assert not set(parts["test"].groups) & set(parts["train"].groups)
    assert parts["test"].name == "50 % of mine for test"


def test_subjects_that_look_alike_stay_apart_where_joined_ones_could_not_be_split(rng):
    one = rng.integers(0, 256, (1, 48, 48), dtype=np.uint8)
    noise = rng.integers(0, 12, (7 * 20 * 2, 48, 48), dtype=np.uint8)
    images = np.clip(one.astype(int) + noise, 0, 255).astype(np.uint8)
    labels, groups = np.arange(280) % 7, np.arange(280) // 14
    faces = Faces(images, labels, emotions.FER7, groups=groups)
    parts = splits.split_by_usage(faces, "laboratory")
    subjects = [set(faces.groups) for faces in parts.values()]
    assert sum(map(len, subjects)) == len(set.union(*subjects)) == 20


def test_a_class_that_is_there_to_test_but_not_to_train_gives_a_warning(rng):
    labels = np.r_[np.arange(140) % 6, np.arange(14) % 7]
    usage = np.repeat(["train", "test"], [140, 14])
    images = rng.integers(0, 256, (154, 48, 48), dtype=np.uint8)
    with pytest.warns(UserWarning, match=r"mine test has faces of neutral \(2\), of which .* none"):
        splits.split_by_usage(Faces(images, labels, emotions.FER7, usage=usage), "mine")


def test_near_duplicates_are_looked_for_once_where_there_are_no_splits(monkeypatch):
    faces, counted = make_faces(210, seed=3), []

    def count(images):
        counted.append(len(images))
        return duplicates.near_duplicate_groups(images)

    monkeypatch.setattr(splits, "near_duplicate_groups", count)
    parts = splits.split_by_usage(faces, "faces")
    assert counted == [210]
    rest, test = splits.holdout(faces, 0.1, near_duplicates=True)
    train, validation = splits.holdout(rest, 1 / 9, near_duplicates=True)
    for split, expected in zip(splits.SPLITS, (train, validation, test), strict=True):
        assert parts[split].ids.tolist() == expected.ids.tolist()


def test_of_very_many_groups_a_large_one_stays_whole_and_the_draw_is_quick(rng):
    n = 14_000
    groups = np.where(np.arange(n) < 1_000, 0, np.arange(n))
    faces = make(rng, n, groups=groups)
    start = time.process_time()
    rest, held = splits.holdout(faces, 0.1)
    assert time.process_time() - start < 5  # folds took 25 seconds
    assert not set(rest.groups) & set(held.groups) and len(held) == pytest.approx(1_400, abs=20)
    assert min(held.class_counts().values()) > 180


def test_class_count_table_has_a_row_per_class_and_a_column_per_split(rng):
    rest, held = splits.holdout(make(rng, 140), 0.2)
    table = splits.class_count_table({"train": rest, "test": held})
    assert table.columns.tolist() == ["train", "test"]
    assert table.index.tolist() == list(emotions.FER7)
    assert table.loc["fear"].tolist() == [16, 4]
    assert table.to_numpy().sum() == 140


@pytest.mark.slow
@pytest.mark.realdata
def test_no_duplicate_of_fer2013_straddles_and_it_is_fast(real_data):
    from fer_lib.data.readers import sources

    faces = sources.read(real_data / "fer2013")
    assert splits.duplicate_groups(faces.images).max() + 1 < len(faces)
    rest, held = splits.holdout(faces, 0.1)
    assert straddling(rest, held) == (set(), set())
    share = np.bincount(held.classes) / np.bincount(faces.classes)
    assert np.abs(share - 0.1).max() < 0.02


@pytest.mark.realdata
def test_no_subject_of_ckplus_straddles(real_data):
    from fer_lib.data.readers import sources

    rest, held = splits.holdout(sources.read(real_data / "CK+48"), 0.2)
    assert straddling(rest, held) == (set(), set())
    assert 0.15 < len(held) / 981 < 0.25


# k-fold


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 10), st.booleans(), st.integers(0, 60))
def test_kfold_holds_out_every_face_once_and_tears_nothing_apart(seed, folds, grouped, copies):
    rng = np.random.default_rng(seed)
    groups = np.sort(rng.integers(0, 90, 630)) if grouped else None
    faces = make(rng, 630, groups=groups, labels=rng.permutation(np.arange(630) % 7), copies=copies)
    held_out, share = [], 630 / folds
    largest = np.bincount(splits._joint_groups(faces, None)).max()
    for rest, held in splits.kfold(faces, folds, seed=seed):
        assert straddling(rest, held) == (set(), set())
        assert len(rest) + len(held) == 630 and set(rest.classes) == set(range(7))
        assert abs(len(held) - share) < max(share / 2, largest)
        held_out += held.ids.tolist()
    assert sorted(held_out) == list(range(630))


def test_folds_are_stratified_to_one_face_where_nothing_is_grouped(rng):
    labels = np.repeat(np.arange(7), (400, 44, 410, 720, 480, 320, 500))
    for _, held in splits.kfold(make(rng, len(labels), labels=labels), 10):
        assert np.abs(np.bincount(held.classes) - np.bincount(labels) / 10).max() <= 1


@pytest.mark.parametrize("groups", [None, np.arange(140) // 4])
def test_the_same_seed_gives_the_same_folds_and_another_one_another(rng, groups):
    faces = make(rng, 140, groups=groups)
    first, again, other = (
        [held.ids.tolist() for _, held in splits.kfold(faces, 5, seed=seed)] for seed in (3, 3, 4)
    )
    assert first == again != other


def test_the_folds_are_those_of_every_other_machine():
    images = np.arange(70, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)
    faces = Faces(images, np.arange(70) % 7, emotions.FER7)
    _, held = next(splits.kfold(faces, 5))
    assert held.ids.tolist() == [5, 10, 15, 20, 28, 32, 37, 39, 43, 44, 52, 56, 68, 69]
    grouped = Faces(images, np.arange(70) % 7, emotions.FER7, groups=np.arange(70) // 3)
    assert np.unique(next(splits.kfold(grouped, 5))[1].groups).tolist() == [2, 6, 12, 14, 22]


def test_a_class_with_fewer_groups_than_folds_is_an_error_that_names_it(rng):
    labels = np.r_[np.repeat(np.arange(6), 20), [6] * 4]
    with pytest.raises(ValueError, match="at least 5 groups .* has 4 of 'neutral'"):
        splits.kfold(make(rng, 124, labels=labels), 5)


@pytest.mark.parametrize("folds", [1, 0, 2.5, "5"])
def test_folds_must_be_a_whole_number_of_two_or_more(rng, folds):
    with pytest.raises(ValueError, match="2 or more"):
        splits.kfold(make(rng, 70), folds)


# near-duplicates


def with_shifted_copies(n=140):
    """Synthetic faces of which every one is followed by its mirror image moved by a pixel."""
    from fer_lib.data.synthetic import make_faces

    faces = make_faces(n, seed=9)
    moved = np.roll(faces.images[:, :, ::-1], 1, axis=1)
    images = np.stack([faces.images, moved], axis=1).reshape(2 * n, *moved.shape[1:])
    return Faces(images, np.repeat(faces.labels, 2), faces.label_set, name="pairs")


@pytest.mark.parametrize("near_duplicates", [True, False])
def test_holdout_and_kfold_keep_near_duplicates_together_when_asked(near_duplicates):
    faces = with_shifted_copies()
    sides = [splits.holdout(faces, 0.2, near_duplicates=near_duplicates)]
    sides += splits.kfold(faces, 3, near_duplicates=near_duplicates)
    for rest, held in sides:
        torn = set(rest.ids // 2) & set(held.ids // 2)
        assert not torn if near_duplicates else len(torn) > 20


# the clean protocol


def planted(rng):
    """Train, validation and test of distinct faces, then every kind of duplicate in train."""
    from fer_lib.data.synthetic import make_faces

    pool = make_faces(105, seed=3)
    images, labels = pool.images.copy(), pool.labels.copy()
    test, validation, train = np.arange(35), np.arange(35, 70), np.arange(70, 105)
    images[35] = images[0]  # validation: identical to test
    images[36] = np.roll(images[1], 1, axis=1)  # validation: nearly a test face
    images[70] = images[2]  # train: identical to test
    images[71] = images[3][:, ::-1]  # train: nearly a test face
    images[72] = images[40]  # train: identical to validation
    images[73], labels[73] = images[74], labels[74]  # train: repeated
    images[75:78], labels[75:78] = images[75], (1, 2, 2)  # train: two against one
    images[78:80], labels[78:80] = images[78], (4, 5)  # train: a tie
    images[81] = np.roll(images[80], 1, axis=0)  # train: nearly repeated, stays
    parts = {"train": train, "validation": validation, "test": test}
    return {
        split: Faces(images[rows], labels[rows], pool.label_set, ids=rows, name=split)
        for split, rows in parts.items()
    }


def test_drop_duplicates_drops_each_planted_kind_and_counts_it(rng):
    parts = planted(rng)
    clean, dropped = splits.drop_duplicates(parts)
    assert list(clean) == ["train", "validation", "test"]
    assert clean["test"] is parts["test"] and not any(dropped["test"].values())
    assert dropped["validation"] == {"identical to test": 1, "near-duplicate of test": 1}
    assert dropped["train"] == {
        "identical to test": 1,
        "identical to validation": 1,
        "near-duplicate of test": 1,
        "near-duplicate of validation": 0,
        "conflicting labels": 2,
        "repeated": 3,
    }
    gone = set(parts["train"].ids) - set(clean["train"].ids)
    assert gone == {70, 71, 72, 74, 75, 77, 78, 79}
    assert set(parts["validation"].ids) - set(clean["validation"].ids) == {35, 36}
    assert clean["train"].name == "train, without duplicates"


def test_drop_duplicates_can_keep_near_ones(rng):
    clean, dropped = splits.drop_duplicates(planted(rng), near_duplicates=False)
    assert {71} <= set(clean["train"].ids) and "near-duplicate of test" in dropped["train"]
    assert dropped["train"]["near-duplicate of test"] == 0


def test_what_is_clean_stays_as_it_is(rng):
    clean, _ = splits.drop_duplicates(planted(rng))
    again, dropped = splits.drop_duplicates(clean)
    assert all(again[split] is clean[split] for split in clean)
    assert not any(sum(counts.values()) for counts in dropped.values())


def test_drop_duplicates_names_an_unknown_split(rng):
    with pytest.raises(ValueError, match="'trian'.*did you mean 'train'"):
        splits.drop_duplicates({"trian": make(rng, 7)})


@pytest.mark.realdata
def test_ckplus_has_ten_subject_independent_folds(real_data):
    from fer_lib.data.readers import sources

    faces = sources.read(real_data / "CK+48")
    folds = list(splits.kfold(faces, 10))
    assert sorted(np.concatenate([held.ids for _, held in folds]).tolist()) == sorted(faces.ids)
    assert all(straddling(rest, held) == (set(), set()) for rest, held in folds)
    assert all(60 < len(held) < 140 for _, held in folds)
