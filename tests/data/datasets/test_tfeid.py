"""TFEID: emotion and subject from folder and file names."""

import pytest

from fer_lib.data import catalogue
from fer_lib.data.datasets import tfeid
from support.layouts import subjects_are_apart, write_image_set, write_shades

# The official counts are those of the whole data sets.
pytestmark = pytest.mark.filterwarnings("ignore:.*is not the official one", "ignore:.*is not CK")


@pytest.fixture
def home(fer_home):
    return fer_home / "datasets"


def test_tfeid_s_emotion_stands_in_the_folder_or_the_file_name(home):
    names = ["Anger_high/f01_001.png", "all/m02_fear_slight.png", "all/f03-happiness-2.png"]
    write_shades(home / "tfeid", names)
    entries, _ = tfeid._find(names, None)
    found = [(entry.emotion, entry.group, entry.fault) for entry in entries]
    assert sorted(found) == [("angry", "f01", ""), ("fear", "m02", ""), ("happy", "f03", "")]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("all/f01_001.png", "must name one emotion; it names none"),
        ("all/f01_anger_fear.png", "must name one emotion; it names angry, fear"),
        ("anger/x01.png", "must begin with the subject"),
    ],
)
def test_a_name_of_tfeid_that_does_not_tell_is_a_fault(home, name, reason):
    write_image_set(home / "tfeid", "tfeid")
    write_shades(home / "tfeid", [name])
    with pytest.raises(ValueError, match=reason):
        catalogue.load_dataset("tfeid")


def test_tfeid_is_split_by_subject(home):
    write_image_set(home / "tfeid", "tfeid")
    assert subjects_are_apart(catalogue.load_dataset("tfeid"), 20)
