"""Sweeps on this machine: the points of a grid that are missing, run by bounded workers.

A point is run once: it is named by its parameters' hash, locked while it runs, and left alone
once it is finished. A sweep that was stopped, killed or in part failed is started again by the
same words. `slurm` runs the same points as an array of jobs.
"""

import concurrent.futures
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

from fer_lib.sweeps import points, worker

# Bytes that one run takes while it trains a MobileNet on FER-2013.
MEMORY_PER_WORKER = 3 * 2**30


def run(
    grid,
    *,
    workers=None,
    per_device=1,
    cores=None,
    memory=MEMORY_PER_WORKER,
    gpus=None,
    notebook=None,
    show=None,
):
    """Run what is missing, stopped or failed of a grid on this machine.

    Args:
        grid: A `grid.Grid`.
        workers: Runs at a time; by default `per_device` for each GPU as far as free memory
            allows, or without GPU as many as cores and free memory allow.
        per_device: How many runs share a GPU. Small ones leave most of it idle. Each gets an
            equal share of the GPU's memory on JAX, and what it needs on TensorFlow.
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
    experiments, notices = points.prepare(grid)
    for notice in notices:
        show(notice)
    waiting = [n for n, state in enumerate(points.states(experiments)) if state in points.TO_RUN]
    show(f"{len(experiments)} points, {len(waiting)} to run, results in {grid.results_dir}")
    if waiting:
        slots = _slots(workers, cores, memory, gpus, len(waiting), per_device)
        threads = slots[0][worker.THREADS[0]]
        gpus_used = len({slot.get("CUDA_VISIBLE_DEVICES") for slot in slots} - {None})
        on = f", on {gpus_used} GPUs" if gpus_used else ""
        show(f"{len(slots)} at a time{on}, with {threads} threads each")
        _Sweep(points.points_file(grid), experiments, notebook, slots, show).run(waiting)
    return {e.name: s for e, s in zip(experiments, points.states(experiments), strict=True)}


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
                    worker.command(self.path, number, self.notebook),
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
        if process.returncode in (0, 1, worker.BUSY) or self.stopped.is_set():
            return {0: "finished", 1: "failed", worker.BUSY: "runs elsewhere"}.get(
                process.returncode, "stopped"
            )
        return f"ended with status {process.returncode} {errors.strip()[-300:]}"


def _stop(process):
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()


def _slots(workers, cores, memory, gpus, count, per_device=1):
    """Return one dict of environment variables per worker."""
    if per_device < 1:
        raise ValueError(f"per_device must be at least 1; got {per_device}.")
    gpus = _gpus() if gpus is None else [str(gpu) for gpu in gpus]
    processors = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )
    if workers is None:
        fitting = max(1, _free_memory() // memory)
        wanted = len(gpus) * per_device or processors // (cores or 2)
        workers = max(1, len(gpus), min(wanted, fitting))
    if workers < 1 or (cores is not None and cores < 1):
        raise ValueError(f"workers and cores must be at least 1; got {workers} and {cores}.")
    workers = min(workers, count)
    threads = worker.thread_variables(cores or max(1, processors // workers))
    if not gpus:
        return [threads] * workers
    # JAX takes three quarters of a GPU's memory when it starts, whoever else is there.
    sharing = -(-workers // len(gpus))
    if sharing > 1:
        threads |= {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{0.9 / sharing:.2f}"}
    return [threads | {"CUDA_VISIBLE_DEVICES": gpus[n % len(gpus)]} for n in range(workers)]


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


def stop_on_terminate():
    """Make SIGTERM end a sweep as Ctrl-C does, with its runs stopped; for the command line."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
