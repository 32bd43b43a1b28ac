"""Own data: every layout gives back its faces, nothing is guessed, and what was taken is said."""

import dataclasses
import struct
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_lib.data import catalogue, splits
from fer_lib.data.faces import Faces
from fer_lib.data.readers import names, sources
from fer_lib.emotions import FER7
from support import own_data
from support.own_data import LAYOUTS, folders, rows, tables, tiny


def content(parts):
    """`{pixels: emotion}` of faces."""
    return {image.tobytes(): emotion for faces in parts for _, image, emotion, _, _ in rows(faces)}


def classes_of(faces):
    return {name for name, count in faces.class_counts().items() if count}


def check(name, folder, faces):
    """Load faces that were written in a layout, and compare what comes out."""
    layout = LAYOUTS[name]
    path = own_data.write(name, folder, faces)
    loaded = catalogue.load_dataset(path, **layout.options)
    expected, found = content([faces]), content(loaded.values())
    assert expected.items() <= found.items()
    assert sum(map(len, loaded.values())) == len(faces) * layout.pictures
    assert set(loaded["train"].label_set) == classes_of(faces)
    if layout.splits:
        assert content([loaded["test"]]) == content([faces[faces.usage == "test"]])
    if layout.subjects:
        groups = [set(part.groups.tolist()) for part in loaded.values()]
        assert sum(map(len, groups)) == len(set.union(*groups)) == len(set(faces.groups.tolist()))
    text = catalogue.describe(path, loaded)
    assert text.count("Read as ") == 1
    assert ("unknown" in text) == (loaded["train"].groups is None)
    for split, part in loaded.items():
        assert f"{split}: {part.name}, {len(part):,} faces" in text
    return loaded


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_gives_back_its_faces_its_splits_and_its_subjects(name, tmp_path):
    if name == "Parquet":
        pytest.importorskip("pyarrow")
    check(name, tmp_path / name, tiny(4))


@pytest.mark.parametrize("name", ["Train Set", "fer2013.csv", "train and test zips"])
def test_the_second_load_is_the_same_from_the_cache(name, tmp_path):
    faces = tiny(4)
    first = check(name, tmp_path, faces)
    again = catalogue.load_dataset(tmp_path, **LAYOUTS[name].options)
    for split, part in first.items():
        assert again[split].content_hash == part.content_hash
        assert again[split].notes == part.notes and again[split].skipped == part.skipped


# Splits that are not clear


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("train", "train"),
        ("Train Set", "train"),
        ("train_data", "train"),
        ("FER2013Train", "train"),
        ("val", "validation"),
        ("Valid-Images", "validation"),
        ("TEST", "test"),
        ("test-00000-of-00001", "test"),
        ("PublicTest", "PublicTest"),
        ("private_test", "PrivateTest"),
        ("angry", ""),
        ("contest", ""),
        ("latest", ""),
    ],
)
def test_the_name_of_a_folder_tells_its_split(text, split):
    assert names.split_of(text) == split


@pytest.mark.parametrize("folder", ["test_old", "pretest_train", "train_test", "train+aug"])
def test_a_folder_that_names_a_split_unclearly_is_an_error(folder, tmp_path):
    folders(lambda n, e, s, g: f"{folder if s == 'test' else s}/{e}/{n}.png")(tmp_path, tiny(4))
    with pytest.raises(ValueError, match="names a split, but not clearly"):
        catalogue.load_dataset(tmp_path)


def test_folders_of_two_splits_above_one_another_are_an_error(tmp_path):
    folders(lambda n, e, s, g: f"test/{s}/{e}/{n}.png")(tmp_path, tiny(4))
    with pytest.raises(ValueError, match="below folders of several splits, test and train"):
        catalogue.load_dataset(tmp_path)


