"""Time a folder of small photographs, file to table, against the usual script.

python tests/benchmarks/photos.py [--full] [--json FILE] [--model NAME] [--keras FILE]

Parts of the photographs of FER_SHARED (by default ../shared; skipped without them), one or two
faces each, as JPEG files of 320 x 240 and of 640 x 480 pixels. Usual: `cv2.imread`, Haar at scale
1.1 and `model.predict` on each face. Ours: `photos.recognise` on the folder. Needs, for YuNet, its
file in FER_WEIGHTS or FER_HOME/weights. On a busy machine read the CPU times: they are those of
all threads, and on two free cores the time is half of it.
"""

import os
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import timing
import video

from fer_lib import storage

PHOTOS = (
    "two_men_and_two_bystanders.jpg",
    "grace_hopper.png",
    "astronaut.png",
    "solvay_1927_29_people.jpg",
)
SIZES = ((320, 240), (640, 480))
GOAL = 200  # photographs of the smallest size a second, on two cores


def write_photos(folder, count, size):
    """Write so many parts of the photographs as JPEG files of one size, and return their paths."""
    import numpy as np
    from PIL import Image

    rng, (width, height) = np.random.default_rng(0), size
    whole = [Image.open(video.SHARED / "media" / name).convert("RGB") for name in PHOTOS]
    paths = []
    for number in range(count):
        photo = whole[number % len(whole)]
        across = int(min(photo.width, photo.height * width / height) * rng.uniform(0.6, 1.0))
        down = across * height // width
        left, top = (
            int(rng.integers(0, n + 1)) for n in (photo.width - across, photo.height - down)
        )
        part = photo.crop((left, top, left + across, top + down)).resize(size)
        paths.append(Path(folder) / f"{number:05d}.jpg")
        part.save(paths[-1], quality=90)
    return paths


def case(size, count, predictor, model, folder):
    """Return the rows of a folder of photographs of one size."""
    import cv2

    from fer_lib.vision.photos import recognise

    paths, script = write_photos(folder, count, size), video.usual(model)

    def usual(path):
        script(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))

    usual(paths[0])  # what is built at the first call does not count
    recognise(paths[:8], predictor)
    few = paths[1:41]
    times = {"usual script": _spent(lambda: [usual(path) for path in few], len(few))}
    times["ours"] = _spent(lambda: recognise(folder, predictor), count)
    notes = {
        way: f"CPU {1e3 * cpu:.3g} ms: {2 / cpu:.0f} a second on two free cores"
        for way, (_, cpu) in times.items()
    }
    if size == SIZES[0]:
        notes["ours"] += f", of which {GOAL} are the goal"
    name = f"photos of {size[0]}x{size[1]}, each"
    return timing.rows_of(name, times, unit="ms", scale=1e3, notes=notes)


def _spent(function, count):
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return (time.perf_counter() - wall) / count, (time.process_time() - cpu) / count


def main():
    """Measure and print."""
    arguments = timing.options(
        __doc__,
        model={"default": "default", "help": "name or file of ours"},
        keras={"default": str(storage.SHIPPED / "fer7.keras"), "help": "of the usual script"},
    )
    if not (video.SHARED / "media").is_dir():
        print(f"skipped: no photographs in {video.SHARED / 'media'} (FER_SHARED names the folder)")
        timing.finish([], arguments)
        return
    import keras

    from fer_lib.inference.predictor import load_predictor

    model, rows = keras.models.load_model(arguments.keras, compile=False), []
    predictor, count = load_predictor(arguments.model), 1000 if arguments.full else 200
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that Haar is used where YuNet's file is missing
        for size in SIZES:
            with tempfile.TemporaryDirectory() as folder:
                rows += case(size, count, predictor, model, folder)
    timing.finish(rows, arguments)


if __name__ == "__main__":
    main()
