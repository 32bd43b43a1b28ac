"""Jobs that import Keras, start kernels or serve a page: seconds each, so fewer of them."""

import functools
import hashlib
import json
import os
import signal
import tempfile
import time
import urllib.request
import uuid
import zipfile
from pathlib import Path

import pandas as pd

from fer_lib import storage
from fer_lib.__main__ import main
from fer_lib.experiments.experiment import from_record
from soak.children import Child
from soak.disturbances import SIGNALS, Lost, status_of
from soak.jobs import Job
from support.places import write_fer2013_csv

_TRAIN = (
    "train dataset=faces.csv backbone=tiny weights=None unfreeze=all epochs=2 batch_size=32 "
    "image_size=32 mixed_precision=none results_dir=out"
)


class Training(Job):
    """`fer train`, two epochs of a tiny network."""

    name, weight = "training", 1.5

    def fill(self, place):
        """Write a data set."""
        write_fer2013_csv(place / "faces.csv")

    def work(self):
        """Train."""
        return main(_TRAIN.split())

    def result(self, place):
        """Leave out what holds times: the record of the machine, and TensorBoard's files."""
        found = super().result(place)
        return {k: v for k, v in found.items() if "tensorboard" not in k and "environment" not in k}

    def digest(self, file):
        """Compare a history without its times, and a model by its weights."""
        if file.name == "history.csv":
            return pd.read_csv(file).drop(columns=["seconds", "compile_seconds"]).to_csv()
        if file.name == "model.keras":
            with zipfile.ZipFile(file) as archive:
                return hashlib.sha256(archive.read("model.weights.h5")).hexdigest()
        return super().digest(file)

    def fragile(self, place):
        """Return the files of the run that was begun."""
        names = ("experiment.json", "environment.json", "history.csv")
        found = [file for file in place.glob("out/*/*") if file.name in names]
        return found + list(place.glob("out/*/checkpoint/*.npz"))

    def begin(self, place):
        """A run is there after a kill only."""
        return True


class Export(Training):
    """`fer export` of a finished run, to a Keras and a LiteRT file with their card."""

    name, weight = "export", 0.5

    def fill(self, place):
        """Copy a finished run."""
        super().fill(place)
        for name, content in _trained().items():
            path = place / "run" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def work(self):
        """Export it."""
        return main("export run --to out --formats keras litert".split())

    def digest(self, file):
        """The hash of the bytes, whatever the file is."""
        return Job.digest(self, file)

    def fragile(self, place):
        """Return the files of the run that an export reads."""
        names = ("experiment.json", "model.keras", "predictions.npz", "scores.json", "history.csv")
        return [place / "run" / name for name in names]

    def begin(self, place):
        """The run is there."""
        return False


class Finished(Export):
    """`fer train` of a run that is finished, which answers from its folder."""

    name, weight, disturbances = "finished run", 3.0, ("damage", "twins")

    def fill(self, place):
        """Copy a finished run to where its training would go on."""
        super().fill(place)
        run = place / "out" / from_record(json.loads(_trained()["experiment.json"])).name
        run.parent.mkdir()
        (place / "run").rename(run)

    def work(self):
        """Train what is trained already."""
        return main(_TRAIN.split())

    def result(self, place):
        """All files of the run."""
        return Job.result(self, place)

    def fragile(self, place):
        """Return the run's own files."""
        return [file for file in place.glob("out/*/*") if file.is_file()]


class Audit(Export):
    """`fer audit` of a finished run."""

    name, weight = "audit", 0.5

    def work(self):
        """Check it; what is damaged is a finding."""
        status = main("audit run --json out/audit.json --reforms out/reforms.md".split())
        return 0 if Path("out/reforms.md").exists() else status

    def fragile(self, place):
        """Return the run's own files."""
        return [file for file in place.glob("run/*") if file.is_file()]


