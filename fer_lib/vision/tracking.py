"""Faces over time: which face of this frame is which of those before, by place and appearance.

A box is `(x, y, width, height)` in pixels; what a face looks like is a row of `appearance.looks`.
"""

import base64
import dataclasses
import math

import numpy as np

from fer_lib.vision.appearance import SAME, SAME_PLACE, likeness

# Two boxes may be the same face if they overlap by this share of their union, or if their middles
# are at most this many of their mean sides apart and neither is twice as large as the other.
MIN_OVERLAP = 0.3
MAX_DISTANCE = 0.7
MAX_MISSED = 5
# Mean difference of two reduced frames, of 255, above which the scene has changed: the cuts of a
# clip had 26 to 30, its fastest motion 13.
CUT = 20
# Seconds in which smoothed probabilities come 63 % of the way to a new value.
TIME_CONSTANT = 0.3
# A face that comes back at most this many of its sides from where it was lost, after at most so
# many seconds and in the same scene, need look less like itself than one that appears elsewhere.
NEAR, SOON = 1.5, 10.0
# At most one side away and after at most so many seconds it is taken for the same one if it looks
# like itself no more than another pose of a face does: nobody else is likely to be there.
AT_ONCE, ANY_POSE = 2.0, 0.15
LOOKS = 6  # descriptors that are kept of a person
NEW_LOOK = 0.9  # of a descriptor that differs enough from those to be kept as well
PEOPLE = 200  # who are remembered
_POINTS = 6  # a side of the grid of points by which a face is followed


def overlap(boxes, others):
    """Return the intersection over union of every pair of boxes.

    Args:
        boxes: Array of shape `(n, 4)`.
        others: Array of shape `(m, 4)`.

    Returns:
        `float64` array of shape `(n, m)`, values 0 to 1.
    """
    a, b = _boxes(boxes)[:, None], _boxes(others)[None]
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    union = np.prod(a[..., 2:], axis=-1) + np.prod(b[..., 2:], axis=-1) - shared
    return np.clip(shared / np.maximum(union, 1e-9), 0, 1)


def covered(boxes, others):
    """Return the share of each box's area that lies within each of others, shape `(n, m)`."""
    a, b = _boxes(boxes)[:, None], _boxes(others)[None]
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    return np.prod(np.maximum(high - low, 0), axis=-1) / np.prod(a[..., 2:], axis=-1)


def distance(boxes, others):
    """Return how far the middles of every pair of boxes are apart, in mean sides of the two."""
    a, b = _boxes(boxes)[:, None], _boxes(others)[None]
    between = (a[..., :2] + a[..., 2:] / 2) - (b[..., :2] + b[..., 2:] / 2)
    side = (a[..., 2:].sum(axis=-1) + b[..., 2:].sum(axis=-1)) / 4
    return np.hypot(between[..., 0], between[..., 1]) / np.maximum(side, 1e-9)


def match(boxes, others, alike=0.0):
    """Pair boxes of two frames that may be the same face, so that the pairs are nearest in sum.

    Args:
        boxes: Array of shape `(n, 4)`.
        others: Array of shape `(m, 4)`.
        alike: Array of shape `(n, m)`: how much they look alike, -1 to 1, which counts as much as
            being as many sides nearer.

    Returns:
        List of `(index in boxes, index in others)`; no index comes twice.
    """
    from scipy.optimize import linear_sum_assignment

    boxes, others = _boxes(boxes), _boxes(others)
    if not len(boxes) or not len(others):
        return []
    shared, apart = overlap(boxes, others), distance(boxes, others)
    sizes = np.log2(np.maximum(boxes[:, 2:].mean(1), 1e-9))[:, None]
    folds = np.abs(sizes - np.log2(np.maximum(others[:, 2:].mean(1), 1e-9)))
    may_be = (shared >= MIN_OVERLAP) | ((apart <= MAX_DISTANCE) & (folds <= 1))
    # One pair more is always better than nearer pairs.
    cost = np.where(may_be, apart - shared - alike, 10.0 * (1 + len(boxes) + len(others)))
    pairs = zip(*linear_sum_assignment(cost), strict=True)
    return [(int(i), int(j)) for i, j in pairs if may_be[i, j]]


def is_cut(before, after, threshold=CUT):
    """Tell whether two neighbouring frames belong to different scenes.

    Args:
        before: `uint8` array of shape `(h, w)`: a reduced grey frame.
        after: The next one, of the same shape.
        threshold: Mean absolute difference in grey levels (0 to 255) above which it is a cut.
    """
    return float(np.abs(before.astype(np.int16) - after).mean()) > threshold


