"""label_quality: planted label errors are found, and counted right."""

import dataclasses
import sys

import numpy as np
import pytest

from fer_lib.audit import label_quality
from fer_lib.data.datasets import ferplus
from fer_lib.data.faces import Faces
from fer_lib.data.synthetic import make_faces
from fer_lib.emotions import FER7, FERPLUS8
from fer_lib.evaluation.metrics import accuracy
from fer_lib.training.features import face_features, network_features


@pytest.fixture(scope="module")
def planted():
    """Faces of which every tenth has a wrong label, features that tell the classes, the errors."""
    rng = np.random.default_rng(1)
    faces = make_faces(420, seed=5)
    labels, wrong = faces.labels.copy(), np.arange(len(faces)) % 10 == 3
    labels[wrong] = (labels[wrong] + rng.integers(1, 7, wrong.sum())) % 7
    features = np.eye(7)[faces.labels] * 2 + rng.normal(0, 0.4, (len(faces), 7))
    ids = np.array([f"{n}.png" for n in range(len(faces))])
    return dataclasses.replace(faces, labels=labels, ids=ids), features, wrong


@pytest.fixture(scope="module")
def probabilities(planted):
    faces, features, _ = planted
    return label_quality.out_of_fold_probabilities(
        faces, features, near_duplicates=False, strength=1.0
    )


def test_planted_errors_stand_at_the_top_with_their_true_class(planted, probabilities):
    pytest.importorskip("cleanlab")
    faces, _, wrong = planted
    table = label_quality.label_issues(faces, probabilities)
    assert list(table) == ["row", "id", "label", "suggested", "quality", "issue"]
    assert sorted(table.row) == list(range(len(faces))) and table.quality.is_monotonic_increasing
    assert (faces.ids[table.row] == table.id).all()
    assert (np.array(FER7)[faces.classes[table.row]] == table.label).all()
    error = wrong[table.row]
    top = label_quality.precision_at_k(error, ks=[wrong.sum()])
    assert top.precision[0] > 0.9 and error.mean() == pytest.approx(0.1)
    truth = np.array(FER7)[make_faces(420, seed=5).labels]
    assert (table.suggested == truth[table.row])[:30].mean() > 0.9
    assert table.issue[:20].mean() >= 0.9 and not table.issue[200:].any()


def test_the_contact_sheet_has_the_ranking_s_order_and_both_labels(planted, probabilities):
    pytest.importorskip("cleanlab")
    faces, _, _ = planted
    table = label_quality.label_issues(faces, probabilities).head(3)
    images, captions = label_quality.contact_sheet(faces, table)
    assert (images == faces.images[table.row]).all()
    first = table.iloc[0]
    assert captions[0] == f"{first.label} →\n{first.suggested}?\nquality {first.quality:.2f}"
    assert len(captions) == 3


def test_a_face_is_judged_by_folds_that_do_not_hold_it_or_its_copy():
    # Labels at random: what fitted them, or a copy with the same label, would score above chance.
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (120, 16, 16), dtype=np.uint8).repeat(2, axis=0)
    faces = Faces(images, rng.integers(0, 2, 120).repeat(2), ("happy", "sad"))
    features = rng.normal(size=(120, 200)).repeat(2, axis=0)
    found = label_quality.out_of_fold_probabilities(faces, features, strength=1e3)
    assert np.allclose(found.sum(axis=1), 1)
    assert accuracy(faces.labels, found) < 0.7


def test_the_classifier_learns_what_the_features_say(planted, probabilities):
    faces, _, wrong = planted
    assert accuracy(faces.classes[~wrong], probabilities[~wrong]) > 0.95


@pytest.mark.parametrize(
    "features", [np.zeros((3, 2)), np.full((420, 2), np.nan)], ids=["n", "nan"]
)
def test_features_that_do_not_fit_are_refused(planted, features):
    with pytest.raises(ValueError, match=r"finite, of shape \(420, d\)"):
        label_quality.out_of_fold_probabilities(planted[0], features)


def test_probabilities_and_classes_that_do_not_fit_are_refused(planted, probabilities):
    pytest.importorskip("cleanlab")
    faces = planted[0]
    with pytest.raises(ValueError, match=r"\(420, 7\); got \(420, 6\)"):
        label_quality.label_issues(faces, probabilities[:, :6])
    rows = np.flatnonzero(faces.classes != 1)
    with pytest.raises(ValueError, match="none of disgust. Leave them out with drop"):
        label_quality.label_issues(faces[rows], probabilities[rows])


def test_without_cleanlab_the_error_says_how_to_get_it(planted, probabilities, monkeypatch):
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    with pytest.raises(ImportError, match=r"\.\[noise\]"):
        label_quality.label_issues(planted[0], probabilities)


def test_votes_contradict_a_label_only_with_a_majority():
    votes = np.zeros((4, len(ferplus.COLUMNS)), int)
    votes[[0, 1], FERPLUS8.index("happy")] = 9
    votes[2, FERPLUS8.index("contempt")] = 10
    votes[3, [0, 1]] = 5
    faces = Faces(np.zeros((4, 2, 2), np.uint8), np.array([3, 4, 0, 0]), FER7)
    error, judged = label_quality.vote_errors(faces, votes)
    assert error.tolist() == [False, True, True, False]
    assert judged.tolist() == [True, True, True, False]


def test_precision_at_k_counts_from_the_top():
    error = np.array([1] * 8 + [0] * 2 + [1] * 2 + [0] * 88, bool)
    table = label_quality.precision_at_k(error, ks=(10, 50, 1000))
    assert table.k.tolist() == [10, 50] and table.errors.tolist() == [8, 10]
    assert table.precision.tolist() == [0.8, 0.2] and table.found.tolist() == [0.8, 1]
    # Wilson's interval for 8 of 10, as in Brown, Cai and DasGupta 2001.
    assert np.allclose(table.loc[0, ["low", "high"]].astype(float), [0.4902, 0.9433], atol=1e-4)
    with pytest.raises(ValueError, match="between 1 and the number of faces, 100"):
        label_quality.precision_at_k(error, ks=(101,))


def test_features_by_name(monkeypatch):
    from fer_lib.models import weights

    images = make_faces(14, seed=1).images
    features, sentence = face_features(images, "pixels", components=5)
    assert features.shape == (14, 5) and sentence == "Features: pixels, 5 numbers a face."
    with pytest.raises(ValueError, match="did you mean 'pixels'"):
        face_features(images, "pixel")
    monkeypatch.setattr(weights, "resolve_auto", lambda *a: (None, "NO WEIGHTS\nat all"))
    features, sentence = face_features(images)
    assert sentence.startswith("Features: pixels") and "(NO WEIGHTS)" in sentence


def test_the_network_s_features_are_its_pooled_output(tiny):
    features = network_features(make_faces(7).images, backbone=tiny, weights=None, image_size=32)
    assert features.shape[0] == 7 and features.ndim == 2 and np.isfinite(features).all()
    assert features.std(axis=0).max() > 0
