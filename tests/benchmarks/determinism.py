"""Time training steps with and without `deterministic=True`, in two processes that take turns.

python tests/benchmarks/determinism.py [--full] [--json FILE]
"""

import os
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import timing

CODE = """
import sys, time, keras
from fer_lib.data import synthetic
from fer_lib.models import classifier
from fer_lib.training import devices
if sys.argv[1] == "True":
    devices.make_deterministic()
keras.utils.set_random_seed(0)
faces = synthetic.make_faces(64)
model = classifier.build_classifier("mobilenet_v2", weights=None, image_size=48)
model.compile("adam", "categorical_crossentropy")
for steps in map(int, sys.stdin):
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        model.train_on_batch(faces.images, faces.targets)
    print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)
"""


def start(deterministic):
    """Return a process that trains as many steps as a line of its input says."""
    command = [sys.executable, "-c", CODE, str(deterministic)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(command, text=True, bufsize=1, **pipes)


def train(process, steps):
    """Return wall and CPU seconds of a step."""
    process.stdin.write(f"{steps}\n")
    return tuple(float(word) / steps for word in process.stdout.readline().split())


def main():
    arguments = timing.options(__doc__, rounds={"type": int, "default": 5})
    steps = 60 if arguments.full else 20
    ways = {f"deterministic={flag}": start(flag) for flag in (False, True)}
    times = {way: [] for way in ways}
    for number in range(arguments.rounds + 1):
        for way, process in ways.items():
            spent = train(process, steps)
            if number:
                times[way].append(spent)
    for process in ways.values():
        process.communicate()
    medians = {way: timing.medians(found) for way, found in times.items()}
    case = "all, 48 px, a step of 64 faces"
    timing.finish(timing.rows_of(case, medians, unit="ms", scale=1e3), arguments)


if __name__ == "__main__":
    main()
