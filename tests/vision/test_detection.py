"""Faces in pictures: detectors, crops, and the file of weights."""

import math
import sys
import threading
import warnings

import numpy as np
import pytest

from fer_lib.vision import detection
from fer_lib.vision import yunet as network_file
from fer_lib.vision.detection import DETECTORS, Detection, crop_faces, detect
from support.web_server import files_served

pytest.importorskip("cv2", reason='needs pip install -e ".[vision]"')


@pytest.fixture
def face_at(monkeypatch):
    """A detector that always finds the same faces, in pixels of the picture that it gets."""

    def install(*faces):
        seen = []
        found = lambda image: seen.append(image) or list(faces)  # noqa: E731
        monkeypatch.setitem(DETECTORS, "fake", lambda: found)
        monkeypatch.setattr(detection, "_ready", threading.local())
        return seen

    return install


@pytest.fixture
def yunet(shared, fer_home):
    """Put YuNet's file where fer_lib looks for it."""
    target = fer_home / "weights" / network_file.YUNET.name
    target.parent.mkdir(parents=True)
    target.symlink_to(shared / "peers" / "yunet_n_640_640.onnx")
    return target


@pytest.fixture
def photo(shared):
    """Return a function that reads a shared photograph."""
    from fer_lib.vision.pictures import read_photo

    return lambda name: read_photo(shared / "media" / name)


@pytest.fixture
def site(tmp_path):
    """Serve a folder on this machine; yields (folder, address)."""

    folder = tmp_path / "site"
    folder.mkdir()
    with files_served(folder) as address:
        yield folder, address


def drawn(tilt=0.0):
    """A grey picture of a smooth face around (100, 100) with two dark eyes; where the eyes are."""
    down, across = np.mgrid[:200, :200] + 0.5

    def blob(x, y, width):
        return np.exp(-((down - y) ** 2 + (across - x) ** 2) / (2 * width**2))

    cos, sin = math.cos(tilt), math.sin(tilt)
    eyes = tuple((100 + s * 12 * cos + 12 * sin, 100 + s * 12 * sin - 12 * cos) for s in (-1, 1))
    image = 40 + 160 * blob(100, 100, 25) - 90 * sum(blob(*eye, 5) for eye in eyes)
    return image.clip(0, 255).astype(np.uint8), eyes


# What every detector keeps to


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (7, 33), (480, 640, 3), (3, 5000, 3)])
def test_a_picture_without_a_face_gives_an_empty_list(name, shape, request):
    if name == "yunet":
        request.getfixturevalue("yunet")
    assert detect(np.full(shape, 127, np.uint8), name) == []


@pytest.mark.realdata
@pytest.mark.parametrize("name", DETECTORS)
def test_real_faces_are_found_where_they_are(name, yunet, photo):
    image = photo("two_men_and_two_bystanders.jpg")
    faces = detect(image, name)
    middles = [(27, 131, 58), (176, 144, 122), (304, 107, 119), (465, 150, 64)]
    assert len(faces) == 4
    for face, (x, y, size) in zip(faces, middles, strict=True):  # from left to right
        assert math.dist(face.centre, (x, y)) < size / 3
        assert 0.6 < max(face.width, face.height) / size < 1.5
        assert (face.eyes is not None) == (name == "yunet")


@pytest.mark.realdata
@pytest.mark.parametrize("name", DETECTORS)
def test_a_reduced_search_gives_boxes_in_the_original_s_pixels(name, yunet, photo):
    image = photo("astronaut.png")
    large = np.repeat(np.repeat(image, 3, axis=0), 3, axis=1)
    (face,), (tall,) = detect(image, name), detect(large, name)
    assert tall.centre[0] == pytest.approx(3 * face.centre[0], rel=0.06)
    assert tall.centre[1] == pytest.approx(3 * face.centre[1], rel=0.06)
    assert tall.width == pytest.approx(3 * face.width, rel=0.2)


