"""What every data set of image files keeps, on miniatures of their layouts."""

import zipfile

import pytest

from fer_lib import emotions
from fer_lib.data import catalogue, splits
from support.layouts import IMAGE_SETS, write_image_set

# The official counts are those of the whole data sets.
pytestmark = pytest.mark.filterwarnings("ignore:.*is not the official one", "ignore:.*is not CK")


@pytest.fixture
def home(fer_home):
    return fer_home / "datasets"


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_each_layout_is_read_whole_and_split_without_overlap(home, name):
    write_image_set(home / name, name)
    loaded = catalogue.load_dataset(name)
    ids = [set(faces.ids) for faces in loaded.values()]
    assert sum(map(len, ids)) == len(set.union(*ids)) == len(IMAGE_SETS[name])
    for faces in loaded.values():
        assert faces.label_set == catalogue.DATASETS[name].card.label_set
        assert set(faces.classes) == set(range(len(faces.label_set)))
        assert faces.skipped == ()
    text = catalogue.describe(name, loaded)
    assert splits.class_count_table(loaded).to_string() in text


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_a_zip_gives_the_same_faces(home, name, tmp_path):
    write_image_set(tmp_path, name)
    (home / name).mkdir(parents=True)
    with zipfile.ZipFile(home / name / "archive.zip", "w") as archive:
        for file in IMAGE_SETS[name]:
            archive.write(tmp_path / file, file)
    zipped = catalogue.load_dataset(name)
    (home / name / "archive.zip").unlink()
    write_image_set(home / name, name)
    plain = catalogue.load_dataset(name)
    for split, faces in plain.items():
        assert zipped[split].content_hash == faces.content_hash


@pytest.mark.parametrize("name", [*IMAGE_SETS, "facerec2"])
def test_what_is_absent_is_named_in_three_lines(home, name):
    with pytest.raises(FileNotFoundError) as error:
        catalogue.load_dataset(name)
    what, source, target = str(error.value).splitlines()
    assert "is missing" in what and "http" in source
    assert str(home / name) in target and len(target) > len(str(home / name)) + 30


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_a_file_that_is_no_image_is_named_or_skipped(home, name):
    write_image_set(home / name, name)
    bad = home / name / IMAGE_SETS[name][0]
    bad.write_text("not an image")
    with pytest.raises(ValueError, match="cannot be read: it is no picture"):
        catalogue.load_dataset(name)
    loaded = catalogue.load_dataset(name, on_error="skip")
    assert sum(map(len, loaded.values())) == len(IMAGE_SETS[name]) - 1
    assert IMAGE_SETS[name][0] in loaded["train"].skipped[0]


@pytest.mark.parametrize("name", ["tfeid", "jaffe", "rafdb", "affectnet", "fer2013plus"])
def test_a_larger_size_is_kept_if_asked_for(home, name):
    write_image_set(home / name, name)
    assert catalogue.load_dataset(name, size=64)["test"].images.shape[1:] == (64, 64)
    assert catalogue.load_dataset(name)["test"].images.shape[1:] == (48, 48)
    with pytest.raises(ValueError, match="size must be a whole number"):
        catalogue.load_dataset(name, size=0)


def test_contempt_can_be_dropped_from_affectnet(home):
    write_image_set(home / "affectnet", "affectnet")
    loaded = catalogue.load_dataset("affectnet", drop=["Contempt"])
    assert loaded["test"].label_set == emotions.FER7 and len(loaded["test"]) == 14
    assert len(loaded["test"].skipped) == 2
