"""exploration: statistics of a data set, each held to planted values."""

import dataclasses

import numpy as np
import pytest

from fer_lib.data import exploration
from fer_lib.data.datasets import ferplus
from fer_lib.data.faces import Faces
from fer_lib.data.synthetic import make_faces
from fer_lib.emotions import FER7, FERPLUS8


def faces_of(images, labels, label_set=("angry", "happy", "sad")):
    return Faces(np.asarray(images, np.uint8), np.asarray(labels), label_set)


def test_the_mean_face_is_the_mean_of_its_class_only():
    images = np.array([np.full((4, 4), value) for value in (10, 21, 200)])
    means = exploration.mean_faces(faces_of(images, [0, 0, 2]))
    assert list(means) == ["angry", "sad"]
    assert (means["angry"] == 16).all() and (means["sad"] == 200).all()
    assert means["angry"].dtype == np.uint8


def test_intensity_and_sharpness_know_bright_and_blurred_faces():
    from scipy import ndimage

    faces = make_faces(14, seed=1).images
    blurred = np.stack([ndimage.gaussian_filter(face, 2) for face in faces])
    assert (exploration.sharpness(blurred) < 0.5 * exploration.sharpness(faces)).all()
    assert exploration.sharpness(np.full((1, 8, 8), 7, np.uint8)) == 0
    expected = ndimage.laplace(faces[3].astype(float), mode="nearest").var()
    assert exploration.sharpness(faces)[3] == pytest.approx(expected, rel=1e-4)
    assert exploration.intensity(np.full((2, 3, 3), 9, np.uint8)).tolist() == [9, 9]


def test_values_are_given_to_the_classes_that_have_faces():
    faces = faces_of(np.zeros((3, 2, 2)), [2, 0, 2])
    parted = exploration.by_class(np.array([1.0, 2.0, 3.0]), faces)
    assert {name: values.tolist() for name, values in parted.items()} == {
        "angry": [2],
        "sad": [1, 3],
    }


def test_planted_duplicates_are_counted_where_they_are():
    faces = make_faces(42, seed=3)
    train, test = faces[:30], faces[30:]
    planted = test.images.copy()
    planted[0] = train.images[0]  # identical
    planted[1] = train.images[1][:, ::-1]  # nearly: mirrored
    planted[2] = planted[3]  # identical, within test
    clean = exploration.duplicate_counts({"train": train, "test": test})
    test = dataclasses.replace(test, images=planted)
    counts = exploration.duplicate_counts({"train": train, "test": test})
    more = {
        kind: {place: counts[kind][place] - clean[kind][place] for place in counts[kind]}
        for kind in counts
    }
    assert more["identical"] == {"within train": 0, "within test": 1, "test in train": 1}
    assert more["identical or near"]["test in train"] == 2


def test_a_split_does_not_link_two_others_that_share_no_picture(monkeypatch):
    def number(images):
        """Neighbouring grey levels are near; groups are closed."""
        levels = images[:, 0, 0].astype(int)
        known = np.sort(np.unique(levels))
        groups = np.cumsum(np.r_[0, np.diff(known) > 1])
        return groups[np.searchsorted(known, levels)]

    monkeypatch.setattr(exploration.duplicates, "near_duplicate_groups", number)
    parts = {
        split: Faces(np.full((1, 24, 24), level, np.uint8), np.zeros(1, int), ("a",))
        for split, level in (("train", 10), ("validation", 12), ("test", 11))
    }
    counts = exploration.duplicate_counts(parts)["identical or near"]
    assert counts["validation in train"] == 0
    assert counts["test in train"] == counts["test in validation"] == 1


def test_entropy_is_in_bits():
    votes = np.array([[10, 0, 0, 0], [5, 5, 0, 0], [1, 1, 1, 1]])
    assert np.allclose(exploration.vote_entropy(votes), [0, 1, 2])


def test_the_majority_is_numbered_in_fer_2013_s_order_and_may_be_missing():
    votes = np.zeros((5, len(ferplus.COLUMNS)), int)
    votes[0, FERPLUS8.index("angry")] = 10
    votes[1, FERPLUS8.index("contempt")] = 6
    votes[1, FERPLUS8.index("happy")] = 4
    votes[2, [0, 1]] = 5  # no majority
    votes[3, ferplus.COLUMNS.index("nf")] = 10  # no face
    votes[4, :8] = 1  # single votes alone
    assert exploration.voted(votes).tolist() == [FER7.index("angry"), 7, -1, -1, -1]


