"""Classes by name: dropping them, and joining data sets over those they share."""

import dataclasses

import numpy as np
import pytest

from fer_lib import emotions
from fer_lib.data import catalogue, combine
from fer_lib.data.faces import Faces


def make(rng, label_set, name, *, n=None, size=48, groups=False, votes=False):
    """Three splits of random faces, `n` each, the classes in turn."""
    n = n or 2 * len(label_set)
    parts = {}
    for split in catalogue.SPLITS:
        labels = np.arange(n) % len(label_set)
        if votes:
            labels = np.eye(len(label_set), dtype=np.float32)[labels] * 0.8
            labels += np.float32(0.2 / len(label_set))
        parts[split] = Faces(
            rng.integers(0, 256, (n, size, size), dtype=np.uint8),
            labels,
            label_set,
            groups=np.arange(n) // 2 if groups else None,
            name=f"{name} {split}",
        )
    return parts


def emotions_of(faces):
    return [faces.label_set[label] for label in faces.classes]


# drop


def test_a_dropped_class_is_gone_from_the_labels_and_counted(rng):
    loaded = make(rng, emotions.FERPLUS8, "FER+")
    kept = combine.without(loaded, ["contempt"])
    for split, faces in kept.items():
        assert faces.label_set == emotions.FER7 and len(faces) == 14
        others = [e for e in emotions_of(loaded[split]) if e != "contempt"]
        assert emotions_of(faces) == others
        assert len(faces.skipped) == 2 and "contempt left out by drop" in faces.skipped[0]


def test_votes_lose_the_column_of_a_dropped_class(rng):
    loaded = make(rng, emotions.FERPLUS8, "FER+", votes=True)
    kept = combine.without(loaded, ["contempt"])["train"]
    assert kept.labels.shape == (14, 7) and kept.labels.dtype == np.float32
    before = loaded["train"].labels[0, emotions.FERPLUS8.index("neutral")]
    assert kept.labels[0, emotions.FER7.index("neutral")] == before


def test_a_class_that_is_not_there_changes_nothing(rng):
    loaded = make(rng, emotions.FER7, "x")
    assert combine.without(loaded, ["contempt"]) is loaded


def test_one_class_left_is_an_error(rng):
    with pytest.raises(ValueError, match="must leave two classes"):
        combine.without(make(rng, ("happy", "sad"), "x"), ["happy"])


def test_load_dataset_drops_by_any_spelling_and_names_a_wrong_one():
    sizes = {"train": 70, "validation": 14, "test": 14}
    loaded = catalogue.load_dataset("synthetic", drop=["Anger", "DI"], **sizes)
    assert loaded["train"].label_set == emotions.FER7[2:]
    assert len(loaded["train"]) == 50 and len(loaded["train"].skipped) == 20
    with pytest.raises(ValueError, match="Unknown emotion 'contemptt'.*did you mean 'contempt'"):
        catalogue.load_dataset("synthetic", drop="contemptt", **sizes)


# mix


def test_mixed_faces_keep_their_pixels_emotions_and_splits(rng):
    a, b = make(rng, emotions.FER7, "A"), make(rng, emotions.CKPLUS7, "B")
    mixed = catalogue.mix(a, b, name="both")
    shared = emotions.FER7[:6]
    for split, faces in mixed.items():
        assert faces.label_set == shared and faces.name == f"both: {split}"
        expected = [
            (image.tobytes(), emotion)
            for part in (a[split], b[split])
            for image, emotion in zip(part.images, emotions_of(part), strict=True)
            if emotion in shared
        ]
        found = zip((i.tobytes() for i in faces.images), emotions_of(faces), strict=True)
        assert list(found) == expected
        assert len(faces.skipped) == 4  # two neutral, two contempt
        assert faces.groups is None


def test_ids_and_groups_begin_with_their_source_and_stay_apart(rng):
    a, b = make(rng, emotions.FER7, "A", groups=True), make(rng, emotions.FER7, "B", groups=True)
    mixed = catalogue.mix(a, b)["train"]
    assert mixed.ids[0] == "A: 0" and mixed.ids[-1] == "B: 13"
    assert len(set(mixed.groups)) == 14 and len(set(mixed.ids)) == 28
    half = catalogue.mix(a, make(rng, emotions.FER7, "C"))["train"]
    assert len(set(half.groups)) == 7 + 14  # a face without a group is one of its own


def test_sources_of_one_name_are_numbered(rng):
    a, b = make(rng, emotions.FER7, "A"), make(rng, emotions.FER7, "A")
    assert set(catalogue.mix(a, b)["test"].ids) >= {"A (1): 0", "A (2): 0"}


