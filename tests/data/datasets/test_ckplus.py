"""CK+: split by the subject that the file names tell."""

import pytest

from fer_lib.data import catalogue, splits
from support.layouts import subjects_are_apart, write_image_set, write_shades

# The official counts are those of the whole data sets.
pytestmark = pytest.mark.filterwarnings("ignore:.*is not the official one", "ignore:.*is not CK")


@pytest.fixture
def home(fer_home):
    return fer_home / "datasets"


def test_ckplus_is_split_by_subject(home):
    write_image_set(home / "ckplus", "ckplus")
    assert subjects_are_apart(catalogue.load_dataset("ckplus"), 20)


def test_ckplus_without_subjects_in_its_names_is_refused(home):
    write_shades(home / "ckplus", [f"{e}/{n}.png" for e in ("anger", "contempt") for n in range(9)])
    with pytest.raises(ValueError, match="names like anger/S010_004_00000017.png"):
        catalogue.load_dataset("ckplus")


def test_counts_that_are_not_the_official_ones_give_a_warning(home):
    write_image_set(home / "ckplus", "ckplus")
    with pytest.warns(UserWarning, match="is not CK.48: all has 40 angry faces instead of 135"):
        catalogue.load_dataset("ckplus")
    write_image_set(home / "rafdb", "rafdb")
    with pytest.warns(UserWarning, match="train has 20 angry faces instead of 705"):
        catalogue.load_dataset("rafdb")


@pytest.mark.slow
@pytest.mark.realdata
def test_the_real_ckplus_has_the_counts_of_its_card(real_data, home, recwarn):
    home.mkdir(parents=True)
    (home / "ckplus").symlink_to(real_data / "CK+48")
    loaded = catalogue.load_dataset("ckplus")
    assert not [w for w in recwarn if "CK+" in str(w.message)]
    assert sum(map(len, loaded.values())) == 981 and subjects_are_apart(loaded, 118)
    total = splits.class_count_table(loaded).sum(axis=1)
    assert tuple(total) == catalogue.DATASETS["ckplus"].card.counts["all"]
