"""Where photographs come from: what a source stands for, and what is said of the rest."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from fer_lib.vision import pictures
from fer_lib.vision.pictures import read_photo
from support.web_server import files_served


@pytest.fixture
def site(tmp_path):
    """Serve `tmp_path` on this machine; yields the address."""

    with files_served(tmp_path) as address:
        yield address


def save(path, shade=100, size=(9, 7)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 0, 0)).save(path)
    return path


def names(source):
    return [photo.name for photo in pictures.photos(source)]


def reason(photo):
    with pytest.raises(ValueError) as error:
        photo.read()
    return str(error.value)


def test_a_path_bytes_a_pillow_image_and_arrays_are_one_picture(tmp_path):
    path = save(tmp_path / "a.png")
    wanted = np.zeros((7, 9, 3), np.uint8)
    wanted[..., 0] = 100
    image = Image.open(path)
    for source in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), image, wanted):
        (photo,) = pictures.photos(source)
        np.testing.assert_array_equal(photo.read().pixels, wanted)
        np.testing.assert_array_equal(read_photo(source), wanted)
    np.testing.assert_array_equal(read_photo(wanted[..., 0]), np.full((7, 9, 3), 100, np.uint8))


def test_lists_and_stacks_are_numbered_in_their_order(tmp_path):
    path, image = save(tmp_path / "a.png"), np.zeros((7, 9, 3), np.uint8)
    assert names([image, path, path.read_bytes()]) == ["picture 1", str(path), "picture 3"]
    assert names(np.stack([image, image])) == ["picture 1", "picture 2"]


@pytest.mark.parametrize(
    "array", [np.zeros((7, 9, 3)), np.zeros((7, 9, 4), np.uint8), np.zeros((0, 9, 3), np.uint8)]
)
def test_an_array_that_is_no_picture_is_told_its_shape(array):
    (photo,) = pictures.photos([array])
    assert reason(photo).startswith("picture 1 cannot be read: ")


def test_what_is_no_source_and_an_empty_list_are_refused():
    with pytest.raises(TypeError, match="must be a path, an address, bytes.*got int"):
        pictures.photos([3])
    with pytest.raises(ValueError, match="at least one photograph"):
        pictures.photos([])


def test_a_glob_is_opened_and_one_without_a_match_is_named(tmp_path):
    wanted = [save(tmp_path / name) for name in ("a/1.png", "a/2.png", "b/3.png")]
    assert names(str(tmp_path / "*" / "*.png")) == list(map(str, wanted))
    assert names(str(tmp_path / "**" / "[12].png")) == list(map(str, wanted[:2]))
    (photo,) = pictures.photos(str(tmp_path / "*.jpg"))
    assert "no file has a name like that" in reason(photo)
    odd = save(tmp_path / "my [1].png")  # a file of that name comes before a pattern
    assert names(str(odd)) == [str(odd)]


def test_of_a_folder_nothing_that_looks_like_a_picture_is_left_unsaid(tmp_path):
    save(tmp_path / "a.png")
    for name in ("b.heic", "c.JP2", "d.tga", "e.nef", "clip.mp4", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"something")
    save(tmp_path / "elsewhere" / "x.png")
    (tmp_path / "linked").symlink_to(tmp_path / "elsewhere")
    found = {os.path.relpath(photo.name, tmp_path): photo for photo in pictures.photos(tmp_path)}
    assert list(found) == [
        *("a.png", "b.heic", "c.JP2", "clip.mp4", "d.tga", "e.nef", "linked", "elsewhere/x.png")
    ]
    assert "python -m fer_lib video" in reason(found["clip.mp4"])
    assert "a linked folder is not searched" in reason(found["linked"])
    assert "no picture of a known format" in reason(found["e.nef"])


def test_an_address_is_fetched_once_and_a_wrong_one_says_why(tmp_path, site):
    save(tmp_path / "my photo.png")
    (tmp_path / "page.png").write_text("<html>")
    address = f"{site}/my photo.png"
    (photo,) = pictures.photos([address, address])
    assert photo.name == address and photo.read().pixels.shape == (7, 9, 3)
    gone, page, nobody = pictures.photos(
        [f"{site}/gone.png", f"{site}/page.png", "http://127.0.0.1:9/a.png"]
    )
    assert f"{site}/gone.png cannot be read: " in reason(gone) and "404" in reason(gone)
    assert "no picture of a known format" in reason(page)
    assert "refused" in reason(nobody)


def test_a_large_jpeg_is_read_at_a_part_of_its_size_and_another_format_is_refused(monkeypatch):
    data = io.BytesIO()
    Image.new("RGB", (4000, 3000), (90, 90, 90)).save(data, "JPEG")
    monkeypatch.setattr(pictures, "REDUCE_ABOVE", 1_000_000)
    # As Pillow does of a picture of more than 179 megapixels.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    (photo,) = pictures.photos(data.getvalue())
    picture = photo.read()
    assert picture.pixels.shape == (750, 1000, 3) and picture.scale == 4
    assert "read at 1/4 of its size" in picture.note and abs(int(picture.pixels[9, 9, 0]) - 90) < 3
    data = io.BytesIO()
    Image.new("L", (4000, 3000)).save(data, "PNG")
    (photo,) = pictures.photos(data.getvalue())
    assert "pixels" in reason(photo)


def test_avif_is_read(tmp_path):
    features = pytest.importorskip("PIL.features")
    if not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    Image.new("RGB", (64, 48), (200, 30, 30)).save(tmp_path / "a.avif")
    assert abs(read_photo(tmp_path / "a.avif")[20, 20].astype(int) - [200, 30, 30]).max() < 6


def test_a_format_that_a_plug_in_has_registered_is_read(tmp_path):
    heif = pytest.importorskip("pillow_heif", reason="needs pip install pillow-heif")
    heif.register_heif_opener()
    Image.new("RGB", (64, 48), (30, 200, 30)).save(tmp_path / "a.heic")
    assert abs(read_photo(tmp_path / "a.heic")[20, 20].astype(int) - [30, 200, 30]).max() < 6