@pytest.mark.realdata
@pytest.mark.parametrize("degrees", [-30, 30])
def test_yunet_s_eyes_follow_a_turned_head(yunet, photo, degrees):
    import cv2

    image = photo("astronaut.png")
    matrix = cv2.getRotationMatrix2D((256, 256), degrees, 1)
    turned = cv2.warpAffine(image, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    (upright,), (tilted,) = detect(image, "yunet"), detect(turned, "yunet")
    change = math.degrees(detection._tilt(tilted) - detection._tilt(upright))
    assert 5 < change * math.copysign(1, -degrees) < 35  # OpenCV turns against the clock


@pytest.mark.realdata
def test_photos_of_other_things_hold_no_face(yunet, photo):
    lower_half = photo("solvay_1927_29_people.jpg")[420:]
    assert detect(lower_half, "yunet") == [] and detect(lower_half, "haar") == []


# detect


def test_boxes_and_eyes_are_mapped_back_and_sorted(face_at):
    seen = face_at(
        Detection(50, 10, 20, 20, 0.9, ((55, 15), (65, 15))), Detection(5, 10, 20, 20, 0.7)
    )
    left, right = detect(np.zeros((400, 800, 3), np.uint8), "fake", max_side=100)
    assert seen[0].shape == (50, 100, 3)
    assert right == Detection(400, 80, 160, 160, 0.9, ((440, 120), (520, 120)))
    assert left[:4] == (40, 80, 160, 160) and left.eyes is None


def test_a_small_picture_is_searched_as_it_is(face_at):
    seen = face_at(Detection(1, 2, 3, 4, 0.5))
    assert detect(np.zeros((50, 60), np.uint8), "fake") == [Detection(1, 2, 3, 4, 0.5)]
    assert seen[0].shape == (50, 60, 3)


def test_boxes_whose_middle_is_outside_are_dropped(face_at):
    face_at(Detection(-30, 0, 20, 20, 0.9), Detection(-5, 0, 20, 20, 0.8))
    assert [face.x for face in detect(np.zeros((50, 60), np.uint8), "fake")] == [-5]


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8), np.zeros((2, 3, 3))],
)
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(ValueError, match="image must be uint8 of shape"):
        detect(image, "haar")


def test_an_empty_picture_is_refused():
    with pytest.raises(ValueError, match="must hold pixels"):
        detect(np.zeros((0, 5), np.uint8), "haar")


def test_an_unknown_detector_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="'auto', 'yunet', 'haar'.*did you mean 'yunet'"):
        detect(np.zeros((9, 9), np.uint8), "yunett")


def test_max_side_must_be_positive():
    with pytest.raises(ValueError, match="max_side must be at least 1"):
        detect(np.zeros((9, 9), np.uint8), "haar", max_side=0)


def test_without_opencv_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[vision\]"'):
        detect(np.zeros((9, 9), np.uint8))


def test_two_threads_do_not_share_a_detector(monkeypatch):
    opened = []
    monkeypatch.setattr(detection, "_ready", threading.local())
    monkeypatch.setitem(DETECTORS, "fake", lambda: opened.append(1) or (lambda image: []))
    image = np.zeros((9, 9), np.uint8)
    for _ in range(2):
        detect(image, "fake")
        thread = threading.Thread(target=detect, args=(image, "fake"))
        thread.start()
        thread.join()
    assert len(opened) == 3  # one for this thread, and one for each other


# crop_faces


def test_crops_are_square_grey_and_as_many_as_the_faces():
    image = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
    faces = [Detection(10, 20, 30, 40, 0.9), Detection(-50, -20, 100, 80, 0.9)]
    crops = crop_faces(image, faces, 48)
    assert crops.shape == (2, 48, 48) and crops.dtype == np.uint8
    assert crop_faces(image, [], (24, 24)).shape == (0, 24, 24)


@pytest.mark.parametrize("size", [24, 48, 96])
def test_a_crop_of_the_box_s_own_size_is_the_picture_s_pixels(size):
    image = np.random.default_rng(0).integers(0, 256, (200, 150), np.uint8)
    face = Detection(20, 30, size, size, 0.9)
    np.testing.assert_array_equal(
        crop_faces(image, [face], size, margin=0)[0], image[30 : 30 + size, 20 : 20 + size]
    )


def test_the_margin_is_a_share_of_the_longer_side_around_the_middle():
    image = np.zeros((100, 100), np.uint8)
    image[30:70, 35:65] = 255
    crop = crop_faces(image, [Detection(35, 30, 30, 40, 0.9)], 100, margin=1.0)[0]
    rows, columns = np.flatnonzero(crop.max(1) > 127), np.flatnonzero(crop.max(0) > 127)
    assert abs(rows[0] - 25) <= 1 and abs(rows[-1] - 74) <= 1
    assert abs(columns[0] - 31) <= 1 and abs(columns[-1] - 68) <= 1


def test_a_large_face_is_averaged_not_sampled():
    image = np.zeros((960, 960), np.uint8)
    image[::20] = 200  # lines that sampling would find or miss
    crop = crop_faces(image, [Detection(0, 0, 960, 960, 0.9)], 48, margin=0)[0]
    assert abs(crop.astype(int) - 10).max() <= 1


