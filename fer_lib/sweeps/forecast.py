"""Forecast: what time and memory the points of a sweep will take, from measured epochs."""

import re
import statistics
from typing import NamedTuple

from fer_lib.experiments import runs
from fer_lib.experiments.run_files import run_folders

# Runs that agree in these take about the same time for a step and an epoch.
ALIKE = (
    *("dataset", "train_fraction", "validation_fraction", "folds"),
    *("backbone", "alpha", "unfreeze", "image_size"),
    *("batch_size", "augmentation", "mixing"),
)


class Measured(NamedTuple):
    """What one run took.

    Args:
        run: Its name.
        first: Seconds of its first epoch, in which programs are compiled.
        epoch: Seconds of a later epoch, at its slowest stage; `first` if there was none.
        memory: Most bytes of the host's memory that its process held, or `None`.
    """

    run: str
    first: float
    epoch: float
    memory: int | None

    def seconds(self, epochs):
        """Return how long so many epochs take, in seconds."""
        return self.first + (epochs - 1) * self.epoch


def measured(folders):
    """Return what the runs below folders took, begun or finished, as `{alike: Measured}`.

    Args:
        folders: Folders of runs. Of several runs alike the slowest counts.
    """
    found = {}
    for folder in folders:
        for run in map(runs.Run, run_folders(folder)):
            if not run.begun or runs.damage(run):
                continue
            history, key = run.history, alike(run.experiment)
            first, later = float(history.seconds.iloc[0]), history.iloc[1:]
            # A stage's own first epoch compiles too: the median leaves it out.
            stages = [statistics.median(rows.seconds) for _, rows in later.groupby("stage")]
            has = (run.folder / "environment.json").exists()
            memory = run.environment.get("peak_memory") if has else None
            new = Measured(run.folder.name, first, max(stages, default=first), memory)
            if key not in found or found[key].epoch < new.epoch:
                found[key] = new
    return found


def alike(experiment):
    """Return what decides how long an experiment's epochs take, a tuple."""
    return tuple(getattr(experiment, name) for name in ALIKE)


def limit_seconds(text):
    """Return a time limit of SLURM in seconds, or `None` where it says that there is none.

    Args:
        text: `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours`,
            `days-hours:minutes` or `days-hours:minutes:seconds`.

    Raises:
        ValueError: If it is none of them.

    >>> limit_seconds("90"), limit_seconds("1-12"), limit_seconds("0:30:00")
    (5400, 129600, 1800)
    """
    text = str(text).strip()
    if text.lower() in ("infinite", "unlimited", "n/a"):
        return None
    form = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if not form:
        raise ValueError(
            "A time limit is written minutes, hours:minutes:seconds or days-hours:minutes:seconds; "
            f"got {text!r}."
        )
    days, *parts = form.groups()
    parts = [int(part) for part in parts if part is not None]
    if days is not None:
        hours, minutes, seconds = parts + [0] * (3 - len(parts))
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        hours, (minutes, seconds) = 0, parts + [0] * (2 - len(parts))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def in_words(seconds):
    """Return a time as `"1:02:03"`, hours first."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def forecast(experiments, known):
    """Return sentences on what experiments will take.

    Args:
        experiments: List of `Experiment`.
        known: Dict of `measured`.

    Returns:
        List of `str`: the longest point, all together, and the most memory.
    """
    found = [(e, known[alike(e)]) for e in experiments if alike(e) in known]
    if not found:
        return [
            "No epoch was measured of a run like these: try one point with epochs=2 first, then "
            "time and memory are estimated."
        ]
    times = [of.seconds(e.epochs) for e, of in found]
    longest = max(range(len(found)), key=times.__getitem__)
    experiment, of = found[longest]
    lines = [
        f"longest point: {in_words(times[longest])} h ({experiment.epochs} epochs of "
        f"{of.epoch:.1f} s after a first one of {of.first:.1f} s, measured on {of.run})",
        f"all together: {in_words(sum(times))} h of one task",
    ]
    if len(found) < len(experiments):
        lines.append(f"not measured: {len(experiments) - len(found)} of {len(experiments)} points")
    memory = max((of.memory for _, of in found if of.memory), default=None)
    if memory:
        lines.append(f"memory: {memory / 2**30:.1f} GiB at most so far; ask for a quarter more")
    return lines


def check_limit(experiments, known, time):
    """Refuse a time limit within which a point does not end its first epoch.

    Checkpoints are written once an epoch: such a task would begin again for ever.

    Args:
        experiments: List of `Experiment`.
        known: Dict of `measured`.
        time: SLURM's limit, text or a number of minutes; `None` for none.

    Raises:
        ValueError: If the limit is under one epoch.
    """
    limit = None if time is None else limit_seconds(time)
    for experiment in experiments if limit is not None else ():
        of = known.get(alike(experiment))
        if of and of.first > limit:
            raise ValueError(
                f"time={time} is under one epoch: the first of {of.run} took "
                f"{in_words(of.first)} h, and a task goes on from its last whole epoch. Give more "
                "time."
            )
