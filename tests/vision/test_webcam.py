"""The live window, driven by a fake capture and a fake window."""

import threading
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

cv2 = pytest.importorskip("cv2", reason='needs pip install -e ".[vision]"')

from fer_lib.emotions import COLOURS, FER7
from fer_lib.vision import detection, webcam
from fer_lib.vision.recogniser import Recogniser
from fer_lib.vision.webcam import Camera, Session, show_webcam
from support import clips


class Capture:
    """Gives pictures one after the other, as fast as they are asked for or at a pace."""

    def __init__(self, pictures, pace=0.0):
        self.pictures, self.pace, self.released = list(pictures), pace, False
        self.read_all = threading.Event()

    def read(self):
        """Return the next picture, BGR, or that there is none."""
        time.sleep(self.pace)
        if not self.pictures:
            self.read_all.set()
            return False, None
        return True, self.pictures.pop(0)[..., ::-1]

    def release(self):
        """Note that it was released."""
        self.released = True


class Window:
    """Keeps what it was shown and presses keys at given frames."""

    def __init__(self, keys=None, closes_at=None):
        self.shown, self.keys, self.closes_at = [], keys or {}, closes_at
        self.closed = False

    def show(self, image):
        """Keep a picture."""
        self.shown.append(image)

    def key(self):
        """Return the key pressed at this frame."""
        return self.keys.get(len(self.shown), "")

    def is_open(self):
        """Tell whether the user closed it."""
        return self.closes_at is None or len(self.shown) < self.closes_at

    def close(self):
        """Note that it was closed."""
        self.closed = True


@pytest.fixture(autouse=True)
def frames_detector(monkeypatch):
    """The detector `frames` of white frames."""
    monkeypatch.setitem(detection.DETECTORS, "frames", clips.white_frames)
    monkeypatch.setattr(detection, "_ready", threading.local())


@pytest.fixture
def session(tmp_path):
    return Session(Recogniser(clips.Bands(), detector="frames"), folder=tmp_path, mirror=False)


def frames(count=10):
    return [(n / 25, clips.picture((20 + n, 40), (200, 100))) for n in range(count)]


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_the_window_shows_boxes_bars_and_numbers(session):
    window = Window()
    session.run(frames(), window)
    assert len(window.shown) == 10
    shown = window.shown[-1]
    assert shown.shape == (240, 320, 3)  # no column beside the camera's picture
    rows = session.recogniser.step(frames()[-1][1], 1.0)
    for row in rows:  # the box's lower edge is in the colour of its emotion
        colour = np.array([int(COLOURS[row["emotion"]][i : i + 2], 16) for i in (1, 3, 5)])
        edge = shown[row["y"] + row["height"] - 1, row["x"] : row["x"] + row["width"]]
        assert (edge == colour).all(axis=1).any()


def marked(shown, colour):
    values = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return (shown == values).all(axis=2)