@pytest.mark.parametrize("degrees", [-150, -60, -20, 10, 35, 90, 180])
def test_turned_faces_come_out_with_level_eyes(degrees):
    (upright, eyes), (turned, turned_eyes) = drawn(), drawn(math.radians(degrees))
    expected = crop_faces(upright, [Detection(60, 60, 80, 80, 1, eyes)])[0].astype(int)
    face = Detection(60, 60, 80, 80, 1, turned_eyes)
    assert abs(crop_faces(turned, [face])[0] - expected).max() <= 2
    assert abs(crop_faces(turned, [face], align=False)[0] - expected).max() > 10


def test_eyes_of_a_profile_that_nearly_coincide_turn_nothing():
    image, _ = drawn()
    face = Detection(60, 60, 80, 80, 1)
    profile = face._replace(eyes=((60, 50), (61, 55)))
    np.testing.assert_array_equal(crop_faces(image, [profile]), crop_faces(image, [face]))


@pytest.mark.parametrize(
    "box",
    [(-30, -30, 60, 60), (130, 90, 60, 60), (-500, -500, 2000, 2000), (80, 60, 0, 0), (0, 0, 1, 1)],
)
@pytest.mark.parametrize("eyes", [None, ((0, 0), (50, 40))])
def test_past_the_edges_the_edge_is_repeated(box, eyes):
    image = np.full((120, 160), 77, np.uint8)
    assert (crop_faces(image, [Detection(*box, 0.9, eyes)]) == 77).all()


def test_a_picture_wider_than_opencv_maps_is_cut_all_the_same():
    image = np.zeros((60, 40_000), np.uint8)
    image[:, 39_000:] = 99
    assert (crop_faces(image, [Detection(39_500, 10, 40, 40, 0.9)]) == 99).all()


def test_colours_become_grey_as_the_eye_weighs_them():
    image = np.zeros((50, 50, 3), np.uint8)
    image[..., 0] = 255  # red, were it blue the grey would be 29
    assert (crop_faces(image, [Detection(5, 5, 40, 40, 0.9)]) == 76).all()


def test_faces_are_cut_in_colour_for_a_classifier_that_takes_it():
    image, face = np.full((50, 50, 3), (200, 100, 0), np.uint8), Detection(5, 5, 40, 40, 0.9)
    cut = crop_faces(image, [face], (16, 16, 3))
    assert cut.shape == (1, 16, 16, 3) and (cut == (200, 100, 0)).all()
    assert (crop_faces(image[..., 0], [face], (16, 16, 3)) == 200).all()


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": (48, 64)}, {"margin": -1}])
def test_sizes_and_margins_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        crop_faces(np.zeros((50, 50), np.uint8), [Detection(5, 5, 40, 40, 0.9)], **wrong)


# YuNet's file


def test_auto_is_haar_with_a_notice_where_yunet_s_file_is_missing(fer_home):
    name, notice = detection.resolve_auto("auto")
    assert name == "haar" and str(fer_home / "weights") in notice and "yunet" in notice
    with pytest.warns(UserWarning, match="Haar's cascade"):
        detect(np.zeros((9, 9), np.uint8))


def test_auto_is_yunet_where_its_file_is(fer_home, tmp_path, monkeypatch):
    named = tmp_path / "elsewhere"
    named.mkdir()
    (named / "my_yunet_n.onnx").touch()
    monkeypatch.setenv("FER_WEIGHTS", str(named))
    assert detection.resolve_auto("auto") == ("yunet", "")
    official = fer_home / "weights" / network_file.YUNET.name
    official.parent.mkdir(parents=True)
    official.touch()
    assert network_file.yunet_file() == official  # before one of another name


def test_a_damaged_file_of_weights_is_named(fer_home):
    path = fer_home / "weights" / network_file.YUNET.name
    path.parent.mkdir(parents=True)
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ValueError, match=f"{path.name} cannot be opened as YuNet.*sha256"):
        detect(np.zeros((9, 9), np.uint8), "yunet")


def weights_at(address, content=b"weights"):
    import hashlib

    digest = hashlib.sha256(content).hexdigest()
    return network_file.Weights("net.onnx", (f"{address}/net.onnx",), digest)


def test_a_file_is_fetched_whole_and_checked(site, tmp_path):
    folder, address = site
    (folder / "net.onnx").write_bytes(b"weights")
    path = network_file.fetch(weights_at(address), tmp_path / "weights")
    assert path == tmp_path / "weights" / "net.onnx" and path.read_bytes() == b"weights"


def test_the_next_address_is_tried(site, tmp_path):
    folder, address = site
    (folder / "net.onnx").write_bytes(b"weights")
    second = weights_at(address)._replace(urls=(f"{address}/gone.onnx", f"{address}/net.onnx"))
    assert network_file.fetch(second, tmp_path).is_file()


