"""Sweeps on a cluster: the points of a grid that are missing, as one array of SLURM jobs.

Plain `sbatch`: it needs no further package, its script can be read, and queueing, throttling,
requeueing and limits stay SLURM's. Each task runs one point with the same locks, files and states
as on one machine, so both engines may work on one grid. The folder of results must be visible to
all nodes.
"""

import functools
import getpass
import itertools
import os
import re
import shlex
import shutil
import subprocess

from fer_lib.choices import lookup
from fer_lib.sweeps import forecast, points, worker

# How options are called here and by sbatch; others go by sbatch's own long names.
OPTIONS = {"cpus": "cpus-per-task"}
# What this module sets itself.
RESERVED = ("array", "job-name", "output", "error", "parsable", "chdir", "wrap")


def submit(
    grid,
    *,
    throttle=None,
    requeue=True,
    notebook=None,
    show=None,
    measured=(),
    dry_run=False,
    **options,
):
    """Submit what is missing, stopped or failed of a grid, and not already queued or running.

    Args:
        grid: A `grid.Grid`.
        throttle: How many tasks may run at a time, or `None`.
        requeue: Whether SLURM may start a task again after preemption or a node's failure; the
            run then goes on from its last epoch.
        notebook: See `points.find_notebook`.
        show: Function of a line of text, or `None` for silence.
        measured: Folders of runs whose epochs tell how long the points take, besides the grid's
            own.
        dry_run: Whether only to show the command, the script and what the points will take. It
            needs no SLURM.
        **options: Of `sbatch`: `partition`, `gpus`, `time`, `mem`, `cpus`, `account`, `qos` … by
            their long names, `_` for `-`; `None` leaves one out.

    Returns:
        The job's id, a `str`, or `None` if nothing was submitted.

    Raises:
        FileNotFoundError: If there is no `sbatch` here.
        OSError: If SLURM refuses; the message is SLURM's.
        ValueError: If an option is set by the sweep itself, the partition or the account is not
            one that SLURM knows, or the time limit is over the partition's or under one epoch.
    """
    show, notebook = show or (lambda text: None), points.find_notebook(notebook)
    words = _option_words(options)
    if not shutil.which("sbatch") and not dry_run:
        raise FileNotFoundError("There is no sbatch here: submit on a cluster's login node.")
    experiments, notices = points.prepare(grid)
    for notice in notices:
        show(notice)
    waiting = queued_if_known(grid, show) if dry_run else queued(grid)
    numbers = [
        number
        for number, state in enumerate(points.states(experiments))
        if state in points.TO_RUN and experiments[number].name not in waiting
    ]
    show(f"{len(experiments)} points, {len(waiting)} in the queue, {len(numbers)} to submit")
    if not numbers:
        return None
    path = points.points_file(grid).resolve()
    experiments = [experiments[number] for number in numbers]
    known = forecast.measured([grid.results_dir, *measured])
    forecast.check_limit(experiments, known, options.get("time"))
    _check_choices(options)
    words += [
        f"--array={ranges(numbers)}{f'%{throttle}' if throttle else ''}",
        f"--job-name={_job_name(path)}",
        # What a task says before its point's own log is opened, and what SLURM says to it.
        f"--output={path.parent / 'slurm-%A_%a.log'}",
        "--open-mode=append",
        "--requeue" if requeue else "--no-requeue",
        "--parsable",
    ]
    for line in forecast.forecast(experiments, known):
        show(line)
    if dry_run:
        show(f"{shlex.join(['sbatch', *words])} <<'END'\n{script(path, notebook)}END")
        return None
    done = _slurm(["sbatch", *words], script(path, notebook))
    job = done.strip().split(";")[0]
    show(f"job {job}: {len(numbers)} tasks, logs in {path.parent}")
    return job


def script(path, notebook):
    """Return the batch script: one task is one point of a file of points.

    Args:
        path: The file of points; see `points.write_points`.
        notebook: Path of the notebook.
    """
    command = shlex.join(worker.command(path, "NUMBER", notebook))
    command = command.replace("NUMBER", '"$SLURM_ARRAY_TASK_ID"')
    threads = [f'export {name}="${{SLURM_CPUS_PER_TASK:-1}}"' for name in worker.THREADS]
    return "\n".join(["#!/bin/sh", *threads, f"exec {command}", ""])


