"""Frames to rows: find, follow and number the faces of a moving picture and classify them."""

import base64
import math

import numpy as np

from fer_lib.vision import appearance, detection, face_table, tracking
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
# Share of a face's box under the box of another above which it may be covered.
COVERED_SHARE = 0.25


class Recogniser:
    """Recognises the faces of frames that come one after the other.

    A frame is searched for faces when the last search is some frames ago, when no face is in
    sight, when one got lost, is covered or touches another, or when the scene has changed; on the
    others faces are followed. A face that is followed but does not look as it was found has no
    row: there is no emotion of a face that is not seen. All faces of a frame are one batch.

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
        unsure_below=face_table.UNSURE_BELOW,
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
        self._patches = {}  # number → how the face was found last
        self._age = 0  # frames since the last search
        self._last = None

    def step(self, image, seconds):
        """Recognise the faces of the next frame.

        Args:
            image: `uint8` array of shape `(height, width, 3)`, RGB, always of the same shape.
            seconds: Time of the frame, not before the last one.

        Returns:
            List of dicts by column, from `face` on, by face number: as `photos.recognise`
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
        lost |= self._drop_covered(image)
        if lost or not self._faces or self._age >= self.search_every or self._touching():
            self._search(image, seconds)
        return self._rows(image, seconds)

    def see(self, image):
        """Take a frame as the last one without recognising anything, to go on after it."""
        self._last = self._reduced(image)

    def state(self):
        """Return what is needed to go on, beside the last frame, as a dict that JSON can hold."""
        faces = {str(face): list(found) for face, found in self._faces.items()}
        patches = {
            str(face): base64.b64encode(self._patches[face].tobytes()).decode()
            for face in self._faces
        }
        at = {"tracker": self.tracker.state(), "age": self._age}
        return at | {"faces": faces, "patches": patches}

    def restore(self, state):
        """Go on from what `state` returned; `see` the last frame too."""
        self.tracker.restore(state["tracker"])
        self._age = state["age"]
        self._faces = {
            int(face): Detection(*found[:5], found[5] and tuple(map(tuple, found[5])))
            for face, found in state["faces"].items()
        }
        for face, text in state["patches"].items():
            values = np.frombuffer(base64.b64decode(text), np.uint8)
            self._patches[int(face)] = values.reshape(math.isqrt(len(values)), -1)

    def restart(self, *, same_people=False):
        """Begin another video.

        Args:
            same_people: Whether those who were seen are known again by their looks; otherwise
                nothing of the video before is known, and numbers start at 1.
        """
        if same_people:
            self.tracker.leave()
        else:
            self.tracker = tracking.Tracker(
                max_missed=self.tracker.max_missed, time_constant=self.tracker.time_constant
            )
        self._faces, self._patches, self._age, self._last = {}, {}, 0, None

    def _forget(self):
        self.tracker.cut()
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

    def _drop_covered(self, image):
        """Take out the faces that do not look as they were found, and return whether any did."""
        numbers = list(self._faces)
        hidden = self._hidden(image, numbers)
        for number in hidden:
            del self._faces[number]
        return bool(hidden)

    def _hidden(self, image, numbers):
        crops = self._crops(image, [self._faces[number] for number in numbers])
        return [
            number
            for number, crop in zip(numbers, crops, strict=True)
            if appearance.correlation(appearance.patch(crop), self._patches[number])
            < appearance.COVERED
        ]

    def _touching(self):
        boxes = [face[:4] for face in self._faces.values()]
        shares = tracking.covered(boxes, boxes)
        return bool((shares - np.eye(len(boxes)) > COVERED_SHARE).any())

    def _search(self, image, seconds):
        self._age = 0
        found = detection.detect(image, self.detector, max_side=self.search_side)
        crops = self._crops(image, found)
        boxes = [face[:4] for face in found]
        numbers = self.tracker.assign(boxes, appearance.looks(crops), seconds)
        held = {
            number: face
            for number, face in self._faces.items()
            if number in self.tracker.tracks
            and 0 < self.tracker.tracks[number].missed <= HELD
            and (tracking.covered([face[:4]], boxes) <= COVERED_SHARE).all()
        }
        self._faces = held | dict(zip(numbers, found, strict=True))
        patches = [appearance.patch(crop) for crop in crops]
        self._patches = {number: self._patches[number] for number in held}
        self._patches |= dict(zip(numbers, patches, strict=True))

    def _crops(self, image, faces):
        if not faces:
            return np.empty((0, appearance.SIDE, appearance.SIDE), np.uint8)
        return detection.crop_faces(image, faces, appearance.SIDE)

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
            {"face": number} | face_table.face_columns(face, image.shape, answer, labels, unsure)
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
