"""Time one face and a batch through Keras and through each exported file.

python tests/benchmarks/inference.py [--run FOLDER | --weights NAME] [--rounds N] [--json FILE]

The ways take turns in every round; the table holds medians over the rounds, in milliseconds of
wall time and of CPU time (all threads), and ratios to the Keras call. On a busy machine read the
CPU columns: there a ratio says how much less work is done, whoever else is running.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COLD = """
import sys, time
start = time.perf_counter()
import numpy as np
from fer_lib.export import load_predictor
predictor = load_predictor(sys.argv[1])
predictor.predict(np.zeros((1, *predictor.face_size), np.uint8))
print(time.perf_counter() - start, time.process_time(), "tensorflow" in sys.modules)
"""


def classifier(options):
    """Return the run to time, or a MobileNetV2 with random weights, and its label set."""
    from fer_lib import models, runs
    from fer_lib.emotions import FER7

    if options.run:
        return runs.load_run(options.run), None
    model = models.build_classifier(
        "mobilenet_v2", weights=options.weights, image_size=options.image_size
    )
    return model, FER7


def ways(model, paths, batch, threads):
    """Return `{name: function from faces}`; the first is what the others are compared with."""
    from fer_lib.export import load_predictor

    keras_ways = {
        "model.predict": lambda faces: model.predict(faces, verbose=0),
        "predict_on_batch": model.predict_on_batch,
    }
    if batch > 1:
        del keras_ways["model.predict"]
    exported = {
        f"{key}, {count} thread{'s' * (count > 1)}": load_predictor(path, threads=count).predict
        for key, path in paths.items()
        for count in sorted({1, threads})
    }
    return keras_ways | exported


def measure(functions, faces, rounds, calls):
    """Return medians over rounds of milliseconds per call: `{name: {"wall_ms", "cpu_ms"}}`."""
    times = {name: [] for name in functions}
    for function in functions.values():
        function(faces)
    for _ in range(rounds):
        for name, function in functions.items():
            repeats = 3 if name == "model.predict" else calls
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(repeats):
                function(faces)
            spent = (time.perf_counter() - wall, time.process_time() - cpu)
            times[name].append([1e3 * seconds / repeats for seconds in spent])
    return {
        name: {
            f"{kind}_ms": statistics.median(row[place] for row in rows)
            for place, kind in enumerate(("wall", "cpu"))
        }
        for name, rows in times.items()
    }


def with_ratios(rows):
    """Add how many times as fast each way is as the first, by wall and by CPU time."""
    first = next(iter(rows.values()))
    for row in rows.values():
        row["wall_ratio"] = first["wall_ms"] / row["wall_ms"]
        row["cpu_ratio"] = first["cpu_ms"] / row["cpu_ms"]
    return rows


def cold_start(path, rounds):
    """Return medians for a fresh process that loads a file and answers one face, in seconds."""
    command = [sys.executable, "-c", COLD, str(path)]
    rows = [
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        for _ in range(rounds)
    ]
    return {
        "wall_s": statistics.median(float(row[0]) for row in rows),
        "cpu_s": statistics.median(float(row[1]) for row in rows),
        "imports_tensorflow": rows[0][2] == "True",
    }


def show(title, rows):
    print(f"\n{title:34s}{'wall ms':>10}{'ratio':>8}{'CPU ms':>10}{'ratio':>8}")
    for name, row in rows.items():
        numbers = (row["wall_ms"], row["wall_ratio"], row["cpu_ms"], row["cpu_ratio"])
        print(f"{name:34s}{numbers[0]:10.2f}{numbers[1]:7.1f}x{numbers[2]:10.2f}{numbers[3]:7.1f}x")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="folder of a run, instead of random weights")
    parser.add_argument("--weights", help="of the backbone without --run; random if not given")
    parser.add_argument("--image-size", type=int, default=96, help="without --run")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    from fer_lib.export import export
    from fer_lib.synthetic import make_faces

    subject, label_set = classifier(options)
    model = subject.model() if options.run else subject
    faces = make_faces(140).images
    formats = ("litert", "litert_int8", "onnx")
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = export(subject, folder, formats=formats, calibration=faces, label_set=label_set)
        result["file_mb"] = {key: path.stat().st_size / 1e6 for key, path in paths.items()}
        result["cold_start"] = cold_start(paths["litert_int8"], min(5, options.rounds))
        for batch, calls in ((1, 20), (64, 2)):
            functions = ways(model, paths, batch, options.threads if batch > 1 else 1)
            rows = with_ratios(measure(functions, faces[:batch], options.rounds, calls))
            result[f"batch_{batch}"] = rows
            show("one face" if batch == 1 else f"{batch} faces", rows)
    cold = result["cold_start"]
    print(
        f"\nfresh process, import to first answer (int8): {cold['wall_s']:.2f} s wall, "
        f"{cold['cpu_s']:.2f} s CPU; imports TensorFlow: {cold['imports_tensorflow']}"
    )
    print("file MB:", ", ".join(f"{key} {mb:.1f}" for key, mb in result["file_mb"].items()))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
