"""explain: occlusion finds what was planted, and averages are over the faces they say."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lib.data.faces import Faces
from fer_lib.data.synthetic import make_faces
from fer_lib.emotions import FER7, FERPLUS8
from fer_lib.inference import explanations
from fer_lib.models import classifier
from support.finished_runs import tiny_run
from support.papermill_runs import run_here, text_and_figures
from support.places import ROOT

IMAGES = make_faces(6, seed=3).images


def looks_at_a_patch(images):
    """Answer class 1 the surer, the more the places [8:16, 24:32] differ from the face's mean."""
    patch = images[:, 8:16, 24:32].astype(float)
    contrast = abs(patch - images.mean(axis=(1, 2), keepdims=True)).mean(axis=(1, 2)) / 255
    return np.stack([1 - contrast, contrast], axis=1)


def test_occlusion_finds_the_patch_that_informs():
    images = np.full((2, 48, 48), 60, np.uint8)
    images[:, 8:16, 24:32] = 250
    maps = explanations.occlusion_maps(looks_at_a_patch, images, np.array([1, 1]))
    assert maps.shape == images.shape and maps.dtype == np.float32
    assert abs(maps).max() <= 1
    top, left = np.unravel_index(maps[0].argmax(), maps[0].shape)
    assert 8 <= top < 16 and 24 <= left < 32
    inside = np.zeros((48, 48), bool)
    inside[8:16, 24:32] = True
    # A patch of 8 pixels hides the informing one only if it begins less than 8 pixels from it.
    far = np.ones((48, 48), bool)
    far[1:23, 17:39] = False
    assert maps[0][inside].mean() > 10 * abs(maps[0][far]).max()
    np.testing.assert_array_equal(maps[0], maps[1])
    against = explanations.occlusion_maps(looks_at_a_patch, images, np.array([0, 0]))
    np.testing.assert_allclose(against, -maps, atol=1e-6)


def test_colour_faces_have_maps_like_grey_ones():
    images = np.full((1, 48, 48), 60, np.uint8)
    images[:, 8:16, 24:32] = 250
    coloured = np.repeat(images[..., None], 3, axis=3)
    maps = explanations.occlusion_maps(lambda x: looks_at_a_patch(x[..., 0]), coloured)
    np.testing.assert_allclose(maps, explanations.occlusion_maps(looks_at_a_patch, images))


@settings(max_examples=30, deadline=None)
@given(st.integers(5, 20), st.integers(5, 20), st.integers(1, 5), st.integers(1, 5))
def test_no_place_is_left_out_whatever_the_patches(height, width, patch, stride):
    stride = min(stride, patch)
    seen = []

    def predict(images):  # 0.5 less sure of any face that is not whole
        seen.append((images[1:] != images[0]).any(axis=0))
        whole = (images == images[0]).all(axis=(1, 2))
        return np.where(whole, 0.9, 0.4)[:, None]

    image = np.zeros((1, height, width), np.uint8)
    image[:, :, ::2] = 255  # the mean is neither
    maps = explanations.occlusion_maps(predict, image, patch=patch, stride=stride)
    assert seen[0].all()
    np.testing.assert_allclose(maps, 0.5, atol=1e-6)


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match="images must be uint8"):
        explanations.occlusion_maps(looks_at_a_patch, IMAGES / 255)
    with pytest.raises(ValueError, match="stride <= patch"):
        explanations.occlusion_maps(looks_at_a_patch, IMAGES, patch=4, stride=5)
    with pytest.raises(ValueError, match="2 entries for 6 images"):
        explanations.occlusion_maps(looks_at_a_patch, IMAGES, [0, 1])
    with pytest.raises(ValueError, match=r"integers in \[0, 2\)"):
        explanations.occlusion_maps(looks_at_a_patch, IMAGES, np.full(6, 2))
    with pytest.raises(ValueError, match="did you mean 'grad_cam'"):
        explanations.explainer("gradcam", None)
    answers_alone = SimpleNamespace(predict=looks_at_a_patch, path=None)
    with pytest.raises(ValueError, match='use method="occlusion"'):
        explanations.explainer("cam", answers_alone)
    maps = explanations.explainer("occlusion", answers_alone, patch=16, stride=16)(IMAGES)
    assert maps.shape == IMAGES.shape


@pytest.mark.slow
def test_an_exported_file_is_explained_like_its_model(tiny, tmp_path):
    from fer_lib.inference.formats import export, load_predictor

    pooled = classifier.build_classifier(tiny, weights=None, unfreeze="all")

    files = export(pooled, tmp_path, formats=["litert"], label_set=FER7)
    exported = explanations.explainer(
        "occlusion", load_predictor(files["litert"]), patch=16, stride=16
    )
    maps = explanations.occlusion_maps(pooled.predict_on_batch, IMAGES, patch=16, stride=16)
    assert abs(maps).max() > 0
    np.testing.assert_allclose(exported(IMAGES), maps, atol=1e-4)


