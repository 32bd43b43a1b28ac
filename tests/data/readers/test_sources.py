"""The readers: every form gives the same faces, and nothing bad gets through in silence."""

import io
import os
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from fer_lib import emotions, storage
from fer_lib.data.readers import cache, fer2013_csv, sources
from fer_lib.data.readers.labels import Labels
from support.layouts import csv_bytes

OFFICIAL = {
    "Training": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "PublicTest": (467, 56, 496, 895, 653, 415, 607),
}


def pixels_of(rng, n=3):
    return rng.integers(0, 256, (n, 48, 48), dtype=np.uint8)


def write_folders(root, images, names):
    for image, name in zip(images, names, strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / name)


def zip_folder(folder, path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


# Class folders

NAMES = ("Anger/a.png", "happiness/b.png", "SA/c.png", "neutral/d.bmp", "surprised/e.png")


def test_class_folders_give_faces_by_canonical_emotion(rng, tmp_path):
    images = pixels_of(rng, 5)
    write_folders(tmp_path, images, NAMES)
    faces = sources.read(tmp_path)
    order = np.argsort(NAMES)
    np.testing.assert_array_equal(faces.images, images[order])
    assert [faces.label_set[label] for label in faces.labels] == [
        ("angry", "happy", "sad", "neutral", "surprise")[i] for i in order
    ]
    assert faces.ids.tolist() == [NAMES[i] for i in order]
    assert faces.label_set == emotions.FER7 and faces.usage is None


@pytest.mark.parametrize("root", ["", "archive/"])
def test_split_folders_become_the_usage(rng, tmp_path, root):
    names = [f"{root}{split}/fear/x.png" for split in ("Test", "train", "Valid")]
    write_folders(tmp_path, pixels_of(rng), names)
    assert sources.read(tmp_path).usage.tolist() == ["test", "validation", "train"]


@pytest.mark.parametrize(
    ("folders", "label_set"),
    [
        (("anger", "contempt"), emotions.CKPLUS7),
        (("neutral", "contempt"), emotions.FERPLUS8),
        (("neutral", "fear"), emotions.FER7),
    ],
)
def test_the_label_set_is_the_first_that_has_all_classes(rng, tmp_path, folders, label_set):
    write_folders(tmp_path, pixels_of(rng, 2), [f"{folder}/x.png" for folder in folders])
    assert sources.read(tmp_path).label_set == label_set


def test_ckplus_file_names_give_the_subjects_as_groups(rng, tmp_path):
    names = ("anger/S010_004_00000017.png", "fear/S011_003_00000014.png")
    write_folders(tmp_path, pixels_of(rng, 2), names)
    assert sources.read(tmp_path).groups.tolist() == ["S010", "S011"]


def test_other_sizes_and_colours_become_grey_faces_of_the_size_asked_for(tmp_path):
    (tmp_path / "sad").mkdir()
    Image.new("RGB", (96, 64), (200, 200, 200)).save(tmp_path / "sad/a.jpg")
    assert sources.read(tmp_path).images.shape == (1, 48, 48)
    images = sources.read(tmp_path, size=32).images
    assert images.shape == (1, 32, 32) and np.abs(images.astype(int) - 200).max() <= 1


def _spoil_with_text(folder):
    (folder / "sad/bad.png").write_text("not an image")
    return "sad/bad.png: cannot be read: it is"


def _spoil_with_truncation(folder):
    data = (folder / "sad/a.png").read_bytes()
    (folder / "sad/bad.png").write_bytes(data[: len(data) // 2])
    return "sad/bad.png: cannot be read: it is"


def _spoil_with_huge_image(folder):
    Image.new("1", (12_000, 12_000)).save(folder / "sad/bad.png")
    return "sad/bad.png: cannot be read: it has 12000 x 12000 pixels"


def _spoil_with_postscript(folder):
    Image.new("L", (48, 48)).save(folder / "sad/bad.eps")
    (folder / "sad/bad.eps").rename(folder / "sad/bad.png")
    return "sad/bad.png: cannot be read: it is no picture of a known format"


def _spoil_with_broken_link(folder):
    (folder / "sad/bad.png").symlink_to(folder.parent / "nowhere.png")
    return "sad/bad.png: is a symbolic link that leads nowhere"


def _spoil_with_linked_folder(folder):
    (folder / "fear").symlink_to(folder / "sad")
    return "fear: is a symbolic link to a folder that is read already"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    "spoil",
    [
        _spoil_with_text,
        _spoil_with_truncation,
        _spoil_with_huge_image,
        _spoil_with_postscript,
        _spoil_with_broken_link,
        _spoil_with_linked_folder,
    ],
)
def test_a_bad_image_is_named_or_skipped(rng, tmp_path, spoil):
    folder = tmp_path / "faces"
    images = pixels_of(rng, 2)
    write_folders(folder, images, ["sad/a.png", "sad/z.png"])
    reason = spoil(folder)
    with pytest.raises(ValueError) as error:
        sources.read(folder)
    assert reason in str(error.value) and 'on_error="skip"' in str(error.value)
    faces = sources.read(folder, on_error="skip")
    np.testing.assert_array_equal(faces.images, images)
    assert len(faces.skipped) == 1 and faces.skipped[0].startswith(reason)


def test_an_unknown_class_comes_with_the_nearest_and_can_be_dropped_by_name(rng, tmp_path):
    write_folders(tmp_path, pixels_of(rng, 3), ["sad/a.png", "fear/b.png", "Hapiest/c.png"])
    with pytest.raises(ValueError, match="stand for no known class|no folder named one of angry"):
        sources.read(tmp_path)
    for _ in range(2):  # the second time from the cache
        faces = sources.read(tmp_path, labels=Labels(drop=("hapiest",)))
        assert len(faces) == 2
        assert faces.skipped == ("Hapiest/c.png: left out by drop",)
    with pytest.raises(ValueError, match="neither an emotion nor a folder.*mean 'Hapiest'"):
        sources.read(tmp_path, labels=Labels(drop=("hapyest",)))


def test_hidden_and_system_files_are_no_faces(rng, tmp_path):
    write_folders(tmp_path, pixels_of(rng, 1), ["sad/a.png"])
    for name in ("sad/.DS_Store", "sad/Thumbs.db", "README.md"):
        (tmp_path / name).write_text("x")
    assert len(sources.read(tmp_path)) == 1


# Zips


def test_zips_give_the_same_faces_as_their_content(rng, tmp_path):
    images = pixels_of(rng, 5)
    write_folders(tmp_path / "folders", images, NAMES)
    (tmp_path / "csv/inner").mkdir(parents=True)
    (tmp_path / "csv/inner/fer2013.csv").write_bytes(csv_bytes(images))
    for name in ("folders", "csv"):
        archive = zip_folder(tmp_path / name, tmp_path / f"{name}.zip")
        plain, zipped = sources.read(tmp_path / name), sources.read(archive)
        assert zipped.content_hash == plain.content_hash
        assert zipped.ids.tolist() == plain.ids.tolist()


def _link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


@pytest.mark.parametrize(
    ("member", "content", "reason"),
    [
        ("../fer2013.csv", b"x", "outside"),
        ("/fer2013.csv", b"x", "outside"),
        ("a\\..\\..\\fer2013.csv", b"x", "outside"),
        (_link("sad/a.png"), b"/etc/hostname", "symbolic link"),
        ("fer2013.csv", b"0" * (4 << 20), "would unpack"),
    ],
)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_zip_with_a_harmful_member_is_refused(tmp_path, member, content, reason, on_error):
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=reason):
        sources.read(path, on_error=on_error)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not an image", "sad/bad.png: cannot be read: it is"),
        (b"\0" * (65 << 20), "sad/bad.png: cannot be read: it is a file of more than 64 MiB"),
        ("huge", "sad/bad.png: cannot be read: it has 12000 x 12000 pixels"),
        ("cut off", "sad/bad.png: cannot be read: it is"),
    ],
)
def test_a_bad_image_in_a_zip_is_named_or_skipped(rng, tmp_path, content, reason):
    images = pixels_of(rng, 1)
    write_folders(tmp_path / "faces", images, ["sad/a.png"])
    bad = {
        "huge": Image.new("1", (12_000, 12_000)),
        "cut off": Image.fromarray(images[0]),
    }
    if isinstance(content, str):
        data = io.BytesIO()
        bad[content].save(data, "PNG")
        content = data.getvalue()[: -200 if content == "cut off" else None]
    path = tmp_path / "faces.zip"
    with zipfile.ZipFile(path, "w") as archive:  # stored, so that it is no bomb by its ratio
        archive.write(tmp_path / "faces/sad/a.png", "sad/a.png")
        archive.writestr("sad/bad.png", content)
    with pytest.raises(ValueError, match=reason):
        sources.read(path)
    faces = sources.read(path, on_error="skip")
    np.testing.assert_array_equal(faces.images, images)
    assert len(faces.skipped) == 1 and reason in faces.skipped[0]


