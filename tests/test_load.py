"""Load: what runs for long keeps its memory and its open files flat."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2", reason='needs pip install -e ".[vision]"')

import fer_lib
from fer_lib import storage
from fer_lib.data.synthetic import make_faces
from fer_lib.inference.predictor import load_predictor
from fer_lib.sweeps import local, points, worker
from fer_lib.sweeps.grid import make_grid
from fer_lib.vision import detection, page
from support import clips

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc"),
]
MEGABYTES = 40


def used():
    """Return the megabytes of memory and the open files of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(os.listdir("/proc/self/fd"))


def check_flat(before):
    """Raise unless this process uses no more than before."""
    now = used()
    assert now[0] - before[0] < MEGABYTES and now[1] <= before[1] + 2, (before, now)


def test_two_thousand_pictures_keep_memory_and_files_flat(tmp_path, monkeypatch):
    monkeypatch.setitem(detection.DETECTORS, "frames", clips.white_frames)
    predictor = load_predictor("default", threads=2)
    pictures = list(np.tile(make_faces(50, seed=1).images, (40, 1, 1)))
    options = {"detector": "frames", "out": tmp_path / "faces.csv", "overwrite": True}
    fer_lib.recognise(pictures[:200], predictor, **options)
    before = used()
    table = fer_lib.recognise(pictures, predictor, **options)
    check_flat(before)
    assert table.attrs["read"] == 2000


def test_fifty_photographs_on_the_page_keep_memory_and_files_flat(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.setitem(detection.DETECTORS, "frames", clips.white_frames)
    predictor, before = load_predictor("default", threads=2), None
    Image.fromarray(clips.picture((20, 30), height=960, width=1280)).save(tmp_path / "photo.png")
    for number in range(50):
        page.look_at_photo(tmp_path / "photo.png", predictor, tmp_path / str(number), "frames")
        before = used() if number == 10 else before
    check_flat(before)


# Leaves what a run leaves, without its notebook.
STUB = """
import dataclasses, sys
from pathlib import Path
from fer_lib import storage
from fer_lib.sweeps import points
this = points.read_points(sys.argv[1])[0][int(sys.argv[2])]
storage.write_json(Path(this.results_dir) / this.name / "scores.json", {})
"""


def test_two_hundred_points_on_two_workers_leave_nothing_open(tmp_path, monkeypatch):
    (tmp_path / "stub.py").write_text(STUB)
    monkeypatch.setattr(
        worker,
        "command",
        lambda file, number, _: [sys.executable, tmp_path / "stub.py", str(file), str(number)],
    )
    fixed = {"dataset": "synthetic", "weights": None, "results_dir": str(tmp_path / "runs")}
    grid = make_grid(fixed | {"dropout": [n / 100 for n in range(50)]}, seeds=4)
    points.write_points(points.points_file(grid), grid.points, notices=[])
    before = used()
    states = local.run(grid, workers=2, cores=1, gpus=[], notebook=tmp_path / "stub.py")
    check_flat(before)
    assert set(states.values()) == {"finished"} and len(states) == 200
    assert not list((tmp_path / "runs").rglob(".fer-*"))
    assert storage.read_json(next((tmp_path / "runs").glob("*/scores.json"))) == {}