def test_scaled_maps_reach_one_and_an_empty_map_stays_so():
    maps = np.array([[[0.5, -2]], [[0, 0]]], np.float32)
    np.testing.assert_array_equal(explanations.scale_maps(maps), [[[0.25, -1]], [[0, 0]]])


FACES = Faces(
    np.arange(6, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8),
    np.array([3, 3, 3, 6, 6, 0]),
    FER7,
    name="six",
)
# Happy, happy, sad; neutral, happy; contempt: in FER+'s order.
ANSWERS = np.eye(8)[[1, 1, 3, 0, 1, 7]]


def average(of):
    def ten_times_the_pixels_and_the_class(images, classes):
        return images.astype(np.float32) * 10 + classes[:, None, None]

    explained = ten_times_the_pixels_and_the_class
    return explanations.average_maps(explained, FACES, ANSWERS, FERPLUS8, of=of)


def test_the_average_is_over_the_faces_that_were_recognised():
    averages = average("correct")
    assert {name: of["n"] for name, of in averages.items()} == {"neutral": 1, "happy": 2}
    np.testing.assert_allclose(averages["happy"]["map"], 5 + 1)  # faces 0 and 1, class 1
    np.testing.assert_array_equal(averages["neutral"]["face"], 3)
    assert averages["neutral"]["face"].dtype == np.uint8


def test_the_average_can_be_over_the_labelled_or_the_predicted_ones():
    assert {n: of["n"] for n, of in average("true").items()} == {
        "neutral": 2,
        "happy": 3,
        "angry": 1,
    }
    predicted = average("predicted")
    assert {n: of["n"] for n, of in predicted.items()} == {
        "neutral": 1,
        "happy": 3,
        "sad": 1,
        "contempt": 1,
    }
    np.testing.assert_allclose(predicted["contempt"]["map"], 50 + 7)


def test_an_average_over_nothing_is_an_error():
    with pytest.raises(ValueError, match="did you mean 'correct'"):
        average("corect")
    with pytest.raises(ValueError, match="6 rows for 5 faces"):
        explanations.average_maps(None, FACES[:5], ANSWERS, FERPLUS8)
    with pytest.raises(ValueError, match="leaves no face of six"):
        explanations.average_maps(None, FACES[5:], ANSWERS[5:], FERPLUS8)


def test_the_newest_run_is_explained_else_what_ships_else_it_says_how_to_make_one(
    tmp_path, monkeypatch
):
    from fer_lib.inference import predictor

    monkeypatch.setattr(
        predictor, "load_predictor", lambda path: SimpleNamespace(path=path, label_set=FER7)
    )
    monkeypatch.setitem(predictor.PREDICTORS, "default", tmp_path / "none.tflite")
    with pytest.raises(FileNotFoundError, match="Make one: papermill notebooks/run_experiment"):
        explanations.find_predictor(None, tmp_path)
    monkeypatch.setitem(predictor.PREDICTORS, "default", __file__)
    assert explanations.find_predictor(None, tmp_path)[0].path == "default"
    for age, (run, files) in enumerate(
        {
            "a": ["scores.json"],
            "b": ["model.keras", "scores.json"],
            "c": ["model.keras", "scores.json"],
            "d": ["model.keras"],
        }.items()
    ):
        (tmp_path / run).mkdir()
        for name in files:
            (tmp_path / run / name).touch()
            os.utime(tmp_path / run / name, (1000 - age, 1000 - age))
    found, sentence = explanations.find_predictor(None, tmp_path)
    assert found.path == tmp_path / "b"  # c is older, a and d are not whole
    assert f"{tmp_path / 'b'}, which knows angry" in sentence
    assert explanations.find_predictor("x.tflite", tmp_path)[0].path == "x.tflite"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["cam", "occlusion"])
def test_the_notebook_explains_the_newest_run(method, tmp_path, tiny):
    data, run = tiny_run(tmp_path, tiny)
    path, output = ROOT / "notebooks" / "explain_predictions.ipynb", tmp_path / "out.ipynb"
    options = {"method": method, "per_emotion": 1, "average_over": 2, "figures": tmp_path / "f"}
    run_here(tmp_path, path, output, dataset=data, **options)
    printed, drawn = text_and_figures(output)
    assert f"{run.folder.name}/model.keras" in printed and drawn == 3
    assert "Figures of people are not saved" in printed and not (tmp_path / "f").exists()
