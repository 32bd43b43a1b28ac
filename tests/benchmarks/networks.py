"""Score networks from a random start after equal minutes of training, and say what each costs.

python tests/benchmarks/networks.py [--minutes 10] [--only CASES] [--tiny] [--csv FILE]

Each learns FER-2013's labels and FER+'s votes by two outputs, as in
notebooks/recipes/one_hour.yaml, but at 48 px; the last two cases learn by one output, and without
votes. The epochs are as many as fit into the minutes, at the speed of some steps measured first.
The score is that of the best epoch on validation faces; test scores are not shown. The runs are
kept in `--results`: a case that was begun there goes on, with as many epochs as it began with.
"""

import dataclasses
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import accelerator
import timing
import yaml

from fer_lib import storage
from fer_lib.choices import lookup

# What differs from the recipe: networks of depthwise convolutions learn with Adam, as their
# authors and our other recipes have it, and the last two learn from fewer labels.
_ADAM = {"optimizer": "adam", "learning_rate": 0.005, "weight_decay": 0}
CASES = {
    "resnet12": {},
    "resnet14": {"backbone": "resnet14"},
    "se_resnet": {"backbone": "se_resnet"},
    "separable": {"backbone": "separable"} | _ADAM,
    "mini_xception": {"backbone": "mini_xception"} | _ADAM,
    "mobilenet_v2": {"backbone": "mobilenet_v2", "optimizer": "adamw", "learning_rate": 0.002},
    "resnet12, one output": {"auxiliary": None},
    "resnet12, labels alone": {"auxiliary": None, "dataset": "fer2013"},
}
COLUMNS = (
    "case parameters multiply_adds seconds_an_epoch epochs minutes accuracy macro_f1 n".split()
)


def words(case, tiny, results):
    """Return the experiment of a case, apart from its epochs."""
    recipe = yaml.safe_load((ROOT / "notebooks" / "recipes" / "one_hour.yaml").read_text())
    found = recipe | {"image_size": 48} | lookup(CASES, case, "case")
    if tiny:
        small = {"dataset": "synthetic", "auxiliary": None, "batch_size": 8}
        found |= small | {"data_options": "train=64 validation=16 test=16"}
    return found | {"results_dir": str(results)}


def seconds_an_epoch(found, faces):
    """Return how long an epoch of so many faces takes, from some measured steps."""
    import numpy as np

    step = accelerator.Step(found["backbone"], "all", 48, "float32", found["batch_size"])
    count = step.batch * 8
    made, _ = accelerator.fed(
        step, np.zeros((count, 48, 48), np.uint8), (48, 48), found["augmentation"]
    )
    targets = np.eye(7, dtype="float32")[np.arange(count) % 7]
    return accelerator.epoch_seconds(made, targets, step.batch, 3)[1] * faces / count


def begun(wanted):
    """Return the epochs with which an experiment was begun, or `None`."""
    from fer_lib.experiments.experiment import from_record

    for path in Path(wanted.results_dir).glob("*/experiment.json"):
        found = from_record(storage.read_json(path))
        if dataclasses.replace(wanted, epochs=found.epochs) == found:
            return found.epochs
    return None


def measure(case, minutes, tiny, results):
    """Train a network for so many minutes and return its row."""
    from fer_lib.experiments import runner
    from fer_lib.experiments.experiment import Experiment
    from fer_lib.models import cost

    found = words(case, tiny, results)
    data = Experiment(**found).load_data()
    epochs = 1 if tiny else begun(Experiment(**found))
    if epochs is None:
        seconds = seconds_an_epoch(found, len(data["train"]))
        epochs = max(1, round(60 * minutes / seconds))
    run = runner.run(Experiment(**found | {"epochs": epochs}))
    history = run.history
    best = history.loc[history.val_macro_f1.idxmax()]
    model = run.model()
    return {
        "case": case,
        "parameters": model.count_params(),
        "multiply_adds": cost.multiply_adds(model),
        "seconds_an_epoch": round(float(history.seconds.median()), 1),
        "epochs": epochs,
        "minutes": round(float(history.seconds.sum()) / 60, 1),
        "accuracy": float(best.val_accuracy),
        "macro_f1": float(best.val_macro_f1),
        "n": len(data["validation"]),
    }


def main():
    """Measure the networks one after the other, and write every row at once."""
    asked = timing.options(
        __doc__,
        minutes={"type": float, "default": 10, "help": "of training that each network gets"},
        only={"default": ";".join(CASES), "help": "cases, with semicolons"},
        tiny={"action": "store_true", "help": "one epoch of few drawn faces, to see that it works"},
        results={"type": Path, "default": Path("runs/networks"), "help": "folder of the runs"},
        csv={"type": Path, "help": "write the table here"},
    )
    import pandas as pd

    table, rows = [], []
    for case in asked.only.split(";"):
        row = measure(case, asked.minutes, asked.tiny, asked.results)
        told = "macro-F1 {macro_f1:.3f}; {parameters:,} parameters; {epochs} epochs of ".format(
            **row
        )
        told += "{seconds_an_epoch:g} s, {minutes:g} minutes; n = {n:,}".format(**row)
        table.append(row)
        rows.append(timing.number(case, "validation", row["accuracy"], "accuracy", note=told))
        print(f"{case}: accuracy {row['accuracy']:.3f}, {told}", flush=True)
        if asked.csv:
            pd.DataFrame(table, columns=COLUMNS).to_csv(asked.csv, index=False)
    timing.finish(rows, asked)


if __name__ == "__main__":
    main()
