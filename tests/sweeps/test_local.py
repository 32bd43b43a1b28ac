"""Local: each point of a grid once, through papermill, whatever happens meanwhile."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import nbformat
import pytest

from fer_lib import storage
from fer_lib.experiments import locks
from fer_lib.sweeps import local, slurm
from fer_lib.sweeps import points as points_module
from fer_lib.sweeps.grid import make_grid
from fer_lib.sweeps.points import points_file, prepare
from fer_lib.sweeps.summary import collect, status
from fer_lib.sweeps.worker import BUSY, command
from support.grids import tiny_grid, write_results
from support.places import ROOT, write_fer2013_csv
from support.stub_notebook import child_processes, executions, write_stub


@pytest.fixture
def stub(tmp_path):
    return write_stub(tmp_path / "stub.ipynb")


def finish(grid, seeds):
    """Write results of the points of `tiny_grid` with dropout 0.1 and these seeds."""
    fixed = {"dataset": "synthetic", "weights": None, "dropout": 0.1}
    part = make_grid({"results_dir": str(grid.results_dir)} | fixed, seeds=seeds)
    write_results(part, [0.5] * len(part.points), [0.5] * len(part.points))


def behave(tmp_path, **how):
    storage.write_json(tmp_path / "runs" / "behaviour.json", how)


def run_here(grid, stub, **options):
    """Sweep with one worker and return its states and what it showed."""
    shown = []
    options = {"workers": 2, "cores": 1, "gpus": [], "notebook": stub} | options
    return local.run(grid, show=shown.append, **options), shown


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


@pytest.mark.slow
def test_points_run_once_and_leave_run_notebook_and_log(tmp_path, stub):
    grid = tiny_grid(tmp_path)
    states, shown = run_here(grid, stub, gpus=[5, "MIG-7"])
    assert list(states) == [p.name for p in grid.points]
    assert set(states.values()) == {"finished"}
    ran = executions(grid.results_dir)
    asked = [(str(p.seed), str(p.dropout)) for p in grid.points]
    assert sorted(line[:2] for line in ran) == sorted(asked)
    assert {line[2] for line in ran} == {"5", "MIG-7"} and {line[3] for line in ran} == {"1"}
    for p in grid.points:
        notebook = nbformat.read(points_module.point_file(p, ".ipynb"), as_version=4)
        assert notebook.metadata.papermill.parameters.seed == p.seed
        log = points_module.point_file(p, ".log").read_text()
        assert p.name in log and f"the stub runs seed {p.seed}" in log
    kept = {
        path.name.replace(p.name, "")
        for p in grid.points
        for path in points_module.sweep_folder(grid.results_dir).glob(f"*{p.name}*")
    }
    assert kept == {".ipynb", ".log"}
    assert sum("finished after" in line for line in shown) == 4 and "[4/4]" in shown[-1]

    states, shown = run_here(grid, stub)
    assert len(executions(grid.results_dir)) == 4 and "4 points, 0 to run" in shown[-1]
    table = status(grid)
    assert table.columns.tolist() == ["run", "dropout", "seed", "state", "epochs", "details"]
    assert table.epochs.tolist() == ["1 of 15"] * 4


@pytest.mark.slow
def test_runs_that_share_a_device_run_at_once(tmp_path, stub, monkeypatch):
    monkeypatch.setattr(local, "_free_memory", lambda: 100 * 2**30)
    grid = tiny_grid(tmp_path)
    behave(tmp_path, seconds=600)
    options = {"workers": None, "gpus": ["0"], "per_device": 4}
    sweep = threading.Thread(target=run_here, args=(grid, stub), kwargs=options)
    sweep.start()
    try:
        wait_for(lambda: len(list(grid.results_dir.glob("*/experiment.json"))) == 4)
        assert {points_module.state(p) for p in grid.points} == {"running"}
        assert {line[2] for line in executions(grid.results_dir)} == {"0"}
    finally:
        for pid in child_processes(str(points_module.sweep_folder(grid.results_dir))):
            os.kill(pid, signal.SIGTERM)
        sweep.join()


@pytest.mark.slow
def test_what_failed_is_named_and_run_again_alone(tmp_path, stub):
    grid = tiny_grid(tmp_path, dropout=0.1)
    behave(tmp_path, fail=[1])
    states, shown = run_here(grid, stub)
    assert list(states.values()) == ["finished", "failed"]
    assert any("failed after" in line and "seed 1 was told to fail" in line for line in shown)
    table = status(grid)
    assert table.state.tolist() == ["finished", "failed"]
    assert "seed 1 was told to fail" in table.details[1]
    failed = points_module.point_file(grid.points[1], ".failed.ipynb")
    assert "told to fail" in failed.read_text()
    assert "Traceback" in points_module.point_file(grid.points[1], ".log").read_text()
    assert not points_module.point_file(grid.points[1], ".ipynb").exists()

    behave(tmp_path)
    states, _ = run_here(grid, stub)
    assert list(states.values()) == ["finished"] * 2 and not failed.exists()
    assert [line[0] for line in executions(grid.results_dir)].count("0") == 1


@pytest.mark.slow
def test_two_sweeps_at_once_run_each_point_once(tmp_path, stub):
    grid = tiny_grid(tmp_path)
    behave(tmp_path, seconds=1)
    prepare(grid)
    both = [threading.Thread(target=run_here, args=(grid, stub)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    ran = executions(grid.results_dir)
    assert len(ran) == len(set(ran)) == 4
    wait_for(lambda: set(status(grid).state) == {"finished"})


def sweep_process(tmp_path, stub):
    """Start the sweep of `tiny_grid` in a process of its own, with a Ctrl-C of its own."""
    folders = [str(ROOT / "tests"), str(ROOT / "tests" / "sweeps")]
    code = (
        f"import sys; sys.path[:0] = {folders!r}\n"
        "import signal; from pathlib import Path; import test_local\n"
        # A shell's background jobs inherit that they ignore Ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"folder = Path({str(tmp_path)!r})\n"
        f"test_local.run_here(test_local.tiny_grid(folder), {str(stub)!r})\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_ctrl_c_stops_the_runs_and_the_next_sweep_goes_on(tmp_path, stub):
    grid = tiny_grid(tmp_path)
    behave(tmp_path, seconds=60)
    prepare(grid)
    process = sweep_process(tmp_path, stub)
    wait_for(lambda: len(list(grid.results_dir.glob("*/experiment.json"))) == 2)  # they have begun
    running = [p for p in grid.points if points_module.state(p) == "running"]
    assert len(running) == 2
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=40)[1]
    assert process.returncode != 0 and "KeyboardInterrupt" in errors
    assert not child_processes(str(points_module.sweep_folder(grid.results_dir)))
    assert [points_module.state(p) for p in running] == ["stopped"] * 2
    behave(tmp_path)
    assert set(run_here(grid, stub)[0].values()) == {"finished"}


@pytest.mark.slow
def test_a_killed_point_is_seen_and_run_again(tmp_path, stub):
    grid = tiny_grid(tmp_path, dropout=0.1)
    behave(tmp_path, seconds_after=60)  # killed after its scores, before its notebook
    experiment = prepare(grid)[0][0]
    words = command(points_file(grid), 0, stub)
    process = subprocess.Popen(words, start_new_session=True)
    wait_for(lambda: points_module.is_finished(experiment))
    assert points_module.state(experiment) == "running"
    assert f"process {process.pid}" in points_module.details(experiment)
    again = subprocess.run(words)
    assert again.returncode == BUSY
    process.kill()
    process.wait()
    assert points_module.state(experiment) == "running"  # its kernel may still be there
    wait_for(lambda: points_module.state(experiment) == "stopped", 15)
    assert list(points_module.sweep_folder(grid.results_dir).glob(".fer-*.ipynb"))
    behave(tmp_path)
    assert set(run_here(grid, stub)[0].values()) == {"finished"}
    assert not list(points_module.sweep_folder(grid.results_dir).glob(".*"))
    assert not list(points_module.sweep_folder(grid.results_dir).glob("*.lock.*"))


def test_the_states_of_many_points_take_one_listing_of_their_folder(tmp_path, monkeypatch):
    grid = tiny_grid(tmp_path)
    finish(grid, seeds=2)
    lock = points_module.point_file(grid.points[3], ".lock")
    storage.write_json(lock.with_name(f"{lock.name}.0"), {"host": "h", "pid": 1, "job": ""})
    listed = []
    monkeypatch.setattr(
        points_module, "newest_lock", lambda path: listed.append(path) or locks.newest_lock(path)
    )
    found = points_module.states(prepare(grid)[0])
    assert found == ["finished", "finished", "missing", "running"] and listed == [lock]
    assert found == [points_module.state(p) for p in grid.points]


def test_a_wrong_choice_is_refused_before_anything_runs(tmp_path, stub):
    for parameters, error, message in (
        ({"backbone": ["mobilenet", "mobilnet"]}, ValueError, "did you mean 'mobilenet'"),
        ({"dataset": "synthetik"}, ValueError, "did you mean 'synthetic'"),
        ({"weights": "no/file.h5"}, FileNotFoundError, "there is no 'no/file.h5'"),
    ):
        with pytest.raises(error, match=message):
            run_here(tiny_grid(tmp_path, **parameters), stub)
    assert not (tmp_path / "runs").exists()


def test_auto_is_settled_once_for_the_whole_sweep(tmp_path, stub, monkeypatch):
    from fer_lib.data import catalogue

    monkeypatch.setattr(catalogue, "resolve_auto", lambda: ("synthetic", "None of the real ones."))
    grid = tiny_grid(tmp_path, dataset="auto")
    experiments, notices = prepare(grid)
    assert notices == ["None of the real ones."]
    assert {e.dataset for e in experiments} == {"synthetic"}
    monkeypatch.setattr(catalogue, "resolve_auto", lambda: ("fer2013", ""))
    assert prepare(grid) == (experiments, notices)


def test_points_of_another_version_are_refused_by_name(tmp_path, stub):
    grid = tiny_grid(tmp_path)
    prepare(grid)
    path = points_file(grid)
    content = json.loads(path.read_text())
    content["points"][0]["zoom"] = 1
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"grid-\w+.json was written by another version.*zoom"):
        run_here(grid, stub)


def test_a_notebook_that_is_not_there_is_named(tmp_path, monkeypatch):
    assert points_module.find_notebook() == ROOT / "notebooks" / "run_experiment.ipynb"
    monkeypatch.setattr(
        points_module,
        "__file__",
        str(tmp_path / "site-packages" / "fer_lib" / "sweeps" / "points.py"),
    )
    with pytest.raises(FileNotFoundError, match="of a checkout"):
        run_here(tiny_grid(tmp_path), None)


@pytest.mark.slow
def test_a_notebook_that_leaves_no_scores_has_failed(tmp_path):
    empty = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("", metadata={"tags": ["parameters"]})],
        metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
    )
    nbformat.write(empty, tmp_path / "empty.ipynb")
    grid = make_grid({"dataset": "synthetic", "weights": None, "results_dir": str(tmp_path)})
    states, _ = run_here(grid, tmp_path / "empty.ipynb")
    assert list(states.values()) == ["failed"]
    assert "without writing" in points_module.details(grid.points[0])


def test_workers_get_a_share_of_cores_and_their_own_gpu(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(local, "_free_memory", lambda: 7 * 2**30)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gib = 2**30
    slots = local._slots(None, 2, 2 * gib, [], 100)
    assert len(slots) == 3  # eight cores would bear four, seven GiB bear three
    assert {slot["OMP_NUM_THREADS"] for slot in slots} == {"2"}
    assert len(local._slots(None, None, gib, [], 2)) == 2  # no more than there are points
    assert local._slots(2, None, gib, [], 9)[0]["TF_NUM_INTRAOP_THREADS"] == "4"
    assert [s["CUDA_VISIBLE_DEVICES"] for s in local._slots(3, None, gib, [4, 6], 9)] == [
        "4",
        "6",
        "4",
    ]
    shared = local._slots(None, None, gib, ["0", "1"], 9, per_device=3)
    assert [s["CUDA_VISIBLE_DEVICES"] for s in shared] == ["0", "1"] * 3
    assert {s["XLA_PYTHON_CLIENT_MEM_FRACTION"] for s in shared} == {"0.30"}
    assert {s["OMP_NUM_THREADS"] for s in shared} == {"1"}
    assert len(local._slots(None, None, 3 * gib, ["0"], 9, per_device=4)) == 2  # 7 GiB are free
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in local._slots(None, None, gib, ["0"], 9)[0]
    with pytest.raises(ValueError, match="per_device must be at least 1; got 0"):
        local._slots(None, None, gib, [], 9, per_device=0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    assert [s["CUDA_VISIBLE_DEVICES"] for s in local._slots(None, None, gib, None, 9)] == ["1", "3"]
    with pytest.raises(ValueError, match="at least 1; got 0"):
        local._slots(0, None, gib, [], 9)


@pytest.mark.slow
def test_a_sweep_runs_the_real_notebook(tmp_path, tiny, tiny_in_kernels):
    data = write_fer2013_csv(tmp_path / "fer2013.csv")
    grid = make_grid(
        {
            "dataset": str(data),
            "backbone": tiny,
            "weights": None,
            "image_size": 32,
            "epochs": 1,
            "results_dir": str(tmp_path / "runs"),
        }
    )
    assert set(run_here(grid, None)[0].values()) == {"finished"}
    table = collect(grid)
    assert table.n[0] > 0 and table.state[0] == "finished"
    assert "curves.png" in os.listdir(grid.results_dir / grid.points[0].name / "figures")


def test_without_slurm_nothing_is_queued_and_submitting_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    grid = tiny_grid(tmp_path)
    assert slurm.queued(grid) == set()
    with pytest.raises(FileNotFoundError, match="no sbatch here"):
        slurm.submit(grid)
    with pytest.raises(ValueError, match="array is no option of sbatch that a sweep takes"):
        slurm.submit(grid, array="1-3")


def stand_in(tmp_path, monkeypatch, **programs):
    """Put shell scripts in the place of SLURM's programs."""
    for name, text in programs.items():
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")


