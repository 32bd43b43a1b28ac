"""FER-2013 with votes in its training targets: the same faces, labels and class shares."""

import csv

import numpy as np
import pytest

from fer_lib import storage
from fer_lib.data import catalogue
from fer_lib.data.datasets import fer2013_soft, ferplus
from support.places import SHARED

COLUMNS = ["Usage", "Image name", *ferplus.COLUMNS]
# What FER-2013 calls the faces of each label, in FER+'s columns.
PLAIN = (4, 5, 6, 1, 3, 2, 0)


@pytest.fixture
def pair(fer_home, rng):
    """70 training and 14 PublicTest faces; the taggers see one face in ten as another emotion."""
    labels = np.arange(84) % 7
    usage = ["Training"] * 70 + ["PublicTest"] * 14
    images = rng.integers(0, 256, (84, 48 * 48), dtype=np.uint8)
    folder = fer_home / "datasets" / "ferplus"
    folder.mkdir(parents=True)
    with open(folder / "fer2013.csv", "w") as file:
        file.write("emotion,pixels,Usage\n")
        for label, pixels, part in zip(labels, images, usage, strict=True):
            file.write(f"{label},{' '.join(map(str, pixels))},{part}\n")
    with open(folder / "fer2013new.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row, label in enumerate(labels):
            votes = [0] * 10
            votes[PLAIN[label if row % 10 else (label + 1) % 7]] = 8
            votes[8] = 2
            writer.writerow([usage[row], f"fer{row:07}.png", *votes])
    return folder


def test_only_the_training_targets_differ_from_fer2013(pair):
    soft, hard = catalogue.load_dataset("fer2013_soft"), catalogue.load_path(pair / "fer2013.csv")
    for split in catalogue.SPLITS:
        np.testing.assert_array_equal(soft[split].images, hard[split].images)
        np.testing.assert_array_equal(soft[split].classes, hard[split].classes)
    for split in ("validation", "test"):
        assert soft[split].content_hash == hard[split].content_hash
    assert soft["train"].labels.shape == (len(hard["train"]), 7)
    assert soft["train"].content_hash != hard["train"].content_hash
    digest = storage.file_hash(pair / "fer2013new.csv")[:8]
    assert soft["train"].name.endswith(f"by FER+ votes (fer2013new.csv {digest})")
    assert "PublicTest" in soft["test"].name and "votes" not in soft["test"].name


def test_a_face_whose_taggers_agree_with_its_label_has_the_surer_target(pair):
    train = catalogue.load_dataset("fer2013_soft")["train"]
    own = train.targets[np.arange(len(train)), train.classes]
    agree = train.ids % 10 != 0
    assert own[agree].min() > own[~agree].max() > 1 - fer2013_soft.VOTES_SHARE


def test_the_targets_keep_the_shares_of_the_labels(pair):
    train = catalogue.load_dataset("fer2013_soft")["train"]
    shares = np.bincount(train.classes, minlength=7) / len(train)
    np.testing.assert_allclose(train.targets.mean(axis=0), shares, atol=0.01)
    np.testing.assert_allclose(train.targets.sum(axis=1), 1, rtol=1e-6)


def test_a_class_without_training_faces_has_no_share():
    votes = np.eye(10, dtype=int)[[0, 1, 0, 1]] * 10
    expected = fer2013_soft._expected_labels(votes, np.array([6, 3, 6, 3]), 7)
    assert expected.shape == (4, 7) and expected.dtype == np.float32
    assert not expected[:, [0, 1, 2, 4, 5]].any()
    assert expected.argmax(axis=1).tolist() == [6, 3, 6, 3]


def test_votes_that_are_missing_are_named(pair):
    (pair / "fer2013new.csv").unlink()
    with pytest.raises(FileNotFoundError, match="fer2013new.csv"):
        catalogue.load_dataset("fer2013_soft")


@pytest.mark.slow
@pytest.mark.realdata
def test_on_the_real_faces(real_data, fer_home):
    folder = fer_home / "datasets" / "ferplus"
    folder.mkdir(parents=True)
    (folder / "fer2013.csv").symlink_to(real_data / "fer2013/fer2013.csv")
    (folder / "fer2013new.csv").symlink_to(SHARED / "data/fer2013new.csv")
    soft, hard = catalogue.load_dataset("fer2013_soft"), catalogue.load_path(folder / "fer2013.csv")
    assert [len(part) for part in soft.values()] == [25_890, 2_819, 3_589]
    assert all((soft[split].ids == hard[split].ids).all() for split in catalogue.SPLITS)
    # What the votes let expect is FER-2013's label of two faces in three, as between people.
    expected = 2 * soft["train"].targets - hard["train"].targets
    assert 0.6 < (expected.argmax(axis=1) == hard["train"].labels).mean() < 0.7
    np.testing.assert_allclose(
        soft["train"].targets.mean(axis=0), hard["train"].targets.mean(axis=0), atol=1e-3
    )
