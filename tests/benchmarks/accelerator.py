"""Measure training on whatever this machine has: steps, whole runs, and how far from its limit.

python tests/benchmarks/accelerator.py [--json FILE] [--minutes 10] [--full | --tiny] [--peak 989]

A step's row gives faces a second, the share of input (reading, augmenting and enlarging faces: the
difference to the same steps on faces that are large already), the arithmetic and its share of the
chip's peak, the seconds until the first step was done (compiling), and the most memory of the
process so far. A run's row gives the time from the start of the notebook (of a plain process
without papermill) to the finished run. Every row is written when it is measured. What FILE holds
already is not measured again, so a budget of minutes can be spent in portions. The peak in 10^12
operations a second is known of some GPUs by their names; otherwise give it.
"""

import dataclasses
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import timing

from fer_lib import storage

# 10^12 operations a second in bfloat16 and in float32, without sparsity (the maker's data sheets).
PEAKS = {
    "H200": (989, 67),
    "H100": (989, 67),
    "A100": (312, 19.5),
    "L40S": (362, 91.6),
    "L4": (121, 30.3),
}
DENSE = "resnet12"
POLICIES = {"bfloat16": "mixed_bfloat16", "float32": "float32"}


@dataclasses.dataclass(frozen=True)
class Step:
    """What one row of a training step measures."""

    network: str
    unfreeze: str
    size: int
    policy: str
    batch: int

    @property
    def case(self):
        """Its name in the table."""
        return f"{self.network} {self.unfreeze}, {self.size} px, {self.policy}, batch {self.batch}"


def steps(full, tiny):
    """Return the steps to measure, what matters most first."""
    if tiny:
        return [Step("separable", "all", 48, "float32", 8)]
    # Depthwise convolutions take a minute to compile: dense networks come first.
    networks = [(DENSE, "all"), ("resnet14", "all"), ("se_resnet", "all")]
    networks += [("mobilenet_v2", mode) for mode in ("all", "100", "top")]
    first = [Step(n, m, 48, "bfloat16", 512) for n, m in networks]
    if not full:
        return first[:1] + [Step("mobilenet_v2", m, 96, "bfloat16", 512) for m in ("all", "top")]
    wide = itertools.product((96, 48, 224), POLICIES, (512, 64, 1024, 4096))
    rest = [Step(n, m, *way) for way in wide for n, m in networks]
    return list(dict.fromkeys(first + rest))


def peak_of(device, policy):
    """Return the peak of a device by its name, or `None`."""
    for name, peaks in PEAKS.items():
        if name in device:
            return peaks[list(POLICIES).index(policy)]
    return None