def follow(before, after, boxes):
    """Say where faces have gone from one frame to the next, by the flow of points on them.

    Median flow of Kalal, Mikolajczyk and Matas (2010, https://doi.org/10.1109/ICPR.2010.675): each
    point is followed forth and back, and those that do not come back do not count.

    Args:
        before: `uint8` array of shape `(h, w)`, grey.
        after: The next frame, of the same shape.
        boxes: Array of shape `(n, 4)`, in pixels of these frames.

    Returns:
        `(boxes, found)`: `float64` array of shape `(n, 4)`, and `bool` array of shape `(n,)`,
        false where too few points could be followed; such a box stays where it was.
    """
    import cv2

    boxes = _boxes(boxes).copy()
    found = np.zeros(len(boxes), bool)
    if not len(boxes):
        return boxes, found
    grid = (np.stack(np.meshgrid(*[np.arange(_POINTS)] * 2), -1).reshape(-1, 2) + 0.5) / _POINTS
    # The middle of the box: its edges show the background.
    points = boxes[:, None, :2] + boxes[:, None, 2:] * (0.15 + 0.7 * grid)
    start = points.reshape(-1, 1, 2).astype(np.float32)
    look = {"winSize": (11, 11), "maxLevel": 3}
    there, forth, _ = cv2.calcOpticalFlowPyrLK(before, after, start, None, **look)
    back, home, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, **look)
    astray = np.hypot(*(back - start)[:, 0].T).reshape(len(boxes), -1)
    kept = (forth & home).reshape(len(boxes), -1).astype(bool) & (astray < 1)
    there = there.reshape(points.shape)
    for number, good in enumerate(kept):
        if good.sum() >= 0.3 * len(grid):
            boxes[number] = _moved(boxes[number], points[number][good], there[number][good])
            middle = boxes[number, :2] + boxes[number, 2:] / 2
            found[number] = (middle >= 0).all() and (middle < before.shape[::-1]).all()
    return boxes, found


@dataclasses.dataclass
class Track:
    """One face over time.

    Args:
        face: Its number, from 1; never given to another.
        box: Where it was last.
        missed: Searches in a row that did not find it.
        looks: Descriptors of it, as base64, the newest last.
        scene: Number of the scene in which it was seen last.
        seen: Seconds at which it was found last.
        probabilities: Smoothed, list of floats, or `None` before the first.
        seconds: When they were smoothed last.
    """

    face: int
    box: list
    missed: int = 0
    looks: list = dataclasses.field(default_factory=list)
    scene: int = 0
    seen: float = 0.0
    probabilities: list | None = None
    seconds: float = math.nan

    def alike(self, look):
        """Return how much a descriptor looks like those that are kept; see `likeness`."""
        kept = [np.frombuffer(base64.b64decode(text), np.int8) for text in self.looks]
        return likeness(look, kept)

    def keep(self, look):
        """Keep a descriptor if it differs enough from those that are kept."""
        if self.alike(look) < NEW_LOOK:
            text = base64.b64encode(look.tobytes()).decode()
            self.looks = [*self.looks[1 - LOOKS :], text]


