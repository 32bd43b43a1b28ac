"""FER2013Plus: no copy of one face on two sides of a split."""

import numpy as np
import pytest
from PIL import Image

from fer_lib.data import catalogue
from fer_lib.data.datasets import fer2013plus
from support.layouts import IMAGE_SETS, write_image_set

# The official counts are those of the whole data sets.
pytestmark = pytest.mark.filterwarnings("ignore:.*is not the official one", "ignore:.*is not CK")


@pytest.fixture
def home(fer_home):
    return fer_home / "datasets"


@pytest.mark.parametrize(
    ("stem", "original"),
    [
        ("fer0001", "fer0001"),
        ("fer0001_aug1", "fer0001"),
        ("aug_fer0001", "fer0001"),
        ("fer0001 (2)", "fer0001"),
        ("fer0001_flip_rot15", "fer0001"),
        ("fer0001.rf.0a1b2c", "fer0001"),
        ("Training_12", "Training_12"),
        ("caught_1", "caught_1"),
        ("aug_", "aug_"),
    ],
)
def test_the_name_of_a_copy_tells_its_original(stem, original):
    from fer_lib.data.readers.image_files import Entry

    assert fer2013plus._original(Entry(f"train/happy/{stem}.png")) == original


def test_copies_never_stand_on_two_sides(home):
    root = home / "fer2013plus"
    write_image_set(root, "fer2013plus")
    generator = np.random.default_rng(1)
    planted = [
        *(f"train/happy/train{n}_aug{k}.png" for n in range(20) for k in range(3)),
        "train/happy/test0_aug1.png",  # a copy of a test face
        "test/sad/train3_flip.png",  # a test face that is a copy of a training face
    ]
    for name in planted:
        image = generator.integers(0, 256, (48, 48), dtype=np.uint8)
        Image.fromarray(image).save(root / name)
    loaded = catalogue.load_dataset("fer2013plus")
    sides = [set(faces.groups) for faces in loaded.values()]
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
    assert sorted(loaded["train"].skipped) == [
        "train/happy/test0_aug1.png: left out, copies of it are held out",
        "train/sad/train3.png: left out, copies of it are held out",
    ]
    assert "test/sad/train3_flip.png" in loaded["test"].ids
    assert sum(map(len, loaded.values())) == len(IMAGE_SETS["fer2013plus"]) + len(planted) - 2


def test_equal_names_without_a_mark_of_a_copy_are_not_linked(home):
    root = home / "fer2013plus"
    write_image_set(root, "fer2013plus")
    for split in ("train", "test"):
        image = np.random.default_rng(len(split)).integers(0, 256, (48, 48), dtype=np.uint8)
        Image.fromarray(image).save(root / split / "happy" / "im0.png")
    loaded = catalogue.load_dataset("fer2013plus")
    assert loaded["train"].skipped == () and "test/happy/im0.png" in loaded["test"].ids