def device_name():
    """Return the name of the device that trains."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return jax.devices()[0].device_kind
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0])["device_name"] if gpus else "cpu"


def memory():
    """Return the most bytes of memory so far: the device's, or the process's on a CPU."""
    import keras

    from fer_lib.experiments import environment
    from fer_lib.training import devices

    if not devices.on_gpu():
        return environment.peak_memory()
    if keras.backend.backend() == "jax":
        import jax

        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    import tensorflow as tf

    return tf.config.experimental.get_memory_info("GPU:0")["peak"]


def fed(step, images, face_size, augmentation):
    """Return what trains a network on faces, compiled, and the network."""
    import keras

    from fer_lib.models import classifier
    from fer_lib.training import feed
    from fer_lib.training.optimizers import build_optimizer

    keras.config.set_dtype_policy(POLICIES[step.policy])
    try:
        model = classifier.build_classifier(
            step.network, weights=None, image_size=step.size, unfreeze=step.unfreeze,
            face_size=face_size,
        )  # fmt: skip
    finally:
        keras.config.set_dtype_policy("float32")
    made = feed.Feed(
        model, images, images[:8], augmentation=augmentation, cache="exact", epochs=1, seed=0
    )
    made.compile(build_optimizer("adamw", 1e-3, 1e-4), keras.losses.CategoricalCrossentropy())
    return made, model


def arithmetic(made, model):
    """Return the operations that one face takes in a step: two per multiply-add.

    Forward once, backward twice for what trains; cached layers take nothing.
    """
    from fer_lib.models.cost import multiply_adds

    layers = made.evaluator.layers if made.views else model.layers
    trained = [layer for layer in layers if layer.trainable_weights]
    counted = [multiply_adds(types.SimpleNamespace(layers=part)) for part in (layers, trained)]
    return 2 * (counted[0] + 2 * counted[1])


def epoch_seconds(made, targets, batch, rounds):
    """Return the seconds until the first step was done, and of a later epoch (median)."""
    times, reached = [], []
    for number in range(rounds + 1):
        started = time.perf_counter()
        made.train_epoch(targets, None, number, batch, lambda done: reached.append(time.time()))
        times.append(time.perf_counter() - started)
        if number == 0:
            first = reached[0] - (time.time() - times[0])
    return first, timing.statistics.median(times[1:])


def measure_step(step, peak, rounds, tiny):
    """Return the row of a training step."""
    import numpy as np

    from fer_lib.data import synthetic

    # The faces of some steps, few enough for a gigabyte where they are enlarged already.
    count = step.batch * (2 if tiny else max(2, min(16, 2**30 // (step.batch * step.size**2))))
    faces = synthetic.make_faces(min(count, 512), seed=0)
    rows = np.arange(count) % len(faces)
    targets = faces.targets[rows]
    made, model = fed(step, faces.images[rows], (48, 48), "standard")
    compiling, seconds = epoch_seconds(made, targets, step.batch, rounds)
    share = None
    if not made.views:  # features that are cached are read as they are
        large = np.zeros((count, step.size, step.size), np.uint8)
        bare, _ = fed(step, large, (step.size, step.size), "none")
        share = max(0.0, 1 - epoch_seconds(bare, targets, step.batch, rounds)[1] / seconds)
    speed = arithmetic(made, model) * count / seconds / 1e12
    limit = peak or peak_of(device_name(), step.policy)
    found = {
        **dataclasses.asdict(step),
        "faces_a_second": count / seconds,
        "input_share": share,
        "tera_operations": speed,
        "peak_share": speed / limit if limit else None,
        "compile_seconds": compiling,
        "memory": memory(),
    }
    told = [f"input {share:.0%}"] if share is not None else []
    told += [f"{speed:.2f} TFLOP/s"] + ([f"{speed / limit:.0%} of the peak"] if limit else [])
    told += [f"compiled in {compiling:.0f} s", f"{(found['memory'] or 0) / 2**30:.1f} GiB"]
    return timing.number(
        step.case, "ours", count / seconds, "faces/s", note="; ".join(told)
    ) | {"kind": "step", **found}  # fmt: skip


def jobs(tiny):
    """Return the whole runs to measure, as dicts of an experiment's parameters by case."""
    import yaml

    if tiny:
        small = {"dataset": "synthetic", "data_options": "train=64 validation=16 test=16"}
        return {"run: separable, 1 epoch": small | {"backbone": "separable", "epochs": 1}}
    teacher = yaml.safe_load((ROOT / "notebooks" / "recipes" / "teacher.yaml").read_text())
    modes = {
        f"run: mobilenet_v2 {mode}, 96 px, 15 epochs": {
            "unfreeze": mode, "image_size": 96, "epochs": 15, "batch_size": 512,
        }
        for mode in ("all", "100", "top")
    }  # fmt: skip
    found = {"run: teacher": teacher | {"weights": None}} | modes
    return {case: {"dataset": "fer2013", "weights": None} | words for case, words in found.items()}


