"""forecast: what a sweep will take, from epochs that were measured."""

import pandas as pd
import pytest

from fer_lib import storage
from fer_lib.sweeps import forecast, slurm
from support.finished_runs import write_run
from support.grids import tiny_grid
from support.stub_notebook import write_stub


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90", 5400), (10, 600), ("5:30", 330), ("1:02:03", 3723)),
        *(("2-0", 172_800), ("1-12:30", 131_400), ("1-0:0:1", 86_401), ("infinite", None)),
    ],
)
def test_a_time_limit_is_read_as_slurm_writes_it(text, seconds):
    assert forecast.limit_seconds(text) == seconds


def test_a_time_limit_that_is_none_is_refused():
    for text in ("soon", "1:2:3:4", "-5"):
        with pytest.raises(ValueError, match=f"hours:minutes:seconds.*{text}"):
            forecast.limit_seconds(text)


def timed_run(folder, seconds, stages, **parameters):
    """Write a run whose epochs took so long."""
    run = write_run(folder, finished=False, batch_size=32, **parameters)
    rows = {"epoch": range(1, len(seconds) + 1), "stage": stages, "seconds": seconds}
    pd.DataFrame(rows).to_csv(run.folder / "history.csv", index=False)
    storage.write_json(run.folder / "environment.json", {"data": {}, "peak_memory": 3 * 2**30})
    return run


def test_a_point_takes_its_first_epoch_and_as_many_at_the_slowest_stage_as_are_left(tmp_path):
    timed_run(tmp_path, [9, 1, 60, 5, 5], ["head"] * 2 + ["all"] * 3)
    (of,) = forecast.measured([tmp_path]).values()
    assert (of.first, of.epoch, of.memory) == (9, 5, 3 * 2**30)
    assert of.seconds(11) == 59


def grid_here(tmp_path, **parameters):
    return tiny_grid(tmp_path, batch_size=32, **parameters)


def submit(grid, tmp_path, **options):
    """Do a dry run and return what it showed, as one text."""
    shown = []
    stub = write_stub(tmp_path / "stub.ipynb")
    assert slurm.submit(grid, dry_run=True, notebook=stub, show=shown.append, **options) is None
    return "\n".join(shown)


def test_a_dry_run_shows_the_job_and_what_it_will_take_without_slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    grid = grid_here(tmp_path, epochs=11)
    assert "try one point" in submit(grid, tmp_path)
    timed_run(tmp_path / "try", [20, 10], "all")
    shown = submit(grid, tmp_path, measured=[tmp_path / "try"], time="2:00", cpus=4)
    assert "--array=0-3" in shown and "--cpus-per-task=4" in shown and "#!/bin/sh" in shown
    assert "longest point: 0:02:00 h" in shown and "all together: 0:08:00 h" in shown
    assert "3.0 GiB" in shown
    other = submit(grid_here(tmp_path, alpha=[1.0, 0.5]), tmp_path, measured=[tmp_path / "try"])
    assert "not measured: 4 of 8 points" in other


def test_a_dry_run_does_without_a_queue_that_does_not_answer(tmp_path, monkeypatch):
    (tmp_path / "squeue").write_text("#!/bin/sh\necho no controller >&2; exit 1\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    shown = submit(grid_here(tmp_path), tmp_path)
    assert "not known: squeue failed: no controller" in shown and "--array=0-3" in shown


def test_a_time_limit_under_one_epoch_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    timed_run(tmp_path / "try", [90, 80], "all")
    with pytest.raises(ValueError, match="time=1 is under one epoch: .* took 0:01:30 h"):
        submit(grid_here(tmp_path), tmp_path, measured=[tmp_path / "try"], time=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"partition": "shrt"}, "Unknown partition of this cluster: 'shrt'.*did you mean 'short'"),
        ({"account": "lab2"}, "Unknown account of yours: 'lab2'.*did you mean 'lab1'"),
        ({"partition": "short", "time": "2:00:00"}, "over the limit of partition short, 1:00:00"),
        ({"partition": "short,long", "time": "2:00:00", "account": "lab1"}, None),
    ],
)
def test_partition_account_and_limit_are_checked_where_slurm_answers(
    tmp_path, monkeypatch, options, message
):
    programs = {"sinfo": 'echo "short|1:00:00"; echo "long|infinite"', "sacctmgr": "echo lab1"}
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    if message is None:
        assert "--partition=short,long" in submit(grid_here(tmp_path), tmp_path, **options)
        return
    with pytest.raises(ValueError, match=message):
        submit(grid_here(tmp_path), tmp_path, **options)
