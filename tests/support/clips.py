"""Clips for the tests of moving pictures, and a detector and a predictor that need no weights."""

from fractions import Fraction

import av
import cv2
import numpy as np

from fer_lib.data.synthetic import make_faces
from fer_lib.emotions import FER7
from fer_lib.vision.detection import Detection

SIZE = 60  # of a face with its white frame, in pixels
FACES = make_faces(7, seed=3, size=40).images


class Bands:
    """Answers by the brightness of seven bands of a face, and counts its calls."""

    label_set = FER7
    face_size = (48, 48)

    def __init__(self, stop_at=None, stop=None):
        self.calls, self.stop_at, self.stop = 0, stop_at, stop

    def predict(self, images):
        """Return probabilities; at call `stop_at`, call `stop` first."""
        self.calls += 1
        if self.calls == self.stop_at:
            self.stop()
        bands = np.asarray(images)[:, :, 3:45].reshape(len(images), 48, 7, 6).mean(axis=(1, 3))
        odds = np.exp(bands / 20 - bands.max(axis=1, keepdims=True) / 20)
        return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def white_frames():
    """Open a detector that takes each white frame of 30 pixels or more for a face."""

    def find(image):
        white = (image.min(axis=2) > 215).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(white)
        return [Detection(*map(float, s[:4]), 0.9) for s in stats[1:] if min(s[2:4]) >= 30]

    return find


def picture(*corners, background=60, height=240, width=320):
    """Return a picture with the n-th synthetic face at the n-th corner, RGB."""
    image = np.full((height, width, 3), background, np.uint8)
    image[::16] = np.maximum(image[::16], 12) - 12  # something to see between the faces
    for number, (x, y) in enumerate(corners):
        image[y : y + SIZE, x : x + SIZE] = 250
        image[y + 10 : y + SIZE - 10, x + 10 : x + SIZE - 10] = FACES[number][..., None] * 0.8
    return image


def scenes():
    """Return 60 pictures: one moving face, a cut to two, a cut to none, a cut to one."""
    one = [picture((20 + 3 * n, 40 + n)) for n in range(20)]
    two = [picture((200 - 2 * n, 30), (20 + 2 * n, 140), background=120) for n in range(20)]
    none = [picture(background=10) for _ in range(10)]
    again = [picture((20, 40)) for _ in range(10)]
    return one + two + none + again


# Face numbers of each frame of `scenes`: the first face is known again, wherever it is.
NUMBERS = [[1]] * 20 + [[1, 2]] * 20 + [[]] * 10 + [[1]] * 10


def write_clip(path, pictures, rate=25, *, codec="mjpeg", times=None, offset=0, sound=None):
    """Write RGB pictures as a video; Motion JPEG, so that each frame stands for itself.

    Args:
        codec: FFmpeg's name of the encoder.
        times: Milliseconds of each picture, instead of a constant rate.
        offset: Milliseconds by which everything is later.
        sound: FFmpeg's name of an encoder for a tone of the same length, or `None`.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if codec == "libx264":
            stream.options = {"preset": "ultrafast"}
        if path.suffix != ".avi":
            stream.codec_context.time_base = Fraction(1, 1000)
        tone = sound and container.add_stream(sound, rate=16000, layout="mono")
        for number, image in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = number
            if path.suffix != ".avi":
                at = round(1000 * number / rate) if times is None else times[number]
                frame.pts, frame.time_base = at + offset, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        if tone:
            size = tone.codec_context.frame_size or 1024
            for number in range(int(len(pictures) / rate * 16000 / size)):
                wave = np.sin(np.arange(size) / 5).astype(np.float32)[None] * 0.2
                kind = tone.codec_context.format.name
                wave = wave if kind.startswith("flt") else (wave * 32767).astype(np.int16)
                packed = av.AudioFrame.from_ndarray(wave, format=kind, layout="mono")
                packed.sample_rate, packed.pts = 16000, number * size + offset * 16
                container.mux(tone.encode(packed))
            container.mux(tone.encode(None))
        container.mux(stream.encode(None))
    return path


def read_clip(path):
    """Return the frames of a video, RGB."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
