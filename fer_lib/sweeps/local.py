"""Sweeps: a grid of experiments run here by bounded workers, their states, and one table of all.

A point is run once: it is named by its parameters' hash, locked while it runs, and left alone
once it is finished. A sweep that was stopped, killed or in part failed is started again by the
same words. `slurm` runs the same points as an array of jobs.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

from fer_lib import storage
from fer_lib.sweeps import points

# Bytes that one run takes while it trains a MobileNet on FER-2013.
MEMORY_PER_WORKER = 3 * 2**30


def points_file(grid):
    """Return the file in which a grid's points are written once `"auto"` in them is resolved."""
    asked = json.dumps([p.identity() for p in grid.points], sort_keys=True)
    digest = hashlib.sha256(asked.encode()).hexdigest()[:8]
    return points.sweep_folder(grid.results_dir) / f"grid-{digest}.json"


def prepare(grid):
    """Check every choice in the grid and settle what `"auto"` means, once for the whole sweep.

    What was settled is written down, so that `"auto"` means the same when the sweep is started
    again elsewhere or after a download.

    Args:
        grid: A `grid.Grid`.

    Returns:
        `(experiments, notices)`: lists of resolved `Experiment` and of sentences that the reader
        must see.

    Raises:
        ValueError: If a choice is unknown; nothing has run then.
        FileNotFoundError: If a data set or a file of weights is not there.
    """
    path = points_file(grid)
    if not path.exists():
        experiments, notices = _resolve(grid)
        points.write_points(path, experiments, notices=notices)
    experiments, about = points.read_points(path)
    return experiments, about["notices"]


def _resolve(grid):
    from fer_lib.data import catalogue
    from fer_lib.experiments import runner

    settled, notices = {}, []
    for experiment in grid.points:
        experiment.validate()
        key = (experiment.dataset, experiment.backbone, experiment.alpha, experiment.weights)
        if key not in settled:
            settled[key], new = runner.resolve(experiment)
            notices += [notice for notice in new if notice not in notices]
            _check_files(settled[key], catalogue.DATASETS)
    return [
        dataclasses.replace(p, dataset=s.dataset, weights=s.weights)
        for p in grid.points
        for s in [settled[p.dataset, p.backbone, p.alpha, p.weights]]
    ], notices


def _check_files(experiment, known):
    from fer_lib.choices import lookup

    if not Path(experiment.dataset).exists():
        lookup(known, experiment.dataset, "data set (and no file or folder)")
    if (
        experiment.weights not in (None, "imagenet", "fer")
        and not Path(experiment.weights).exists()
    ):
        raise FileNotFoundError(f"There is no file of weights {experiment.weights}.")


def run(
    grid, *, workers=None, cores=None, memory=MEMORY_PER_WORKER, gpus=None, notebook=None, show=None
):
    """Run what is missing, stopped or failed of a grid on this machine.

    Args:
        grid: A `grid.Grid`.
        workers: Runs at a time; by default one per GPU, or without GPU as many as cores and
            free memory allow.
        cores: Cores that each run uses; by default an equal share.
        memory: Bytes that a run is expected to take; no more workers are started than fit. The
            operating system enforces nothing here; SLURM does.
        gpus: List of GPU numbers or ids; by default those of `CUDA_VISIBLE_DEVICES`, or all.
            Each worker sees one.
        notebook: See `points.find_notebook`.
        show: Function of a line of text, called as points begin and end; `None` for silence.

    Returns:
        Dict of state by run name, after the sweep. `"running"` means in another sweep.

    Raises:
        KeyboardInterrupt: After Ctrl-C, when every run has been stopped; what they had finished
            is kept, and the next sweep goes on from the last epoch.
    """
    show, notebook = show or (lambda text: None), points.find_notebook(notebook)
    experiments, notices = prepare(grid)
    for notice in notices:
        show(notice)
    waiting = [n for n, e in enumerate(experiments) if points.state(e) in points.TO_RUN]
    show(f"{len(experiments)} points, {len(waiting)} to run, results in {grid.results_dir}")
    if waiting:
        slots = _slots(workers, cores, memory, gpus, len(waiting))
        show(f"{len(slots)} at a time: {slots[0]}")
        _Sweep(points_file(grid), experiments, notebook, slots, show).run(waiting)
    return {e.name: points.state(e) for e in experiments}


class _Sweep:
    """The workers of one sweep; a slot is the environment variables of one worker."""

    def __init__(self, path, experiments, notebook, slots, show):
        self.path, self.experiments, self.notebook = path, experiments, notebook
        self.slots, self.show, self.stopped = queue.SimpleQueue(), show, threading.Event()
        self.workers, self.done, self.count = len(slots), 0, 0
        for slot in slots:
            self.slots.put(slot)

    def run(self, numbers):
        self.count = len(numbers)
        with concurrent.futures.ThreadPoolExecutor(self.workers) as pool:
            futures = [pool.submit(self._run, number) for number in numbers]
            try:
                for future in concurrent.futures.as_completed(futures):
                    future.result()
            except BaseException:
                self.stopped.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _run(self, number):
        experiment = self.experiments[number]
        if self.stopped.is_set() or points.state(experiment) not in points.TO_RUN:
            return
        slot, started = self.slots.get(), time.monotonic()
        try:
            status = self._wait(
                subprocess.Popen(
                    points.command(self.path, number, self.notebook),
                    env=os.environ | slot,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                    start_new_session=True,  # Ctrl-C reaches this process alone, which stops them
                )
            )
        finally:
            self.slots.put(slot)
        self.done += 1
        seconds = time.monotonic() - started
        self.show(
            f"[{self.done}/{self.count}] {experiment.name} {status} after {seconds:.0f} s "
            f"{points.details(experiment)}".rstrip()
        )

    def _wait(self, process):
        while True:
            try:
                _, errors = process.communicate(timeout=0.5)
                break
            except subprocess.TimeoutExpired:
                if self.stopped.is_set():
                    _stop(process)
        if process.returncode in (0, 1, points.BUSY) or self.stopped.is_set():
            return {0: "finished", 1: "failed", points.BUSY: "runs elsewhere"}.get(
                process.returncode, "stopped"
            )
        return f"ended with status {process.returncode} {errors.strip()[-300:]}"