def test_two_tables_or_archives_without_splits_in_their_names_are_an_error(tmp_path):
    writer = tables("{s}.csv", ["image", "label"], lambda i, e, s, g: [i, e])
    writer(tmp_path / "a", tiny(4))
    (tmp_path / "a/train.csv").rename(tmp_path / "a/one.csv")
    with pytest.raises(ValueError, match="2 tables with labels .one.csv, test.csv"):
        catalogue.load_dataset(tmp_path / "a")
    LAYOUTS["train and test zips"].write(tmp_path / "b", tiny(4))
    (tmp_path / "b/train.zip").rename(tmp_path / "b/one.zip")
    with pytest.raises(ValueError, match="holds 2 files of faces"):
        catalogue.load_dataset(tmp_path / "b")


def test_a_split_that_is_still_packed_is_an_error_until_it_is_unpacked(tmp_path):
    faces = tiny(4)
    folders(lambda n, e, s, g: f"train/{e}/{n}.png")(tmp_path, faces[faces.usage == "train"])
    test = faces[faces.usage == "test"]
    own_data.zipped(folders(lambda n, e, s, g: f"{e}/{n}.png"), "test.zip")(tmp_path, test)
    with pytest.raises(ValueError, match="holds pictures, and test faces in test.zip: unpack it"):
        catalogue.load_dataset(tmp_path)
    folders(lambda n, e, s, g: f"test/{e}/{n}.png")(tmp_path, test)
    with pytest.warns(UserWarning, match="test.zip is not read beside the pictures"):
        loaded = catalogue.load_dataset(tmp_path)
    assert content([loaded["test"]]) == content([test])


def test_what_is_not_read_is_named(tmp_path):
    faces = tiny(4)
    LAYOUTS["fer2013.csv"].write(tmp_path, faces)
    LAYOUTS["Train Set"].write(tmp_path, faces)
    (tmp_path / "test.csv").write_text("pixels\n1 2 3\n")
    with pytest.warns(UserWarning) as caught:
        loaded = catalogue.load_dataset(tmp_path)
    text = catalogue.describe(tmp_path, loaded)
    for sentence in (
        "the pictures in it are not read beside fer2013.csv",
        "test.csv is not read, it holds no labels",
    ):
        assert sentence in text and any(sentence in str(w.message) for w in caught)


def test_pictures_that_no_table_lists_are_counted(tmp_path):
    tables("data.csv", ["path", "label"], lambda i, e, s, g: [i, e])(tmp_path, tiny(4))
    Image.new("L", (48, 48)).save(tmp_path / "images/more.png")
    loaded = catalogue.load_dataset(tmp_path)
    text = "not read: 1 pictures without a label, as images/more.png"
    assert text in catalogue.describe(tmp_path, loaded)


def test_a_folder_read_twice_counts_its_faces_once_and_says_so(tmp_path):
    loaded = check("folders twice", tmp_path, faces := tiny(4))
    text = catalogue.describe(tmp_path, loaded)
    assert f"{len(faces)} left out as copies" in text


def test_files_of_one_name_that_differ_are_no_copies(tmp_path):
    faces = tiny(4)
    folders(lambda n, e, s, g: f"camera{n % 2}/{e}/{n // 14}.png")(tmp_path, faces)
    assert sum(map(len, catalogue.load_dataset(tmp_path).values())) == len(faces)


# Classes and numbers


@pytest.mark.parametrize("classes", [("happy", "sad", "angry"), ("disgust", "contempt")])
def test_the_label_set_is_what_is_there(classes, tmp_path):
    faces = tiny(4, classes=classes)
    LAYOUTS["Train Set"].write(tmp_path, faces)
    loaded = catalogue.load_dataset(tmp_path)
    order = [name for name in (*FER7, "contempt") if name in classes]
    assert loaded["train"].label_set == loaded["test"].label_set == tuple(order)
    table = tmp_path.parent / "three.csv"
    lines = [f"{FER7.index('happy') + n % 2},{own_data.pixel_text(f)}" for n, f in
             enumerate(faces.images)]  # fmt: skip
    table.write_text("\n".join(["emotion,pixels", *lines]))
    assert catalogue.load_dataset(table)["test"].label_set == ("happy", "sad")


