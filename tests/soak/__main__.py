"""Soak: `python tests/soak [--minutes 20]` disturbs what fer_lib does and looks what is lost.

Kills, full disks, read-only folders, damaged files and twins come at random over photographs,
videos, published copies, tables, the cache and (from three minutes on) training, export, sweeps
and the page. What a disturbed job comes to must be, byte for byte, what an undisturbed one does.
The exit status is 1 if anything is lost.
"""

import argparse
import collections
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a fork must find no threads
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

LONG = 3.0  # minutes from which what imports Keras or starts kernels is worth its start


def main(words=None):
    """Run the soak and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first try")
    parser.add_argument("--tries", type=int, help="how many tries at most")
    parser.add_argument("--jobs", help="names of jobs, with commas between")
    options = parser.parse_args(words)
    jobs = _jobs(options)
    folder = Path(tempfile.mkdtemp(prefix="fer-soak-"))
    folder.chmod(0o755)

    from soak.disturbances import Bench

    bench = Bench(folder)
    disk = "a small tmpfs" if bench.mounted else "a limit of the files' size (RLIMIT_FSIZE)"
    print(f"seed {options.seed}; a full disk is {disk}", flush=True)
    try:
        tries = _soak(bench, jobs, options)
    finally:
        bench.close()
        shutil.rmtree(folder, ignore_errors=True)
    return _report(tries)


def _jobs(options):
    from soak import jobs

    found = [job() for job in jobs.JOBS]
    wanted = options.jobs.split(",") if options.jobs else None
    if options.minutes >= LONG or wanted:
        from soak import long_jobs

        found += long_jobs.jobs(wanted)
    return [job for job in found if wanted is None or job.name in wanted]


def _soak(bench, jobs, options):
    from soak.disturbances import DISTURBANCES, Lost

    for job in jobs:
        bench.learn(job)
        if job.name in bench.seconds:
            print(f"{job.name}: {bench.seconds[job.name]:.1f} s undisturbed", flush=True)
    tries, end = collections.defaultdict(list), time.monotonic() + 60 * options.minutes
    last = sys.maxsize if options.tries is None else options.first + options.tries
    for number in range(options.first, last):
        if time.monotonic() > end:
            break
        chance = random.Random(f"{options.seed} {number}")
        job = chance.choices(jobs, [job.weight for job in jobs])[0]
        kind = chance.choice(job.disturbances)
        again, begun = f"--seed {options.seed} --first {number} --tries 1", time.monotonic()
        if options.jobs:
            again += f" --jobs '{options.jobs}'"
        try:
            if hasattr(job, "disturb"):
                done = job.disturb(bench, chance)
            else:
                done = DISTURBANCES[kind](bench, job, chance)
            tries[job.name, kind] += [(time.monotonic() - begun, again, False)] * done
        except Lost as lost:
            tries[job.name, kind].append((time.monotonic() - begun, again, True))
            print(f"\nLOST {job.name}, {kind} ({again}):\n{lost}\n", flush=True)
        for log in bench.logs.iterdir():
            log.unlink()
    return tries


def _report(tries):
    """Print the tries of each kind, what was lost, and how long the slowest took."""
    row = "{:<15}{:<12}{:>7}{:>10}{:>6}{:>11}"
    print("\n" + row.format("what", "disturbance", "tries", "survived", "lost", "slowest"))
    everything = [one for some in tries.values() for one in some]
    for names, some in [*sorted(tries.items()), (("all", ""), everything)]:
        lost = sum(one[2] for one in some)
        slowest = f"{max(some)[0]:.1f} s" if some else ""
        print(row.format(*names, len(some), len(some) - lost, lost, slowest))
    print(f"\nthe slowest: {max(everything)[1]}" if everything else "", flush=True)
    return int(any(one[2] for one in everything))


if __name__ == "__main__":
    sys.exit(main())
