"""Frames to rows: when faces are searched for, followed, held and given up."""

import json
import threading

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2", reason='needs pip install -e ".[vision]"')

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


def test_a_cut_is_searched_at_once_and_who_was_there_is_known_again(searches):
    other = clips.picture((20, 40), (200, 100), background=130)
    recogniser = Recogniser(clips.Bands(), detector="frames", search_every=50)
    rows = steps(recogniser, moving(3) + [other] * 2)
    assert [[r["face"] for r in frame] for frame in rows] == [[1]] * 3 + [[1, 2]] * 2
    assert len(searches.noted) == 2
    recogniser.restart()
    assert recogniser.step(moving(1)[0], 0.0)[0]["face"] == 1  # another video counts anew


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
    assert [first[0]["face"], second[0]["face"]] == [1, 1]  # known by its looks


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


def crossing(length=31):
    """Two who cross; each picture's first row holds the boxes that can be seen, and the frames in
    which the one behind is covered."""
    pictures, covered = [], []
    for n in range(length):
        behind, front = 20 + 7 * n, 230 - 7 * n
        picture = clips.picture((behind, 60))
        face = clips.picture((0, 0), (front, 66))[66 : 66 + clips.SIZE, front : front + clips.SIZE]
        picture[66 : 66 + clips.SIZE, front : front + clips.SIZE] = face
        apart = abs(behind - front)
        covered += [n] if apart < clips.SIZE else []
        seen = [front] if apart < clips.SIZE else sorted([behind, front])
        picture[0] = 0
        picture[0, seen] = [255, 0, 0]
        pictures.append(picture)
    return pictures, covered


def oracle():
    """A detector that finds what the first row says."""

    def find(image):
        corners = np.flatnonzero((image[0] == [255, 0, 0]).all(axis=1))
        size = clips.SIZE
        rows = {x: 66 if (image[66 : 66 + size, x].min() > 240) else 60 for x in corners}
        return [detection.Detection(float(x), float(y), size, size, 0.9) for x, y in rows.items()]

    return find


@pytest.mark.parametrize("search_every", [1, 8])
def test_who_is_covered_has_no_emotion_and_the_same_number_afterwards(monkeypatch, search_every):
    monkeypatch.setitem(detection.DETECTORS, "oracle", oracle)
    pictures, covered = crossing()
    recogniser = Recogniser(clips.Bands(), detector="oracle", search_every=search_every)
    faces = [[row["face"] for row in rows] for rows in steps(recogniser, pictures)]
    assert 6 < len(covered) < 20
    late = 1 if search_every == 1 else 2  # frames until an approach is noticed
    for n, seen in enumerate(faces):
        if n in covered[late:]:
            assert seen == [2], n
        elif n < covered[0] or n > covered[-1] + late:
            assert seen == [1, 2], n
    where = {row["face"]: row["x"] for row in steps(recogniser, pictures[-1:], start=31)[0]}
    assert where[1] > 200 > where[2]  # they have changed sides


def test_a_face_behind_a_thing_that_is_no_face_has_no_emotion():
    pictures = moving(3)
    for n in range(3, 20):
        picture = clips.picture((29, 40))
        picture[:, : 12 * (n - 2)] = 30 + 40 * (np.arange(240) // 8 % 2)[:, None, None]
        pictures.append(picture)
    rows = steps(Recogniser(clips.Bands(), detector="frames", search_every=8), pictures)
    assert all(rows[:3]) and not any(rows[8:])


def test_eyes_move_and_grow_with_the_box():
    face = detection.Detection(10, 10, 20, 20, 0.9, ((15, 15), (25, 15)))
    moved = _carried(face, [30, 10, 40, 40])
    assert moved.eyes == ((40, 20), (60, 20)) and np.isnan(moved.score)


@pytest.mark.parametrize("wrong", [{"search_every": 0}, {"unsure_below": -1}, {"max_missed": -1}])
def test_arguments_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Recogniser(clips.Bands(), detector="frames", **wrong)
