"""Roboflow's exports: both forms, their faults, and the download with a stand-in client."""

import sys
import types
import zipfile

import pytest
from PIL import Image

from fer_lib import emotions
from fer_lib.data import catalogue

SPLITS = ("train", "valid", "test")


@pytest.fixture
def home(fer_home):
    folder = fer_home / "datasets" / "facerec2"
    folder.mkdir(parents=True)
    return folder


def write_folders(root, per_class=2):
    shade = 0
    for split in SPLITS:
        for emotion in ("Anger", "happy", "suprise"):
            (root / split / emotion).mkdir(parents=True)
            for number in range(per_class):
                shade += 1
                name = f"{split}{number}_jpg.rf.{shade:032x}.png"
                Image.new("L", (48, 48), shade).save(root / split / emotion / name)
    (root / "README.roboflow.txt").write_text("exported by Roboflow")


def write_tables(root, per_class=2):
    """The multi-class export: spaces after the commas, one 0/1 column per class."""
    shade = 0
    for split in SPLITS:
        (root / split).mkdir(parents=True)
        lines = ["filename, Anger, happy, suprise"]
        for place in range(3):
            for number in range(per_class):
                shade += 1
                name = f"{split}{place}{number}_jpg.rf.{shade:032x}.png"
                Image.new("L", (48, 48), shade).save(root / split / name)
                lines.append(f"{name}, " + ", ".join(str(int(c == place)) for c in range(3)))
        (root / split / "_classes.csv").write_text("\n".join(lines) + "\n")


def content(loaded):
    return {
        split: sorted(
            (int(image[0, 0]), faces.label_set[label])
            for image, label in zip(faces.images, faces.labels, strict=True)
        )
        for split, faces in loaded.items()
    }


@pytest.mark.parametrize("zipped", [False, True])
def test_both_exports_give_the_same_faces(home, fer_home, zipped):
    expected = {
        split: [
            (6 * place + 2 * c + n + 1, emotion)
            for c, emotion in enumerate(("angry", "happy", "surprise"))
            for n in range(2)
        ]
        for place, split in enumerate(catalogue.SPLITS)
    }
    for place, write in enumerate((write_folders, write_tables)):
        root = fer_home / f"export{place}" if zipped else home
        write(root)
        if zipped:
            with zipfile.ZipFile(home / "export.zip", "w") as archive:
                for file in sorted(root.rglob("*")):
                    archive.write(file, file.relative_to(root))
        loaded = catalogue.load_dataset("facerec2")
        assert content(loaded) == expected
        assert loaded["test"].name == "FaceRec2 test"
        assert loaded["test"].label_set == emotions.FER7
        home.rename(fer_home / f"done{place}")
        home.mkdir()


def test_copies_of_one_photograph_are_one_group_and_stay_on_one_side(home):
    (home / "train" / "sad").mkdir(parents=True)
    (home / "train" / "fear").mkdir()
    for emotion in ("sad", "fear"):
        for photograph in range(20):
            for copy in range(3):
                name = f"{photograph}_jpg.rf.{copy}{photograph:04x}.png"
                shade = 4 * photograph + copy + 100 * (emotion == "sad")
                Image.new("L", (48, 48), shade).save(home / "train" / emotion / name)
    loaded = catalogue.load_dataset("facerec2")
    groups = [set(faces.groups) for faces in loaded.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 40
    assert all(len(faces) == 3 * len(set(faces.groups)) for faces in loaded.values())


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{}, 0, 0, 0", "train/_classes.csv row 7 (extra.png): must have one class; it has none"),
        ("{}, 1, 1, 0", "row 7 (extra.png): must have one class; it has angry, happy"),
        ("{}, 1, 0", "row 7: has 3 fields instead of the first line's 4"),
        ("{}, 1, 0, yes", "row 7 (extra.png): must hold 0 or 1 per class"),
        ("none.png, 1, 0, 0", "row 7 (none.png): 'none.png' is no file below the table's folder"),
        ("../test/_classes.csv, 1, 0, 0", "'../test/_classes.csv' lies outside the folder"),
        (None, "train/extra.png: stands in no _classes.csv"),
    ],
)
def test_a_bad_row_or_an_unlisted_image_is_named_or_skipped(home, row, reason):
    write_tables(home)
    Image.new("L", (48, 48)).save(home / "train" / "extra.png")
    if row:
        with open(home / "train" / "_classes.csv", "a") as file:
            file.write(row.format("extra.png") + "\n")
    with pytest.raises(ValueError) as error:
        catalogue.load_dataset("facerec2")
    assert reason in str(error.value)
    loaded = catalogue.load_dataset("facerec2", on_error="skip")
    assert len(loaded["train"]) == 6 and reason in "\n".join(loaded["train"].skipped)


