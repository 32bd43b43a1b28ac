"""JAFFE: emotion and subject from the file names."""

import pytest

from fer_lib import emotions
from fer_lib.data import catalogue
from support.layouts import everything, subjects_are_apart, write_image_set, write_shades

# The official counts are those of the whole data sets.
pytestmark = pytest.mark.filterwarnings("ignore:.*is not the official one", "ignore:.*is not CK")


@pytest.fixture
def home(fer_home):
    return fer_home / "datasets"


def test_jaffe_is_split_by_subject(home):
    write_image_set(home / "jaffe", "jaffe")
    assert subjects_are_apart(catalogue.load_dataset("jaffe"), 10)


def test_jaffe_s_names_give_subject_and_emotion(home):
    write_image_set(home / "jaffe", "jaffe")
    found = everything(catalogue.load_dataset("jaffe"))
    codes = dict(zip(("AN", "DI", "FE", "HA", "SA", "SU", "NE"), emotions.FER7, strict=True))
    for name, (emotion, _, group) in found.items():
        assert emotion == codes[name[3:5]] and group == name[:2]
    write_shades(home / "jaffe", ["KA.XX1.39.tiff"])
    with pytest.raises(ValueError, match="must be named like KA.AN1.39.tiff"):
        catalogue.load_dataset("jaffe")
