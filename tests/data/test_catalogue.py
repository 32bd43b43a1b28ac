"""Data sets by name: the official protocol, the download, and honest names for what is made."""

import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_lib import emotions, storage
from fer_lib.data import catalogue, splits
from fer_lib.data.datasets import fer2013
from fer_lib.data.faces import Faces
from fer_lib.data.readers import sources
from support.places import write_fer2013_csv

ALL = ("Training", "PublicTest", "PrivateTest")


def make_rows(rng, usages, per_class=20):
    """Faces with `per_class` of each class for each usage."""
    n = 7 * per_class * len(usages)
    usage = np.repeat(usages, 7 * per_class)
    images = rng.integers(0, 256, (n, 48, 48), dtype=np.uint8)
    return Faces(images, np.arange(n) % 7, emotions.FER7, usage=usage)


def write_csv(path, faces, with_usage=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["emotion,pixels,Usage" if with_usage else "emotion,pixels"]
    for image, label, usage in zip(faces.images, faces.labels, faces.usage, strict=True):
        fields = [str(label), " ".join(map(str, image.ravel().tolist())), usage]
        lines.append(",".join(fields if with_usage else fields[:2]))
    path.write_text("\n".join(lines) + "\n")
    return path


def write_folders(root, counts):
    """Class folders of `{split: faces per class}`, each image another one."""
    number = 0
    for split, per_class in counts.items():
        for emotion, count in zip(emotions.FER7, per_class, strict=True):
            (root / split / emotion).mkdir(parents=True, exist_ok=True)
            for _ in range(count):
                number += 1
                image = np.full((48, 48), 7, np.uint8)
                image[0, :4] = list(number.to_bytes(4, "big"))
                Image.fromarray(image).save(root / split / emotion / f"{number}.png")


def home(fer_home):
    return fer_home / "datasets" / "fer2013"


def names(loaded):
    return [loaded[split].name for split in catalogue.SPLITS]


def images_of(faces):
    return {image.tobytes() for image in faces.images}


@pytest.fixture
def no_kagglehub(monkeypatch):
    """kagglehub is not installed."""
    monkeypatch.setitem(sys.modules, "kagglehub", None)


@pytest.fixture
def kagglehub(monkeypatch):
    """A stand-in for kagglehub: `folders[handle]` is what it downloads, else it is offline."""
    module = types.ModuleType("kagglehub")
    module.folders, module.calls = {}, []

    def dataset_download(handle, *, force_download=False):
        module.calls.append((handle, force_download))
        if handle not in module.folders:
            raise ConnectionError("no network")
        return str(module.folders[handle])

    module.dataset_download = dataset_download
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    return module


# The contract of every data set


@pytest.mark.parametrize("name", catalogue.DATASETS)
def test_every_data_set_has_a_card_that_says_what_a_user_must_know(name):
    _, card, folder = catalogue.DATASETS[name]
    assert all(card[:3]) and card.citation and card.access and card.notes
    assert card.label_set in emotions.LABEL_SETS.values()
    text = catalogue.describe(name)
    for part in (card.title, card.licence, str(storage.fer_home() / "datasets" / (folder or name))):
        assert part in text


@pytest.mark.parametrize("name", [name for name in catalogue.DATASETS if name != "synthetic"])
def test_every_data_set_that_is_missing_says_what_to_put_where(name, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "datasets")) as told:
        catalogue.load_dataset(name)
    assert "http" in str(told.value) or "pip install" in str(told.value)


def test_describe_counts_what_was_loaded():
    loaded = catalogue.load_dataset("synthetic", train=70, validation=14, test=21)
    text = catalogue.describe("synthetic", loaded)
    assert splits.class_count_table(loaded).to_string() in text and "70 faces" in text


