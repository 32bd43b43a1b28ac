"""Time the CSV reader against the naive loop: medians of interleaved runs, and peak memory.

python tests/benchmarks/csv_parsing.py [--rows N] [--repeats N] [--json FILE]
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PEAK = """
import resource, sys
from fer_lib import readers
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
readers.read_fer2013_csv(sys.argv[1])
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
    from fer_lib import readers

    faces = readers.read_fer2013_csv(path)
    return faces.images, faces.labels


def cpu_seconds(function, path):
    start = time.process_time()
    result = function(path)
    return time.process_time() - start, result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=35_887)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    times = {"naive": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fer2013.csv"
        write_csv(path, options.rows)
        # First, while this process is small: a child's peak begins with its parent's size.
        command = [sys.executable, "-c", PEAK, str(path)]
        peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        for _ in range(options.repeats):
            seconds, (images, labels) = cpu_seconds(naive, path)
            times["naive"].append(seconds)
            seconds, (our_images, our_labels) = cpu_seconds(ours, path)
            times["ours"].append(seconds)
            if not (np.array_equal(images, our_images) and np.array_equal(labels, our_labels)):
                sys.exit("The two ways read different faces.")
            del images, our_images
    medians = {name: statistics.median(values) for name, values in times.items()}
    result = {
        "rows": options.rows,
        "cpu_seconds": times,
        "median_cpu_seconds": medians,
        "ratio": medians["naive"] / medians["ours"],
        "rss_mb_after_import": float(peak[0]),
        "peak_rss_mb": float(peak[1]),
    }
    print(f"naive {medians['naive']:.2f} CPU-s, ours {medians['ours']:.2f} CPU-s (medians of")
    print(f"{options.repeats}, interleaved): {result['ratio']:.1f} times as fast, same faces")
    print(f"peak RSS {result['peak_rss_mb']:.0f} MB; {float(peak[0]):.0f} MB of it by the imports")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
