"""Time one face and a batch through Keras and through each exported file.

python tests/benchmarks/inference.py [--full] [--json FILE] [--run FOLDER | --weights NAME]

MobileNetV2 at 96 px. The ways take turns in every round. On a busy machine read `cpu_ratio`: it
says how much less work is done, whoever else is running.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import timing

COLD = """
import sys, time
start = time.perf_counter()
import numpy as np
from fer_lib.inference.formats import load_predictor
predictor = load_predictor(sys.argv[1])
predictor.predict(np.zeros((1, *predictor.face_size), np.uint8))
print(time.perf_counter() - start, time.process_time(), "tensorflow" in sys.modules)
"""


def classifier(options):
    """Return the run to time, or a MobileNetV2 with some weights, and its label set."""
    from fer_lib.emotions import FER7
    from fer_lib.experiments import runs
    from fer_lib.models.classifier import build_classifier

    if options.run:
        return runs.load_run(options.run), None
    model = build_classifier("mobilenet_v2", weights=options.weights, image_size=options.image_size)
    return model, FER7


def ways(model, paths, batch, threads):
    """Return `{name: function from faces}`; the first is what the others are compared with."""
    from fer_lib.inference.formats import load_predictor

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


def repeated(function, faces, calls):
    """Return a function of no arguments that calls another so many times."""
    return lambda: [function(faces) for _ in range(calls)]


def measure(functions, faces, rounds, calls):
    """Return `{name: (wall, cpu)}` in seconds per call; the slow `model.predict` has fewer."""
    counts = {name: min(calls, 3) if name == "model.predict" else calls for name in functions}
    times = timing.interleaved(
        {name: repeated(function, faces, counts[name]) for name, function in functions.items()},
        rounds,
    )
    return {name: (wall / counts[name], cpu / counts[name]) for name, (wall, cpu) in times.items()}


def main():
    arguments = timing.options(
        __doc__,
        run={"type": Path, "help": "folder of a run, instead of weights"},
        weights={"default": "fer", "help": "of the backbone without --run; the shipped model's"},
        image_size={"type": int, "default": 96, "help": "without --run"},
        rounds={"type": int, "default": 7},
        threads={"type": int, "default": 2},
    )
    os.environ["KERAS_BACKEND"] = "tensorflow"
    from fer_lib.data.synthetic import make_faces
    from fer_lib.inference.formats import export

    subject, label_set = classifier(arguments)
    model = subject.model() if arguments.run else subject
    faces = make_faces(140).images
    formats = ("litert", "litert_int8", "onnx") if arguments.full else ("litert", "litert_int8")
    origin = f"from {arguments.run or arguments.weights}"
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths = export(subject, folder, formats=formats, calibration=faces, label_set=label_set)
        paths["litert_int8"] = paths.pop("litert_int8")  # last, so that it bears the goal
        sizes = {key: f"{path.stat().st_size / 1e6:.1f} MB" for key, path in paths.items()}
        for batch, calls, goal in ((1, 20, 80), (64, 2, 4)):
            threads = arguments.threads if batch > 1 else 1
            functions = ways(model, paths, batch, threads)
            times = measure(functions, faces[:batch], arguments.rounds, calls)
            notes = {way: sizes.get(way.split(",")[0], "") for way in functions}
            case = f"{batch} face{'s' * (batch > 1)}, {origin}"
            rows += timing.rows_of(case, times, unit="ms", scale=1e3, goal=goal, notes=notes)
        cold = cold_start(paths["litert_int8"], 5)
    warning = "IMPORTS TENSORFLOW; " if cold["imports_tensorflow"] else ""
    note = f"{warning}goal: below 1 s; {cold['cpu_s']:.2f} s of CPU time"
    rows.append(
        timing.number(
            "fresh process, import to first answer", "int8", cold["wall_s"], "s", note=note
        )
    )
    timing.finish(rows, arguments)


if __name__ == "__main__":
    main()