def test_one_class_alone_is_an_error(tmp_path):
    LAYOUTS["Train Set"].write(tmp_path, tiny(8, classes=("happy",)))
    with pytest.raises(ValueError, match="two classes or more; it has happy only"):
        catalogue.load_dataset(tmp_path)


def test_own_classes_are_read_in_the_order_of_their_names(tmp_path):
    faces = tiny(4, classes=("pain", "boredom", "calm", "neutral"))
    LAYOUTS["Train Set"].write(tmp_path, faces)
    with pytest.raises(ValueError, match="'boredom'|'pain'"):
        catalogue.load_dataset(tmp_path)
    for classes in ("boredom,pain,calm,neutral", ["boredom", "Pain", "calm", "neutral"]):
        loaded = catalogue.load_dataset(tmp_path, classes=classes)
        assert [n.lower() for n in loaded["test"].label_set] == "boredom pain calm neutral".split()
        assert len(content(loaded.values())) == len(faces)
    loaded = catalogue.load_dataset(tmp_path, classes="pain,boredom", drop="calm, neutral")
    assert sum(map(len, loaded.values())) == len(faces) // 2
    assert sum(map(len, (set(f.skipped) for f in loaded.values()))) == 3 * len(faces) // 2


def test_some_emotions_of_a_data_set_are_chosen_and_the_others_counted(tmp_path):
    faces = tiny(4)
    LAYOUTS["fer2013.csv"].write(tmp_path, faces)
    loaded = catalogue.load_dataset(tmp_path, classes="sad, Happiness")
    assert loaded["train"].label_set == ("sad", "happy")
    assert content(loaded.values()) == {
        k: v for k, v in content([faces]).items() if v in ("sad", "happy")
    }
    assert "not among classes" in catalogue.describe(tmp_path, loaded)
    with pytest.raises(ValueError, match="classes names 'contempt', of which there is no face"):
        catalogue.load_dataset(tmp_path, classes="sad,contempt")


def test_classes_may_stand_for_several_labels():
    groups = {"positive": ["happy", "surprise"], "negative": ["angry", "sad", "fear", "disgust"]}
    loaded = catalogue.load_dataset(
        "synthetic", train=70, validation=14, test=14, classes=groups, drop="neutral"
    )
    assert loaded["train"].class_counts() == {"positive": 20, "negative": 40}
    assert loaded["train"].label_set == ("positive", "negative")


@pytest.mark.parametrize("name", ["numbered folders", "npz", "semicolons and numbers"])
def test_numbers_without_a_numbering_are_asked_for(name, tmp_path):
    LAYOUTS[name].write(tmp_path, tiny(4))
    with pytest.raises(ValueError, match='labels="fer2013" .0 angry .*labels="affectnet"'):
        catalogue.load_dataset(tmp_path)


