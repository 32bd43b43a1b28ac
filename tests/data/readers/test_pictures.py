"""The picture decoder: upright, on white, 8 bits, and a reason for what cannot be read."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from fer_lib.data.readers import pictures


def saved(image, kind="PNG", **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def shades(size=(40, 30)):
    """A picture whose every corner has a colour of its own."""
    image = Image.new("RGB", size, (90, 90, 90))
    for place, colour in (((0, 0), (250, 0, 0)), ((20, 0), (0, 250, 0)), ((0, 15), (0, 0, 250))):
        image.paste(colour, (*place, place[0] + 20, place[1] + 15))
    return image


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF", "GIF"])
def test_formats_without_loss_give_back_their_pixels(kind):
    image = shades()
    np.testing.assert_array_equal(pictures.decode(saved(image, kind)).pixels, np.asarray(image))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_formats_with_loss_come_near_their_pixels(kind):
    from PIL import features

    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    image = Image.new("RGB", (40, 30), (200, 100, 50))
    pixels = pictures.decode(saved(image, kind, quality=95)).pixels
    assert pixels.shape == (30, 40, 3)
    assert np.abs(pixels.astype(int) - (200, 100, 50)).max() < 8


def test_bytes_a_file_a_pillow_image_and_a_path_give_the_same(tmp_path):
    data = saved(shades())
    (tmp_path / "called.txt").write_bytes(data)
    expected = pictures.decode(data).pixels
    for other in (
        pictures.decode(io.BytesIO(data)),
        pictures.decode(memoryview(data)),
        pictures.decode(Image.open(io.BytesIO(data))),
        pictures.read(tmp_path / "called.txt"),
    ):
        np.testing.assert_array_equal(other.pixels, expected)
    assert pictures.decode(data, grey=True).pixels.shape == (30, 40)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_is_turned_as_its_exif_data_says(kind):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}.get(kind, {})
    turned = pictures.decode(saved(shades(), kind, exif=exif, **options)).pixels
    expected = np.rot90(np.asarray(shades()), -1)
    assert turned.shape == (40, 30, 3)
    assert np.abs(turned[5::10, 5::10].astype(int) - expected[5::10, 5::10]).max() < 12


@pytest.mark.parametrize(
    ("mode", "colour"), [("RGBA", (0, 0, 0, 0)), ("LA", (0, 0)), ("P", 0), ("RGBA", (0, 0, 0, 128))]
)
def test_what_is_transparent_becomes_white(mode, colour):
    image = Image.new(mode, (8, 8), colour)
    options = {"transparency": 0} if mode == "P" else {}
    pixels = pictures.decode(saved(image, **options)).pixels
    assert (pixels == (127 if colour == (0, 0, 0, 128) else 255)).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight_not_cut_off(kind):
    values = np.array([[0, 257, 4000], [32896, 65278, 65535]], np.uint16)
    pixels = pictures.decode(saved(Image.fromarray(values), kind), grey=True).pixels
    assert pixels.tolist() == [[0, 1, 16], [128, 254, 255]]


def test_floating_point_values_of_0_to_1_or_to_255_are_scaled_and_others_refused():
    for high in (1, 255):
        image = Image.fromarray(np.array([[0, high / 2, high]], np.float32))
        pixels = pictures.decode(saved(image, "TIFF"), grey=True).pixels
        assert np.abs(pixels.astype(int) - [[0, 128, 255]]).max() <= 1
    with pytest.raises(ValueError, match="must be 0 to 1 or 255; they are -3 to 2"):
        pictures.decode(saved(Image.fromarray(np.array([[-3, 2]], np.float32)), "TIFF"))


@pytest.mark.parametrize("mode", ["1", "P", "CMYK"])
def test_other_modes_become_rgb_and_grey(mode):
    data = saved(Image.new("RGB", (8, 8), "white").convert(mode), "TIFF")
    assert (pictures.decode(data).pixels >= 254).all()
    assert (pictures.decode(data, grey=True).pixels >= 254).all()


@pytest.mark.parametrize(
    ("kind", "what"), [("GIF", "frames"), ("TIFF", "pages"), ("PNG", "frames")]
)
def test_of_several_frames_the_first_is_taken_and_the_note_says_so(kind, what):
    frames = [Image.new("L", (8, 8), shade) for shade in (10, 120, 250)]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    picture = pictures.decode(data, grey=True)
    assert picture.note == f"the first of 3 {what}" and (picture.pixels == 10).all()
    assert pictures.decode(saved(frames[0], kind)).note == ""


def bomb(side):
    """A PNG whose first lines promise more pixels than follow."""
    png = saved(Image.new("1", (8, 8)))
    header = b"IHDR" + side.to_bytes(4, "big") * 2 + png[24:29]
    return png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:]


def _bad():
    png = saved(shades())
    return {
        "empty": (b"", "it is empty"),
        "text": (b"not a picture", "it is no picture of a known format"),
        "cut off": (png[: len(png) // 2], "it is damaged"),
        "a bomb": (bomb(12_000), "12000 x 12000 pixels; 120,000,000"),
        "a larger bomb": (bomb(20_000), "more than 120,000,000 pixels"),
        "PostScript": (saved(shades(), "EPS"), "it is no picture of a known format"),
        "HEIC": (b"\0\0\0\x18ftypheic" + bytes(20), "HEIC needs pillow-heif|damaged|known format"),
    }


@pytest.mark.parametrize("kind", _bad())
def test_what_cannot_be_read_is_an_error_with_the_reason_and_the_name(kind, tmp_path):
    data, reason = _bad()[kind]
    with pytest.raises(ValueError, match=reason):
        pictures.decode(data)
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"bad.png cannot be read: .*({reason})"):
        pictures.read(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere.png cannot be read: there is no such file"):
        pictures.read(tmp_path / "nowhere.png")
    with pytest.raises(ValueError, match="cannot be read: it is no regular file"):
        pictures.read(tmp_path)


def test_a_face_has_the_size_asked_for_in_grey_or_colour():
    data = saved(Image.new("RGB", (96, 64), (200, 100, 50)))
    assert pictures.face(data, 48).pixels.shape == (48, 48)
    pixels = pictures.face(data, 32, colour=True).pixels
    assert pixels.shape == (32, 32, 3) and (pixels == (200, 100, 50)).all()
