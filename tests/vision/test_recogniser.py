"""Frames to rows: when faces are searched for, followed, held and given up."""

import json
import threading

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2", reason='needs pip install "fer_lib[vision]"')

from fer_lib.vision import detection
from fer_lib.vision.recogniser import HELD, Recogniser, _carried
from support import clips


@pytest.fixture(autouse=True)
def searches(monkeypatch):
    """The detector `frames`, which notes its searches here; `blind` makes it find nothing."""
    noted = []

    def open_detector():
        find = clips.white_frames()

        def noting(image):
            noted.append(image)
            return [] if noting.blind else find(image)

        noting.blind = False
        open_detector.made = noting
        return noting

    noted_open = open_detector
    monkeypatch.setitem(detection.DETECTORS, "frames", noted_open)
    monkeypatch.setattr(detection, "_ready", threading.local())
    noted_open.noted = noted
    return noted_open


def steps(recogniser, pictures, start=0):
    return [recogniser.step(p, n / 25) for n, p in enumerate(pictures, start=start)]


def moving(count, x=20):
    return [clips.picture((x + 3 * n, 40)) for n in range(count)]


def test_faces_are_searched_for_each_nth_frame_and_followed_between(searches):
    rows = steps(Recogniser(clips.Bands(), detector="frames", search_every=4), moving(12))
    assert len(searches.noted) == 3
    assert [r["face"] for frame in rows for r in frame] == [1] * 12
    assert [r["x"] for (r,) in rows] == pytest.approx(range(20, 56, 3), abs=3)


def test_without_a_face_every_frame_is_searched(searches):
    pictures = [clips.picture()] * 5 + moving(2)
    rows = steps(Recogniser(clips.Bands(), detector="frames", search_every=50), pictures)
    assert [len(r) for r in rows] == [0] * 5 + [1] * 2 and len(searches.noted) == 6


def test_a_cut_is_searched_at_once_and_starts_new_numbers(searches):
    pictures = moving(3) + [clips.picture((20, 40), background=130)] * 2
    rows = steps(Recogniser(clips.Bands(), detector="frames", search_every=50), pictures)
    assert [r["face"] for (r,) in rows] == [1, 1, 1, 2, 2] and len(searches.noted) == 2


def test_a_face_that_can_not_be_followed_is_searched_for_at_once(searches):
    jump = clips.picture((200, 140))
    rows = steps(Recogniser(clips.Bands(), detector="frames", search_every=50), [*moving(3), jump])
    assert len(searches.noted) == 2 and rows[3][0]["x"] == 200


def test_a_face_that_a_search_misses_is_held_a_while(searches):
    recogniser = Recogniser(clips.Bands(), detector="frames", search_every=1)
    pictures = moving(HELD + 3)
    steps(recogniser, pictures[:1])
    searches.made.blind = True
    rows = steps(recogniser, pictures[1:], start=1)
    assert [len(r) for r in rows] == [1] * HELD + [0] * 2
    searches.made.blind = False
    assert recogniser.step(pictures[-1], 1.0)[0]["face"] == 1  # not forgotten yet


def test_all_faces_of_a_frame_are_one_batch_of_the_predictor_s_size():
    predictor = clips.Bands()
    sizes = []
    answer = predictor.predict
    predictor.predict = lambda images: (sizes.append(images.shape), answer(images))[1]
    predictor.face_size = (48, 48)
    steps(Recogniser(predictor, detector="frames"), [clips.picture((20, 40), (200, 100))] * 2)
    assert sizes == [(2, 48, 48)] * 2


def test_a_frame_of_another_size_starts_anew():
    recogniser = Recogniser(clips.Bands(), detector="frames")
    first = recogniser.step(clips.picture((20, 40)), 0.0)
    second = recogniser.step(clips.picture((20, 40), height=300, width=300), 0.1)
    assert [first[0]["face"], second[0]["face"]] == [1, 2]


@pytest.mark.parametrize("at", [1, 6, 21, 45])
def test_a_state_goes_through_json_and_goes_on_the_same(at):
    pictures = clips.scenes()
    whole = steps(Recogniser(clips.Bands(), detector="frames"), pictures)
    first, second = (Recogniser(clips.Bands(), detector="frames") for _ in range(2))
    steps(first, pictures[:at])
    second.restore(json.loads(json.dumps(first.state())))
    second.see(pictures[at - 1])
    rest = steps(second, pictures[at:], start=at)
    assert json.dumps(rest) == json.dumps(whole[at:])


def test_eyes_move_and_grow_with_the_box():
    face = detection.Detection(10, 10, 20, 20, 0.9, ((15, 15), (25, 15)))
    moved = _carried(face, [30, 10, 40, 40])
    assert moved.eyes == ((40, 20), (60, 20)) and np.isnan(moved.score)


@pytest.mark.parametrize("wrong", [{"search_every": 0}, {"unsure_below": -1}, {"max_missed": -1}])
def test_arguments_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Recogniser(clips.Bands(), detector="frames", **wrong)