def test_numbers_mean_what_the_scheme_says(tmp_path):
    faces = tiny(4)
    folders(lambda n, e, s, g: f"{s}/{FER7.index(e)}/{n}.png")(tmp_path, faces)
    own = catalogue.load_dataset(tmp_path, labels="0-based", classes="a,b,c,d,e,f,g")
    assert own["train"].label_set == tuple("abcdefg")
    letters = dict(zip(FER7, "abcdefg", strict=True))
    assert content(own.values()) == {k: letters[v] for k, v in content([faces]).items()}
    other = catalogue.load_dataset(tmp_path, labels="affectnet")
    assert content(other.values()) != content([faces]) and len(content(other.values())) == len(
        faces
    )
    with pytest.raises(ValueError, match="0, not one of 1 to 7|stand for no known class"):
        catalogue.load_dataset(tmp_path, labels="rafdb")
    with pytest.raises(ValueError, match="name them in order, classes="):
        catalogue.load_dataset(tmp_path, labels="0-based")
    with pytest.raises(ValueError, match="did you mean 'rafdb'"):
        catalogue.load_dataset(tmp_path, labels="rafbd")


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_classes_do_not_vanish_by_skipping(on_error, tmp_path):
    german = dict(zip(FER7, "Wut Ekel Angst Freude Trauer Neutral Staunen".split(), strict=True))
    folders(lambda n, e, s, g: f"{s}/{german[e]}/{n}.png")(tmp_path, tiny(4))
    with pytest.raises(ValueError, match="no folder named one of|stand for no known class"):
        catalogue.load_dataset(tmp_path, on_error=on_error)
    loaded = catalogue.load_dataset(tmp_path, classes=list(german.values()))
    assert len(loaded["test"].label_set) == 7


def test_a_class_whose_every_file_is_broken_is_an_error_even_with_skip(tmp_path):
    LAYOUTS["Train Set"].write(tmp_path, tiny(4))
    for file in tmp_path.glob("*/sad/*.png"):
        file.write_text("no picture")
    with pytest.raises(ValueError, match="not one face of sad could be read"):
        catalogue.load_dataset(tmp_path, on_error="skip")


# What is not understood


def test_an_unknown_layout_says_what_was_found_and_the_nearest_that_are_known(tmp_path):
    for number in range(3):
        own_data.save(tmp_path / "train" / f"{number}.png", np.zeros((9, 9), np.uint8))
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FileNotFoundError) as error:
        catalogue.load_dataset(tmp_path)
    text = str(error.value)
    assert "It holds 4 files (3 .png, 1 .csv), in folders such as train." in text
    assert "class folders: train/angry/x.png" in text and text.count("\n  ") == 3


def test_options_of_a_named_data_set_are_checked():
    with pytest.raises(ValueError, match="Unknown option of fer2013 'size'"):
        catalogue.load_dataset("fer2013", size=64)
    with pytest.raises(ValueError, match="labels is for data of your own"):
        catalogue.load_dataset("synthetic", labels="rafdb")


def test_a_zip_that_lies_about_a_size_costs_an_error_not_the_memory(tmp_path):
    path = tmp_path / "faces.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("happy/a.png", "sad/b.png"):
            archive.writestr(name, own_data._png(np.zeros((48, 48), np.uint8)))
        archive.writestr("sad/bomb.png", bytes(50 << 20))
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\1\2")
    data[place + 24 : place + 28] = struct.pack("<I", 1000)
    path.write_bytes(data)
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(ValueError, match="sad/bomb.png: cannot be read"):
        catalogue.load_dataset(path)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


# Sizes, colour, frames of pandas