class Tracker:
    """Gives faces numbers that stay, and smooths their probabilities over time.

    A face that was lost is remembered, and gets its number again if it comes back near the place
    where it was lost, or looks enough like itself (`appearance`). Both can err: a person may come
    back as somebody new, and, more rarely, a new one be taken for somebody who was there.

    Args:
        max_missed: After so many searches in a row that did not find it a face counts as lost.
        time_constant: Of the exponential moving average of probabilities, in seconds: a new
            value that stays has reached 63 % after it. 0 does not smooth.

    Raises:
        ValueError: If an argument is negative.
    """

    def __init__(self, *, max_missed=MAX_MISSED, time_constant=TIME_CONSTANT):
        for name, value in (("max_missed", max_missed), ("time_constant", time_constant)):
            if not value >= 0:
                raise ValueError(f"{name} must be at least 0; got {value}.")
        self.max_missed, self.time_constant = max_missed, time_constant
        self.tracks, self.lost, self.next_face, self.scene = {}, {}, 1, 0

    def assign(self, boxes, looks=None, seconds=0.0):
        """Take in what a search of a frame found.

        Args:
            boxes: Array of shape `(n, 4)`.
            looks: Array of shape `(n, d)`: what the faces look like, or `None` to go by place.
            seconds: Time of the frame.

        Returns:
            List of n face numbers, each at most once.
        """
        boxes = _boxes(boxes)
        looks = [None] * len(boxes) if looks is None else np.asarray(looks, np.int8)
        known = list(self.tracks.values())
        alike = np.array(
            [
                [0.0 if look is None or not t.looks else t.alike(look) for look in looks]
                for t in known
            ]
        ).reshape(len(known), len(boxes))
        pairs = match([track.box for track in known], boxes, alike)
        chosen = {j: known[i] for i, j in pairs}
        chosen |= self._come_back(boxes, looks, seconds, chosen)
        faces = []
        for number, (box, look) in enumerate(zip(boxes.tolist(), looks, strict=True)):
            track = chosen.get(number)
            if track is None:
                track = Track(self.next_face, box)
                self.next_face += 1
            self.lost.pop(track.face, None)
            self.tracks[track.face] = track
            track.box, track.missed, track.scene, track.seen = box, 0, self.scene, seconds
            if look is not None:
                track.keep(look)
            faces.append(track.face)
        for track in known:
            track.missed += track.face not in faces
            if track.missed > self.max_missed:
                self.drop(track.face)
        return faces

    def _come_back(self, boxes, looks, seconds, chosen):
        """Return the faces among new ones that were seen before, by index, the likest first."""
        taken = {track.face for track in chosen.values()}
        absent = [t for t in [*self.tracks.values(), *self.lost.values()] if t.face not in taken]
        found = []
        for number in set(range(len(boxes))) - set(chosen):
            for track in absent:
                if looks[number] is None or not track.looks:
                    continue
                alike = track.alike(looks[number])
                if alike >= self._wanted(track, boxes[number], seconds):
                    found.append((-alike, number, track.face, track))
        back = {}
        for _, number, face, track in sorted(found, key=lambda item: item[:3]):
            if number not in back and face not in taken:
                back[number] = track
                taken.add(face)
        return back

    def _wanted(self, track, box, seconds):
        """Return how much a new face must look like one that was there, to be that one."""
        ago, apart = seconds - track.seen, distance([track.box], [box])[0, 0]
        if track.scene != self.scene or not 0.5 <= box[2] / max(track.box[2], 1e-9) <= 2:
            return SAME
        if ago <= AT_ONCE and apart <= 1:
            return ANY_POSE
        return SAME_PLACE if ago <= SOON and apart <= NEAR else SAME

    def move(self, face, box):
        """Say where a face is by other means than a search."""
        self.tracks[face].box = [float(value) for value in box]

    def drop(self, face):
        """Take a face for lost; it may come back."""
        self.lost[face] = self.tracks.pop(face)
        while len(self.lost) > PEOPLE:
            del self.lost[next(iter(self.lost))]

    def smooth(self, faces, probabilities, seconds):
        """Return the exponential moving average of faces' probabilities.

        Args:
            faces: List of n face numbers that `assign` gave.
            probabilities: Array of shape `(n, classes)`, rows summing to 1.
            seconds: Time of the frame, not before the last one.

        Returns:
            `float64` array of shape `(n, classes)`, rows summing to 1.
        """
        smoothed = []
        for face, new in zip(faces, np.asarray(probabilities, np.float64), strict=True):
            track = self.tracks[face]
            if track.probabilities is not None and self.time_constant > 0:
                gone = max(0.0, seconds - track.seconds)
                old = math.exp(-gone / self.time_constant)
                new = old * np.asarray(track.probabilities) + (1 - old) * new
            track.probabilities, track.seconds = new.tolist(), float(seconds)
            smoothed.append(new)
        return np.array(smoothed).reshape(len(smoothed), -1)

    def cut(self):
        """Take all faces for lost, as after a cut to another scene."""
        for face in list(self.tracks):
            self.drop(face)
        self.scene += 1

    def leave(self):
        """Begin another video, whose clock starts anew: all faces are lost, their looks kept."""
        self.cut()
        for track in self.lost.values():
            track.probabilities = None

    def state(self):
        """Return what a tracker must know to go on, as a dict that JSON can hold."""
        tracks, lost = (
            [dict(vars(track)) for track in some.values()] for some in (self.tracks, self.lost)
        )
        at = {"next_face": self.next_face, "scene": self.scene}
        return at | {"tracks": tracks, "lost": lost}

    def restore(self, state):
        """Go on from what `state` returned."""
        self.next_face, self.scene = state["next_face"], state["scene"]
        self.tracks, self.lost = (
            {track["face"]: Track(**track) for track in state[name]} for name in ("tracks", "lost")
        )


def _boxes(boxes):
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def _moved(box, points, there):
    """Return the box shifted by the points' median motion and grown by their median spread."""
    shift = np.median(there - points, axis=0)
    middle = box[:2] + box[2:] / 2 + shift
    spread, now = (np.hypot(*(p - np.median(p, axis=0)).T) for p in (points, there))
    growth = np.clip(np.median(now[spread > 0] / spread[spread > 0]), 0.8, 1.25)
    return np.concatenate([middle - box[2:] * growth / 2, box[2:] * growth])
