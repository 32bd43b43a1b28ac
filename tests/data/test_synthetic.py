"""Synthetic faces: the contract, the proportions, the soft labels, and how hard they are."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fer_lib.data import synthetic
from fer_lib.data.synthetic import FER2013_COUNTS, make_faces
from fer_lib.emotions import FER7


@pytest.fixture(scope="module")
def faces():
    return make_faces(700, seed=3)


def test_faces_keep_the_contract(faces):
    assert faces.images.shape == (700, 48, 48) and faces.images.dtype == np.uint8
    assert faces.labels.shape == (700,) and faces.labels.dtype == np.int64
    assert faces.label_set == FER7
    assert faces.name == "synthetic faces"


def test_every_image_has_contrast(faces):
    assert (faces.images.std(axis=(1, 2)) > 5).all()


def test_balanced_faces_hold_every_class_equally_often(faces):
    assert set(faces.class_counts().values()) == {100}
    assert all(sorted(seven) == list(range(7)) for seven in faces.labels.reshape(-1, 7))


def test_unbalanced_faces_have_the_proportions_of_fer2013():
    counts = np.array(list(make_faces(2870, seed=1, balanced=False).class_counts().values()))
    assert np.abs(counts - 2870 * np.array(FER2013_COUNTS) / 28709).max() < 4


def test_the_same_arguments_draw_the_same_faces(faces):
    again = make_faces(700, seed=3)
    assert again.content_hash == faces.content_hash


def test_the_first_pixels_are_the_same_on_every_machine():
    """Only exactly rounded operations touch the numbers, so one hash holds everywhere."""
    assert make_faces(14, seed=0).content_hash == "d7972ca9d50b2d11"
    assert make_faces(14, seed=0, blends=0.5).content_hash == "6c63761a696253b6"
    assert make_faces(14, seed=0, subtle=True).content_hash == "6a4469ad253008cc"


@pytest.mark.parametrize("options", [{}, {"balanced": False}, {"blends": 0.4}])
def test_a_smaller_set_is_the_beginning_of_a_larger_one(options):
    # 300 and 140 end in different batches of the renderer.
    large, small = make_faces(300, seed=5, **options), make_faces(140, seed=5, **options)
    np.testing.assert_array_equal(large.images[:140], small.images)
    np.testing.assert_array_equal(large.labels[:140], small.labels)


def test_different_seeds_draw_disjoint_images(faces):
    here = {image.tobytes() for image in faces.images}
    there = {image.tobytes() for image in make_faces(700, seed=4).images}
    assert len(here) == 700 and not here & there


def test_blends_mix_exactly_two_emotions():
    labels = make_faces(700, seed=2, blends=0.5).labels
    assert labels.dtype == np.float32 and labels.shape == (700, 7)
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
    mixed = (labels > 0).sum(axis=1)
    assert set(mixed.tolist()) == {1, 2}
    assert 0.4 < (mixed == 2).mean() < 0.6
    assert labels.max(axis=1).min() >= 0.55


def test_blending_leaves_pure_faces_and_first_emotions_alone(faces):
    mixed = make_faces(700, seed=3, blends=0.5)
    np.testing.assert_array_equal(mixed.classes, faces.classes)
    pure = mixed.labels.max(axis=1) == 1
    np.testing.assert_array_equal(mixed.images[pure], faces.images[pure])
    assert (mixed.images[~pure] != faces.images[~pure]).any(axis=(1, 2)).all()


def test_a_blend_lies_between_its_emotions():
    targets = np.eye(7)[[3, 4]]
    mixed = np.array([[0, 0, 0, 0.6, 0.4, 0, 0]])
    draw = [
        synthetic._draw_parameters(np.random.default_rng(0), rows)[0]
        for rows in (targets[:1], targets[1:], mixed)
    ]
    for unit in (12, 15):  # lip corners up, lip corners down
        happy, sad, blend = (actions[unit][0] for actions in draw)
        assert min(happy, sad) < blend < max(happy, sad)


def test_prototypes_name_known_emotions_and_action_units():
    assert set(synthetic.PROTOTYPES) == set(FER7)
    for units in synthetic.PROTOTYPES.values():
        assert set(units) <= set(synthetic.ACTION_UNITS)
        assert all(0 < intensity <= 1 for intensity in units.values())


@pytest.mark.parametrize("name", synthetic.NUISANCES)
def test_every_nuisance_changes_the_picture(name, monkeypatch, faces):
    # The end of its range where it is most present.
    monkeypatch.setitem(synthetic.NUISANCES, name, (synthetic.NUISANCES[name][1],) * 2)
    for always in ("occluder", "glasses", "beard", "moustache"):
        if name.startswith(always) and name != always:
            monkeypatch.setitem(synthetic.NUISANCES, always, (1.0, 1.0))
    assert (make_faces(70, seed=3).images != faces.images[:70]).any()


@pytest.mark.parametrize("unit", synthetic.ACTION_UNITS)
def test_every_action_unit_moves_the_face(unit):
    _, looks = synthetic._draw_parameters(np.random.default_rng(0), np.eye(7)[[6]])
    face = {name: value[:, None, None] for name, value in looks.items()}
    still = {number: np.zeros((1, 1, 1), np.float32) for number in synthetic.ACTION_UNITS}
    moved = still | {unit: np.ones((1, 1, 1), np.float32)}
    change = np.abs(synthetic._draw(face | moved, 48) - synthetic._draw(face | still, 48))
    assert (change > 0.05).sum() >= 4


@pytest.mark.parametrize("size", [24, 63, 96])
def test_other_sizes_draw_the_same_faces(size, faces):
    images = make_faces(70, seed=3, size=size).images
    assert images.shape == (70, size, size)
    means = images.mean(axis=(1, 2))
    assert np.corrcoef(means, faces.images[:70].mean(axis=(1, 2)))[0, 1] > 0.98


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"n": 0}, "n must be an integer of at least 1; got 0"),
        ({"n": 2.5}, "n must be an integer of at least 1; got 2.5"),
        ({"n": 7, "size": 8}, "size must be an integer of at least 24; got 8"),
        ({"n": 7, "blends": 1.5}, "blends is a fraction from 0 to 1; got 1.5"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_faces(**arguments)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("subtle, low, high", [(False, 0.55, 0.85), (True, 0.30, 0.55)])
def test_a_linear_classifier_learns_something_but_not_all(subtle, low, high):
    faces = make_faces(2100, seed=6, subtle=subtle)
    pixels = faces.images[:, ::2, ::2].reshape(2100, -1) / 255
    model = LogisticRegression(max_iter=40).fit(pixels[:1400], faces.labels[:1400])
    assert low < model.score(pixels[1400:], faces.labels[1400:]) < high
