"""Loads: much of one kind of work, with a look at memory and open files all along."""

import contextlib
import os
import resource
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np

LOOKS = 100


class Gauge:
    """Looks at this process a hundred times in so many steps.

    Args:
        count: How many steps there will be.
    """

    def __init__(self, count):
        self.every, self.steps, self.looks = max(1, count // LOOKS), 0, []
        self.begun = time.monotonic(), time.process_time()

    def step(self, *_):
        """Tell that a step is done."""
        self.steps += 1
        if self.steps % self.every == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            files = len(os.listdir("/proc/self/fd"))
            self.looks.append((pages * os.sysconf("SC_PAGE_SIZE") / 1e6, files))

    def measured(self):
        """Return the dict of what was seen: memory in MB and open files after a tenth of the
        looks, at half of them and at the end (the most of a tenth each), the peak, and the time."""
        tenth = max(1, len(self.looks) // 10)
        at = {
            "tenth": self.looks[tenth : 2 * tenth],
            "half": self.looks[5 * tenth : 6 * tenth],
            "end": self.looks[-tenth:],
        }
        memory = {name: max(look[0] for look in looks) for name, looks in at.items()}
        files = {name: max(look[1] for look in looks) for name, looks in at.items()}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        seconds, cpu = time.monotonic() - self.begun[0], time.process_time() - self.begun[1]
        return {
            "steps": self.steps,
            **{"memory": memory, "files": files, "peak": peak},
            **{"seconds": seconds, "cpu": cpu},
        }


class Counted:
    """A predictor that tells a gauge of each answer."""

    def __init__(self, predictor, step):
        self.label_set, self.face_size = predictor.label_set, predictor.face_size
        self._predictor, self._step = predictor, step

    def predict(self, images):
        """Return the predictor's answer."""
        self._step()
        return self._predictor.predict(images)


def measure(name, folder, count, **options):
    """Do one of `LOADS` and return what its gauge measured.

    Args:
        name: Key of `LOADS`.
        folder: `Path` of an empty folder.
        count: How many there are of it.
        **options: Of the load.
    """
    gauge = Gauge(count // options.get("every", 1))
    LOADS[name](folder, count, gauge, **options)
    return gauge.measured()


def photographs(folder, count, gauge, *, detector="auto"):
    """Recognise a folder of photographs of 160 x 120 with a drawn face each."""
    from PIL import Image

    from fer_lib.vision import photos

    (folder / "photos").mkdir()
    files = []
    for number, image in enumerate(_pictures(100)):
        files.append(folder / f"drawn{number}.png")
        Image.fromarray(image).save(files[-1])
    for number in range(count):
        os.link(files[number % len(files)], folder / "photos" / f"{number:05d}.png")
    predictor = Counted(_predictor(), gauge.step)
    table = photos.recognise(
        folder / "photos", predictor, detector=detector, out=folder / "faces.csv"
    )
    assert table.attrs["read"] == count


def video(folder, count, gauge, *, detector="auto", every=1):
    """Follow a drawn face in a clip of ten seconds that is played again and again."""
    from fer_lib.vision.video import predict_video
    from fer_lib.vision.video_copy import write_frames

    write_frames(folder / "clip.mp4", _pictures(250))
    long = _repeated(folder / "clip.mp4", folder / "long.mp4", count)
    predictor = Counted(_predictor(), gauge.step)
    options = {"every": every, "detector": detector, "progress": False}
    table = predict_video(long, predictor, out=folder / "faces.csv", **options)
    assert table["frame"].nunique() == -(-count // every), table["frame"].nunique()


def page(folder, count, gauge, *, detector="auto"):
    """Ask the page to look at a photograph again and again."""
    from gradio_client import Client, handle_file
    from PIL import Image

    from fer_lib.vision import page, synthetic_clip

    Image.fromarray(next(synthetic_clip.make_frames(1.0))).save(folder / "photo.png")
    with page.served(_predictor(), detector=detector) as (_, address):
        client = Client(address, verbose=False, download_files=str(folder / "down"))
        for _ in range(count):
            client.predict(handle_file(folder / "photo.png"), api_name="/photo")
            gauge.step()
        client.close()


# A point that takes its lock and leaves what a run leaves, without a notebook.
_POINT = """
import sys
from pathlib import Path
from fer_lib import storage
from fer_lib.sweeps import worker
def write(this, notebook):
    storage.write_json(Path(this.results_dir) / this.name / "scores.json", {})
worker._execute = write
sys.exit(worker.main(sys.argv[1:]))
"""


def sweep(folder, count, gauge):
    """Run the points of a sweep on two workers of this machine."""
    from fer_lib.sweeps import local

    grid, notebook = _grid(folder, count)
    with _stub_points():
        states = local.run(grid, workers=2, cores=1, gpus=[], notebook=notebook, show=gauge.step)
    assert list(states.values()) == ["finished"] * count, states


def slurm(folder, count, gauge):
    """Run the points of a sweep on a private SLURM, and ask for their states until the end."""
    from fer_lib.sweeps import points, slurm
    from support import slurm_cluster

    grid, notebook = _grid(folder, count)
    with slurm_cluster.running(folder / "cluster") as variables, _stub_points():
        with mock.patch.dict(os.environ, variables):
            slurm.submit(grid, partition="short", time=5, cpus=1, notebook=notebook)
            end = time.monotonic() + 5 * count
            while slurm.queued(grid) and time.monotonic() < end:
                states = points.states(grid.points)
                gauge.step()
                time.sleep(0.5)
            states = points.states(grid.points)
    assert states == ["finished"] * count, states


LOADS = {f.__name__: f for f in (photographs, video, page, sweep, slurm)}


def _pictures(count):
    """Yield drawn frames at half their size, RGB."""
    from fer_lib.vision import synthetic_clip

    for frame in synthetic_clip.make_frames(count / 25):
        yield np.ascontiguousarray(frame[::2, ::2])


def _predictor():
    from fer_lib.inference.predictor import load_predictor

    return load_predictor("default", threads=2)


def _repeated(clip, path, count):
    """Write the pictures of a clip, as they are packed, again and again: so many in all."""
    from fer_lib.vision.video_files import pyav

    av, number = pyav(), 0
    with av.open(str(path), "w") as copy:
        out = None
        while number < count:
            with av.open(str(clip)) as container:
                stream = container.streams.video[0]
                out = out or copy.add_stream_from_template(stream)
                step = round(1 / (stream.average_rate * stream.time_base))
                for packet in container.demux(stream):
                    if packet.dts is None or number == count:
                        continue
                    packet.pts = packet.dts = number * step
                    packet.stream, number = out, number + 1
                    copy.mux(packet)
    return path


def _grid(folder, count):
    from fer_lib.sweeps.grid import make_grid

    (folder / "stub.ipynb").write_text("{}")
    fixed = {"dataset": "synthetic", "weights": None, "results_dir": str(folder / "runs")}
    grid = make_grid(fixed | {"dropout": [n / 1000 for n in range(count)]}, seeds=1)
    return grid, folder / "stub.ipynb"


@contextlib.contextmanager
def _stub_points():
    def command(file, number, notebook):
        return [sys.executable, "-c", _POINT, str(file), str(number), str(notebook)]

    with mock.patch("fer_lib.sweeps.worker.command", command):
        yield