def test_larger_colour_faces_go_through_reading_cache_and_splits(tmp_path, rng):
    small = tiny(3, size=64)
    coloured = np.stack([small.images, 255 - small.images, small.images // 2], axis=-1)
    faces = Faces(coloured, small.labels, FER7, groups=small.groups, usage=small.usage)
    LAYOUTS["Train Set"].write(tmp_path, faces)
    for _ in range(2):  # the second time from the cache
        loaded = catalogue.load_dataset(tmp_path, size=64, colour=True)
        assert loaded["test"].images.shape[1:] == (64, 64, 3)
        assert content([loaded["test"]]) == content([faces[faces.usage == "test"]])
    assert catalogue.load_dataset(tmp_path, size=224)["train"].images.shape[1:] == (224, 224)
    assert catalogue.load_dataset(tmp_path)["train"].images.shape[1:] == (48, 48)


def test_faces_of_a_table_are_brought_to_the_size_asked_for_and_the_card_says_so(tmp_path):
    LAYOUTS["fer2013.csv"].write(tmp_path, tiny(4))
    loaded = catalogue.load_dataset(tmp_path, size=96, colour=True)
    assert loaded["train"].images.shape[1:] == (96, 96, 3)
    text = catalogue.describe(tmp_path, loaded)
    assert "The source holds 48 x 48 pixels, resized to 96 x 96." in text


def test_a_data_frame_of_pixels_or_of_paths_is_read(tmp_path, monkeypatch):
    faces = tiny(4)
    monkeypatch.chdir(tmp_path)
    folders(lambda n, e, s, g: f"{n}.png")(tmp_path, faces)
    table = pd.DataFrame(
        [(f"{n}.png", e, s, f"p{g}") for n, _, e, s, g in rows(faces)],
        columns=["path", "emotion", "split", "subject"],
    )
    loaded = catalogue.load_dataset(table)
    assert content([loaded["test"]]) == content([faces[faces.usage == "test"]])
    assert "Your own data: a DataFrame" in catalogue.describe(table, loaded)
    pixels = pd.DataFrame({"emotion": faces.labels, "pixels": list(faces.images)})
    assert content(catalogue.load_dataset(pixels).values()) == content([faces])


# Real data

_REAL = {
    "fer2013": [
        "train and test tables", "train and test zips", "a table beside class folders",
        "train_data and test_data", "Training and PrivateTest", "numbered folders",
        "folders twice", "fer2013.csv", "train.csv and test.csv", "npz", "ExpW",
    ],
    "CK+48": [
        "train and test tables", "Train Set", "images below the split", "folders of subjects",
        "linked folders", "a zip of a table", "one column per class", "Parquet", "AffectNet",
        "FERPlus's folders",
    ],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize(
    ("source", "name"), [(s, n) for s, names_ in _REAL.items() for n in names_]
)
def test_real_faces_come_back_from_ten_layouts_each(source, name, real_data, tmp_path):
    faces = sources.read(real_data / source)
    if source == "fer2013":
        faces = faces[:: len(faces) // 1500]
        usage = np.where(faces.usage == "Training", "train", "test")
        groups = None
    else:
        groups = np.unique(faces.groups, return_inverse=True)[1]
        usage = np.where(groups % 6 == 0, "test", "train")
    written = dataclasses.replace(faces, usage=usage, groups=groups)
    layout = LAYOUTS[name]
    loaded = catalogue.load_dataset(own_data.write(name, tmp_path, written), **layout.options)
    # Of identical faces with other labels either label may be the last.
    assert set(content(loaded.values())) == set(content([written]))
    assert splits.class_count_table(loaded).sum(axis=1).to_dict() == {
        name: count for name, count in written.class_counts().items() if count
    }
    if layout.splits:
        assert sorted(content([loaded["test"]])) == sorted(content([written[usage == "test"]]))
    if layout.subjects:
        subjects = [set(part.groups.tolist()) for part in loaded.values()]
        assert sum(map(len, subjects)) == len(set.union(*subjects)) == 118


def test_a_few_rows_of_arrays_with_unknown_labels_can_be_skipped_but_no_class(tmp_path, rng):
    labels = np.array(["happy", "sad"] * 50)
    labels[[3, 8]] = "sky"
    images = rng.integers(0, 256, (100, 48, 48), dtype=np.uint8)
    np.savez(tmp_path / "own.npz", images=images, labels=labels)
    with pytest.raises(ValueError, match="sky"):
        catalogue.load_dataset(tmp_path / "own.npz")
    loaded = catalogue.load_dataset(tmp_path / "own.npz", on_error="skip")
    assert sum(map(len, loaded.values())) == 98
    assert "2 rows or files were left out" in catalogue.describe(tmp_path / "own.npz", loaded)
    labels[::2] = "sky"
    np.savez(tmp_path / "own.npz", images=images, labels=labels)
    with pytest.raises(ValueError, match="sky"):
        catalogue.load_dataset(tmp_path / "own.npz", on_error="skip")
