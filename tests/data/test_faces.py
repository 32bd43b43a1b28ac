"""faces: what the one data structure refuses, and what a part of it keeps."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from fer_lib.data.faces import Faces, Splits, grey
from fer_lib.emotions import FER7


def faces(n=6, **changes):
    """Random faces with every field filled."""
    rng = np.random.default_rng(0)
    fields = {
        "images": rng.integers(0, 256, (n, 5, 4), dtype=np.uint8),
        "labels": np.arange(n) % 7,
        "label_set": FER7,
        "groups": np.arange(n) // 2,
        "ids": np.array([f"face{i}.png" for i in range(n)]),
        "usage": np.array(["Training"] * n),
        "name": "some faces",
        "skipped": ("row 3: not a number",),
    }
    return Faces(**fields | changes)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"images": np.zeros((6, 5, 4))}, "images must be uint8.*float64"),
        ({"images": np.zeros((6, 5, 4, 1), np.uint8)}, r"images must be.*\(6, 5, 4, 1\)"),
        ({"images": [[[0]]]}, "images must be uint8"),
        ({"images": np.zeros((6, 5), np.uint8)}, r"images must be.*\(6, 5\)"),
        ({"labels": np.zeros(6)}, "labels must be integers; got float64"),
        ({"labels": np.array([0, 1, 7, 0, 0, 9])}, r"row 2 holds 7 \(2 such rows\)"),
        ({"labels": np.array([0, -1, 0, 0, 0, 0])}, "row 1 holds -1"),
        ({"labels": np.zeros(5, int)}, "labels has 5 entries for 6 images"),
        ({"labels": np.ones((6, 8), np.float32)}, r"one column per class \(7\).*\(6, 8\)"),
        ({"labels": np.zeros((6, 7), np.float32)}, "row 0 holds"),
        ({"labels": np.full((6, 7), np.nan, np.float32)}, "row 0 holds"),
        ({"labels": np.full((6, 7), np.inf, np.float32)}, "row 0 holds"),
        ({"labels": -np.eye(6, 7, dtype=np.float32)}, "row 0 holds"),
        ({"labels": np.array(3)}, "labels|votes"),
        ({"groups": [1, 2]}, "groups has 2 entries for 6 images"),
        ({"ids": [1, 2]}, "ids has 2 entries for 6 images"),
        ({"usage": ["Training"]}, "usage has 1 entries for 6 images"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        faces(**changes)


def test_faces_cannot_be_changed_but_by_a_copy():
    with pytest.raises(dataclasses.FrozenInstanceError):
        faces().name = "others"
    assert dataclasses.replace(faces(), name="others").name == "others"


@pytest.mark.parametrize(
    "index, rows",
    [
        (slice(1, 4), [1, 2, 3]),
        (np.array([True, False, False, False, False, True]), [0, 5]),
        (np.array([4, 0, 4]), [4, 0, 4]),
        ([2], [2]),
        (3, [3]),
        (np.int64(-1), [5]),
        (slice(0, 0), []),
    ],
)
def test_an_index_takes_the_same_rows_of_every_field(index, rows):
    whole, part = faces(), faces()[index]
    assert isinstance(part, Faces) and len(part) == len(rows)
    for field in ("images", "labels", "groups", "ids", "usage"):
        np.testing.assert_array_equal(getattr(part, field), getattr(whole, field)[rows])
    for field in ("name", "label_set", "skipped"):
        assert getattr(part, field) == getattr(whole, field)


def test_optional_fields_may_be_absent_and_stay_so():
    plain = Faces(faces().images, faces().labels, list(FER7))
    assert plain.ids.tolist() == [0, 1, 2, 3, 4, 5] and plain.label_set == FER7
    assert plain[2:].groups is None and plain[2:].usage is None
    assert plain[2:].ids.tolist() == [2, 3, 4, 5]


def test_targets_of_labels_are_one_hot():
    targets = faces().targets
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(targets, np.eye(7)[faces().classes])


def test_targets_of_votes_are_shares_and_the_class_is_the_most_voted():
    votes = np.zeros((2, 7), np.float32)
    votes[0, [2, 5]] = 3, 7
    votes[1, 6] = 10
    voted = faces(n=2, labels=votes)
    np.testing.assert_allclose(voted.targets[0], [0, 0, 0.3, 0, 0, 0.7, 0])
    np.testing.assert_allclose(voted.targets.sum(1), 1)
    assert voted.classes.tolist() == [5, 6] and voted.classes.dtype == np.int64


def test_class_counts_name_every_class_also_an_empty_one():
    counts = faces(n=3, labels=np.array([3, 3, 0])).class_counts()
    assert counts == dict.fromkeys(FER7, 0) | {"happy": 2, "angry": 1}
    assert list(counts) == list(FER7)


def test_the_content_hash_depends_on_pixels_labels_and_label_set_alone():
    one = faces()
    assert one.content_hash == faces(name="others", ids=None, groups=None).content_hash
    pixels = one.images.copy()
    pixels[0, 0, 0] ^= 1
    others = [
        faces(images=pixels),
        faces(labels=(np.arange(6) + 1) % 7),
        faces(label_set=FER7[::-1]),
        one[::-1],
        one[:5],
        faces(images=one.images.reshape(6, 4, 5)),
    ]
    hashes = {one.content_hash, *(other.content_hash for other in others)}
    assert len(hashes) == 1 + len(others)


def test_the_content_hash_does_not_depend_on_the_memory_layout():
    one = faces()
    turned = np.asfortranarray(one.images)
    assert faces(images=turned).content_hash == one.content_hash
    assert faces(labels=one.labels.astype(np.int8)).content_hash == one.content_hash


def test_faces_cannot_be_written_to_and_the_caller_s_array_can():
    images = np.zeros((6, 5, 4), np.uint8)
    made = faces(images=images)
    for field in ("images", "labels", "groups", "ids", "usage"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(made[1:], field)[0] = getattr(made, field)[0]
    images[0] = 1


def test_faces_print_short_and_never_their_pixels():
    text = repr(faces(14))
    assert text == (
        "Faces('some faces': 14 grey faces of 5 x 4 pixels; angry 2, disgust 2, fear 2, happy 2, "
        "sad 2, surprise 2, neutral 2)"
    )
    voted = faces(labels=np.ones((6, 7), np.float32))
    assert "6 grey faces of 5 x 4 pixels, with votes; angry 6" in repr(voted)


def test_a_table_of_faces_and_of_splits_tells_classes_and_counts(rng):
    image = rng.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    parts = Splits(train=faces(14), test=Faces(image, [0, 1], ("a<b", "angry"), name="few"))
    lines = repr(parts).splitlines()
    assert lines[1] == "test: few, 2 colour faces of 8 x 8 pixels"
    assert lines[2].split() == ["class", "train", "test"]
    assert lines[3].split() == ["angry", "2", "1"] and lines[-1].split() == ["all", "14", "2"]
    page = parts._repr_html_()
    assert "<tr><th>angry</th><td>2</td><td>1</td></tr>" in page and "a&lt;b" in page
    assert "some faces" in faces()._repr_html_() and len(faces()._repr_html_()) < 1000


def test_colour_faces_are_kept_and_have_the_grey_values_that_pillow_gives(rng):
    images = rng.integers(0, 256, (6, 9, 7, 3), dtype=np.uint8)
    coloured = faces(images=images)
    assert coloured[2:4].images.shape == (2, 9, 7, 3)
    expected = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images])
    np.testing.assert_array_equal(grey(images), expected)
    assert grey(expected) is expected


def test_faces_take_the_form_that_a_classifier_asks_for(rng):
    coloured = faces(images=np.full((6, 8, 8, 3), (255, 0, 0), np.uint8))
    assert (coloured.resized((8, 8)).images == 76).all()
    assert coloured.resized((8, 8, 3)) is coloured
    larger = coloured.resized((12, 10, 3)).images
    assert coloured.resized((8, 8)).name == "some faces, as 8 x 8"
    assert larger.shape == (6, 12, 10, 3) and (larger == (255, 0, 0)).all()
    plain = faces(images=rng.integers(0, 256, (6, 8, 8), dtype=np.uint8))
    three = plain.resized((8, 8, 3)).images
    assert (three == plain.images[..., None]).all()
    assert (plain.resized((4, 4)).labels == plain.labels).all()
