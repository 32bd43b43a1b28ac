"""RAF-DB: the official list, or numbered folders."""

import pytest

from fer_lib.data import catalogue
from fer_lib.data.readers import labels
from support.layouts import everything, write_image_set, write_shades

# The official counts are those of the whole data sets.
pytestmark = pytest.mark.filterwarnings("ignore:.*is not the official one", "ignore:.*is not CK")


@pytest.fixture
def home(fer_home):
    return fer_home / "datasets"


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
    write_shades(root, names)


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
    write_shades(home / "rafdb", ["Image/aligned/train_77777_aligned.png"])
    with pytest.raises(ValueError, match="train_77777_aligned.png: is not in"):
        catalogue.load_dataset("rafdb")


def test_numbered_folders_stand_for_the_published_emotions(home):
    write_image_set(home / "rafdb", "rafdb")
    for file, (emotion, _, _) in everything(catalogue.load_dataset("rafdb")).items():
        assert emotion == labels.SCHEMES["rafdb"][int(file.split("/")[1])]
