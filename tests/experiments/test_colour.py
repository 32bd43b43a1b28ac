"""Colour faces of one's own, from a folder to a run, its files, explanations and photographs."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import fer_lib
from fer_lib.data.faces import Faces
from fer_lib.emotions import FER7
from fer_lib.experiments import cross_dataset, runner
from fer_lib.experiments.experiment import Experiment
from fer_lib.experiments.model_card import ship
from fer_lib.inference import explanations
from fer_lib.inference.predictor import load_predictor
from support.own_data import folders

SIZE = 64


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    """A run on faces whose colour alone tells their class."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("colour")
    labels = np.arange(60) % 3
    images = rng.integers(0, 120, (60, SIZE, SIZE, 3), dtype=np.uint8)
    images[np.arange(60), ..., labels] += 120
    write = folders(lambda n, e, s, g: f"{e}/{n}.png")
    write(root / "faces", Faces(images, labels, FER7))
    how = {"backbone": tiny, "weights": None, "epochs": 1, "augmentation": "none"}
    data = {"dataset": str(root / "faces"), "data_options": f"colour=true size={SIZE}"}
    return runner.run(Experiment(**data, **how, results_dir=str(root / "runs")))


@pytest.mark.slow
def test_a_run_in_colour_is_scored_exported_and_explained(run, tmp_path):
    own = cross_dataset.load_for(run, run.experiment.dataset)
    faces = own["test"]
    assert faces.images.shape[1:] == (SIZE, SIZE, 3)
    row = cross_dataset.cross_table({"run": run}, {run.experiment.dataset: own}).iloc[0]
    assert row.accuracy == run.scores["test"]["accuracy"]["value"] and row.seen == 0
    ship(run, tmp_path, formats=("litert_float16", "litert_int8"))
    card = next(tmp_path.glob("*.md")).read_text(encoding="utf-8")
    assert f"Input: RGB faces, `uint8` `(n, {SIZE}, {SIZE}, 3)`" in card
    expected = run.predictions["probabilities"]
    for path, tolerance in (("float16", 0.01), ("int8", 0.2)):
        predictor = load_predictor(tmp_path / f"classifier_{path}.tflite")
        assert predictor.face_size == (SIZE, SIZE, 3)
        assert abs(predictor.predict(faces.images) - expected).max() < tolerance
    for method in explanations.METHODS:
        maps = explanations.explainer(method, load_predictor(run.folder))(faces.images[:2])
        assert maps.shape == (2, SIZE, SIZE) and np.isfinite(maps).all()


@pytest.mark.slow
def test_photographs_are_recognised_in_colour(run):
    pytest.importorskip("cv2")
    predictor = load_predictor(run.folder)
    photo = np.full((SIZE, SIZE, 3), (200, 40, 90), np.uint8)
    table = fer_lib.recognise(Image.fromarray(photo), predictor)
    expected = predictor.predict(photo[None])[0]
    names = list(predictor.label_set)
    np.testing.assert_allclose(table[names].iloc[0].astype(float), expected, atol=1e-5)
    assert isinstance(table, pd.DataFrame)
