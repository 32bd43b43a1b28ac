"""Train a recipe within a given time on a machine with a GPU, JAX and little else.

python tests/benchmarks/lent_gpu.py RECIPE --out DIR [--seconds 480] [--data DIR] [--wheels DIR]
python tests/benchmarks/lent_gpu.py RECIPE --out DIR --join          (back home, before going on)

The machine needs neither TensorFlow nor papermill nor a network: JAX, NumPy, pandas, scikit-learn,
Pillow, h5py, tqdm, PyYAML and tensorboard are enough, and `--wheels` is a folder of the wheels it
lacks: keras, namex, optree, lazy_loader, and rich with markdown-it-py, mdurl and pygments, without
which keras does not start. `--data` is a folder in the form of FER_HOME, with `datasets/fer2013`.

Two epochs are trained first: what the second takes says how many fit into the time. The run's
folder under `--out` holds a checkpoint after every epoch, so a training that is cut off goes on
elsewhere by the same experiment and the same number of epochs, which `plan.json` keeps. Compiled
programs lie in DIR/compiled: carried back next time, they save a minute.

Files over 15 MiB are cut into parts at the end, also after SIGTERM, for ways back that take no
larger ones; `--join` puts them together. Where the way there is narrow too, `--data` may come in
two halves, one call after the other into the same folder.
"""

import argparse
import dataclasses
import json
import os
import signal
import sys
import time
import zipfile
from pathlib import Path

STARTED = time.monotonic()
RESERVE = 60  # seconds for the last prediction and the files
PART = 15 * 2**20  # bytes


def options():
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--wheels", type=Path)
    parser.add_argument("--join", action="store_true", help="only put files together again")
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


def split(folder):
    """Cut large files below a folder into parts, `<name>.part-000` and so on."""
    for path in [p for p in folder.rglob("*") if p.is_file() and p.stat().st_size > PART]:
        content = path.read_bytes()
        for number, start in enumerate(range(0, len(content), PART)):
            path.with_name(f"{path.name}.part-{number:03d}").write_bytes(
                content[start : start + PART]
            )
        path.unlink()


def join(folder):
    """Put together what `split` has cut."""
    for first in sorted(folder.rglob("*.part-000")):
        name = first.name.removesuffix(".part-000")
        parts = sorted(first.parent.glob(f"{name}.part-???"))
        first.with_name(name).write_bytes(b"".join(part.read_bytes() for part in parts))
        for part in parts:
            part.unlink()


def main():
    """Train as much of a recipe as fits, or put its files together."""
    asked = options()
    if asked.join:
        join(asked.out)
        return
    join(asked.out)  # what an earlier call has cut
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        train(asked)
    finally:
        split(asked.out)


def train(asked):
    """Measure an epoch, choose how many fit, train, and say where the run is."""
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