def test_an_unknown_class_column_is_an_error_with_the_nearest(home):
    write_tables(home)
    table = home / "valid" / "_classes.csv"
    table.write_text(table.read_text().replace("suprise", "surprose"))
    with pytest.raises(ValueError, match="Unknown emotion 'surprose'.*did you mean 'surprise'"):
        catalogue.load_dataset("facerec2")


def test_files_of_another_kind_are_refused_with_what_is_expected(home):
    (home / "faces.bin").write_bytes(b"x")
    with pytest.raises(ValueError, match="holds no files of FaceRec2; it must hold the exports"):
        catalogue.load_dataset("facerec2")


# The client


@pytest.fixture
def client(monkeypatch):
    """A stand-in for the roboflow package that writes the folder export."""
    calls = []

    class Stub:
        def __init__(self, **options):
            calls.append(options)

        def __getattr__(self, name):
            return lambda *args: (calls.append((name, *args)), self)[1]

        def download(self, form, location):
            from pathlib import Path

            calls.append(("download", form))
            write_folders(Path(location))

    module = types.ModuleType("roboflow")
    module.Roboflow, module.calls = Stub, calls
    monkeypatch.setitem(sys.modules, "roboflow", module)
    monkeypatch.setenv("ROBOFLOW_API_KEY", "key-of-a-test")
    return module


def test_fetch_downloads_the_version_asked_for(fer_home, client):
    folder = catalogue.fetch_facerec2("space", "facerec2", 3)
    assert folder == fer_home / "datasets" / "facerec2"
    assert client.calls == [
        {"api_key": "key-of-a-test"},
        ("workspace", "space"),
        ("project", "facerec2"),
        ("version", 3),
        ("download", "folder"),
    ]
    assert len(catalogue.load_dataset("facerec2")["train"]) == 6
    with pytest.raises(FileExistsError, match="holds files already"):
        catalogue.fetch_facerec2("space", "facerec2", 3)


def test_a_failed_download_leaves_nothing_and_shows_no_key(fer_home, client):
    def fail(self, form, location):
        from pathlib import Path

        (Path(location) / "half").mkdir(parents=True)
        raise ConnectionError("https://…?api_key=key-of-a-test")

    client.Roboflow.download = fail
    with pytest.raises(FileNotFoundError, match="space/facerec2/3: ConnectionError") as error:
        catalogue.fetch_facerec2("space", "facerec2", 3)
    assert "key-of-a-test" not in str(error.value)
    assert list((fer_home / "datasets").iterdir()) == []


def test_without_a_key_or_the_client_the_message_says_what_to_do(client, monkeypatch):
    monkeypatch.setitem(sys.modules, "roboflow", None)
    with pytest.raises(FileNotFoundError, match="pip install roboflow"):
        catalogue.fetch_facerec2("space", "facerec2", 3)
    monkeypatch.delenv("ROBOFLOW_API_KEY")
    with pytest.raises(FileNotFoundError, match="ROBOFLOW_API_KEY is not set"):
        catalogue.fetch_facerec2("space", "facerec2", 3)
