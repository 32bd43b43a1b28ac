"""What is disturbed: jobs of a second or so, each with its inputs, its work and its result."""

import contextlib
import functools
import hashlib
import importlib
import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from fer_lib import storage
from fer_lib.__main__ import main
from fer_lib.data import catalogue, duplicates
from fer_lib.data.synthetic import make_faces
from fer_lib.vision import detection, part_file
from support import clips, finished_runs
from support.places import write_fer2013_csv

# What the jobs import when they need it: once here, not in each of their processes.
for _name in (
    "ai_edge_litert.interpreter",
    "cv2",
    "fer_lib.experiments.published",
    "fer_lib.vision.photos",
    "fer_lib.vision.video",
    "pandas",
    "scipy.fft",
    "scipy.sparse.csgraph",
    "sklearn.model_selection",
):
    importlib.import_module(_name)


class Job:
    """A job in a folder, the place, of which `out/` holds the result.

    A subclass has `name`, `fill(place)`, which writes the inputs, and `work()`, which runs in a
    process of its own with the place as its working folder and returns an exit status.
    """

    name, weight, disturbances = "", 1.0, ("kill", "disk", "read only", "damage", "twins")
    swaps = "*"  # files of which it is told that they are another run's

    def result(self, place):
        """Return `{name: hash}` of what the work shall leave, hidden files among it."""
        files = sorted(path for path in (place / "out").rglob("*") if path.is_file())
        return {str(file.relative_to(place)): self.digest(file) for file in files}

    def digest(self, file):
        """Return what a file must be equal in; the hash of its bytes."""
        return hashlib.sha256(file.read_bytes()).hexdigest()

    def fragile(self, place):
        """Return the files that may be damaged before the work, or goes on."""
        return []

    def begin(self, place):
        """Return whether the work shall have been killed once before files are damaged."""
        return False

    def tells(self, words, place, damaged):
        """Return whether the words name a file that was damaged."""
        return damaged.name in words


class Table(Job):
    """A command that writes a table of faces bit by bit."""

    def fragile(self, place):
        """Return the part of the table, and the model."""
        return [*place.glob("out/*.part.*"), *place.glob("model.*")]

    def begin(self, place):
        """A part is there after a kill only."""
        return True


class Photos(Table):
    """`fer predict` with a table and marked copies."""

    name, weight = "photos", 4.0
    words = "predict photos --out out/faces.csv --annotated out/marked --detector frames".split()

    def fill(self, place):
        """Write eight photographs, one of them damaged, and an exported model."""
        folder = place / "photos"
        folder.mkdir()
        for number, image in enumerate(make_faces(4, seed=5).images):
            Image.fromarray(image).save(folder / f"face{number}.png")
        for number, (x, y) in enumerate([(20, 30), (150, 90), (200, 20)]):
            picture = clips.picture((x, y), (40, 160))
            Image.fromarray(picture).save(folder / f"photo{number}.jpg")
        (folder / "broken.jpg").write_bytes((folder / "photo0.jpg").read_bytes()[:900])
        _model(place)

    def work(self):
        """Recognise them."""
        _prepare()
        return main([*self.words, "--model", "model.tflite"])


class Video(Table):
    """`fer video` with its tables, its marked copy and its episodes."""

    name, weight = "video", 2.0
    words = "video clip.avi --out out/faces.csv --summary out/people.csv --annotated out/marked.mp4"

    def fill(self, place):
        """Write a clip of 15 frames and a model."""
        clips.write_clip(place / "clip.avi", clips.scenes()[::4])
        _model(place)

    def work(self):
        """Recognise it."""
        _prepare()
        more = ["--elan", "out/episodes.txt", "--detector", "frames", "--model", "model.tflite"]
        return main([*self.words.split(), *more])