def test_another_file_than_the_right_one_is_not_kept(site, tmp_path):
    folder, address = site
    (folder / "net.onnx").write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError, match="22 bytes.*Nothing was kept"):
        network_file.fetch(weights_at(address), tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


def test_without_network_the_error_says_which_file_goes_where(fer_home):
    dead = network_file.YUNET
    with pytest.raises(FileNotFoundError) as error:
        detect(np.zeros((9, 9), np.uint8), "yunet")
    message = str(error.value)
    assert str(fer_home / "weights" / dead.name) in message
    assert dead.sha256 in message and "FER_WEIGHTS" in message and dead.urls[0] in message


def test_a_known_detector_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert detect(np.zeros((9, 9), np.uint8), "haar") == []


# Searches of large photographs


def squares(monkeypatch, name="yunet"):
    """A detector, under YuNet's name, of white squares of 10 to 300 pixels; what it was given."""
    import cv2

    seen = []

    def find(image):
        seen.append(image.shape[:2])
        _, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 200).astype(np.uint8))
        return [Detection(*map(float, s[:4]), 0.9) for s in stats[1:] if 10 <= min(s[2:4]) <= 300]

    monkeypatch.setitem(DETECTORS, name, lambda: find)
    monkeypatch.setattr(detection, "_ready", threading.local())
    return seen


def large(*places):
    image = np.full((2600, 4000, 3), 50, np.uint8)
    for x, y, side in places:
        image[y : y + side, x : x + side] = 255
    return image


def test_faces_of_all_sizes_are_found_once_each_wherever_tiles_meet(monkeypatch):
    squares(monkeypatch)
    steps = [(x, 40 + 61 * number, 20 + number) for number, x in enumerate(range(30, 3900, 97))]
    places = [*steps, (2000, 100, 150), (3000, 200, 400), (100, 1500, 900)]
    faces, side = detection.search(large(*places), "yunet", threads=2)
    assert side == 4000 and len(faces) == len(places)
    for face, (x, y, length) in zip(
        faces, sorted(places, key=lambda p: (p[0] + p[2] / 2, p[1])), strict=True
    ):
        assert math.dist(face.centre, (x + length / 2, y + length / 2)) < 5
        assert face.width == pytest.approx(length, abs=8)


def test_threads_change_no_face(monkeypatch):
    squares(monkeypatch)
    image = large((50, 50, 20), (1100, 700, 40), (3900, 2500, 60))
    one, many = (detection.search(image, "yunet", threads=threads) for threads in (1, 4))
    assert one == many


def test_the_search_follows_the_smallest_face_and_the_size_that_are_asked_for(monkeypatch):
    seen = squares(monkeypatch)
    image = large((50, 50, 24), (1100, 700, 60))
    assert len(detection.search(image, "yunet", size=640)[0]) == 0 and len(seen) == 1
    faces, side = detection.search(image, "yunet", min_face=40)
    assert side == 1600 and [round(face.width / 60) for face in faces] == [1]
    assert detection.search(image[:400, :600], "yunet")[1] == 600


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"min_face": 0}, "min_face must be at least 1"),
        ({"size": 5}, "search_size must be 32 to"),
        ({"min_score": 3}, "min_score of YuNet must be 0.3 to 1"),
    ],
)
def test_searches_that_cannot_be_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        detection.search(np.zeros((9, 9), np.uint8), "yunet", **wrong)


def test_another_detector_searches_a_large_photo_once(monkeypatch):
    seen = squares(monkeypatch, "fake")
    detection.search(large(), "fake")
    assert len(seen) == 1 and max(seen[0]) == detection.MAX_SIDE


@pytest.mark.realdata
def test_yunet_finds_the_faces_that_opencv_finds_with_it(yunet, photo):
    import cv2

    network = cv2.FaceDetectorYN.create(str(yunet), "", (320, 320), 0.3)
    for name in ("two_men_and_two_bystanders.jpg", "solvay_1927_29_people.jpg"):
        image = detection._reduced(photo(name), detection.MAX_SIDE)
        network.setInputSize(image.shape[1::-1])
        usual = network.detect(image[..., ::-1])[1]
        usual = sorted(usual[usual[:, 14] >= 0.6], key=lambda row: row[0] + row[2] / 2)
        ours = np.array([[*face[:4], *np.ravel(face.eyes), face.score] for face in detect(image)])
        assert len(ours) == len(usual) > 3
        np.testing.assert_allclose(ours, np.array(usual)[:, [*range(8), 14]], atol=0.05)
