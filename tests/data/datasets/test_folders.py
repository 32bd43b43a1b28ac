"""CK+, TFEID, JAFFE, RAF-DB, AffectNet and FER2013Plus on miniatures of their layouts."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from fer_lib import emotions
from fer_lib.data import catalogue, splits
from fer_lib.data.datasets import folders

# The official counts are those of the whole data sets.
pytestmark = pytest.mark.filterwarnings("ignore:.*is not the official one", "ignore:.*is not CK")


def write(root, names, size=48):
    """Write one image per name, each of another shade; returns `{name: shade}`."""
    shades = {}
    for number, name in enumerate(names, start=1):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (size, size), number % 256).save(root / name)
        shades[name] = number % 256
    return shades


def everything(loaded):
    """`{id: (emotion, first pixel, group)}` of all splits."""
    return {
        str(name): (faces.label_set[label], int(image[0, 0]), group)
        for faces in loaded.values()
        for name, label, image, group in zip(
            faces.ids,
            faces.labels,
            faces.images,
            faces.groups if faces.groups is not None else [None] * len(faces),
            strict=True,
        )
    }


def subjects_are_apart(loaded, number):
    groups = [set(faces.groups) for faces in loaded.values()]
    return sum(map(len, groups)) == len(set.union(*groups)) == number


@pytest.fixture
def home(fer_home):
    return fer_home / "datasets"


# The contract of all of them

LAYOUTS = {
    "ckplus": [
        f"CK+48/{emotion}/S{subject:03}_00{place}_000000{frame}.png"
        for subject in range(20)
        for place, emotion in enumerate(
            ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
        )
        for frame in (11, 12)
    ],
    "tfeid": [
        f"{emotion}/{'fm'[subject % 2]}{subject:02}_{emotion}_high.png"
        for subject in range(20)
        for emotion in (
            "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"
        )
    ],
    "jaffe": [
        f"{chr(65 + subject)}{chr(75 + subject)}.{code}{number}.{7 * subject + number}.tiff"
        for subject in range(10)
        for code in ("AN", "DI", "FE", "HA", "NE", "SA", "SU")
        for number in (1, 2)
    ],
    "rafdb": [
        f"{split}/{code}/{split}_{10 * code + number:05}_aligned.jpg"
        for split, faces in (("train", 20), ("test", 2))
        for code in range(1, 8)
        for number in range(faces)
    ],
    "affectnet": [
        f"{split}/{code}/image{code}{number:04}.jpg"
        for split, faces in (("train", 20), ("val", 2))
        for code in range(8)
        for number in range(faces)
    ],
    "fer2013plus": [
        f"{split}/{emotion}/{split}{number}.png"
        for split, faces in (("train", 20), ("test", 2))
        for emotion in (
            "angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "suprise"
        )
        for number in range(faces)
    ],
}  # fmt: skip


def write_layout(folder, name):
    """Random images, so that none is a duplicate of another."""
    generator = np.random.default_rng(0)
    for file in LAYOUTS[name]:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (48, 48), dtype=np.uint8)).save(folder / file)


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_is_read_whole_and_split_without_overlap(home, name):
    write_layout(home / name, name)
    loaded = catalogue.load_dataset(name)
    ids = [set(faces.ids) for faces in loaded.values()]
    assert sum(map(len, ids)) == len(set.union(*ids)) == len(LAYOUTS[name])
    for faces in loaded.values():
        assert faces.label_set == catalogue.DATASETS[name].card.label_set
        assert set(faces.classes) == set(range(len(faces.label_set)))
        assert faces.skipped == ()
    text = catalogue.describe(name, loaded)
    assert splits.class_count_table(loaded).to_string() in text


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_zip_gives_the_same_faces(home, name, tmp_path):
    write_layout(tmp_path, name)
    (home / name).mkdir(parents=True)
    with zipfile.ZipFile(home / name / "archive.zip", "w") as archive:
        for file in LAYOUTS[name]:
            archive.write(tmp_path / file, file)
    zipped = catalogue.load_dataset(name)
    (home / name / "archive.zip").unlink()
    write_layout(home / name, name)
    plain = catalogue.load_dataset(name)
    for split, faces in plain.items():
        assert zipped[split].content_hash == faces.content_hash


@pytest.mark.parametrize("name", [*LAYOUTS, "facerec2"])
def test_what_is_absent_is_named_in_three_lines(home, name):
    with pytest.raises(FileNotFoundError) as error:
        catalogue.load_dataset(name)
    what, source, target = str(error.value).splitlines()
    assert "is missing" in what and "http" in source
    assert str(home / name) in target and len(target) > len(str(home / name)) + 30


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_file_that_is_no_image_is_named_or_skipped(home, name):
    write_layout(home / name, name)
    bad = home / name / LAYOUTS[name][0]
    bad.write_text("not an image")
    with pytest.raises(ValueError, match="cannot be read as an image"):
        catalogue.load_dataset(name)
    loaded = catalogue.load_dataset(name, on_error="skip")
    assert sum(map(len, loaded.values())) == len(LAYOUTS[name]) - 1
    assert LAYOUTS[name][0] in loaded["train"].skipped[0]


@pytest.mark.parametrize("name", ["tfeid", "jaffe", "rafdb", "affectnet", "fer2013plus"])
def test_a_larger_size_is_kept_if_asked_for(home, name):
    write_layout(home / name, name)
    assert catalogue.load_dataset(name, size=64)["test"].images.shape[1:] == (64, 64)
    assert catalogue.load_dataset(name)["test"].images.shape[1:] == (48, 48)
    with pytest.raises(ValueError, match="size must be a whole number"):
        catalogue.load_dataset(name, size=0)


def test_contempt_can_be_dropped_from_affectnet(home):
    write_layout(home / "affectnet", "affectnet")
    loaded = catalogue.load_dataset("affectnet", drop_classes=["Contempt"])
    assert loaded["test"].label_set == emotions.FER7 and len(loaded["test"]) == 14
    assert len(loaded["test"].skipped) == 2


# CK+


def test_ckplus_is_split_by_subject(home):
    write_layout(home / "ckplus", "ckplus")
    assert subjects_are_apart(catalogue.load_dataset("ckplus"), 20)


def test_ckplus_without_subjects_in_its_names_is_refused(home):
    write(home / "ckplus", [f"{e}/{n}.png" for e in ("anger", "contempt") for n in range(9)])
    with pytest.raises(ValueError, match="names like anger/S010_004_00000017.png"):
        catalogue.load_dataset("ckplus")


def test_counts_that_are_not_the_official_ones_give_a_warning(home):
    write_layout(home / "ckplus", "ckplus")
    with pytest.warns(UserWarning, match="is not CK.48: all has 40 angry faces instead of 135"):
        catalogue.load_dataset("ckplus")
    write_layout(home / "rafdb", "rafdb")
    with pytest.warns(UserWarning, match="train has 20 angry faces instead of 705"):
        catalogue.load_dataset("rafdb")


@pytest.mark.realdata
def test_the_real_ckplus_has_the_counts_of_its_card(real_data, home, recwarn):
    home.mkdir(parents=True)
    (home / "ckplus").symlink_to(real_data / "CK+48")
    loaded = catalogue.load_dataset("ckplus")
    assert not [w for w in recwarn if "CK+" in str(w.message)]
    assert sum(map(len, loaded.values())) == 981 and subjects_are_apart(loaded, 118)
    total = splits.class_count_table(loaded).sum(axis=1)
    assert tuple(total) == catalogue.DATASETS["ckplus"].card.counts["all"]


# TFEID and JAFFE


def test_tfeid_s_emotion_stands_in_the_folder_or_the_file_name(home):
    names = ["Anger_high/f01_001.png", "all/m02_fear_slight.png", "all/f03-happiness-2.png"]
    write(home / "tfeid", names)
    entries, _ = folders._find_tfeid(names, None)
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
    write_layout(home / "tfeid", "tfeid")
    write(home / "tfeid", [name])
    with pytest.raises(ValueError, match=reason):
        catalogue.load_dataset("tfeid")


def test_tfeid_and_jaffe_are_split_by_subject(home):
    for name, subjects in (("tfeid", 20), ("jaffe", 10)):
        write_layout(home / name, name)
        assert subjects_are_apart(catalogue.load_dataset(name), subjects)


def test_jaffe_s_names_give_subject_and_emotion(home):
    write_layout(home / "jaffe", "jaffe")
    found = everything(catalogue.load_dataset("jaffe"))
    codes = dict(zip(("AN", "DI", "FE", "HA", "SA", "SU", "NE"), emotions.FER7, strict=True))
    for name, (emotion, _, group) in found.items():
        assert emotion == codes[name[3:5]] and group == name[:2]
    write(home / "jaffe", ["KA.XX1.39.tiff"])
    with pytest.raises(ValueError, match="must be named like KA.AN1.39.tiff"):
        catalogue.load_dataset("jaffe")


# RAF-DB and AffectNet


def write_rafdb_list(root, faces=20):
    """The official layout: the list file, the aligned faces, and the originals beside them."""
    lines, names = [], []
    for split, per_class in (("train", faces), ("test", 2)):
        for code in range(1, 8):
            for number in range(per_class):
                stem = f"{split}_{100 * code + number:05}"
                lines.append(f"{stem}.jpg {code}")
                names += [f"Image/aligned/{stem}_aligned.png", f"Image/original/{stem}.png"]
    (root / "EmoLabel").mkdir(parents=True)
    (root / "EmoLabel/list_patition_label.txt").write_text("\n".join(lines) + "\n")
    write(root, names)


def test_rafdb_s_list_gives_the_labels_of_the_aligned_faces(home):
    write_rafdb_list(home / "rafdb")
    loaded = catalogue.load_dataset("rafdb")
    assert [len(faces) for faces in loaded.values()] == [126, 14, 14]
    order = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
    for name, (emotion, _, _) in everything(loaded).items():
        assert "aligned" in name and emotion == order[int(name.split("_")[1]) // 100 - 1]
    assert all("test_" in name for name in loaded["test"].ids)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("train_99999.jpg 5", "has no aligned image"),
        ("train_00100.jpg 5", "listed twice"),
        ("train_00100.jpg 8", "must be like 'train_00001.jpg 5'"),
        ("nonsense", "must be like 'train_00001.jpg 5'"),
    ],
)
def test_a_bad_line_of_rafdb_s_list_is_named(home, line, reason):
    write_rafdb_list(home / "rafdb")
    with open(home / "rafdb/EmoLabel/list_patition_label.txt", "a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=f"list_patition_label.txt row 155: .*{reason}"):
        catalogue.load_dataset("rafdb")


def test_an_aligned_face_that_is_not_listed_is_named(home):
    write_rafdb_list(home / "rafdb")
    write(home / "rafdb", ["Image/aligned/train_77777_aligned.png"])
    with pytest.raises(ValueError, match="train_77777_aligned.png: is not in"):
        catalogue.load_dataset("rafdb")


@pytest.mark.parametrize(
    ("name", "codes"), [("rafdb", folders.RAFDB_CODES), ("affectnet", folders.AFFECTNET_CODES)]
)
def test_numbered_folders_stand_for_the_published_emotions(home, name, codes):
    write_layout(home / name, name)
    for file, (emotion, _, _) in everything(catalogue.load_dataset(name)).items():
        assert emotion == codes[file.split("/")[1]]


def test_affectnet_s_folders_may_be_named_and_lack_contempt(home):
    names = [
        f"{split}/{emotion}/{number}.png"
        for split, count in (("train_set", 20), ("val_set", 2))
        for emotion in ("Anger", "disgust", "fear", "happy", "neutral", "sad", "surprise")
        for number in range(count)
    ]
    generator = np.random.default_rng(0)
    write(home / "affectnet", names)
    for name in names:
        image = generator.integers(0, 256, (48, 48), dtype=np.uint8)
        Image.fromarray(image).save(home / "affectnet" / name)
    loaded = catalogue.load_dataset("affectnet")
    assert loaded["test"].label_set == emotions.FER7
    assert loaded["test"].name == "AffectNet validation" and len(loaded["test"]) == 14


# FER2013Plus


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

    assert folders._original(Entry(f"train/happy/{stem}.png")) == original


def test_copies_never_stand_on_two_sides(home):
    root = home / "fer2013plus"
    write_layout(root, "fer2013plus")
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
    assert sum(map(len, loaded.values())) == len(LAYOUTS["fer2013plus"]) + len(planted) - 2


def test_equal_names_without_a_mark_of_a_copy_are_not_linked(home):
    root = home / "fer2013plus"
    write_layout(root, "fer2013plus")
    for split in ("train", "test"):
        image = np.random.default_rng(len(split)).integers(0, 256, (48, 48), dtype=np.uint8)
        Image.fromarray(image).save(root / split / "happy" / "im0.png")
    loaded = catalogue.load_dataset("fer2013plus")
    assert loaded["train"].skipped == () and "test/happy/im0.png" in loaded["test"].ids
