"""Tracking: numbers stay with faces and are never shared; probabilities follow in time."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lib.vision import tracking
from fer_lib.vision.tracking import Tracker, distance, match, overlap

box = st.tuples(st.floats(0, 600), st.floats(0, 400), st.floats(10, 200), st.floats(10, 200)).map(
    list
)
boxes = st.lists(box, max_size=6)
small = settings(max_examples=25, deadline=None)


def test_overlap_and_distance_of_known_boxes():
    here = [[0, 0, 10, 10]]
    others = [[0, 0, 10, 10], [5, 0, 10, 10], [20, 0, 10, 10], [2, 2, 5, 5]]
    np.testing.assert_allclose(overlap(here, others)[0], [1, 1 / 3, 0, 0.25])
    np.testing.assert_allclose(distance(here, others)[0, :3], [0, 0.5, 2])


@small
@given(boxes, boxes)
def test_overlap_is_symmetric_and_a_share(first, second):
    shared = overlap(first, second)
    assert shared.shape == (len(first), len(second))
    assert ((shared >= 0) & (shared <= 1)).all()
    np.testing.assert_allclose(shared.T, overlap(second, first))


@small
@given(boxes, boxes)
def test_a_match_uses_no_box_twice(first, second):
    pairs = match(first, second)
    for side in zip(*pairs, strict=True):
        assert len(set(side)) == len(side)


def test_a_match_pairs_as_many_as_can_be():
    # The greedy way would take the nearest pair (1, 0) and leave the others alone.
    first, second = [[0, 0, 40, 40], [20, 0, 40, 40]], [[18, 0, 40, 40], [40, 0, 40, 40]]
    assert match(first, second) == [(0, 0), (1, 1)]


def test_what_is_far_or_of_another_size_is_no_match():
    assert match([[0, 0, 40, 40]], [[60, 0, 40, 40]]) == []
    assert match([[0, 0, 40, 40]], [[10, 10, 12, 12]]) == []
    assert match([[0, 0, 40, 40]], [[20, 0, 30, 30]]) == [(0, 0)]


@small
@given(st.lists(boxes, max_size=8))
def test_numbers_are_never_shared_within_a_frame_and_without_looks_never_come_again(frames):
    tracker, seen, gone = Tracker(max_missed=1), set(), set()
    for found in frames:
        faces = tracker.assign(found)
        assert len(faces) == len(found) == len(set(faces))
        assert not set(faces) & gone and set(faces) <= set(tracker.tracks)
        seen |= set(faces)
        gone = seen - set(tracker.tracks)  # without looks nobody comes back


@small
@given(
    st.lists(st.tuples(*[st.floats(-0.2, 0.2)] * 3), min_size=1, max_size=20),
    st.integers(1, 4),
)
def test_a_face_that_moves_little_keeps_its_number(steps, count):
    tracker = Tracker()
    here = np.array([[300.0 * n, 100, 60, 60] for n in range(count)])
    first = tracker.assign(here)
    for across, down, growth in steps:
        here[:, :2] += here[:, 2:] * [across, down]
        here[:, 2:] *= 1 + growth
        here[:, 2:] = np.clip(here[:, 2:], 40, 120)
        here[:, 0] = here[:, 0].clip(300 * np.arange(count) - 60, 300 * np.arange(count) + 60)
        order = np.arange(count)[::-1]  # a detector owes no order
        assert [tracker.assign(here[order])[n] for n in order] == first


def test_a_face_that_is_missed_too_often_comes_back_as_another():
    tracker = Tracker(max_missed=2)
    assert tracker.assign([[0, 0, 40, 40]]) == [1]
    for _ in range(2):
        assert tracker.assign([]) == []
    assert tracker.assign([[5, 0, 40, 40]]) == [1]  # two misses are forgiven
    for _ in range(3):
        tracker.assign([])
    assert not tracker.tracks
    assert tracker.assign([[5, 0, 40, 40]]) == [2]


def test_after_a_cut_place_alone_makes_no_face_the_same():
    tracker = Tracker()
    tracker.assign([[0, 0, 40, 40], [200, 0, 40, 40]])
    tracker.cut()
    assert tracker.assign([[0, 0, 40, 40]]) == [3]


LOOKS = 20 * np.eye(4, dtype=int)  # of four people


def test_a_person_is_known_again_by_looks_alone_wherever_and_however_late():
    tracker = Tracker(max_missed=0)
    assert tracker.assign([[0, 0, 40, 40], [200, 0, 40, 40]], LOOKS[:2], 0.0) == [1, 2]
    tracker.assign([], LOOKS[:0], 1.0)
    tracker.cut()
    back = tracker.assign([[400, 99, 90, 90], [0, 0, 40, 40]], LOOKS[[1, 2]], 3600.0)
    assert back == [2, 3]  # and who stands where the first one stood is somebody else


def test_two_who_cross_keep_their_numbers_by_their_looks():
    tracker = Tracker()
    assert tracker.assign([[0, 0, 40, 40], [30, 0, 40, 40]], LOOKS[:2], 0.0) == [1, 2]
    assert tracker.assign([[14, 0, 40, 40], [16, 0, 40, 40]], LOOKS[[1, 0]], 0.1) == [2, 1]


def test_a_face_that_is_soon_back_near_its_place_may_look_otherwise():
    tracker = Tracker(max_missed=0)
    half = [[15, 10, 0, 0]]  # of the first person, in another pose: cosine 0.83
    for look, seconds, wanted in ((half, 1.0, 1), ([[5, 10, 0, 0]], 2.0, 1), (LOOKS[3:], 2.5, 2)):
        tracker.assign([[0, 0, 40, 40]], LOOKS[:1], seconds - 1)
        tracker.assign([], LOOKS[:0], seconds - 0.5)
        assert tracker.assign([[25, 0, 40, 40]], look, seconds) == [wanted]
        tracker = Tracker(max_missed=0)


def test_of_two_who_look_alike_only_one_gets_the_number():
    tracker = Tracker(max_missed=0)
    tracker.assign([[0, 0, 40, 40]], LOOKS[:1], 0.0)
    tracker.cut()
    twins = [[300, 0, 40, 40], [500, 0, 40, 40]]
    assert tracker.assign(twins, LOOKS[[0, 0]], 1.0) == [1, 2]


def test_the_looks_and_people_that_are_kept_are_few(monkeypatch):
    tracker = Tracker(max_missed=0)
    for angle in range(40):
        look = [[round(90 * math.cos(angle)), round(90 * math.sin(angle)), 0]]
        tracker.assign([[0, 0, 40, 40]], look, 0.1 * angle)
    assert len(tracker.tracks[1].looks) == tracking.LOOKS
    monkeypatch.setattr(tracking, "PEOPLE", 3)
    for n in range(6):
        tracker.assign([[1000 * n, 500, 40, 40]])
        tracker.cut()
    assert len(tracker.lost) == 3


def test_a_moved_face_is_found_where_it_was_moved_to():
    tracker = Tracker()
    (face,) = tracker.assign([[0, 0, 40, 40]])
    tracker.move(face, [300, 100, 40, 40])
    assert tracker.assign([[300, 100, 40, 40], [0, 0, 40, 40]]) == [1, 2]
    tracker.drop(2)
    assert list(tracker.tracks) == [1] and list(tracker.lost) == [2]


def test_smoothing_reaches_63_percent_after_the_time_constant_at_any_frame_rate():
    for rate in (5, 25, 100):
        tracker = Tracker(time_constant=0.4)
        faces = tracker.assign([[0, 0, 40, 40]])
        tracker.smooth(faces, [[1.0, 0.0]], 0.0)
        for frame in range(1, int(0.4 * rate) + 1):
            smoothed = tracker.smooth(faces, [[0.0, 1.0]], frame / rate)
        np.testing.assert_allclose(smoothed, [[math.exp(-1), 1 - math.exp(-1)]])


def test_without_a_time_constant_nothing_is_smoothed_and_faces_do_not_mix():
    tracker = Tracker(time_constant=0)
    faces = tracker.assign([[0, 0, 40, 40], [200, 0, 40, 40]])
    tracker.smooth(faces, [[1, 0], [0, 1]], 0.0)
    assert tracker.smooth(faces, [[0.5, 0.5], [0, 1]], 0.04).tolist() == [[0.5, 0.5], [0, 1]]
    slow = Tracker(time_constant=10)
    faces = slow.assign([[0, 0, 40, 40], [200, 0, 40, 40]])
    assert slow.smooth(faces[::-1], [[1, 0], [0, 1]], 0.0).tolist() == [[1, 0], [0, 1]]
    np.testing.assert_allclose(slow.smooth(faces, [[0, 1], [1, 0]], 0.0), [[0, 1], [1, 0]])


@small
@given(st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=10))
def test_smoothed_probabilities_stay_probabilities(rows):
    tracker = Tracker()
    faces = tracker.assign([[0, 0, 40, 40]])
    for frame, row in enumerate(rows):
        smoothed = tracker.smooth(faces, [np.array(row) / sum(row)], frame / 30)
        assert smoothed.shape == (1, 3) and (smoothed >= 0).all()
        assert smoothed.sum() == pytest.approx(1)


def test_a_state_goes_through_json_and_goes_on_the_same():
    tracker, again = Tracker(), Tracker()
    faces = tracker.assign([[0.1, 0, 40, 40], [200, 0, 40, 40]])
    tracker.smooth(faces, [[0.1, 0.9], [0.7, 0.3]], 1 / 3)
    again.restore(json.loads(json.dumps(tracker.state())))
    for this in (tracker, again):
        this.faces = this.assign([[210, 0, 40, 40], [500, 0, 40, 40]])
        this.answer = this.smooth(this.faces, [[0.5, 0.5], [0.2, 0.8]], 0.5).tolist()
    assert tracker.faces == again.faces == [2, 3] and tracker.answer == again.answer


@pytest.mark.parametrize("name", ["max_missed", "time_constant"])
def test_what_is_negative_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 0; got -1"):
        Tracker(**{name: -1})


def test_a_cut_is_a_large_change_of_the_whole_picture():
    rng = np.random.default_rng(0)
    before = rng.integers(0, 256, (24, 32), np.uint8)
    after = before.copy()
    after[:8, :8] = 255 - after[:8, :8]  # something moved
    assert not tracking.is_cut(before, after)
    assert tracking.is_cut(before, np.roll(before, 9, axis=1))
    assert tracking.is_cut(np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8))


def texture(shift=(0, 0), fold=1.0):
    """A picture with blobs, moved and scaled around (100, 80)."""
    y, x = np.mgrid[:160, :200].astype(float)
    x, y = (x - 100 - shift[0]) / fold + 100, (y - 80 - shift[1]) / fold + 80
    waves = np.sin(x / 4) * np.cos(y / 5) + np.sin((x + 2 * y) / 9)
    return np.clip(128 + 50 * waves, 0, 255).astype(np.uint8)


def test_faces_are_followed_by_the_flow_of_their_points():
    pytest.importorskip("cv2")
    at = [[75.0, 55, 50, 50], [20, 20, 40, 40]]
    moved, found = tracking.follow(texture(), texture((6, -3)), at)
    assert found.all()
    np.testing.assert_allclose(moved, np.add(at, [6, -3, 0, 0]), atol=0.5)
    grown, found = tracking.follow(texture(), texture(fold=1.08), at[:1])
    np.testing.assert_allclose(grown, [[73, 53, 54, 54]], atol=0.7)


def test_what_can_not_be_followed_is_said_and_stays():
    pytest.importorskip("cv2")
    noise = np.random.default_rng(1).integers(0, 256, (160, 200), np.uint8)
    at = [[75.0, 55, 50, 50]]
    boxes, found = tracking.follow(texture(), noise, at)
    assert not found.any() and boxes.tolist() == at
    assert [len(part) for part in tracking.follow(noise, noise, [])] == [0, 0]
