"""Train a recipe within a given time on a machine with a GPU, JAX and little else.

python tests/benchmarks/lent_gpu.py RECIPE --out DIR [--seconds 480] [--data DIR] [--wheels DIR]

The machine needs neither TensorFlow nor papermill nor a network: JAX, NumPy, pandas, scikit-learn,
Pillow, h5py, tqdm and PyYAML are enough, and `--wheels` is a folder of the wheels it lacks (keras,
namex, optree, lazy_loader). `--data` is a folder in the form of FER_HOME, with `datasets/fer2013`.

Two epochs are trained first: what the second takes says how many fit into the time. The run's
folder under `--out` holds a checkpoint after every epoch, so a training that is cut off goes on
elsewhere by the same experiment and the same number of epochs, which `plan.json` keeps. Compiled
programs lie in DIR/compiled: carried back next time, they save a minute.
"""

import argparse
import dataclasses
import json
import os
import sys
import time
import zipfile
from pathlib import Path

STARTED = time.monotonic()
RESERVE = 60  # seconds for the last prediction and the files


def options():
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--wheels", type=Path)
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    return parser.parse_args()


def prepare(asked):
    """Set what must stand before JAX is imported."""
    sys.path[:0] = [str(Path(__file__).resolve().parents[2])]
    if asked.wheels:
        unpacked = asked.out.resolve() / "packages"  # extensions are not imported from a zip
        for wheel in sorted(asked.wheels.glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(unpacked)
        sys.path[:0] = [str(unpacked)]
    compiled = asked.out / "compiled"
    compiled.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "KERAS_BACKEND": "jax",
        "JAX_COMPILATION_CACHE_DIR": str(compiled),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    if asked.data:
        os.environ["FER_HOME"] = str(asked.data.resolve())


def say(text):
    """Print a line with the seconds since the start."""
    print(f"[{time.monotonic() - STARTED:5.0f} s] {text}", flush=True)


def main():
    """Measure an epoch, choose how many fit, train, and say where the run is."""
    asked = options()
    prepare(asked)
    import yaml

    from fer_lib.experiments import runner
    from fer_lib.experiments.experiment import Experiment

    words = yaml.safe_load(asked.recipe.read_text()) | dict(asked.p)
    wanted = Experiment(**words | {"results_dir": str(asked.out / "runs")})
    data = wanted.load_data()
    say(f"{len(data['train']):,} training faces of {wanted.dataset}")
    plan = asked.out / "plan.json"
    if plan.exists():
        epochs = json.loads(plan.read_text())["epochs"]
        say(f"{plan} asks for {epochs} epochs")
    else:
        trial = dataclasses.replace(wanted, epochs=2, results_dir=str(asked.out / "trial"))
        history = runner.run(trial, data).history
        each = float(history.seconds.iloc[-1])
        left = asked.seconds - (time.monotonic() - STARTED) - RESERVE
        epochs = max(1, min(wanted.epochs, int(left / each)))
        plan.write_text(json.dumps({"epochs": epochs, "seconds_an_epoch": each}))
        say(f"{each:.1f} s an epoch: {epochs} of the {wanted.epochs} epochs of the recipe fit")
    result = runner.run(dataclasses.replace(wanted, epochs=epochs), data)
    scores = result.scores["validation"]
    say(f"{result.folder}: validation accuracy {scores['accuracy']['value']:.3f}, "
        f"macro-F1 {scores['macro_f1']['value']:.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
