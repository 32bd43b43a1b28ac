"""slurm: the same points on a real SLURM, a private cluster of one node."""

import os
import signal
import subprocess
import time

import pandas as pd
import pytest

from fer_lib import storage
from fer_lib.experiments import locks
from fer_lib.sweeps import points, slurm
from fer_lib.sweeps.grid import make_grid
from fer_lib.sweeps.local import run
from fer_lib.sweeps.points import prepare
from fer_lib.sweeps.summary import collect, status
from support import slurm_cluster as cluster
from support.places import ROOT, write_fer2013_csv
from support.stub_notebook import executions, write_stub

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """The environment variables of a running cluster's clients."""
    missing = cluster.missing_programs()
    if missing:
        pytest.skip(f"no {', '.join(missing)} here (Debian: apt install slurm-wlm munge)")
    with cluster.running(tmp_path_factory.mktemp("cluster")) as variables:
        yield variables


@pytest.fixture
def slurm_here(client, monkeypatch):
    for name, value in client.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)


def six_points(folder):
    fixed = {"dataset": "synthetic", "weights": None, "results_dir": str(folder)}
    return make_grid(fixed | {"dropout": [0.1, 0.2]}, seeds=3)


def wait_for(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.3)


def wait_until_idle(grid):
    wait_for(lambda: not slurm.queued(grid))


def start_at_once(task):
    """Let a requeued task go: SLURM would hold it back for two minutes."""
    words = ["scontrol", "update", f"jobid={task}", "starttime=now"]
    wait_for(lambda: subprocess.run(words, capture_output=True).returncode == 0)


def running(grid):
    return [n for n, p in enumerate(prepare(grid)[0]) if points.state(p) == "running"]


def test_six_points_survive_a_requeue_and_a_kill(slurm_here, tmp_path):
    stub = write_stub(tmp_path / "stub.ipynb")
    grid = six_points(tmp_path / "slurm")
    storage.write_json(grid.results_dir / "behaviour.json", {"seconds": 600})
    shown = []
    options = {"partition": "short", "time": 10, "cpus": 1, "notebook": stub, "throttle": 2}
    job = slurm.submit(grid, show=shown.append, **options)
    assert slurm.queued(grid) == {p.name for p in grid.points}
    assert "6 to submit" in shown[0] and f"job {job}: 6 tasks" in shown[-1]
    assert slurm.submit(grid, show=shown.append, **options) is None  # all are queued
    assert "6 in the queue, 0 to submit" in shown[-1]

    wait_for(lambda: len(executions(grid.results_dir)) == 2)
    assert len(running(grid)) == 2  # the throttle
    states = status(grid, slurm.queued(grid)).state.tolist()
    assert states.count("running") == 2 and states.count("queued") == 4
    requeued, killed = running(grid)
    details = points.details(grid.points[requeued])
    assert f"job {job}_{requeued}" in details
    lock = locks.newest_lock(points.point_file(grid.points[killed], ".lock"))
    storage.write_json(grid.results_dir / "behaviour.json", {"seconds": 0})
    os.kill(locks.holder(lock)["pid"], signal.SIGKILL)
    subprocess.run(["scontrol", "requeue", f"{job}_{requeued}"], check=True)
    wait_for(lambda: sum(map(points.is_finished, grid.points)) == 4)
    wait_for(lambda: points.state(grid.points[killed]) == "stopped")

    shown.clear()
    again = slurm.submit(grid, show=shown.append, **options)
    assert again and ("1 to submit" in shown[0] or "2 to submit" in shown[0])
    assert any("longest point: 0:00:" in line for line in shown)
    start_at_once(f"{job}_{requeued}")
    wait_until_idle(grid)
    assert set(status(grid, slurm.queued(grid)).state) == {"finished"}
    ran = [line[:2] for line in executions(grid.results_dir)]
    twice = {(str(grid.points[n].seed), str(grid.points[n].dropout)) for n in (requeued, killed)}
    assert len(ran) == 8 and {line for line in ran if ran.count(line) == 2} == twice
    log = points.point_file(grid.points[requeued], ".log").read_text()
    assert log.count(f"the stub runs seed {grid.points[requeued].seed}") == 2

    local = six_points(tmp_path / "local")
    run(local, workers=2, gpus=[], notebook=stub)
    pd.testing.assert_frame_equal(collect(grid), collect(local))
    assert slurm.submit(grid, **options) is None


def test_a_true_point_scores_the_same_on_both_engines(slurm_here, tmp_path):
    data = write_fer2013_csv(tmp_path / "fer2013.csv")
    values = {"dataset": str(data), "backbone": "mobilenet", "alpha": 0.25, "weights": None}
    values |= {"image_size": 32, "epochs": 1, "batch_size": 32}
    grids = [make_grid(values | {"results_dir": str(tmp_path / name)}) for name in ("a", "b")]
    slurm.submit(grids[0], cpus=1)
    run(grids[1], workers=1, cores=1, gpus=[])
    wait_until_idle(grids[0])
    tables = [collect(grid) for grid in grids]
    assert tables[0].state.tolist() == ["finished"] and tables[0].n[0] > 0
    pd.testing.assert_frame_equal(*tables)


def test_what_slurm_refuses_is_said_in_its_words(slurm_here, tmp_path):
    with pytest.raises(OSError, match="sbatch failed: .*[Ii]nvalid node name"):
        slurm.submit(six_points(tmp_path), nodelist="nowhere")


def test_a_dry_run_asks_the_cluster_and_submits_nothing(slurm_here, tmp_path):
    grid, shown = six_points(tmp_path), []
    with pytest.raises(ValueError, match="Unknown partition of this cluster: 'shrt'.*'short'"):
        slurm.submit(grid, partition="shrt", dry_run=True)
    with pytest.raises(ValueError, match="time=1:30:00 is over the limit of partition short"):
        slurm.submit(grid, partition="short", time="1:30:00", dry_run=True)
    options = {"partition": "short", "time": 5, "account": "any"}  # it keeps no accounts
    assert slurm.submit(grid, dry_run=True, show=shown.append, **options) is None
    assert "--array=0-5" in shown[-1] and not slurm.queued(grid)
