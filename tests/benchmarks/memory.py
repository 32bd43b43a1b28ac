"""Measure the peak memory of loading FER-2013 and starting to train at 96 px, or that of loads.

python tests/benchmarks/memory.py [--full] [--json FILE] [--load]

Each way is a process of its own that reads a CSV file of random pixels and trains three steps of
MobileNetV2, everything unfrozen; the number is its peak resident memory less what it had after
importing TensorFlow and Keras. The plain notebook way keeps float64 RGB arrays at 96 px. Without
`--full` the file has 6,000 rows instead of FER-2013's 35,887.

`--load` looks instead whether memory and open files stay flat while there is much to do
(`support/loads.py`), each load in a process of its own, and prints a table.
"""

import concurrent.futures
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import timing
from csv_parsing import write_csv

from support import loads

# What is measured: a load, how many of it with `--full` and without, and its options.
LOADS = (
    ("photographs", "photographs of 160×120", 20_000, 1000, {}),
    ("video", "frames of a video of 160×120", 20_000, 2000, {}),
    ("video", "frames (six hours), each 25th looked at", 540_000, 10_000, {"every": 25}),
    ("page", "photographs on the page", 50, 20, {}),
    ("sweep", "stub points of a sweep, two workers", 200, 20, {}),
    ("slurm", "stub points on a private SLURM", 200, 20, {}),
)
HEAD = "| what | memory after a tenth, at half, at the end | peak | open files | time | CPU each |"

START = """
import sys
import numpy as np, pandas, tensorflow, keras
path = sys.argv[1]

def kilobytes(name):
    with open("/proc/self/status") as status:
        return int(dict(line.split(":", 1) for line in status)[name].split()[0])

before = kilobytes("VmRSS")
"""
END = """
print((kilobytes("VmHWM") - before) / 1024)
"""
NOTEBOOK = """
table = pandas.read_csv(path)
faces = np.array([np.array(row.split(), dtype="float64") for row in table.pixels])
faces = faces.reshape(-1, 48, 48, 1) / 255
from PIL import Image
def enlarge(face):
    return np.asarray(Image.fromarray(face[..., 0]).resize((96, 96)), dtype="float64")
images = np.empty((len(faces), 96, 96, 3))
for row, face in enumerate(faces):
    images[row] = enlarge(face)[..., None]
targets = keras.utils.to_categorical(table.emotion, 7)
base = keras.applications.MobileNetV2(input_shape=(96, 96, 3), include_top=False, weights=None)
model = keras.Sequential(
    [base, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(7, "softmax")]
)
model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
def batches():
    for start in range(0, 96, 32):
        yield images[start : start + 32], targets[start : start + 32]
model.fit(batches(), verbose=0)
"""
OURS = """
from fer_lib.data.readers import sources
from fer_lib.models import classifier
from fer_lib.training import feed
faces = sources.read(path)
model = classifier.build_classifier("mobilenet_v2", weights=None, image_size=96)
fed = feed.Feed(
    model, faces.images, faces.images[:64], augmentation="standard", cache="auto", epochs=1, seed=0
)
fed.compile(keras.optimizers.AdamW(1e-3), keras.losses.CategoricalCrossentropy())
class Enough(Exception):
    pass
def enough(done):
    if done == 3:
        raise Enough
try:
    fed.train_epoch(faces.targets, None, 0, 32, enough)
except Enough:
    pass
"""


def peak(body, path):
    """Return the megabytes that a process needed over its imports."""
    environment = os.environ | {"FER_HOME": str(path.parent / "home")}
    done = subprocess.run(
        [sys.executable, "-c", START + body + END, str(path)],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return float(done.stdout.split()[-1])


def load(full):
    """Measure the loads, print each as a row of a table, and return them as dicts."""
    found, context = [], multiprocessing.get_context("spawn")
    print(HEAD, "|---" * (HEAD.count("|") - 1) + "|", sep="\n", flush=True)
    for name, what, many, few, options in LOADS:
        count = many if full else few
        with (
            tempfile.TemporaryDirectory() as folder,
            concurrent.futures.ProcessPoolExecutor(1, context) as own,
        ):
            seen = own.submit(loads.measure, name, Path(folder), count, **options).result()
        found.append({"what": what, "count": count} | seen)
        memory = ", ".join(f"{mb:.0f}" for mb in seen["memory"].values())
        files = ", ".join(map(str, seen["files"].values()))
        cells = [f"{count:,} {what}", f"{memory} MB", f"{seen['peak']:.0f} MB", files]
        cells += [f"{seen['seconds']:,.0f} s", f"{1e3 * seen['cpu'] / count:.3g} ms"]
        print(f"| {' | '.join(cells)} |", flush=True)
    return found


def main():
    flag = {"action": "store_true", "help": "look whether memory and open files stay flat"}
    arguments = timing.options(__doc__, load=flag)
    if arguments.load:
        rows = load(arguments.full)
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
        return
    rows = 35_887 if arguments.full else 6_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fer2013.csv"
        write_csv(path, rows)
        measured = {"plain notebook": peak(NOTEBOOK, path), "ours": peak(OURS, path)}
    case = f"read {rows:,} rows and start to train at 96 px, peak memory over the imports"
    first = measured["plain notebook"]
    notes = {"ours": "goal: below 1,200 MB"}
    timing.finish(
        [
            timing.number(case, way, mb, "MB", ratio=first / mb, note=notes.get(way, ""))
            for way, mb in measured.items()
        ],
        arguments,
    )


if __name__ == "__main__":
    main()