def queued(grid):
    """Return the names of a grid's runs that wait or run in SLURM's queue, a set.

    Empty where there is no SLURM.

    Raises:
        OSError: If the queue can not be asked.
    """
    if not shutil.which("squeue"):
        return set()
    words = ["squeue", "--me", "--array", "--noheader", "--format=%j %K"]
    tasks, names = [line.split() for line in _slurm(words).splitlines()], set()
    folder = points.points_file(grid).resolve().parent
    # Tasks of another grid may be points of this one.
    for job, entries in itertools.groupby(sorted(tasks), lambda task: task[0]):
        path = next((p for p in folder.glob("grid-*.json") if _job_name(p) == job), None)
        if path:
            experiments = points.read_points(path)[0]
            names |= {experiments[int(number)].name for _, number in entries}
    return names


def queued_if_known(grid, show):
    """Return what `queued` does; where the queue does not answer, say so and return an empty set.

    Args:
        grid: A `grid.Grid`.
        show: Function of a line of text.
    """
    try:
        return queued(grid)
    except OSError as error:  # SLURM's commands are there, but no controller answers
        show(f"Queued points are not known: {error}")
        return set()


def read_options(words):
    """Return the options of sbatch that a command line gives as NAME=VALUE, a dict.

    Raises:
        ValueError: If a word has no `=`.
    """
    wrong = [word for word in words if "=" not in word]
    if wrong:
        raise ValueError(f"--slurm-option takes NAME=VALUE; got {wrong[0]!r}.")
    return dict(word.split("=", 1) for word in words)


def ranges(numbers):
    """Return ascending numbers in SLURM's short form.

    >>> ranges([0, 2, 3, 4, 7])
    '0,2-4,7'
    """
    parts = []
    for _, run in itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in run]
        parts.append(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}")
    return ",".join(parts)


def _check_choices(options):
    """Check partition, account and time limit by what SLURM tells, where it answers."""
    limits = {}
    for line in _answer(["sinfo", "--noheader", "--format=%R|%l"]):
        name, limits[name] = line.split("|")
    if limits and (partition := options.get("partition")):
        for name in partition.split(","):
            lookup(limits, name, "partition of this cluster:")
        asked = options.get("time") and forecast.limit_seconds(options["time"])
        ends = [forecast.limit_seconds(limits[name]) for name in partition.split(",")]
        if asked and None not in ends and asked > max(ends):
            raise ValueError(
                f"time={options['time']} is over the limit of partition {partition}, "
                f"{forecast.in_words(max(ends))} h: the tasks would wait for ever. Tasks that end "
                "early go on when the sweep is submitted again."
            )
    words = ["sacctmgr", "--noheader", "--parsable2", "show", "assoc", f"user={getpass.getuser()}"]
    accounts = set(_answer([*words, "format=account"]))
    if accounts and options.get("account"):
        lookup(accounts, options["account"], "account of yours:")


def _answer(words):
    """Return the lines that a command of SLURM answers with; none where it does not answer."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [] if done.returncode else [line for line in done.stdout.splitlines() if line.strip()]


def _option_words(options):
    words = []
    for name, value in options.items():
        name = OPTIONS.get(name, name).replace("_", "-")
        if name in RESERVED or not re.fullmatch(r"[a-z][a-z0-9-]*", name):
            raise ValueError(f"{name} is no option of sbatch that a sweep takes.")
        if value is not None:
            words.append(f"--{name}" if value is True else f"--{name}={value}")
    return words


@functools.cache
def _job_name(path):
    """Return the name of a grid's jobs: its file's, told apart by the folder."""
    import zlib

    return f"fer-{path.stem}-{zlib.crc32(str(path.parent).encode()):08x}"


def _slurm(words, text=None):
    done = subprocess.run(words, input=text, capture_output=True, text=True, env=os.environ)
    if done.returncode:
        raise OSError(f"{words[0]} failed: {done.stderr.strip()}")
    return done.stdout