def test_agreement_counts_pairs_and_keeps_the_undecided_apart():
    counts = exploration.agreement(np.array([0, 0, 1, 1]), np.array([0, -1, 1, -1]), (2, 3))
    assert counts.tolist() == [[1, 0, 1], [0, 1, 1]]


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(m, marks=pytest.mark.slow if m == "tsne" else ())
        for m in exploration.EMBEDDINGS
    ],
)
def test_a_map_separates_what_differs_and_repeats(method, rng):
    a, b = rng.integers(0, 256, (2, 12, 12))
    noise = rng.integers(-9, 10, (30, 12, 12))
    images = np.clip(np.where(np.arange(30)[:, None, None] < 15, a, b) + noise, 0, 255)
    images = images.astype(np.uint8)
    points = exploration.embedding(images, method)
    assert points.shape == (30, 2) and np.isfinite(points).all()
    between = np.linalg.norm(points[:15].mean(0) - points[15:].mean(0))
    assert between > 3 * points[:15].std(0).max()
    assert np.allclose(points, exploration.embedding(images, method), atol=1e-4)


def test_a_map_takes_no_brightness_for_a_difference():
    image = make_faces(7, seed=2).images[0] // 2
    rows = exploration.standardised(np.stack([image, image + 90, np.full_like(image, 8)]))
    assert np.allclose(rows[0], rows[1], atol=1e-4) and not rows[2].any()


def test_an_unknown_map_and_too_few_faces_are_errors():
    with pytest.raises(ValueError, match="did you mean 'tsne'"):
        exploration.embedding(np.zeros((4, 8, 8), np.uint8), "t-sne")
    with pytest.raises(ValueError, match="at least 3 faces; got 2"):
        exploration.embedding(np.zeros((2, 8, 8), np.uint8))


def write_pair(home, usages=("Training", "Training", "PublicTest"), votes_usages=None):
    """Write three rows of pixels, and votes of which the second has no image name."""
    rows = ["emotion,pixels,Usage"]
    rows += [f"{n % 7},{' '.join(['7'] * 2304)},{usage}" for n, usage in enumerate(usages)]
    (home / "datasets" / "fer2013").mkdir(parents=True)
    (home / "datasets" / "fer2013" / "fer2013.csv").write_text("\n".join(rows) + "\n")
    table = [",".join(["Usage", "Image name", *ferplus.COLUMNS])]
    for number, usage in enumerate(votes_usages or usages):
        table.append(
            f"{usage},{'' if number == 1 else f'fer{number}.png'},{number % 3},7,0,0,0,0,0,0,0,0"
        )
    (home / "datasets" / "ferplus").mkdir()
    (home / "datasets" / "ferplus" / "fer2013new.csv").write_text("\n".join(table) + "\n")


def test_votes_stand_beside_their_row_of_fer_2013(fer_home):
    write_pair(fer_home)
    faces, votes, notice = exploration.find_votes("ferplus")
    assert faces.ids.tolist() == [0, 2] and faces.label_set == FER7
    assert votes[:, 0].tolist() == [0, 2]
    assert "(fer2013new.csv " in notice and "2 faces" in notice


def test_where_there_are_no_votes_a_sentence_says_why(fer_home):
    assert "saw FER-2013's faces only" in exploration.find_votes("ckplus")[2]
    assert "holds no fer2013.csv" in exploration.find_votes("fer2013")[2]
    write_pair(fer_home, votes_usages=("Training", "PublicTest", "PublicTest"))
    faces, votes, notice = exploration.find_votes("fer2013")
    assert faces is votes is None and "Row 2 is PublicTest in" in notice
    (fer_home / "datasets" / "ferplus" / "fer2013new.csv").unlink()
    assert "holds no fer2013new.csv" in exploration.find_votes("fer2013")[2]


def test_votes_that_are_shifted_by_some_rows_are_refused(fer_home):
    write_pair(fer_home, usages=["Training"] * 140)
    notice = exploration.find_votes("fer2013")[2]
    assert "of the labels" in notice and "both need their original order" in notice


@pytest.mark.realdata
def test_fer_2013_and_fer_plus_agree_as_published(real_data, fer_home):
    (fer_home / "datasets").mkdir(parents=True)
    (fer_home / "datasets" / "ferplus").symlink_to(real_data / "ferplus")
    (fer_home / "datasets" / "fer2013").symlink_to(real_data / "fer2013")
    faces, votes, _ = exploration.find_votes("fer2013")
    labels = exploration.voted(votes)
    counts = exploration.agreement(faces.labels, labels, (7, 9))
    # Every face that the majority protocol keeps, of Training and PublicTest.
    majority = sum(sum(ferplus.MAJORITY_COUNTS[usage]) for usage in ("Training", "PublicTest"))
    assert counts[:, :8].sum() == majority
    assert counts[FER7.index("happy"), FER7.index("happy")] > 0.9 * counts[3].sum()
