"""Photographs to a table: every kind of bad file, the table's promises, the marked copies."""

import os
import stat
import subprocess
import sys
import threading
import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_lib import storage
from fer_lib.emotions import COLOURS, FER7
from fer_lib.vision import detection, face_table, photos, yunet
from fer_lib.vision.detection import DETECTORS, Detection
from fer_lib.vision.drawing import annotate
from fer_lib.vision.face_table import save_table
from fer_lib.vision.photos import recognise
from fer_lib.vision.pictures import read_photo

cv2 = pytest.importorskip("cv2", reason='needs pip install -e ".[vision]"')

PINNED = "source frame seconds face x y width height detection_score emotion unsure".split()


class Predictor:
    """Answers the n-th face of a batch with the n-th emotion, with a given probability."""

    label_set = FER7
    face_size = (48, 48)

    def __init__(self, probability=0.79):
        self.probability = probability
        self.batches = []

    def predict(self, images):
        self.batches.append(images)
        others = (1 - self.probability) / 6
        return np.where(
            np.eye(7)[np.arange(len(images)) % 7] == 1, self.probability, others
        ).astype(np.float32)


@pytest.fixture
def predictor():
    return Predictor()


@pytest.fixture(autouse=True)
def squares(monkeypatch):
    """A detector, as `squares`, that takes each bright square of 20 pixels or more for a face."""

    def find(image):
        _, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 200).astype(np.uint8))
        return [Detection(*map(float, s[:4]), 0.9) for s in stats[1:] if min(s[2:4]) >= 20]

    monkeypatch.setitem(DETECTORS, "squares", lambda: find)
    monkeypatch.setattr(detection, "_ready", threading.local())


def picture(*corners, height=200, width=300, side=40):
    image = np.full((height, width, 3), 60, np.uint8)
    for x, y in corners:
        image[y : y + side, x : x + side] = 230
    return image


def save(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options)
    return path


# read_photo


def stripes(mode="L"):
    """A picture whose left half is dark and whose right half is bright."""
    image = np.zeros((20, 30), np.uint8)
    image[:, 15:] = 200
    return Image.fromarray(image).convert(mode, dither=Image.Dither.NONE)