@pytest.mark.parametrize(("height", "width"), [(480, 640), (720, 1280), (1080, 1920)])
def test_four_faces_have_all_their_bars_beside_them(height, width):
    rows = []
    for face in range(4):
        row = {"face": face + 1, "x": width * (2 * face + 1) // 9, "y": height // 3}
        row |= {"width": width // 12, "height": width // 10, "unsure": False, "emotion": "happy"}
        rows.append(row | dict.fromkeys(FER7, 0.1) | {"happy": 0.4})
    shown = webcam.draw(np.zeros((height, width, 3), np.uint8), rows, FER7)
    assert shown.shape == (height, width, 3)
    for emotion in set(FER7) - {"happy", "neutral"}:  # writing is grey in places
        columns = np.flatnonzero(marked(shown, COLOURS[emotion]).any(axis=0))
        assert 1 + (np.diff(columns) > 3).sum() == 4, emotion  # one bar by each face
    rows = np.flatnonzero(marked(shown, COLOURS["sad"]).any(axis=1))
    assert rows.max() - rows.min() + 1 >= height / 70  # a bar, and so its name, can be read


def test_a_bar_is_as_long_as_its_probability():
    row = {"face": 1, "x": 0, "y": 0, "width": 90, "height": 90, "unsure": False}
    row |= {"emotion": "happy", "happy": 1.0, "sad": 0.5}
    shown = webcam.draw(np.zeros((480, 640, 3), np.uint8), [row], ("happy", "sad"))[:, 95:]

    def longest(emotion):
        colour = [int(COLOURS[emotion][i : i + 2], 16) for i in (1, 3, 5)]
        return (shown == colour).all(axis=2).sum(axis=1).max()

    assert longest("sad") == pytest.approx(longest("happy") / 2, abs=2) and longest("sad") > 20


def test_more_faces_than_have_room_and_none_are_drawn():
    row = {"x": 0, "y": 0, "width": 9, "height": 9, "unsure": True, "emotion": "sad"}
    rows = [row | dict.fromkeys(FER7, 1 / 7) | {"face": n} for n in range(1, 30)]
    assert webcam.draw(np.zeros((400, 400, 3), np.uint8), rows, FER7).shape[0] == 400
    assert webcam.draw(np.zeros((400, 400, 3), np.uint8), [], FER7, "9 fps").max() > 200


@pytest.mark.parametrize("key", ["q", "\x1b"])
def test_esc_and_q_quit(session, key):
    window = Window({4: key})
    session.run(frames(), window)
    assert len(window.shown) == 4


def test_a_closed_window_ends_it(session):
    window = Window(closes_at=3)
    session.run(frames(), window)
    assert len(window.shown) == 3


def test_m_mirrors(session):
    window = Window({5: "m", 7: "m"})
    session.run([(n / 25, clips.picture((20, 40))) for n in range(9)], window)
    white = [np.flatnonzero(shown[60, :320].min(axis=1) > 245).mean() for shown in window.shown]
    assert [w < 160 for w in white] == [True] * 5 + [False] * 2 + [True] * 2


def test_s_keeps_what_is_shown_and_nothing_else_is_kept(session, tmp_path):
    window = Window({3: "s", 4: "s", 5: "x"})
    session.run(frames(), window)
    assert len(session.written) == len(files(tmp_path)) == 2  # two in one second as well
    np.testing.assert_array_equal(np.asarray(Image.open(session.written[0])), window.shown[2])


@pytest.mark.parametrize("mirror", [False, True])
def test_recorded_boxes_are_of_the_camera_s_own_picture(tmp_path, mirror):
    recogniser = Recogniser(clips.Bands(), detector="frames")
    session = Session(recogniser, folder=tmp_path, mirror=mirror)
    session.run([(n / 25, clips.picture((20, 40))) for n in range(6)], Window({1: "r", 4: "m"}))
    assert pd.read_csv(session.written[0])["x"].tolist() == [20] * 5


def test_r_records_a_table_until_r(session, tmp_path):
    session.run([*frames(), (1.0, clips.picture())], Window({2: "r", 6: "r", 8: "r"}))
    first, second = (pd.read_csv(path) for path in session.written)
    assert first["frame"].tolist() == [2, 2, 3, 3, 4, 4, 5, 5]
    assert first["face"].tolist() == [1, 2] * 4 and list(first.columns[-8:-1]) == list(FER7)
    assert second["note"].tolist()[-1] == "no face found"  # the end of it all ends the table too
    assert not [name for name in files(tmp_path) if ".part." in name]


def test_a_table_is_kept_when_the_camera_is_unplugged(session, tmp_path):
    capture = Capture([image for _, image in frames(8)], pace=0.01)
    window = Window({1: "r"})
    with pytest.raises(ValueError, match=r"Camera 3 gave \d frames and then no more: was it unpl"):
        with Camera(capture, 3) as camera:
            session.run(camera, window)
    assert capture.released and len(files(tmp_path)) == 1
    assert len(pd.read_csv(session.written[0])) > 0


def test_a_camera_that_gives_nothing_is_named():
    with pytest.raises(ValueError, match="Camera 0 gives no frames: is it in use"):
        with Camera(Capture([])) as camera:
            next(iter(camera))


def test_a_camera_that_hangs_is_named():
    with pytest.raises(ValueError, match=r"Camera 0 gave no frame in 0\.1 seconds"):
        with Camera(Capture([clips.picture()], pace=1.0), wait=0.1) as camera:
            next(iter(camera))


def test_old_frames_are_dropped_when_the_reader_is_slow():
    pictures = [np.full((2, 2, 3), n, np.uint8) for n in range(50)]
    capture = Capture(pictures)
    with Camera(capture) as camera:
        capture.read_all.wait(5)
        seconds, image = next(iter(camera))
        assert image[0, 0, 0] == 49 and seconds >= 0 and camera.dropped == 49


def test_without_a_display_the_page_is_named(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(webcam.sys, "platform", "linux")
    with pytest.raises(RuntimeError, match="no display for a window. python -m fer_lib page"):
        show_webcam(clips.Bands(), detector="frames")


def test_an_opencv_without_windows_is_said(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "\n  GUI:                 NONE\n")
    with pytest.raises(RuntimeError, match=r"no windows: pip uninstall .* \"opencv-python<5\""):
        show_webcam(clips.Bands(), detector="frames")


@pytest.mark.parametrize(
    ("line", "has"), [("GUI: NONE", False), ("GUI:   QT5", True), ("GUI: GTK3", True), ("", False)]
)
def test_windows_are_known_by_the_build(line, has):
    assert webcam.has_windows(f"General configuration\n  {line}\n") == has


def test_no_camera_is_said_and_the_window_closed(monkeypatch):
    window = Window()
    monkeypatch.setattr(webcam, "open_window", lambda title: window)
    with pytest.raises(ValueError, match="Camera 77 cannot be opened: is one connected"):
        show_webcam(clips.Bands(), 77, detector="frames")
    assert window.closed


def test_the_whole_loop_with_a_fake_camera(monkeypatch, tmp_path):
    window, capture = Window({5: "s", 6: "q"}), Capture([clips.picture((20, 40))] * 200, pace=0.005)
    monkeypatch.setattr(webcam, "open_window", lambda title: window)
    monkeypatch.setattr(webcam, "open_capture", lambda camera: capture)
    written = show_webcam(clips.Bands(), detector="frames", folder=tmp_path)
    assert len(window.shown) == 6 and len(written) == 1 and capture.released and window.closed
