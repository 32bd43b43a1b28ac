"""Time the table of many runs, which `fer runs` and `sweep --collect` make.

python tests/benchmarks/many_runs.py [--full] [--json FILE]

Made-up folders, each with the three files that the table reads: those of a published run, under
another seed. 10,000 with `--full`, else 1,000. The row's median is CPU time of one round.
"""

import dataclasses
import shutil
import tempfile
import time
from pathlib import Path

import timing

from fer_lib import storage
from fer_lib.experiments import runs

RUNS = Path(__file__).resolve().parents[2] / "figures" / "runs"


def write_runs(folder, count):
    """Write so many runs."""
    source = next(iter(runs.find_runs(RUNS).values()))
    for seed in range(count):
        made = dataclasses.replace(source.experiment, seed=seed, results_dir=str(folder))
        (folder / made.name).mkdir()
        storage.write_json(folder / made.name / "experiment.json", dataclasses.asdict(made))
        for name in ("history.csv", "scores.json"):
            shutil.copy(source.folder / name, folder / made.name)


def main():
    arguments = timing.options(__doc__)
    count = 10_000 if arguments.full else 1000
    with tempfile.TemporaryDirectory() as folder:
        write_runs(Path(folder), count)
        begun = time.process_time()
        assert len(runs.runs_table(folder)) == count
        spent = time.process_time() - begun
    timing.finish([timing.number(f"{count:,} runs", "ours", spent, "s of CPU")], arguments)


if __name__ == "__main__":
    main()