def test_votes_stay_votes_and_labels_become_one_hot_rows(rng):
    a, b = make(rng, emotions.FER7, "A"), make(rng, emotions.FERPLUS8, "B", votes=True)
    mixed = catalogue.mix(a, b)["train"]
    assert mixed.labels.dtype == np.float32 and mixed.labels.shape == (28, 7)
    np.testing.assert_array_equal(mixed.labels[:14], np.eye(7, dtype=np.float32)[np.arange(14) % 7])


def test_a_face_of_another_source_s_test_split_is_not_trained_on(rng):
    a, b = make(rng, emotions.FER7, "A"), make(rng, emotions.FER7, "B")
    images = a["train"].images.copy()
    images[3] = b["test"].images[5]
    images[4] = a["test"].images[6]  # within a source nothing is changed
    a["train"] = dataclasses.replace(a["train"], images=images)
    mixed = catalogue.mix(a, b)
    assert len(mixed["train"]) == 27 and "A: 3" not in mixed["train"].ids
    assert len(mixed["validation"]) == len(mixed["test"]) == 28
    assert mixed["train"].skipped == (
        "A 3: is identical to a face in a later split of another source",
    )


def test_sizes_that_differ_are_an_error_that_names_both(rng):
    a, b = make(rng, emotions.FER7, "Small"), make(rng, emotions.FER7, "Large", size=64)
    with pytest.raises(ValueError, match="Large and Small .* got 48 x 48 and 64 x 64 pixels"):
        catalogue.mix(a, b)


def test_what_cannot_be_mixed_is_an_error(rng):
    a = make(rng, emotions.FER7, "A")
    with pytest.raises(ValueError, match="two data sets or more; got 1"):
        catalogue.mix(a)
    with pytest.raises(ValueError, match="must have the splits of A"):
        catalogue.mix(a, {"train": a["train"]})
    with pytest.raises(ValueError, match="must share two emotions"):
        catalogue.mix(a, make(rng, ("happy", "contempt"), "B"))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            (
                "FER-2013 Training (90 %)",
                "FER-2013 Training (10 % held out)",
                "FER-2013 PublicTest",
            ),
            "FER-2013",
        ),
        (("80 % of CK+", "10 % of CK+ for validation", "10 % of CK+ for test"), "CK+"),
        (("mine train (90 %)", "mine train (10 % held out)", "mine test"), "mine"),
        (("faces: train", "faces: validation", "faces: test"), "faces"),
    ],
)
def test_a_source_is_called_what_its_splits_have_in_common(rng, names, expected):
    parts = make(rng, emotions.FER7, "x")
    named = {
        split: dataclasses.replace(faces, name=name)
        for (split, faces), name in zip(parts.items(), names, strict=True)
    }
    assert catalogue.mix(named, make(rng, emotions.FER7, "B"))["train"].ids[0] == f"{expected}: 0"


# one data set left out


def test_the_data_set_left_out_is_tested_on_and_never_trained_on(rng):
    own, other = make(rng, emotions.FER7, "one"), make(rng, emotions.FERPLUS8, "two")
    copy = other["train"].images[3]
    own["train"] = dataclasses.replace(
        own["train"], images=np.concatenate([copy[None], own["train"].images[1:]])
    )
    joined = combine.leaving_out({"one": own, "two": other}, "two")
    assert joined["test"].name == "two, left out of training" and len(joined["test"]) == 42
    assert [len(joined[s]) for s in ("train", "validation")] == [13, 14]  # without the copy
    assert joined["train"].label_set == joined["test"].label_set == emotions.FER7
    assert all(str(face).startswith("one") for face in joined["train"].ids)
    assert all(str(face).startswith("two") for face in joined["test"].ids)


def test_names_with_a_plus_are_joined_and_one_is_left_out_by_an_option(monkeypatch):
    def draw(*, train=21):
        return catalogue.load_synthetic(train=train, validation=14, test=7, seed=5)

    of = catalogue.DATASETS["synthetic"]._replace(load=draw)
    monkeypatch.setitem(catalogue.DATASETS, "drawn", of)
    sizes = {"train": 28, "validation": 14, "test": 7}
    both = catalogue.load_dataset("synthetic+drawn", **sizes)
    assert [len(faces) for faces in both.values()] == [56, 28, 14]
    one = catalogue.load_dataset("synthetic+drawn", leave_out="drawn", **sizes)
    assert [len(faces) for faces in one.values()] == [28, 14, 49]
    assert "Joined: synthetic, drawn" in catalogue.describe("synthetic+drawn", one)
    with pytest.raises(ValueError, match="Unknown leave_out 'ckplus'"):
        catalogue.load_dataset("synthetic+drawn", leave_out="ckplus", **sizes)
    with pytest.raises(ValueError, match=r"Unknown option of synthetic\+drawn 'sise'"):
        catalogue.load_dataset("synthetic+drawn", sise=3)
    with pytest.raises(ValueError, match="Unknown data set"):
        catalogue.load_dataset("synthetic+fer2014")
