"""Time the CSV reader against the naive loop: medians of interleaved runs, and peak memory.

python tests/benchmarks/csv_parsing.py [--full] [--json FILE]
"""

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import timing

PEAK = """
import resource, sys
from fer_lib.data.readers import fer2013_csv
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fer2013_csv.read_fer2013_csv(sys.argv[1])
print(before / 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def write_csv(path, rows):
    """Write rows of random pixels, as many and as long as FER-2013's."""
    rng = np.random.default_rng(0)
    numbers = [str(value) for value in range(256)]
    with open(path, "w") as file:
        file.write("emotion,pixels,Usage\n")
        for row in range(rows):
            pixels = rng.integers(0, 256, 48 * 48).tolist()
            file.write(f"{row % 7},{' '.join([numbers[p] for p in pixels])},Training\n")


def naive(path):
    """The loop of most FER-2013 notebooks."""
    images, labels = [], []
    with open(path) as file:
        for row in csv.DictReader(file):
            images.append(np.array([int(p) for p in row["pixels"].split()], np.uint8))
            labels.append(int(row["emotion"]))
    return np.stack(images).reshape(-1, 48, 48), np.array(labels)


def ours(path):
    """fer_lib's reader."""
    from fer_lib.data.readers import fer2013_csv

    faces = fer2013_csv.read_fer2013_csv(path)
    return faces.images, faces.labels


def main():
    arguments = timing.options(__doc__, rounds={"type": int, "default": 5})
    rows = 35_887 if arguments.full else 6_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fer2013.csv"
        write_csv(path, rows)
        # First, while this process is small: a child's peak begins with its parent's size.
        command = [sys.executable, "-c", PEAK, str(path)]
        peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        if any(not np.array_equal(*pair) for pair in zip(naive(path), ours(path), strict=True)):
            sys.exit("The two ways read different faces.")
        times = timing.interleaved(
            {"naive loop": lambda: naive(path), "ours": lambda: ours(path)}, arguments.rounds
        )
    imports, whole = map(float, peak)
    notes = {"ours": f"peak memory {whole:.0f} MB, {imports:.0f} MB of it by the imports"}
    case = f"read fer2013.csv, {rows:,} rows"
    timing.finish(timing.rows_of(case, times, goal=8, notes=notes), arguments)


if __name__ == "__main__":
    main()
