"""CSV files of path,label: what is listed is read, and every bad row is named."""

import csv

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_lib import emotions
from fer_lib.data import catalogue
from fer_lib.data.readers import labels as reading
from fer_lib.data.readers import path_tables, sources


def write(folder, rows, header="path,label"):
    """A table and its images; each image another shade. Returns the path of the table."""
    column = header.lower().split(",").index("path") if "path" in header.lower() else 0
    for number, row in enumerate(rows):
        path = folder / row.split(",")[column].strip()
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (48, 48), 10 + number).save(path)
    (folder / "faces.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder / "faces.csv"


def shades(faces):
    return faces.images[:, 0, 0].tolist()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    labels=st.lists(
        st.sampled_from(["angry", "Anger", "AN", "suprise", "happiness", "SAD", "dis-gust"]),
        min_size=1,
        max_size=8,
    ),
    path_name=st.sampled_from(["path", "Image", "file", "filename", "Image Path"]),
    label_name=st.sampled_from(["label", "Emotion", "expression"]),
    swapped=st.booleans(),
    subjects=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
    space=st.sampled_from(["", " "]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_any_valid_table_gives_back_its_faces(
    tmp_path_factory, labels, path_name, label_name, swapped, subjects, end, bom, space, quoting
):
    folder = tmp_path_factory.mktemp("table")
    with open(folder / "t.csv", "w", newline="", encoding="utf-8-sig" if bom else "utf-8") as file:
        writer = csv.writer(file, lineterminator=end, quoting=quoting)
        columns = [path_name, space + label_name, *(["subject"] if subjects else [])]
        rows = [
            [f"a b, {number}.png", space + label, *([f"S{number % 3}"] if subjects else [])]
            for number, label in enumerate(labels)
        ]
        for line in [columns, *rows]:
            writer.writerow(line[::-1] if swapped else line)
    for number in range(len(labels)):
        Image.new("L", (48, 48), number).save(folder / f"a b, {number}.png")

    faces = path_tables.read_path_table(folder / "t.csv")

    assert shades(faces) == list(range(len(labels)))
    found = [faces.label_set[label] for label in faces.labels]
    assert found == [emotions.canonical(label) for label in labels]
    assert faces.ids.tolist() == [f"a b, {number}.png" for number in range(len(labels))]
    if subjects:
        assert faces.groups.tolist() == [f"S{number % 3}" for number in range(len(labels))]
    else:
        assert faces.groups is None


def test_splits_of_a_table_are_taken_as_they_are(tmp_path):
    rows = [
        f"{s}{n}.png,{e},{s}"
        for s in ("train", "val", "test")
        for n, e in enumerate("an di".split())
    ]
    loaded = catalogue.load_dataset(write(tmp_path, rows, "path,emotion,split"))
    assert [shades(faces) for faces in loaded.values()] == [[10, 11], [12, 13], [14, 15]]
    assert loaded["validation"].name == "faces.csv validation"


def test_subjects_of_a_table_stand_on_one_side(tmp_path):
    rows = [f"{n}.png,{emotions.FER7[n % 7]},S{n // 7}" for n in range(140)]
    loaded = catalogue.load_dataset(write(tmp_path, rows, "path,label,subject"))
    subjects = [set(faces.groups) for faces in loaded.values()]
    assert sum(map(len, subjects)) == len(set.union(*subjects)) == 20


def test_a_folder_with_a_table_is_read_by_it(tmp_path):
    write(tmp_path, ["images/x.png,sad", "images/y.png,fear"])
    assert shades(sources.read(tmp_path)) == [10, 11]


def _outside(folder):
    Image.new("L", (48, 48)).save(folder.parent / "secret.png")
    return "../secret.png,sad", "'../secret.png' lies outside the folder"


def _absolute(folder):
    return "/etc/hostname,sad", "'/etc/hostname' lies outside the folder"


def _absent(folder):
    return "none.png,sad", "'none.png' is no file below the table's folder"


def _no_image(folder):
    (folder / "text.png").write_text("not an image")
    return "text.png,sad", r"row 3 \(text.png\): cannot be read: it is"


def _script(folder):
    (folder / "page.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    return "page.png,sad", "cannot be read: it is"


def _huge(folder):
    Image.new("1", (12_000, 12_000)).save(folder / "huge.png")
    return "huge.png,sad", "it has 12000 x 12000 pixels"


def _unknown(folder):
    return "c.png,hapyp", "Unknown emotion 'hapyp'.*did you mean 'happy'"


def _twice(folder):
    return "a.png,fear", "'a.png' stands in row 1 already"


def _fields(folder):
    return "a.png,sad,3", "row 3: has 3 fields instead of the first line's 2"


def _empty(folder):
    return ",sad", "'' lies outside"


def _nul(folder):
    return "a\0.png,sad", "lies outside|no CSV file"


@pytest.mark.parametrize(
    "spoil",
    [
        _outside,
        _absolute,
        _absent,
        _no_image,
        _script,
        _huge,
        _unknown,
        _twice,
        _fields,
        _empty,
        _nul,
    ],
)
def test_a_bad_row_is_named_or_skipped(tmp_path, spoil):
    folder = tmp_path / "data"
    folder.mkdir()
    path = write(folder, ["a.png,sad", "b.png,fear"])
    row, reason = spoil(folder)
    with open(path, "a") as file:
        file.write(row + "\n")
    with pytest.raises(ValueError, match=reason):
        sources.read(path)
    if "\0" not in row:
        faces = sources.read(path, on_error="skip")
        assert shades(faces) == [10, 11]
        assert len(faces.skipped) == 1 and faces.skipped[0].startswith("row 3")


def test_a_split_nobody_knows_is_named(tmp_path):
    path = write(tmp_path, ["a.png,sad,train", "b.png,fear,tain"], "path,label,split")
    with pytest.raises(ValueError, match="row 2 .*split is 'tain'"):
        sources.read(path)


@pytest.mark.parametrize("header", ["path,image,label", "path,label,emotion"])
def test_two_columns_of_one_meaning_are_an_error(tmp_path, header):
    (tmp_path / "t.csv").write_text(f"{header}\na.png,b.png,sad\n")
    with pytest.raises(ValueError, match="must have one column of"):
        sources.read(tmp_path / "t.csv")


def test_a_label_to_drop_is_left_out_and_counted_and_a_wrong_one_named(tmp_path):
    rows = [f"{n}.png,{emotions.FER7[n % 7]}" for n in range(140)] + ["x.png,Bored"]
    path = write(tmp_path, rows)
    with pytest.raises(ValueError, match="Unknown emotion 'bored'"):
        catalogue.load_dataset(path)
    loaded = catalogue.load_dataset(path, drop=["bored", "contempt"])
    assert sum(map(len, loaded.values())) == 140
    assert loaded["train"].skipped == ("row 141 (x.png): left out by drop",)
    with pytest.raises(
        ValueError, match="neither an emotion nor a folder or label.*did you mean 'Bored'"
    ):
        catalogue.load_dataset(path, drop=["bord"])


def test_a_changed_image_is_read_again(tmp_path):
    path = write(tmp_path, ["a.png,sad", "b.png,fear"])
    assert shades(sources.read(path)) == [10, 11]
    Image.new("L", (50, 48), 99).save(tmp_path / "a.png")
    assert shades(sources.read(path)) == [99, 11]


def test_a_csv_of_pixels_is_no_path_table(tmp_path):
    (tmp_path / "a.csv").write_text("emotion,pixels,path\n")
    (tmp_path / "b.csv").write_text("path,label\n")
    assert not path_tables.is_path_table(tmp_path / "a.csv")
    assert path_tables.is_path_table(tmp_path / "b.csv")


def test_a_picture_in_two_tables_is_named_for_it_would_stand_in_two_splits(tmp_path):
    for number, name in enumerate(("a", "b", "c", "d")):
        Image.new("L", (48, 48), number).save(tmp_path / f"{name}.png")
    (tmp_path / "train.csv").write_text("image,label\na.png,sad\nb.png,fear\n")
    (tmp_path / "test.csv").write_text("image,label\nc.png,sad\nd.png,fear\na.png,sad\n")
    with pytest.raises(ValueError, match="'a.png' stands in test.csv row 3 already"):
        sources.read(tmp_path)


def one_hot(tmp_path, header, *rows):
    for number, row in enumerate(rows):
        Image.new("L", (48, 48), number).save(tmp_path / row.partition(",")[0])
    (tmp_path / "_classes.csv").write_text("\n".join([header, *rows]) + "\n")
    return tmp_path


def test_columns_of_classes_may_be_left_out_and_others_hold_anything(tmp_path):
    rows = ["a.png,1,0,0,31", "b.png,0,1,0,4", "c.png,0,0,1,1"]
    one_hot(tmp_path, "filename,angry,sad,contempt,age", *rows)
    assert len(sources.read(tmp_path)) == 3
    faces = sources.read(tmp_path, labels=reading.understood(drop="contempt"))
    assert shades(faces) == [0, 1]
    faces = sources.read(tmp_path, labels=reading.understood("sad,angry"))
    assert faces.label_set == ("sad", "angry") and len(faces.skipped) == 1


def test_a_column_of_an_unknown_class_is_named(tmp_path):
    rows = ["a.png,1,0,0", "b.png,0,1,0", "c.png,0,0,1"]
    one_hot(tmp_path, "filename,angry,sad,surprose", *rows)
    with pytest.raises(ValueError, match="Unknown emotion 'surprose'.*did you mean 'surprise'"):
        sources.read(tmp_path)
