"""A clip of one synthetic person whose expression changes, for trying out what takes a video."""

from pathlib import Path

import numpy as np

from fer_lib import storage
from fer_lib.data import synthetic
from fer_lib.emotions import FER7
from fer_lib.vision.video_copy import write_frames

SIZE = 160  # of the face, in pixels
# Second 0 is the first, and each is reached after a second of blending from the one before.
SCRIPT = ("neutral", "happy", "neutral", "surprise", "sad")


def make_frames(seconds=10.0, *, rate=25, seed=2, script=SCRIPT):
    """Yield the frames of a person who shows one expression after the other.

    Args:
        seconds: Length; the expressions of the script share it equally.
        rate: Frames per second.
        seed: Draws the person; the detectors know the cartoon of 2 for a face nearly always.
        script: Sequence of emotion names.

    Yields:
        `uint8` array of shape `(240, 320, 3)`, RGB.
    """
    count = round(seconds * rate)
    places = np.linspace(0, len(script), count, endpoint=False)
    for number, place in enumerate(places):
        targets = np.zeros((1, len(FER7)))
        now, since = int(place), (place - int(place)) * seconds / len(script)
        share = min(1.0, since / min(1.0, seconds / len(script) / 2)) if now else 1.0
        targets[0, FER7.index(script[now])] += share
        targets[0, FER7.index(script[max(0, now - 1)])] += 1 - share
        # The same draws in each frame: the same person, in the same light.
        actions, looks = synthetic._draw_parameters(np.random.default_rng([seed, 2]), targets)
        face = {name: values[:, None, None] for name, values in (actions | looks).items()}
        drawn = synthetic._draw(face, SIZE)
        image = synthetic._photograph(drawn, face, np.random.default_rng([seed, number]))[0]
        frame = np.full((240, 320, 3), 90, np.uint8)
        x, y = round(80 + 50 * np.sin(number / 40)), round(40 + 15 * np.cos(number / 25))
        frame[y : y + SIZE, x : x + SIZE] = image[..., None]
        yield frame


def write_clip(path, seconds=10.0, *, rate=25, **options):
    """Write such a clip, unless the file is there already.

    Args:
        path: File that ends in .mp4, .mov or .mkv.
        seconds: Length.
        rate: Frames per second.
        **options: Of `make_frames`.

    Returns:
        `Path` of the file.

    Raises:
        ImportError: If PyAV is missing.
    """
    path = Path(path)
    if not path.exists():
        with storage.replacing(path) as temporary:
            write_frames(temporary, make_frames(seconds, rate=rate, **options), rate)
    return path


def resolve_source(source, seconds=10.0):
    """Return a video to read: of `"synthetic"` a clip in `FER_HOME/cache`, else the source."""
    if source != "synthetic":
        return source
    return write_clip(storage.fer_home() / "cache" / f"synthetic-{seconds:g}s.mp4", seconds)
