"""AffectNet: folders named by number or emotion."""

import numpy as np
import pytest
from PIL import Image

from fer_lib import emotions
from fer_lib.data import catalogue
from fer_lib.data.readers import labels
from support.layouts import everything, write_image_set, write_shades

# The official counts are those of the whole data sets.
pytestmark = pytest.mark.filterwarnings("ignore:.*is not the official one", "ignore:.*is not CK")


@pytest.fixture
def home(fer_home):
    return fer_home / "datasets"


def test_numbered_folders_stand_for_the_published_emotions(home):
    write_image_set(home / "affectnet", "affectnet")
    for file, (emotion, _, _) in everything(catalogue.load_dataset("affectnet")).items():
        assert emotion == labels.SCHEMES["affectnet"][int(file.split("/")[1])]


def test_affectnet_s_folders_may_be_named_and_lack_contempt(home):
    names = [
        f"{split}/{emotion}/{number}.png"
        for split, count in (("train_set", 20), ("val_set", 2))
        for emotion in ("Anger", "disgust", "fear", "happy", "neutral", "sad", "surprise")
        for number in range(count)
    ]
    generator = np.random.default_rng(0)
    write_shades(home / "affectnet", names)
    for name in names:
        image = generator.integers(0, 256, (48, 48), dtype=np.uint8)
        Image.fromarray(image).save(home / "affectnet" / name)
    loaded = catalogue.load_dataset("affectnet")
    assert loaded["test"].label_set == emotions.FER7
    assert loaded["test"].name == "AffectNet validation" and len(loaded["test"]) == 14
