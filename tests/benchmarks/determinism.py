"""Time a training step with and without `deterministic=True`, each in a fresh process.

python tests/benchmarks/determinism.py [--full] [--json FILE]
"""

import os
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import timing

CODE = """
import sys, time, statistics, keras
from fer_lib import devices, models, synthetic
if sys.argv[1] == "True":
    devices.make_deterministic()
keras.utils.set_random_seed(0)
faces = synthetic.make_faces(64)
model = models.build_classifier("mobilenet_v2", weights=None, image_size=48)
model.compile("adam", "categorical_crossentropy")
times = []
for _ in range(int(sys.argv[2]) + 5):
    wall, cpu = time.perf_counter(), time.process_time()
    model.train_on_batch(faces.images, faces.targets)
    times.append((time.perf_counter() - wall, time.process_time() - cpu))
print(*map(statistics.median, zip(*times[5:])))
"""


def step(deterministic, steps):
    """Return wall and CPU seconds of a step, medians in one process."""
    command = [sys.executable, "-c", CODE, str(deterministic), str(steps)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return tuple(map(float, done.stdout.split()))


def main():
    arguments = timing.options(__doc__, rounds={"type": int, "default": 5})
    steps = 60 if arguments.full else 20
    ways = {"deterministic=False": False, "deterministic=True": True}
    times = {way: [] for way in ways}
    for _ in range(arguments.rounds):
        for way, deterministic in ways.items():
            times[way].append(step(deterministic, steps))
    medians = {way: timing.medians(found) for way, found in times.items()}
    case = "all, 48 px, a step of 64 faces"
    rows = timing.rows_of(case, medians, unit="ms", scale=1e3)
    timing.finish(rows, arguments)


if __name__ == "__main__":
    main()