def test_an_encrypted_zip_is_refused(rng, tmp_path):
    write_folders(tmp_path / "faces", pixels_of(rng, 1), ["sad/a.png"])
    path = zip_folder(tmp_path / "faces", tmp_path / "locked.zip")
    data = bytearray(path.read_bytes())
    for place in (data.index(b"PK\1\2") + 8, 6):
        data[place] |= 1  # the flag that says so, in the directory and in the member
    entries = [i for i in range(len(data)) if data[i : i + 4] == b"PK\1\2"]
    for entry in entries:
        data[entry + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is encrypted"):
        sources.read(path)


@pytest.mark.parametrize("content", [b"", b"emotion,pixels\n", b"PK\3\4 cut off", b"<html>"])
def test_a_file_called_zip_that_is_none_is_said_to_be_none(tmp_path, content):
    path = tmp_path / "download.zip"
    path.write_bytes(content)
    for place in (path, tmp_path):
        with pytest.raises(ValueError, match="download.zip is not a zip file"):
            sources.read(place)


def test_a_damaged_zip_is_an_error_that_names_it(rng, tmp_path):
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv/fer2013.csv").write_bytes(csv_bytes(pixels_of(rng)))
    path = zip_folder(tmp_path / "csv", tmp_path / "damaged.zip")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged.zip"):
        sources.read(path)


# read() and its cache


def test_read_picks_the_reader_by_what_the_path_is(rng, tmp_path):
    images = pixels_of(rng)
    data = csv_bytes(images)
    for name in ("any_name.csv", "folder/fer2013.csv", "nested/deep/icml_face_data.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "zipped").mkdir()
    zip_folder(tmp_path / "nested", tmp_path / "zipped/download.zip")
    for name in ("any_name.csv", "folder", "nested", "zipped", "zipped/download.zip"):
        np.testing.assert_array_equal(sources.read(tmp_path / name).images, images)


def test_what_is_missing_is_a_file_not_found_error(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(FileNotFoundError):
            sources.read(path)


@pytest.fixture
def source(rng, tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_bytes(csv_bytes(pixels_of(rng, 4)))
    os.utime(path, (1e9, 1e9))  # old enough for its hash to be remembered
    return path


def never(*args, **options):
    raise RuntimeError("must not be called")


def test_the_second_read_neither_parses_nor_hashes(source, monkeypatch):
    first = sources.read(source)
    monkeypatch.setattr(fer2013_csv, "_parse_records", never)
    monkeypatch.setattr(storage, "file_hash", never)
    second = sources.read(source)
    assert isinstance(second.images, np.memmap) and not second.images.flags.writeable
    assert second.content_hash == first.content_hash
    assert second.usage.tolist() == first.usage.tolist() and second.name == first.name


def test_changed_content_is_parsed_again(source, rng):
    before = sources.read(source)
    source.write_bytes(csv_bytes(pixels_of(rng, 4)))
    assert sources.read(source).content_hash != before.content_hash


def test_a_changed_folder_is_parsed_again(rng, tmp_path):
    write_folders(tmp_path / "f", pixels_of(rng, 2), ["sad/a.png", "fear/b.png"])
    assert len(sources.read(tmp_path / "f")) == 2
    write_folders(tmp_path / "f", pixels_of(rng, 1), ["sad/c.png"])
    assert len(sources.read(tmp_path / "f")) == 3


def _truncate(file):
    os.truncate(file, file.stat().st_size - 100)


def _flip(file):
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "faces.json"])
@pytest.mark.parametrize(
    "damage", [_truncate, _flip, os.unlink, lambda file: file.write_bytes(b"")]
)
def test_a_damaged_cache_entry_is_rebuilt(source, fer_home, name, damage):
    expected = fer2013_csv.read_fer2013_csv(source)
    sources.read(source)
    (file,) = (fer_home / "cache").glob(f"*/{name}")
    damage(file)
    assert sources.read(source).content_hash == expected.content_hash
    assert cache.load_entry(file.parent).content_hash == expected.content_hash


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"x": 3}'])
def test_a_damaged_index_is_ignored(source, fer_home, text):
    sources.read(source)
    (fer_home / "cache/index.json").write_text(text)
    assert len(sources.read(source)) == 4


def test_what_was_skipped_is_not_hidden_from_a_caller_who_wants_to_know(source):
    with open(source, "ab") as file:
        file.write(b"9,1 2 3,Training\n")
    assert len(sources.read(source, on_error="skip").skipped) == 1
    with pytest.raises(ValueError, match="row 5"):
        sources.read(source)
    assert len(sources.read(source, on_error="skip").skipped) == 1


def test_an_unwritable_cache_costs_a_warning_not_the_data(source, fer_home):
    fer_home.mkdir(exist_ok=True)
    (fer_home / "cache").write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="could not be cached"):
        assert len(sources.read(source)) == 4