class Publish(Job):
    """`fer publish` of two runs."""

    name, weight = "publish", 4.0

    def fill(self, place):
        """Write two finished runs."""
        _runs(place)

    def work(self):
        """Publish them."""
        return main(["publish", *sorted(map(str, Path().glob("runs/*"))), "--to", "out"])

    def fragile(self, place):
        """Return the files of a run."""
        return sorted(path for path in place.glob("runs/*/*") if path.suffix != ".keras")


class Runs(Job):
    """`fer runs` with its table."""

    name, weight = "table of runs", 2.0
    swaps = "experiment.json"  # the scores are shown as they stand; audit and publish check them

    def fill(self, place):
        """Write two finished runs."""
        _runs(place)

    def work(self):
        """Make the table."""
        return main(["runs", "runs", "--csv", "out/runs.csv"])

    def fragile(self, place):
        """Return the files that it reads."""
        names = ("experiment.json", "scores.json", "history.csv")
        return sorted(path for path in place.glob("runs/*/*") if path.name in names)

    def tells(self, words, place, damaged):
        """A damaged run is named in its row of the table."""
        table = place / "out" / "runs.csv"
        told = words + (table.read_text() if table.exists() else "")
        return damaged.name in told


class Compare(Runs):
    """`fer compare` of two runs."""

    name, swaps = "compare", "experiment.json"

    def work(self):
        """Compare them, and keep what is printed."""
        with contextlib.redirect_stdout(io.StringIO()) as text:
            status = main(["compare", *sorted(map(str, Path().glob("runs/*")))])
        return status or _keep("out/compare.json", text.getvalue())

    def fragile(self, place):
        """Return the files that it reads."""
        return [*super().fragile(place), *place.glob("runs/*/predictions.npz")]

    tells = Job.tells


class Cache(Job):
    """A data set that is parsed once and kept, and its near-duplicates."""

    name, weight = "cache", 4.0

    def fill(self, place):
        """Write a data set."""
        write_fer2013_csv(place / "faces.csv", per_class=24)
        os.utime(place / "faces.csv", (1e9, 1e9))  # its hash is kept, too

    def work(self):
        """Load it and say what was loaded."""
        faces = catalogue.load_dataset("faces.csv")
        told = {split: of.content_hash for split, of in faces.items()}
        groups = duplicates.near_duplicate_groups(faces["train"].images)
        return _keep("out/loaded.json", told | {"groups": groups.tolist()})

    def fragile(self, place):
        """Return the files of the cache."""
        return sorted(path for path in (place / "home").rglob("*") if path.is_file())

    def begin(self, place):
        """A cache is there after work only."""
        return True


JOBS = (Photos, Video, Publish, Runs, Compare, Cache)


def _keep(path, value):
    """Write what came of a job as JSON, and return an exit status, as the command line does."""
    try:
        storage.write_json(path, value)
    except OSError as error:
        print(f"fer_lib: {error}", file=sys.stderr)
        return 1
    return 0


def _prepare():
    """Make the detector of the clips known, and save parts often."""
    detection.DETECTORS["frames"] = clips.white_frames
    part_file.SAVE_EVERY = 0.02


def _model(place):
    for ending in ("", ".json"):
        shipped = f"{storage.SHIPPED / 'fer7_float16.tflite'}{ending}"
        shutil.copy(shipped, place / f"model.tflite{ending}")


@functools.cache
def _one_run(seed):
    """Return the files of a finished run by name."""
    with tempfile.TemporaryDirectory() as folder:
        run = finished_runs.write_run(Path(folder), answers=seed, validation=True, seed=seed)
        data = {s: {"name": s, "n": 140, "sha256": str(seed) * 64} for s in ("train", "test")}
        files = {path.name: storage.file_hash(path) for path in run.folder.iterdir()}
        storage.write_json(run.folder / "environment.json", {"data": data, "files": files})
        return run.folder.name, {path.name: path.read_bytes() for path in run.folder.iterdir()}


def _runs(place):
    for seed in (1, 2):
        name, files = _one_run(seed)
        (place / "runs" / name).mkdir(parents=True)
        for file, content in files.items():
            (place / "runs" / name / file).write_bytes(content)
