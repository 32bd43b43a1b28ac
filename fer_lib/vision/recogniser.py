"""Frames to rows: find, follow and number the faces of a moving picture and classify them."""

import math

import numpy as np

from fer_lib.vision import detection, photos, tracking
from fer_lib.vision.detection import Detection

# In a clip of 275 frames, searching one frame in eight lost none of 22 marked faces, and 1.4 % of
# those that a search of each frame finds, for a fifth of its time; at 480 pixels a side false
# alarms came.
SEARCH_EVERY = 8
SEARCH_SIDE = 640
FLOW_SIDE = 320
CUT_SIZE = (32, 24)
# How many searches in a row may miss a face that is still followed, before it has no row.
HELD = 1


class Recogniser:
    """Recognises the faces of frames that come one after the other.

    A frame is searched for faces when the last search is some frames ago, when no face is in
    sight, when one got lost or when the scene has changed; on the others faces are followed.
    All faces of a frame are one batch.

    Args:
        predictor: `Predictor`, or anything with `label_set` and `predict`.
        detector: Key of `detection.DETECTORS`, or `"auto"`.
        search_every: Frames from one search to the next, at least 1 (each frame).
        search_side: Larger frames are reduced to this many pixels a side for the search.
        unsure_below: Probability under which an emotion is marked as unsure.
        max_missed: See `tracking.Tracker`.
        time_constant: See `tracking.Tracker`.

    Raises:
        ValueError: If an argument does not fit.
        ImportError: If OpenCV is missing.
    """

    def __init__(
        self,
        predictor,
        *,
        detector="auto",
        search_every=SEARCH_EVERY,
        search_side=SEARCH_SIDE,
        unsure_below=photos.UNSURE_BELOW,
        max_missed=tracking.MAX_MISSED,
        time_constant=tracking.TIME_CONSTANT,
    ):
        if int(search_every) != search_every or search_every < 1:
            raise ValueError(f"search_every must be an integer from 1; got {search_every}.")
        if not 0 <= unsure_below <= 1:
            raise ValueError(f"unsure_below must be between 0 and 1; got {unsure_below}.")
        self.predictor = predictor
        self.detector, self.notice = detection.resolve_auto(detector)
        self.search_every, self.search_side = search_every, search_side
        self.unsure_below = unsure_below
        self.tracker = tracking.Tracker(max_missed=max_missed, time_constant=time_constant)
        self._faces = {}  # number → Detection, of those that have a row
        self._age = 0  # frames since the last search
        self._last = None

    def step(self, image, seconds):
        """Recognise the faces of the next frame.

        Args:
            image: `uint8` array of shape `(height, width, 3)`, RGB, always of the same shape.
            seconds: Time of the frame, not before the last one.

        Returns:
            List of dicts by column, from `face` on, by face number: as `photos.predict_photos`
            but with `face` a number that stays with a face, probabilities smoothed over time,
            and no `detection_score` where the face was followed and not searched for.
        """
        small = self._reduced(image)
        if self._last is not None and small.shape != self._last.shape:
            self._last = None
            self._forget()
        if self._last is not None and tracking.is_cut(_tiny(self._last), _tiny(small)):
            self._forget()
        lost = self._follow(small, image.shape)
        self._last, self._age = small, self._age + 1
        if lost or not self._faces or self._age >= self.search_every:
            self._search(image)
        return self._rows(image, seconds)

    def see(self, image):
        """Take a frame as the last one without recognising anything, to go on after it."""
        self._last = self._reduced(image)

    def state(self):
        """Return what is needed to go on, beside the last frame, as a dict that JSON can hold."""
        faces = {str(face): list(found) for face, found in self._faces.items()}
        return {"tracker": self.tracker.state(), "faces": faces, "age": self._age}

    def restore(self, state):
        """Go on from what `state` returned; `see` the last frame too."""
        self.tracker.restore(state["tracker"])
        self._age = state["age"]
        self._faces = {
            int(face): Detection(*found[:5], found[5] and tuple(map(tuple, found[5])))
            for face, found in state["faces"].items()
        }

    def _forget(self):
        self.tracker.reset()
        self._faces = {}

    def _reduced(self, image):
        import cv2

        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        scale = min(1.0, FLOW_SIDE / max(grey.shape))
        size = [max(1, round(side * scale)) for side in grey.shape[::-1]]
        return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)

    def _follow(self, small, shape):
        """Move the faces to where they are in the new frame and return whether one got lost."""
        if self._last is None or not self._faces:
            return False
        scale = np.array([small.shape[1] / shape[1], small.shape[0] / shape[0]] * 2)
        boxes = np.array([face[:4] for face in self._faces.values()]) * scale
        boxes, found = tracking.follow(self._last, small, boxes)
        for (number, old), box, ok in zip(
            list(self._faces.items()), (boxes / scale).tolist(), found, strict=True
        ):
            if ok:
                self._faces[number] = _carried(old, box)
                self.tracker.move(number, box)
            else:
                del self._faces[number]
        return not found.all()

    def _search(self, image):
        self._age = 0
        found = detection.detect(image, self.detector, max_side=self.search_side)
        numbers = self.tracker.assign([face[:4] for face in found])
        held = {
            number: face
            for number, face in self._faces.items()
            if number in self.tracker.tracks and self.tracker.tracks[number].missed <= HELD
        }
        self._faces = held | dict(zip(numbers, found, strict=True))

    def _rows(self, image, seconds):
        numbers = sorted(self._faces)
        if not numbers:
            return []
        faces = [self._faces[number] for number in numbers]
        size = getattr(self.predictor, "face_size", 48)
        answers = self.predictor.predict(detection.crop_faces(image, faces, size))
        answers = self.tracker.smooth(numbers, answers, seconds)
        labels, unsure = self.predictor.label_set, self.unsure_below
        return [
            {"face": number} | photos.face_columns(face, image.shape, answer, labels, unsure)
            for number, face, answer in zip(numbers, faces, answers, strict=True)
        ]


def _tiny(grey):
    import cv2

    return cv2.resize(grey, CUT_SIZE, interpolation=cv2.INTER_AREA)


def _carried(face, box):
    """Return a face with its eyes, moved to a new box."""
    x, y, width, height = box
    across, down = width / max(face.width, 1e-9), height / max(face.height, 1e-9)
    eyes = face.eyes and tuple(
        (x + (ex - face.x) * across, y + (ey - face.y) * down) for ex, ey in face.eyes
    )
    return Detection(x, y, width, height, math.nan, eyes)
