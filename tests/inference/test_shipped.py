"""The models that come with the package: small, described, and as good as their card says."""

import numpy as np
import pytest

from fer_lib import storage
from fer_lib.data import catalogue
from fer_lib.emotions import FER7, FERPLUS8
from fer_lib.evaluation import metrics
from fer_lib.inference.predictor import PREDICTORS, load_predictor, read_sidecar
from fer_lib.models import classifier

LABELS = {"default": FER7, "ferplus": FERPLUS8}
FILES = sorted(path for path in storage.SHIPPED.iterdir() if path.suffix in (".keras", ".tflite"))


def test_they_are_small():
    assert sum(path.stat().st_size for path in storage.SHIPPED.iterdir()) < 12e6


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_name_answers_with_probabilities(name):
    pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai-edge-litert")
    predictor = load_predictor(name)
    assert predictor.label_set == LABELS[name] and predictor.face_size == (48, 48)
    faces = np.random.default_rng(0).integers(0, 256, (5, 48, 48), np.uint8)
    answers = predictor.predict(faces)
    assert answers.dtype == np.float32 and answers.shape == (5, len(LABELS[name]))
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_is_the_one_that_was_scored_and_its_card_says_the_score(path):
    about = read_sidecar(path)
    (card,) = (c for c in storage.SHIPPED.glob("*.md") if path.name.startswith(c.stem))
    card = card.read_text()
    accuracy = about["test"]["accuracy"]
    stated = f"{accuracy['value']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}]"
    assert any(path.name in line and stated in line for line in card.splitlines())


@pytest.mark.slow
def test_training_starts_from_the_shipped_backbone():
    shipped = classifier.build_classifier(weights="fer", image_size=96)
    assert shipped.origin.startswith("face expressions, mobilenet_v2.keras, sha256 ")
    random = classifier.build_classifier(weights=None, image_size=96)
    first = [m.get_layer("Conv1").get_weights()[0] for m in (shipped, random)]
    assert not np.allclose(*first)


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize("name", PREDICTORS)
def test_the_stated_score_is_found_again(name, shared, real_data, fer_home):
    for folder, file in (("fer2013", "fer2013/fer2013.csv"), ("ferplus", None)):
        (fer_home / "datasets" / folder).mkdir(parents=True)
        source = real_data / file if file else shared / "data/fer2013new.csv"
        (fer_home / "datasets" / folder / source.name).symlink_to(source)
    predictor, about = load_predictor(name), read_sidecar(PREDICTORS[name])
    dataset = {"default": "fer2013", "ferplus": "ferplus_soft"}[name]
    test = catalogue.load_dataset(dataset)["test"]
    assert about["test_name"] == test.name
    accuracy = metrics.accuracy(test.classes, predictor.predict(test.images))
    assert accuracy == pytest.approx(about["test"]["accuracy"]["value"], abs=2e-3)