def _stop(process):
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()


def _slots(workers, cores, memory, gpus, count):
    """Return one dict of environment variables per worker."""
    gpus = _gpus() if gpus is None else [str(gpu) for gpu in gpus]
    processors = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )
    if workers is None:
        fitting = max(1, _free_memory() // memory)
        workers = len(gpus) or max(1, min(processors // (cores or 2), fitting))
    if workers < 1 or (cores is not None and cores < 1):
        raise ValueError(f"workers and cores must be at least 1; got {workers} and {cores}.")
    workers = min(workers, count)
    threads = points.thread_variables(cores or max(1, processors // workers))
    devices = [
        {"CUDA_VISIBLE_DEVICES": gpus[n % len(gpus)]} if gpus else {} for n in range(workers)
    ]
    return [threads | device for device in devices]


def _gpus():
    """Return the GPUs that a process may use: those it was given, or those of the machine."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [gpu for gpu in given.split(",") if gpu.strip() not in ("", "-1")]
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    return [str(n) for n, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU")]


def _free_memory():
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def status(grid, queued=()):
    """Return one row per point: its run's name, what varies in the grid, and how far it has come.

    Args:
        grid: A `grid.Grid`.
        queued: Names of the runs that wait in a queue; see `slurm.queued`.

    Returns:
        `pandas.DataFrame` with `run`, the varied parameters, `state` (of `points.state`, or
        `"queued"`), `epochs` ("3 of 15") and `details`.
    """
    import pandas as pd

    rows = []
    for asked, experiment in zip(grid.points, prepare(grid)[0], strict=True):
        found = points.state(experiment)
        if experiment.name in queued and found != "running":
            found = "queued"
        rows.append(
            {"run": experiment.name}
            | {name: getattr(asked, name) for name in grid.varied}
            | {"state": found, "epochs": _epochs(experiment), "details": points.details(experiment)}
        )
    return pd.DataFrame(rows)


def _epochs(experiment):
    history = Path(experiment.results_dir) / experiment.name / "history.csv"
    done = len(history.read_text("utf-8").splitlines()) - 1 if history.exists() else 0
    return f"{done} of {experiment.epochs}"


def collect(grid, file=None):
    """Gather the finished runs of a grid in one table.

    Args:
        grid: A `grid.Grid`.
        file: CSV file to write the table to, or `None`.

    Returns:
        `pandas.DataFrame`, one row per finished run in the grid's order: the columns of
        `runs.runs_table`. How long runs took is left out, so that the same results make the same
        table wherever they ran.

    Raises:
        FileNotFoundError: If no point is finished.
    """
    from fer_lib.experiments import runs

    names = [e.name for e in prepare(grid)[0] if points.is_finished(e)]
    if not names:
        raise FileNotFoundError(f"No point of the grid is finished in {grid.results_dir}.")
    table = runs.runs_table(grid.results_dir).drop(columns="minutes").set_index("run")
    table = table[~table.index.duplicated()].loc[names].reset_index()
    if file:
        with storage.replacing(file) as temporary:
            table.to_csv(temporary, index=False)
    return table


def summarise(table, group=None, metrics=("accuracy", "macro_f1")):
    """Average a table of `collect` over seeds, also of splits, and mark the best of each group.

    The best is chosen on validation: the largest mean `validation_macro_f1`.

    Args:
        table: DataFrame of `collect`.
        group: Name of the parameter whose values form the groups, or `None` for one group.
        metrics: Names of the test scores to average.

    Returns:
        `pandas.DataFrame`, one row per configuration: the parameters that vary, `seeds` (how many
        runs), `<metric>` (mean) and `<metric>_sd` (sample standard deviation over seeds; missing
        for one seed) of validation macro-F1 and of the metrics, and `best`.

    Raises:
        ValueError: If `group` is no parameter.
    """
    from fer_lib.choices import lookup
    from fer_lib.sweeps.grid import NAMES

    parameters = [name for name in NAMES if name in table and name not in ("seed", "split_seed")]
    if group is not None:
        lookup(parameters, group, "parameter")
    keys = [name for name in parameters if table[name].nunique(dropna=False) > 1 or name == group]
    keys = keys or ["dataset"]
    scores = ["validation_macro_f1", *metrics]
    grouped = table.groupby(keys, sort=False, dropna=False)
    summary = grouped.size().rename("seeds").to_frame()
    for score in scores:
        summary[score], summary[f"{score}_sd"] = grouped[score].mean(), grouped[score].std()
    summary = summary.reset_index()
    groups = summary[group] if group else summary["seeds"] * 0
    best = summary.groupby(groups, dropna=False)["validation_macro_f1"].idxmax()
    summary["best"] = summary.index.isin(best)
    return summary


def stop_on_terminate():
    """Make SIGTERM end a sweep as Ctrl-C does, with its runs stopped; for the command line."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