# Real data


def counts(faces, usage):
    return tuple(faces[faces.usage == usage].class_counts().values())


@pytest.mark.slow
@pytest.mark.realdata
def test_every_form_of_fer2013_gives_the_official_faces(real_data, tmp_path):
    plain = sources.read(real_data / "fer2013")
    assert {usage: counts(plain, usage) for usage in OFFICIAL} == OFFICIAL
    assert sources.read(real_data / "icml_face_data").content_hash == plain.content_hash
    archive = tmp_path / "download.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.write(real_data / "fer2013/fer2013.csv", "fer2013.csv")
    assert sources.read(archive).content_hash == plain.content_hash

    folders = sources.read(real_data / "fer2013_folders")
    names = {"train": "Training", "test": "PublicTest"}
    assert {names[usage]: counts(folders, usage) for usage in names} == OFFICIAL

    def content(faces, usages):
        order = dict(zip(usages, range(2), strict=True))
        rows = zip(faces.images, faces.labels, faces.usage, strict=True)
        return sorted((image.tobytes(), int(label), order[use]) for image, label, use in rows)

    assert content(folders, names) == content(plain, names.values())


@pytest.mark.realdata
def test_zipped_class_folders_and_ckplus_are_the_same_as_unzipped(real_data, tmp_path):
    archive = zip_folder(real_data / "CK+48", tmp_path / "CK+48.zip")
    plain, zipped = sources.read(real_data / "CK+48"), sources.read(archive)
    assert len(plain) == 981 and plain.label_set == emotions.CKPLUS7
    assert len(np.unique(plain.groups)) == 118
    assert zipped.content_hash == plain.content_hash
    assert zipped.groups.tolist() == plain.groups.tolist()


@pytest.mark.slow
@pytest.mark.realdata
def test_the_second_load_of_fer2013_takes_less_than_half_a_second(real_data):
    sources.read(real_data / "fer2013")
    sources.read(real_data / "fer2013")  # the file may have been too young for the index before
    start = time.perf_counter()
    sources.read(real_data / "fer2013")
    assert time.perf_counter() - start < 0.5