def test_an_unknown_name_lists_the_names_and_the_nearest():
    with pytest.raises(
        ValueError, match="'fer2013', .*'ferplus', .*'synthetic', 'auto'.*did you mean 'fer2013'"
    ):
        catalogue.load_dataset("fer2103")
    with pytest.raises(ValueError, match="did you mean 'synthetic'"):
        catalogue.describe("sinthetic")


@pytest.mark.parametrize("as_path", [str, Path])
def test_a_path_without_data_is_a_file_not_found_error(tmp_path, as_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        catalogue.load_dataset(as_path(tmp_path / "nowhere.csv"))
    with pytest.raises(FileNotFoundError, match="nowhere.csv: there is no such file or folder"):
        catalogue.describe(as_path(tmp_path / "nowhere.csv"))


def test_a_folder_is_searched_once_when_a_data_set_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_HOME", str(tmp_path))
    folder = tmp_path / "datasets" / "fer2013"
    folder.mkdir(parents=True)
    write_fer2013_csv(folder / "fer2013.csv")
    searched, find = [], sources.find_parts
    monkeypatch.setattr(sources, "find_parts", lambda path: searched.append(path) or find(path))
    with pytest.warns(UserWarning, match="not the official one"):
        catalogue.load_dataset("fer2013")
    assert searched == [folder]


# Synthetic


def test_synthetic_splits_are_disjoint_and_the_same_again():
    sizes = {"train": 70, "validation": 14, "test": 21}
    loaded = catalogue.load_dataset("synthetic", **sizes)
    assert {split: len(faces) for split, faces in loaded.items()} == sizes
    parts = [images_of(faces) for faces in loaded.values()]
    assert len(set.union(*parts)) == sum(sizes.values())
    assert all(name.startswith("synthetic faces (not FER-2013)") for name in names(loaded))
    again = catalogue.load_dataset("synthetic", **sizes)
    other = catalogue.load_dataset("synthetic", **sizes, seed=1)
    assert again["train"].content_hash == loaded["train"].content_hash
    for faces in other.values():
        assert not images_of(faces) & set.union(*parts)


# The protocol


@pytest.mark.filterwarnings("ignore:FER-2013 in")
def test_the_official_splits_are_taken_as_they_are(rng, fer_home):
    faces = make_rows(rng, ALL, per_class=2)
    write_csv(home(fer_home) / "fer2013.csv", faces)
    loaded = catalogue.load_dataset("fer2013")
    assert names(loaded) == ["FER-2013 Training", "FER-2013 PublicTest", "FER-2013 PrivateTest"]
    for split, usage in zip(catalogue.SPLITS, ALL, strict=True):
        np.testing.assert_array_equal(loaded[split].images, faces.images[faces.usage == usage])


@pytest.mark.filterwarnings("ignore:FER-2013 in")
def test_without_private_test_validation_is_held_out_of_training(rng, fer_home):
    faces = make_rows(rng, ALL[:2])
    write_csv(home(fer_home) / "fer2013.csv", faces)
    loaded = catalogue.load_dataset("fer2013")
    np.testing.assert_array_equal(loaded["test"].images, faces.images[faces.usage == "PublicTest"])
    assert set(loaded["train"].usage) == set(loaded["validation"].usage) == {"Training"}
    assert (len(loaded["train"]), len(loaded["validation"])) == (126, 14)
    assert names(loaded)[1:] == ["FER-2013 Training (10 % held out)", "FER-2013 PublicTest"]
    other = catalogue.load_dataset("fer2013", split_seed=1)
    assert other["validation"].ids.tolist() != loaded["validation"].ids.tolist()


def test_without_usage_the_split_is_80_10_10(rng, tmp_path):
    path = write_csv(tmp_path / "some.csv", make_rows(rng, ["Training"]), with_usage=False)
    loaded = catalogue.load_dataset(path)
    assert [len(faces) for faces in loaded.values()] == [112, 14, 14]
    assert sorted(np.concatenate([faces.ids for faces in loaded.values()])) == list(range(140))
    assert all("some.csv" in name and "%" in name for name in names(loaded))


@pytest.mark.filterwarnings("ignore:FER-2013 in")
def test_kaggles_folders_say_what_their_test_is(fer_home):
    write_folders(home(fer_home), {"train": [20] * 7, "test": [3] * 7})
    loaded = catalogue.load_dataset("fer2013")
    assert [len(faces) for faces in loaded.values()] == [126, 14, 21]
    assert loaded["test"].name == "FER-2013 test folder (PublicTest + PrivateTest)"


def test_folders_with_three_splits_are_taken_as_they_are(tmp_path):
    write_folders(tmp_path / "mine", {"train": [3] * 7, "valid": [2] * 7, "test": [1] * 7})
    loaded = catalogue.load_dataset(str(tmp_path / "mine"))
    assert [len(faces) for faces in loaded.values()] == [21, 14, 7]
    assert names(loaded) == ["mine train", "mine validation", "mine test"]


def test_held_out_splits_without_a_training_split_are_an_error(rng):
    with pytest.raises(ValueError, match="must hold training faces"):
        catalogue.split_by_usage(make_rows(rng, ALL[1:], 2), "mine")


def test_bad_rows_raise_or_are_skipped_with_a_warning(rng, fer_home):
    path = write_csv(home(fer_home) / "fer2013.csv", make_rows(rng, ALL, 2))
    with open(path, "a") as file:
        file.write("3,1 2 3,Training\n")
    with pytest.raises(ValueError, match="row 43"):
        catalogue.load_dataset("fer2013")
    with pytest.warns(UserWarning, match="1 rows were skipped"):
        assert len(catalogue.load_dataset("fer2013", on_error="skip")["train"]) == 14


def test_counts_that_are_not_the_official_ones_give_a_warning_that_names_them(rng, fer_home):
    write_csv(home(fer_home) / "fer2013.csv", make_rows(rng, ALL, 2))
    with pytest.warns(UserWarning, match="PublicTest has 2 disgust faces instead of 56"):
        catalogue.load_dataset("fer2013")


def test_a_damaged_zip_in_the_folder_is_named_not_taken_for_missing(fer_home, kagglehub):
    home(fer_home).mkdir(parents=True)
    with zipfile.ZipFile(home(fer_home) / "archive.zip", "w") as archive:
        archive.writestr("../fer2013.csv", "x")
    with pytest.raises(ValueError, match="archive.zip"):
        catalogue.load_dataset("fer2013")
    assert kagglehub.calls == []


# The download


@pytest.fixture
def official(rng, tmp_path, monkeypatch):
    """A folder with a small CSV file that counts as the official one."""
    path = write_csv(tmp_path / "kaggle/fer2013.csv", make_rows(rng, ALL, 2))
    monkeypatch.setitem(catalogue.FER2013_MD5, "fer2013.csv", storage.file_hash(path, "md5"))
    return path.parent


@pytest.mark.filterwarnings("ignore:FER-2013 in")
def test_what_is_absent_is_downloaded_once_and_kept(fer_home, kagglehub, official):
    kagglehub.folders[catalogue.FER2013_HANDLES[0]] = official
    assert len(catalogue.load_dataset("fer2013")["train"]) == 14
    assert [path.name for path in home(fer_home).iterdir()] == ["fer2013.csv"]
    catalogue.load_dataset("fer2013")
    assert kagglehub.calls == [(catalogue.FER2013_HANDLES[0], False)]
    assert (official / "fer2013.csv").exists()


def test_a_csv_of_the_wrong_checksum_is_not_kept(fer_home, kagglehub, official):
    (official / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    kagglehub.folders[catalogue.FER2013_HANDLES[0]] = official
    with pytest.raises(FileNotFoundError, match="not the official files"):
        catalogue.fetch_fer2013()
    assert not home(fer_home).exists()
    assert kagglehub.calls[:2] == [(catalogue.FER2013_HANDLES[0], f) for f in (False, True)]


def test_folders_are_kept_if_their_class_counts_are_right(
    fer_home, kagglehub, tmp_path, monkeypatch
):
    counts = {"train": (4, 2, 3, 2, 2, 2, 2), "test": (1,) * 7}
    write_folders(tmp_path / "kaggle", counts)
    kagglehub.folders[catalogue.FER2013_HANDLES[1]] = tmp_path / "kaggle"
    with pytest.raises(FileNotFoundError, match="class counts differ"):
        catalogue.fetch_fer2013()
    assert not any(home(fer_home).rglob("*.png"))
    monkeypatch.setattr(fer2013, "FER2013_FOLDERS", counts)
    assert catalogue.fetch_fer2013() == home(fer_home)
    assert sorted(path.name for path in home(fer_home).iterdir()) == ["test", "train"]
    assert len(list(home(fer_home).rglob("*.png"))) == 24


def _message(error):
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    return lines


def test_offline_the_message_says_which_file_from_where_and_to_which_path(fer_home, kagglehub):
    with pytest.raises(FileNotFoundError) as error:
        catalogue.load_dataset("fer2013")
    what, source, target = _message(error)
    assert "FER-2013" in what and "ConnectionError" in what
    assert "fer2013.csv" in source and "https://" in source
    assert str(home(fer_home)) in target
    assert len(kagglehub.calls) == 2


def test_without_kagglehub_the_message_says_how_to_install_it(no_kagglehub):
    with pytest.raises(FileNotFoundError) as error:
        catalogue.load_dataset("fer2013")
    assert 'pip install -e ".[data]"' in _message(error)[0]


# "auto"


def test_auto_is_synthetic_with_a_notice_where_there_is_no_fer2013(no_kagglehub):
    name, notice = catalogue.resolve_auto()
    assert name == "synthetic" and "not FER-2013" in notice and "kagglehub" in notice
    with pytest.warns(UserWarning, match="not FER-2013"):
        loaded = catalogue.load_dataset("auto", train=14, validation=7, test=7)
    assert loaded["test"].name.startswith("synthetic faces (not FER-2013)")


@pytest.mark.filterwarnings("ignore:FER-2013 in")
def test_auto_is_fer2013_on_disk_or_downloaded(fer_home, kagglehub, official):
    kagglehub.folders[catalogue.FER2013_HANDLES[0]] = official
    assert catalogue.resolve_auto() == ("fer2013", f"FER-2013 was downloaded to {home(fer_home)}.")
    assert catalogue.resolve_auto() == ("fer2013", f"FER-2013 is read from {home(fer_home)}.")
    assert catalogue.load_dataset("auto")["test"].name == "FER-2013 PrivateTest"


# Real data


@pytest.mark.slow
@pytest.mark.realdata
def test_the_shared_fer2013_has_the_official_counts_and_no_warning(real_data, fer_home, recwarn):
    home(fer_home).mkdir(parents=True)
    (home(fer_home) / "fer2013.csv").symlink_to(real_data / "fer2013/fer2013.csv")
    loaded = catalogue.load_dataset("fer2013")
    assert not [warning for warning in recwarn if "FER-2013" in str(warning.message)]
    table = splits.class_count_table(loaded)
    assert tuple(table["test"]) == catalogue.FER2013_COUNTS["PublicTest"]
    assert tuple(table["train"] + table["validation"]) == catalogue.FER2013_COUNTS["Training"]
    assert not images_of(loaded["train"]) & images_of(loaded["validation"])


@pytest.mark.slow
@pytest.mark.realdata
def test_a_path_to_ckplus_is_split_by_subject(real_data):
    loaded = catalogue.load_dataset(real_data / "CK+48")
    subjects = [set(faces.groups) for faces in loaded.values()]
    assert sum(map(len, subjects)) == len(set.union(*subjects)) == 118
    assert all(np.bincount(faces.classes, minlength=7).all() for faces in loaded.values())