@pytest.mark.parametrize(
    "name, mode",
    [
        ("grey.png", "L"),
        ("grey alpha.png", "LA"),
        ("colour.png", "RGB"),
        ("transparent.png", "RGBA"),
        ("palette.png", "P"),
        ("palette.gif", "P"),
        ("bits.png", "1"),
        ("bits.tif", "1"),
        ("colour.webp", "RGB"),
        ("colour.bmp", "RGB"),
        ("grey.pgm", "L"),
        ("print.tif", "CMYK"),
        ("print.jpg", "CMYK"),
        ("video.jpg", "YCbCr"),
        ("ünï cödé 顔 🙂.png", "RGB"),
        ("  spaces and 'quotes'.PNG", "RGB"),
        ("no suffix", "RGB"),
    ],
)
def test_every_kind_of_picture_is_read(tmp_path, name, mode):
    kind = "PNG" if name == "no suffix" else None
    stripes(mode).save(tmp_path / name, kind)
    image = read_photo(tmp_path / name)
    assert image.shape == (20, 30, 3) and image.dtype == np.uint8
    bright = 255 if mode == "1" else 200
    assert abs(image[:, 4:11].astype(int)).max() < 20
    assert abs(image[:, 19:26].astype(int) - bright).max() < 20


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "deep.pgm"])
def test_sixteen_bits_become_eight(tmp_path, name):
    values = np.array([[0, 257, 128 * 257, 65535]] * 3, np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    assert read_photo(tmp_path / name)[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_floating_point_values_are_read_by_their_range(tmp_path, top):
    save(tmp_path / "f.tif", np.array([[0, top / 2, top]], np.float32))
    assert read_photo(tmp_path / "f.tif")[0, :, 1].tolist() == [0, 128, 255]


def test_floating_point_values_of_another_range_are_refused(tmp_path):
    save(tmp_path / "f.tif", np.array([[-3, 0, 9000]], np.float32))
    with pytest.raises(ValueError, match=r"f\.tif cannot be read: its values must be 0 to 1 or"):
        read_photo(tmp_path / "f.tif")


def test_what_is_transparent_becomes_white(tmp_path):
    image = np.zeros((4, 6, 4), np.uint8)
    image[:, :3, 3] = 255
    pixels = read_photo(save(tmp_path / "t.png", image))
    assert (pixels[:, :3] == 0).all() and (pixels[:, 3:] == 255).all()


@pytest.mark.parametrize(
    "orientation, corner", [(1, "tl"), (2, "tr"), (3, "br"), (4, "bl"), (5, "tl"), (6, "tr")]
)
@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_exif_rotation_is_applied(tmp_path, orientation, corner, kind):
    image = np.zeros((32, 64, 3), np.uint8)
    image[:16, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = read_photo(save(tmp_path / f"r.{kind}", image, exif=exif))
    assert pixels.shape == ((64, 32, 3) if orientation > 4 else (32, 64, 3))
    row, column = {"tl": (4, 4), "tr": (4, -5), "bl": (-5, 4), "br": (-5, -5)}[corner]
    assert pixels[row, column, 0] > 240 and pixels.mean() < 80


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    frames = [Image.new("RGB", (9, 7), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=40)
    assert read_photo(tmp_path / "a.gif")[0, 0].tolist() == [255, 0, 0]


def test_one_pixel_is_a_picture(tmp_path):
    assert read_photo(save(tmp_path / "1.png", np.full((1, 1), 9, np.uint8))).tolist() == [
        [[9] * 3]
    ]


def test_twelve_megapixels_are_read(tmp_path):
    path = save(tmp_path / "12.jpg", np.full((3000, 4000, 3), 100, np.uint8))
    assert read_photo(path).shape == (3000, 4000, 3)


def bomb(path):
    """A PNG of 65,000 x 65,000 pixels in its header."""
    import struct
    import zlib

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 65_000, 65_000, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0" * 999))
    )


def unreadable(path):
    save(path.with_suffix(".png"), picture()).rename(path)
    path.chmod(0)


def truncated(path):
    save(path, np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:2000])


EPS = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
BAD = {
    "text.jpg": (lambda p: p.write_text("not a photo"), "no picture of a known format"),
    "empty.png": (lambda p: p.touch(), "it is empty"),
    "cut.jpg": (truncated, "it is damaged"),
    "bomb.png": (bomb, "pixels"),
    "phone.heic": (lambda p: p.write_bytes(b"\0\0\0\x18ftypheic"), "HEIC needs pillow-heif"),
    "drawing.eps.png": (lambda p: p.write_text(EPS), "no picture"),
    "pipe.png": (os.mkfifo, "it is no regular file"),
    "link.png": (lambda p: p.symlink_to("nowhere"), "it is no regular file"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_with_the_reason(tmp_path, name):
    plant, reason = BAD[name]
    plant(tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=f"{name} cannot be read: .*{reason}"):
            read_photo(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="gone.png cannot be read: there is no such file"):
        read_photo(tmp_path / "gone.png")


def test_a_file_without_permission_is_named(tmp_path):
    unreadable(tmp_path / "mine.jpg")
    root = os.geteuid() == 0
    folders = [tmp_path, *[folder for folder in tmp_path.parents if "pytest" in str(folder)]]
    modes = [stat.S_IMODE(folder.stat().st_mode) for folder in folders]
    try:
        for folder in folders if root else []:
            folder.chmod(0o755)
        if root:
            os.seteuid(65534)  # root may read everything
        with pytest.raises(ValueError, match=r"mine\.jpg cannot be read: permission denied"):
            read_photo(tmp_path / "mine.jpg")
    finally:
        if root:
            os.seteuid(0)
        for folder, mode in zip(folders, modes, strict=True):
            folder.chmod(mode)


# recognise


def test_the_table_has_the_pinned_columns_and_a_row_per_face(tmp_path, predictor):
    path = save(tmp_path / "two.png", picture((200, 50), (30, 100)))
    table = recognise(path, predictor, detector="squares")
    assert list(table.columns) == [*PINNED, *FER7, "note"]
    assert table[["face", "x", "y", "width", "height"]].values.tolist() == [
        [1, 30, 100, 40, 40],
        [2, 200, 50, 40, 40],
    ]
    assert table["source"].tolist() == [str(path)] * 2
    assert table["frame"].tolist() == [0, 0] and table["seconds"].tolist() == [0.0, 0.0]
    assert table["emotion"].tolist() == ["angry", "disgust"]
    assert table["detection_score"].tolist() == [0.9, 0.9]
    np.testing.assert_allclose(table[list(FER7)].sum(axis=1), 1, atol=1e-6)
    assert table.loc[1, "disgust"] == pytest.approx(0.79)
    assert not table["unsure"].any() and table["note"].tolist() == ["", ""]


def test_all_faces_of_a_photo_are_one_batch_of_the_predictor_s_size(tmp_path, predictor):
    predictor.face_size = (64, 64)
    save(tmp_path / "a.png", picture((10, 10), (80, 10), (150, 10)))
    save(tmp_path / "b.png", picture((10, 10)))
    recognise(tmp_path, predictor, detector="squares")
    assert [batch.shape for batch in predictor.batches] == [(3, 64, 64), (1, 64, 64)]
    assert predictor.batches[0].dtype == np.uint8


def test_a_photo_without_a_face_keeps_one_row(tmp_path, predictor):
    path = save(tmp_path / "none.png", picture())
    table = recognise([path], predictor, detector="squares")
    assert len(table) == 1 and not predictor.batches
    row = table.iloc[0]
    assert row["emotion"] == "" and row["note"] == "no face found"
    assert row[["face", "x", "detection_score", "unsure", "happy"]].isna().all()


def test_one_bad_file_of_many_costs_only_its_row(tmp_path, predictor):
    for name, (plant, _) in BAD.items():
        plant(tmp_path / name)
    save(tmp_path / "a good one.png", picture((10, 10)))
    files = [tmp_path / name for name in os.listdir(tmp_path)] + [tmp_path / "gone.png"]
    table = recognise(files, predictor, detector="squares").set_index("source")
    assert len(table) == len(BAD) + 2
    assert table.loc[str(tmp_path / "a good one.png"), "emotion"] == "angry"
    for name, (_, reason) in {**BAD, "gone.png": (None, "no such file")}.items():
        row = table.loc[str(tmp_path / name)]
        assert row["emotion"] == "" and reason in row["note"] and name in row["note"]


@pytest.mark.parametrize(
    "shape, whole", [((48, 48), 1), ((64, 50), 1), ((65, 48), 0), ((23, 48), 0), ((1, 1), 0)]
)
def test_a_picture_that_is_a_face_crop_is_taken_whole(tmp_path, predictor, shape, whole):
    image = np.random.default_rng(0).integers(0, 150, shape, np.uint8)
    table = recognise(save(tmp_path / "c.png", image), predictor, detector="squares")
    assert len(predictor.batches) == whole and (table["emotion"] != "").sum() == whole
    if whole:
        assert table.iloc[0][["x", "y", "width", "height"]].tolist() == [0, 0, *shape[::-1]]
        assert np.isnan(table.loc[0, "detection_score"]) and "whole picture" in table.loc[0, "note"]
    if shape == (48, 48):
        np.testing.assert_array_equal(predictor.batches[0][0], image)


def test_folders_are_searched_sorted_without_hidden_files_and_once(tmp_path, predictor):
    names = ["b.png", "a/2.PNG", "a/1.jpg", ".hidden.png", "__MACOSX/x.png", ".thumbs/x.png"]
    for name in names:
        save(tmp_path / name, picture())
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "empty").mkdir()
    wanted = [tmp_path / name for name in ("b.png", "a/1.jpg", "a/2.PNG", "empty")]
    table = recognise(
        [tmp_path, tmp_path / "b.png", tmp_path / "empty"], predictor, detector="squares"
    )
    assert table["source"].tolist() == [str(path) for path in wanted]
    assert table["note"].iloc[-1] == f"{tmp_path / 'empty'} cannot be read: it holds no pictures."


def test_a_name_that_is_no_utf8_gets_into_the_table(tmp_path, predictor):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        save(tmp_path / name, picture((10, 10)))
    except OSError:
        pytest.skip("this file system takes no such name")
    table = recognise(tmp_path, predictor, detector="squares", out=tmp_path / "t.csv")
    assert table["source"].tolist() == [str(tmp_path / "caf\\udce9.png")]
    assert pd.read_csv(tmp_path / "t.csv")["emotion"].tolist() == ["angry"]


@pytest.mark.parametrize("below, unsure", [(0.78, False), (0.8, True), (0, False), (1, True)])
def test_faces_below_the_threshold_are_marked_unsure(tmp_path, predictor, below, unsure):
    path = save(tmp_path / "a.png", picture((10, 10)))
    table = recognise(path, predictor, detector="squares", unsure_below=below)
    assert table["unsure"].tolist() == [unsure]


def test_a_box_is_cut_at_the_picture_s_edges(tmp_path, predictor, monkeypatch):
    monkeypatch.setitem(DETECTORS, "edge", lambda: lambda _: [Detection(-10, 150, 50, 80, 0.9)])
    path = save(tmp_path / "a.png", picture())
    row = recognise(path, predictor, detector="edge").iloc[0]
    assert row[["x", "y", "width", "height"]].tolist() == [0, 150, 40, 50]


@pytest.mark.parametrize("wrong", [{"unsure_below": 1.1}, {"source": []}, {"detector": "sqares"}])
def test_arguments_that_do_not_fit_are_refused(tmp_path, predictor, wrong):
    arguments = {"source": [tmp_path], "detector": "squares"} | wrong
    with pytest.raises(ValueError, match="unsure_below must|at least one|did you mean 'squares'"):
        recognise(arguments.pop("source"), predictor, **arguments)


def test_auto_says_once_that_it_came_to_haar(tmp_path, predictor):
    for name in "abc":
        save(tmp_path / f"{name}.png", picture())
    with pytest.warns(UserWarning, match="Haar's cascade") as caught:
        recognise(tmp_path, predictor)
    assert len(caught) == 1


def test_everything_that_holds_a_photo_gives_the_same_faces(tmp_path, predictor):
    image = picture((30, 100), (200, 50))
    path = save(tmp_path / "two.png", image)
    wanted = recognise(path, predictor, detector="squares").drop(columns="source")
    for source in (str(path), image, Image.fromarray(image), path.read_bytes(), [image]):
        table = recognise(source, predictor, detector="squares")
        name = str(path) if isinstance(source, str) else "picture 1"
        assert table["source"].tolist() == [name] * 2
        pd.testing.assert_frame_equal(table.drop(columns="source"), wanted)
        assert table.attrs["read"] == 1


@pytest.mark.realdata
def test_noise_of_the_size_of_a_face_is_never_sure(tmp_path, shared, fer_home):
    (fer_home / "weights").mkdir(parents=True)
    network = shared / "peers" / "yunet_n_640_640.onnx"
    (fer_home / "weights" / yunet.YUNET.name).symlink_to(network)
    noise = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    table = recognise(noise, Predictor(0.83), detector="yunet")
    assert table["unsure"].tolist() == [True] and np.isnan(table["detection_score"][0])
    assert "no face found" in table["note"][0]
    assert "unsure" in face_table.screen_table(table)
    marked = annotate(noise[..., None].repeat(3, axis=2), table)
    sure = annotate(noise[..., None].repeat(3, axis=2), table.assign(unsure=False))
    assert (marked != sure).any()


@pytest.mark.parametrize("name", ["=1+1.png", "+a.png", "@b.png", "-c.png"])
def test_no_cell_is_a_formula(tmp_path, predictor, monkeypatch, name):
    save(tmp_path / name, picture())
    (tmp_path / f"{name}.jpg").write_text("no photo")
    monkeypatch.chdir(tmp_path)
    table = recognise([name, f"{name}.jpg"], predictor, detector="squares")
    assert table["source"].tolist() == [f"./{name}", f"./{name}.jpg"]
    assert table["note"][1].startswith(f"./{name}.jpg cannot be read")


def test_control_characters_are_escaped(tmp_path, predictor):
    try:
        path = save(tmp_path / "a\nb\x1b[31m.png", picture())
    except OSError:
        pytest.skip("this file system takes no such name")
    table = recognise(path, predictor, detector="squares")
    assert table["source"][0].endswith(r"a\nb\x1b[31m.png")


def test_the_largest_face_and_faces_of_a_size_can_be_asked_for(tmp_path, predictor):
    image = picture((30, 100))
    image[20:80, 200:260] = 230
    asked = {"detector": "squares"}
    assert recognise(image, predictor, largest=True, **asked)["width"].tolist() == [60]
    assert recognise(image, predictor, min_face=50, **asked)["width"].tolist() == [60]
    assert recognise(image, predictor, min_score=0.95, **asked)["note"].tolist() == [
        "no face found"
    ]


def test_what_was_searched_of_a_large_photo_is_noted(tmp_path, predictor):
    image = picture((300, 300), height=1300, width=2000, side=400)
    table = recognise(image, predictor, detector="squares")
    assert table["note"].tolist() == ["searched at 640 pixels a side for faces of 12 and more"]
    table = recognise(image, predictor, detector="squares", search_size=1000, min_face=40)
    assert table["note"].tolist() == ["searched at 1,000 pixels a side for faces of 40 and more"]
    assert table["width"][0] == pytest.approx(400, abs=4)


def test_boxes_of_a_photo_that_was_read_at_half_its_size_are_those_of_the_file(
    tmp_path, predictor, monkeypatch
):
    from fer_lib.vision import pictures

    path = save(tmp_path / "a.jpg", picture((400, 200), height=1000, width=1600, side=200))
    wanted = recognise(path, predictor, detector="squares")
    monkeypatch.setattr(pictures, "REDUCE_ABOVE", 500_000)
    table = recognise(path, predictor, detector="squares", annotated=tmp_path / "out")
    box = ["x", "y", "width", "height"]
    np.testing.assert_allclose(table[box].astype(int), wanted[box].astype(int), atol=6)
    assert "read at 1/2 of its size" in table["note"][0]
    assert Image.open(tmp_path / "out" / "a.jpg").size == (800, 500)


class Stops(Predictor):
    """Is interrupted at the n-th photo."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def __repr__(self):
        return "stops"

    def predict(self, images):
        if len(self.batches) == self.at:
            raise KeyboardInterrupt
        return super().predict(images)


def test_stopped_work_goes_on_by_the_same_call(tmp_path):
    for number in range(9):
        save(tmp_path / "in" / f"{number}.png", picture((10, 10 * number)))
    (tmp_path / "in" / "3.png").write_text("no photo")
    options = {"detector": "squares"}
    wanted = recognise(tmp_path / "in", Stops(-1), **options)
    options |= {"out": tmp_path / "t.csv", "annotated": tmp_path / "marked"}
    with pytest.raises(KeyboardInterrupt, match="6 of 9 photographs are done and kept; the same"):
        recognise(tmp_path / "in", Stops(5), **options)
    assert not (tmp_path / "t.csv").exists()
    again = Stops(-1)
    table = recognise(tmp_path / "in", again, **options)
    assert len(again.batches) == 3
    pd.testing.assert_frame_equal(table, wanted)
    assert table.attrs["read"] == 8
    assert sorted(os.listdir(tmp_path / "marked")) == [f"{n}.jpg" for n in range(9) if n != 3]
    assert {name for name in os.listdir(tmp_path) if name != "fer_home"} == {
        "in",
        "marked",
        "t.csv",
    }


def test_people_keep_their_numbers_through_photos_if_asked_also_after_a_stop(tmp_path):
    along = np.arange(40)
    faces = [np.sin(along / 2), np.sin(along / 2)[:, None], np.sin(np.add.outer(along, along) / 3)]
    first, second, third = [np.uint8(230 + 20 * face * np.ones((40, 40))) for face in faces]
    for number, pair in enumerate([(first, second), (second, first), (third,), (first, third)]):
        image = picture()
        for place, face in enumerate(pair):
            image[60:100, 20 + 100 * place + 10 * number :][:, :40] = face[..., None]
        save(tmp_path / "in" / f"{number}.png", image)
    options = {"detector": "squares", "out": tmp_path / "t.csv", "same_people": True}
    with pytest.raises(KeyboardInterrupt):
        recognise(tmp_path / "in", Stops(2), **options)
    with pytest.raises(FileExistsError, match="same_people differ"):
        recognise(tmp_path / "in", Stops(-1), **options | {"same_people": False})
    assert recognise(tmp_path / "in", Stops(-1), **options)["face"].tolist() == [
        1,
        2,
        2,
        1,
        3,
        1,
        3,
    ]


def test_a_kill_once_the_table_is_written_costs_nothing(tmp_path, monkeypatch):
    for number in range(3):
        save(tmp_path / "in" / f"{number}.png", picture((10, 10 * number)))
    options = {"detector": "squares", "out": tmp_path / "t.csv", "annotated": tmp_path / "marked"}
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(photos._Copies, "end", lambda self: sys.exit())
        recognise(tmp_path / "in", Stops(-1), **options)
    assert (tmp_path / "t.csv").exists()
    (tmp_path / "marked" / storage.temporary_name("0.jpg").name).write_text("of a killed process")
    monkeypatch.setitem(DETECTORS, "squares", lambda: lambda image: [])  # nothing is searched
    again = Stops(-1)
    table = recognise(tmp_path / "in", again, **options)  # without overwrite
    assert len(table) == 3 and not again.batches
    assert sorted(os.listdir(tmp_path / "marked")) == ["0.jpg", "1.jpg", "2.jpg"]
    assert {path.name for path in tmp_path.iterdir()} - {"fer_home"} == {"in", "marked", "t.csv"}
    with pytest.raises(FileExistsError, match="t.csv is there already"):
        recognise(tmp_path / "in", again, **options)


def test_part_of_a_table_of_photos_that_have_changed_is_refused(tmp_path):
    for number in range(3):
        save(tmp_path / "in" / f"{number}.png", picture((10, 10)))
    options = {"detector": "squares", "out": tmp_path / "t.csv"}
    with pytest.raises(KeyboardInterrupt):
        recognise(tmp_path / "in", Stops(1), **options)
    save(tmp_path / "in" / "0.png", picture())
    with pytest.raises(FileExistsError, match="photos differ"):
        recognise(tmp_path / "in", Stops(-1), **options)


def test_a_stop_without_a_table_says_that_nothing_is_kept(tmp_path):
    for number in range(3):
        save(tmp_path / f"{number}.png", picture((10, 10)))
    with pytest.raises(KeyboardInterrupt, match="1 of 3 photographs are done; only a file"):
        recognise(tmp_path, Stops(1), detector="squares")


def test_files_of_others_in_the_folder_of_copies_are_safe(tmp_path, predictor):
    path = save(tmp_path / "a.png", picture((10, 10)))
    save(tmp_path / "out" / "mine.jpg", picture())
    with pytest.raises(FileExistsError, match="new or an empty folder"):
        recognise(path, predictor, detector="squares", annotated=tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["mine.jpg"]


def test_photos_side_by_side_come_in_their_order(tmp_path, predictor, monkeypatch):
    from fer_lib.vision import photos as module

    for number in range(25):
        save(tmp_path / f"{number:02}.png", picture((10, 5 * number)))
    monkeypatch.setattr(module, "cores", lambda: 4)
    table = recognise(tmp_path, predictor, detector="squares")
    assert table["y"].tolist() == [5 * number for number in range(25)]


def test_the_screen_tells_a_long_table_in_a_few_lines(tmp_path, predictor):
    (tmp_path / "bad.png").write_text("no photo")
    table = recognise([picture((10, 10))] * 45 + [tmp_path / "bad.png"], predictor,
                      detector="squares")  # fmt: skip
    text = face_table.screen_table(table)
    assert "46 photographs, 45 faces in 45 of them, none in 0, 1 not read." in text
    assert "angry 100%" in text and "bad.png cannot be read" in text and text.count("\n") < 8


# Tables


@pytest.fixture
def table(tmp_path, predictor):
    save(tmp_path / "in" / "ünï 1.png", picture((10, 10), (100, 100)))
    save(tmp_path / "in" / "none.png", picture())
    return recognise(tmp_path / "in", predictor, detector="squares")


@pytest.mark.parametrize("ending", ["csv", "json", "CSV"])
def test_a_table_comes_back_as_it_was_written(tmp_path, table, ending):
    path = tmp_path / f"faces.{ending}"
    save_table(table, path)
    read = pd.read_json if ending == "json" else pd.read_csv
    back = read(path)
    assert list(back.columns) == list(table.columns)
    assert back["source"].tolist() == table["source"].tolist()
    assert back["emotion"].fillna("").tolist() == ["", "angry", "disgust"]
    np.testing.assert_allclose(back["angry"], table["angry"], atol=1e-9)
    assert back["face"].tolist()[1:] == [1, 2] and np.isnan(back["face"][0])


def test_a_parquet_table_keeps_its_kinds(tmp_path, table):
    pytest.importorskip("pyarrow")
    save_table(table, tmp_path / "faces.parquet")
    back = pd.read_parquet(tmp_path / "faces.parquet")
    assert back["face"].isna().tolist() == [True, False, False]
    assert back["unsure"].tolist()[1:] == [False, False] and back["x"].tolist()[1:] == [10, 100]


def test_parquet_without_its_package_says_what_to_install(tmp_path, table, monkeypatch):
    def missing(*args, **kwargs):
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", missing)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        save_table(table, tmp_path / "faces.parquet")
    assert not list(tmp_path.glob("*.parquet*"))


def test_a_file_is_not_overwritten_silently(tmp_path, table, predictor):
    path = tmp_path / "faces.csv"
    path.write_text("precious")
    with pytest.raises(FileExistsError, match="is there already"):
        save_table(table, path)
    with pytest.raises(FileExistsError, match="is there already"):
        recognise(tmp_path / "in", predictor, detector="squares", out=path)
    assert path.read_text() == "precious" and len(predictor.batches) == 1  # of the fixture
    save_table(table, path, overwrite=True)
    assert path.read_text().startswith(",".join(PINNED))


@pytest.mark.parametrize("last", ["end", "remove"])  # of the copies, of the part
def test_a_kill_among_the_last_steps_does_not_stop_the_same_call(
    tmp_path, monkeypatch, predictor, last
):
    save(tmp_path / "in" / "a.png", picture((10, 10)))
    options = {"detector": "squares", "out": tmp_path / "t.csv", "annotated": tmp_path / "marked"}

    def killed(self):
        raise SystemExit

    owner = {"end": photos._Copies, "remove": photos.PartFile}[last]
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(owner, last, killed)
        recognise(tmp_path / "in", predictor, **options)
    assert (tmp_path / "t.csv").exists()
    recognise(tmp_path / "in", predictor, **options)
    assert sorted(path.name for path in tmp_path.glob("[tm]*")) == ["marked", "t.csv"]
    assert os.listdir(tmp_path / "marked") == ["a.jpg"]


def test_a_table_that_a_twin_finished_meanwhile_is_left_alone(tmp_path, monkeypatch, predictor):
    save(tmp_path / "in" / "a.png", picture((10, 10)))
    options = {"detector": "squares", "out": tmp_path / "t.csv", "annotated": tmp_path / "marked"}
    begun = photos.model_identity

    def overtaken(opened):  # between the first look and the lock
        monkeypatch.setattr(photos, "model_identity", begun)
        recognise(tmp_path / "in", predictor, **options)
        return begun(opened)

    monkeypatch.setattr(photos, "model_identity", overtaken)
    with pytest.raises(FileExistsError, match=r"t\.csv is there already"):
        recognise(tmp_path / "in", predictor, **options)
    assert sorted(path.name for path in tmp_path.glob("[tm]*")) == ["marked", "t.csv"]
    assert not list((tmp_path / "marked").glob(".*"))


def test_an_unknown_ending_is_refused_before_the_work(tmp_path, predictor):
    with pytest.raises(ValueError, match="'.csv', '.parquet', '.json'"):
        recognise(tmp_path, predictor, detector="squares", out=tmp_path / "faces.xlsx")


def test_the_screen_shows_a_line_per_row(table):
    lines = face_table.screen_table(table).splitlines()
    assert len(lines) == 4 and lines[0].split()[:2] == ["source", "emotion"]
    assert "no face found" in lines[1] and "nan" not in lines[1].lower() and "NA" not in lines[1]
    assert "40 x 40 at 10, 10" in lines[2] and "angry" in lines[2] and "79%" in lines[2]


# Marked copies


def test_boxes_are_drawn_in_the_emotion_s_colour():
    image = picture((100, 100))
    row = {"face": 1, "x": 100, "y": 100, "width": 40, "height": 40, "unsure": False}
    row |= {"emotion": "happy", "happy": 0.9}
    before = image.copy()
    marked = annotate(image, [row])
    np.testing.assert_array_equal(image, before)
    yellow = (np.array([int(COLOURS["happy"][i : i + 2], 16) for i in (1, 3, 5)]) == marked).all(-1)
    fold = marked.shape[0] // 200
    assert yellow[100 * fold : 140 * fold, 100 * fold].all()  # the box's left edge
    assert yellow[: 100 * fold].sum() > 100  # the label above it
    assert not yellow[145 * fold :].any()


@pytest.mark.parametrize("height, width", [(1, 1), (48, 48), (5000, 30), (30, 5000), (2000, 3000)])
def test_pictures_of_any_size_can_be_marked(height, width):
    row = {"face": 12, "x": 0, "y": 0, "width": width, "height": height, "unsure": True}
    marked = annotate(picture(height=height, width=width), [row | {"emotion": "sad", "sad": 0.3}])
    assert max(marked.shape) >= 320 and marked.shape[0] % height == 0
    assert (marked != 60).any()


def test_a_picture_without_faces_is_copied(table):
    image = picture(height=400)
    np.testing.assert_array_equal(annotate(image, table.iloc[:1]), image)


def test_marked_copies_do_not_replace_each_other(tmp_path, predictor):
    for name in ("a/1.png", "b/1.png", "b/1.jpg", "c/other.png"):
        save(tmp_path / "in" / name, picture((10, 10)))
    (tmp_path / "in" / "bad.png").write_text("bad")
    recognise(tmp_path / "in", predictor, detector="squares", annotated=tmp_path / "marked")
    names = sorted(path.name for path in (tmp_path / "marked").iterdir())
    assert names == ["1-2.jpg", "1-3.jpg", "1.jpg", "other.jpg"]
    with pytest.raises(FileExistsError, match="new or an empty folder"):
        recognise(tmp_path / "in", predictor, detector="squares", annotated=tmp_path / "marked")


# The real thing


@pytest.mark.realdata
def test_real_photos_give_their_faces(shared, fer_home, predictor):
    (fer_home / "weights").mkdir(parents=True)
    network = shared / "peers" / "yunet_n_640_640.onnx"
    (fer_home / "weights" / yunet.YUNET.name).symlink_to(network)
    table = recognise(shared / "media", predictor)
    assert "python -m fer_lib video" in table["note"].iloc[2]  # of the clip among them
    table = table[table["emotion"] != ""]
    faces = table.groupby(table["source"].map(os.path.basename)).size().to_dict()
    assert faces == {
        "astronaut.png": 1,
        "grace_hopper.png": 1,
        "solvay_1927_29_people.jpg": 6,  # a part of the photograph, with six whole faces
        "two_men_and_two_bystanders.jpg": 4,
    }
    assert (table["detection_score"] > 0.8).all()


def test_a_table_of_photos_needs_neither_keras_nor_tensorflow(tmp_path):
    code = (
        "import sys, numpy as np\nfrom fer_lib.vision import photos\n"
        "class P:\n    label_set = ('happy', 'sad')\n"
        "    def predict(self, faces): return np.full((len(faces), 2), 0.5)\n"
        "table = photos.recognise(sys.argv[1], P(), detector='haar')\n"
        "print(len(table), bool({'keras', 'tensorflow', 'matplotlib'} & set(sys.modules)))"
    )
    path = save(tmp_path / "c.png", np.zeros((48, 48), np.uint8))
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "False"]