def test_the_array_holds_what_is_to_do_with_the_options_of_sbatch(tmp_path, stub, monkeypatch):
    """A stand-in for sbatch and squeue says what it was given; tests/slurm asks the real ones."""
    stand_in(
        tmp_path,
        monkeypatch,
        sbatch=f'printf "%s\\n" "$@" > {tmp_path}/words; cat > {tmp_path}/script; echo 7',
        squeue=f"cat {tmp_path}/queue 2>/dev/null; true",
        sinfo="true",
        sacctmgr="exit 1",
    )
    grid = tiny_grid(tmp_path)
    finish(grid, seeds=[1])
    options = {"notebook": stub, "throttle": 3, "gpus": 1, "mem": "8G", "cpus": 4, "qos": None}
    assert slurm.submit(grid, nodelist="n1", **options) == "7"
    words = (tmp_path / "words").read_text().splitlines()
    assert {
        "--array=0,2-3%3",
        "--gpus=1",
        "--mem=8G",
        "--cpus-per-task=4",
        "--requeue",
        "--nodelist=n1",
    } <= set(words)
    assert not any("qos" in word for word in words)
    text = (tmp_path / "script").read_text()
    assert '"$SLURM_ARRAY_TASK_ID"' in text and sys.executable in text and str(stub) in text
    name = next(word for word in words if word.startswith("--job-name=")).partition("=")[2]
    (tmp_path / "queue").write_text(f"{name} 2\nother N/A\n")
    slurm.submit(grid, requeue=False, **options)
    words = (tmp_path / "words").read_text().splitlines()
    assert "--array=0,3%3" in words and "--no-requeue" in words
    assert status(grid, slurm.queued(grid)).state.tolist() == [
        "missing",
        "finished",
        "queued",
        "missing",
    ]