def measure_run(case, words, seconds):
    """Return the row of a whole run, each in a process of its own; at most for so long."""
    with tempfile.TemporaryDirectory() as folder:
        words = words | {"results_dir": folder}
        if "dataset" not in words or importlib.util.find_spec("papermill") is None:
            code = (
                "import json, sys; from fer_lib.experiments import runner, experiment; "
                "runner.run(experiment.Experiment(**json.loads(sys.argv[1])))"
            )
            command, way = [sys.executable, "-c", code, json.dumps(words)], "process"
        else:
            pairs = [word for pair in words.items() for word in ("-p", *map(str, pair))]
            notebook = ROOT / "notebooks" / "run_experiment.ipynb"
            command = [sys.executable, "-m", "papermill", notebook, f"{folder}/out.ipynb", *pairs]
            way = "notebook"
        started = time.perf_counter()
        env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, timeout=seconds)
        wall = time.perf_counter() - started
        if done.returncode:
            reason = (done.stderr.decode().strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(reason)
        from fer_lib.experiments import runs

        (run,) = runs.find_runs(folder).values()
        history = run.history
    training, compiling = history.seconds.sum(), history.compile_seconds.sum()
    found = {"training_seconds": training, "compile_seconds": compiling, "epochs": len(history)}
    told = f"{training:.0f} s of training, {compiling:.0f} s of it until first steps"
    return timing.number(case, way, wall, "s", note=told) | {"kind": "run", **found}


def draw(rows, path):
    """Draw faces a second by batch, a line for each network, mode, size and precision."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import pandas as pd

    table = pd.DataFrame([row for row in rows if row.get("kind") == "step"])
    if table.empty:
        return
    axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")[1]
    for (network, mode, size, policy), part in table.groupby(
        ["network", "unfreeze", "size", "policy"]
    ):
        part = part.sort_values("batch")
        style = {"marker": "o", "linestyle": "-" if policy == "bfloat16" else "--"}
        axes[0].plot(part.batch, part.faces_a_second, label=f"{network} {mode}, {size} px", **style)
        axes[1].plot(part.batch, part.tera_operations, **style)
    for ax, label in zip(axes, ("faces a second", "10¹² operations a second"), strict=True):
        ax.set(xscale="log", yscale="log", xlabel="faces a step", ylabel=label)
    axes[0].legend(fontsize=6, frameon=False)
    axes[1].set_title("bfloat16 whole, float32 dashed", fontsize=9)
    plt.gcf().savefig(path, dpi=150)


def main():
    """Measure what fits into the minutes, and write every row at once."""
    asked = timing.options(
        __doc__,
        minutes={"type": float, "default": 10, "help": "after which nothing new is begun"},
        tiny={"action": "store_true", "help": "one small step and run, to see that it works"},
        rounds={"type": int, "default": 3},
        peak={"type": float, "help": "10^12 operations a second"},
        figure={"type": Path, "help": "a PNG; by default beside --json"},
    )
    end = time.monotonic() + 60 * asked.minutes
    kept = asked.json and asked.json.exists()
    rows = json.loads(asked.json.read_text()) if kept else []
    rows = [row for row in rows if row.get("kind")]  # what failed is tried again
    measured = {row["case"] for row in rows}
    from fer_lib.training import devices

    devices.keep_programs()
    ways = {step.case: (measure_step, step, asked.peak, asked.rounds, asked.tiny)
            for step in steps(asked.full, asked.tiny)}  # fmt: skip
    if asked.full or asked.tiny:
        ways |= {case: (measure_run, case, words) for case, words in jobs(asked.tiny).items()}
    for case, (function, *arguments) in ways.items():
        left = end - time.monotonic()
        if case in measured or left <= 0:
            continue
        if function is measure_run:
            arguments.append(max(left, 60))
        try:
            row = function(*arguments)
        except Exception as error:  # one that does not fit into memory must not end the others
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            row = timing.number(case, "failed", None, "", note=reason[:200])
        rows.append(row | {"device": device_name()})
        print(f"{case}: {row['median'] or 0:,.0f} {row['unit']} ({row['note']})", flush=True)
        if asked.json:
            storage.write_json(asked.json, rows)
    figure = asked.figure or (asked.json and asked.json.with_suffix(".png"))
    if figure:
        draw(rows, figure)
    timing.finish(rows, asked)


if __name__ == "__main__":
    main()