class Sweep(Job):
    """A sweep of three points of a notebook that stands in for a training."""

    name, weight, disturbances = "sweep", 0.4, ("kill", "twins")

    def fill(self, place):
        """Write the notebook."""
        from support.stub_notebook import write_stub

        write_stub(place / "stub.ipynb")
        storage.write_json(place / "out" / "behaviour.json", {"seconds": 0.3})

    def work(self):
        """Sweep until no point runs in another process any more."""
        from fer_lib.sweeps import local, points
        from fer_lib.sweeps.grid import make_grid

        local.stop_on_terminate()
        fixed = {"dataset": "synthetic", "weights": None, "results_dir": "out"}
        grid = make_grid(fixed | {"dropout": [0.1]}, seeds=3)
        if not points.points_file(grid).exists():
            points.write_points(points.points_file(grid), grid.points, notices=[])
        end = time.monotonic() + 60
        while time.monotonic() < end:
            states = local.run(grid, workers=3, cores=1, gpus=[], notebook="stub.ipynb", show=print)
            if set(states.values()) == {"finished"}:
                return 0
            time.sleep(0.5)
        return 1

    def result(self, place):
        """Leave out the notebooks and logs, which hold times, and the count of executions."""
        found = super().result(place)
        ends = (".ipynb", ".log", "executions.txt")
        return {name: value for name, value in found.items() if not name.endswith(ends)}

    def digest(self, file):
        """Compare a history without its times."""
        if file.name == "history.csv":
            return pd.read_csv(file).drop(columns="seconds").to_csv()
        return super().digest(file)


class Page(Job):
    """The page: whatever ends it, what was given to it is deleted."""

    name, weight, disturbances = "page", 0.5, ("signal",)

    def fill(self, place):
        """Make its folder of temporary files."""
        (place / "tmp").mkdir()

    def work(self):
        """Serve until a signal."""
        from fer_lib.vision import page

        tempfile.tempdir = os.path.abspath("tmp")
        page.serve("default", show=functools.partial(print, flush=True), detector="haar")
        return 0

    def disturb(self, bench, random):
        """Give the page a file, end it by a signal, and look what stays."""
        with bench.place(self) as place:
            child = self._served(bench, place)
            number = random.choice(SIGNALS)
            child.send(number)
            killed = number == signal.SIGKILL
            status_of(child, ok=(-number,) if killed else (0,))
            left = os.listdir(place / "tmp")
            if left and not killed:
                raise Lost(f"after signal {number} there is {left}")
            if killed:
                child = self._served(bench, place)
                if set(left) & set(os.listdir(place / "tmp")):
                    raise Lost(f"a start leaves {left} of a killed page")
                child.send(signal.SIGINT)
                status_of(child, ok=(0,))
                if left := os.listdir(place / "tmp"):
                    raise Lost(f"after Ctrl-C there is {left}")
        return 1

    def _served(self, bench, place):
        child, end = bench.start(self, place), time.monotonic() + 120
        while "The page is at " not in child.words:
            if child.ended(0.1) or time.monotonic() > end:
                raise Lost(f"the page does not start: {child.words[-2000:]}")
        address = child.words.split("The page is at ")[1].split()[0]
        mark = uuid.uuid4().hex
        body = (
            f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n'
            f"Content-Type: image/png\r\n\r\nmy face\r\n--{mark}--\r\n"
        )
        request = urllib.request.Request(f"{address}gradio_api/upload", body.encode())
        request.add_header("Content-Type", f"multipart/form-data; boundary={mark}")
        urllib.request.urlopen(request, timeout=60).read()
        if not list((place / "tmp").rglob("a.png")):
            raise Lost("what was uploaded is not in the page's folder")
        return child


JOBS = (Training, Export, Finished, Audit, Sweep, Page)


def jobs(wanted=None):
    """Return the jobs, or those of some names, with what they need imported."""
    found = [job() for job in JOBS if wanted is None or job.name in wanted]
    kinds = {type(job) for job in found}
    if kinds & {Training, Export, Finished, Audit}:
        import keras  # noqa: F401

        from fer_lib.audit import reforms, report  # noqa: F401
        from fer_lib.experiments import model_card, runner  # noqa: F401
        from support import tiny_backbone

        tiny_backbone.install()
    if Page in kinds:
        import gradio  # noqa: F401

        from fer_lib.vision import page  # noqa: F401
    return found


@functools.cache
def _trained():
    """Return the files of a run by name."""
    with tempfile.TemporaryDirectory() as folder:
        place, job = Path(folder), Training()
        job.fill(place)
        child = Child(job.work, place, place / "log.txt")
        if child.wait(600):
            raise RuntimeError(f"the training fails undisturbed: {child.words[-3000:]}")
        (run,) = place.glob("out/*")
        return {file.name: file.read_bytes() for file in run.iterdir() if file.is_file()}
