"""Time the faces of a video against the usual script: per frame, and end to end.

python tests/benchmarks/video.py [--full] [--json FILE] [--model NAME] [--keras FILE]

A clip of 640 x 480 with 1 and with 5 faces, cut from photographs and pasted on a moving
background. Usual: Haar at scale 1.1 on each frame and `model.predict` on each face. Ours:
`recogniser.Recogniser` (find or follow, align, classify in one batch), then `predict_video` end to
end with the table and without and with the annotated copy. Needs the photographs of FER_SHARED
(by default ../shared; skipped without them) and, for YuNet, its file in FER_WEIGHTS or
FER_HOME/weights. Both use the shipped model, the usual script as a Keras model. On a busy machine
read the CPU times: they are those of all threads.
"""

import itertools
import os
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import timing

from fer_lib import storage

SHARED = Path(os.environ.get("FER_SHARED", Path(__file__).parents[3] / "shared"))
# Photo, then the square of a face with its surroundings: left, top, side in pixels.
FACES = (
    ("grace_hopper.png", 140, 80, 260),
    ("astronaut.png", 143, 30, 170),
    ("two_men_and_two_bystanders.jpg", 86, 54, 170),
    ("two_men_and_two_bystanders.jpg", 226, 20, 170),
    ("solvay_1927_29_people.jpg", 200, 52, 164),
)
PLACES = ((60, 60), (250, 150), (440, 40), (80, 280), (430, 270))
FPS_GOALS = {1: 30, 5: 20}


def frames(count, length):
    """Return `length` RGB pictures of 640 x 480 with `count` moving faces."""
    import cv2
    import numpy as np

    from fer_lib.vision.pictures import read_photo

    faces = []
    for name, left, top, side in FACES[:count]:
        photo = read_photo(SHARED / "media" / name)[top : top + side, left : left + side]
        faces.append(cv2.resize(photo, (150, 150), interpolation=cv2.INTER_AREA))
    rng = np.random.default_rng(0)
    wide = cv2.resize(rng.integers(60, 120, (20, 40, 3), np.uint8), (1280, 560))
    pictures = []
    for number in range(length):
        shift = 2 * number % 600
        picture = wide[number % 60 : number % 60 + 480, shift : shift + 640].copy()
        for place, (face, (x, y)) in enumerate(zip(faces, PLACES, strict=False)):
            x += round(40 * np.sin(number / 15 + place))
            y += round(20 * np.cos(number / 11 + place))
            picture[y : y + 150, x : x + 150] = face
        pictures.append(picture)
    return pictures


def usual(model):
    """Return the script that one finds everywhere, as a function of a frame."""
    import cv2

    name = "haarcascade_frontalface_default.xml"
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + name)
    height, width = model.input_shape[1:3]

    def recognise(image):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        answers = []
        for x, y, w, h in cascade.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=5):
            face = cv2.resize(grey[y : y + h, x : x + w], (width, height))
            answers.append(model.predict(face[None], verbose=0))
        return answers

    return recognise


def spent(function, items):
    """Return wall and CPU seconds of a function on each item."""
    times = []
    for item in items:
        wall, cpu = time.perf_counter(), time.process_time()
        function(item)
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return times


def percentiles(case, way, times, *, first=None, goal=None):
    """Return rows with mean, p50 and p95 of milliseconds, and the means of wall and CPU."""
    import numpy as np

    wall, cpu = (1e3 * np.array(column) for column in zip(*times, strict=True))
    mean = float(wall.mean()), float(cpu.mean())
    row = timing.number(case, f"{way}, mean", mean[0], "ms", note=f"CPU {mean[1]:.3g} ms")
    if first:
        # Of the means: the median would leave out the frames that are searched.
        row |= {"ratio": first[0] / mean[0], "cpu_ratio": first[1] / mean[1], "goal": goal}
    rows = [row]
    for share in (50, 95):
        note = f"CPU {np.percentile(cpu, share):.3g} ms"
        value = float(np.percentile(wall, share))
        rows.append(timing.number(case, f"{way}, p{share}", value, "ms", note=note))
    return rows, mean


def case(count, length, path, model, folder):
    """Return the rows of a clip with so many faces."""
    import numpy as np

    from fer_lib.inference.predictor import load_predictor
    from fer_lib.vision import video
    from fer_lib.vision.recogniser import Recogniser
    from fer_lib.vision.video_copy import write_frames

    name = f"640x480, {count} face{'s' * (count > 1)}"
    pictures, predictor, script = frames(count, length), load_predictor(path), usual(model)
    recogniser, clock, found = Recogniser(predictor), itertools.count(), []
    ours = {"usual": [], "ours": []}
    script(pictures[0])  # what is built at the first call does not count
    recogniser.step(pictures[0], -1.0)
    # They take turns, some frames each; ours has the more, as only each fifth is a search.
    for start in range(0, length, 30):
        part = pictures[start : start + 30]
        ours["usual"] += spent(script, part[:3])
        ours["ours"] += spent(
            lambda image: found.append(len(recogniser.step(image, next(clock) / 30))), part
        )
    rows, first = percentiles(name, "usual script", ours["usual"])
    rows[0] |= {"ratio": 1.0, "cpu_ratio": 1.0}
    more, _ = percentiles(name, "find, align, classify", ours["ours"], first=first, goal=15)
    more[0]["note"] += f"; {sum(n >= count for n in found)} of {len(found)} frames had all faces"
    rows += more
    crops = np.zeros((count, *predictor.face_size), np.uint8)
    rows += percentiles(name, "classify alone", spent(predictor.predict, [crops] * 100))[0]
    clip = Path(folder) / f"clip-{count}.mp4"
    write_frames(clip, pictures, 30)
    for way, options in (
        ("predict_video", {}),
        ("predict_video with annotated copy", {"annotated": Path(folder) / f"{count}.mp4"}),
    ):
        wall, cpu = time.perf_counter(), time.process_time()
        video.predict_video(clip, predictor, progress=False, **options)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        note = f"CPU {1e3 * cpu / length:.1f} ms a frame: {length / cpu:.0f} fps on one core"
        rows.append(
            timing.number(name, way, length / wall, "fps", goal=FPS_GOALS[count], note=note)
        )
    return rows


def main():
    """Measure and print."""
    arguments = timing.options(
        __doc__,
        model={"default": "default", "help": "name or file of ours"},
        keras={"default": str(storage.SHIPPED / "fer7.keras"), "help": "of the usual script"},
    )
    if not (SHARED / "media").is_dir():
        print(f"skipped: no photographs in {SHARED / 'media'} (FER_SHARED names the folder)")
        timing.finish([], arguments)
        return
    import keras

    model, rows = keras.models.load_model(arguments.keras, compile=False), []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that Haar is used where YuNet's file is missing
        for count in FPS_GOALS:
            length = 600 if arguments.full else 150
            rows += case(count, length, arguments.model, model, folder)
    timing.finish(rows, arguments)


if __name__ == "__main__":
    main()
