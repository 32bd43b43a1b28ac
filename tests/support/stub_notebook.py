"""A notebook that stands in for run_experiment.ipynb where a test is about sweeping."""

import os
from pathlib import Path

import nbformat

# Leaves what a run leaves, with scores that depend on its parameters alone, and a line each time
# it is executed. `behaviour.json` in the results folder says how it shall behave.
CODE = (
    """
import dataclasses, json, os, time
from pathlib import Path
from fer_lib import storage
from fer_lib.experiments.experiment import Experiment

names = [field.name for field in dataclasses.fields(Experiment)]
this = Experiment(**{name: globals()[name] for name in names})
folder = Path(this.results_dir) / this.name
behaviour = Path(this.results_dir) / "behaviour.json"
behaviour = json.loads(behaviour.read_text()) if behaviour.exists() else {}
with open(Path(this.results_dir) / "executions.txt", "a") as file:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "-")
    file.write(f"{this.seed} {this.dropout} {visible} {os.environ.get('OMP_NUM_THREADS')}\\n")
print("the stub runs seed", this.seed)
""",
    """
finished = (folder / "scores.json").exists()
if not finished:
    storage.write_json(folder / "experiment.json", dataclasses.asdict(this))
    time.sleep(behaviour.get("seconds", 0))
    if this.seed in behaviour.get("fail", []):
        raise ValueError(f"seed {this.seed} was told to fail")
    text = "epoch,stage,loss,seconds\\n1,all,0.5,%.6f\\n" % (time.time() % 1)
    (folder / "history.csv").write_text(text)
    value = 0.5 + this.seed / 100 + this.dropout / 10
    one = {m: {"value": value, "low": value - 0.1, "high": value + 0.1}
           for m in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")} | {"n": 7}
    storage.write_json(folder / "scores.json", {
        "weights": "random start", "best_epoch": 1, "test_name": "stub", "test": one,
        "validation_name": "stub", "validation": one})
time.sleep(behaviour.get("seconds_after", 0))
""",
)


def write_stub(path):
    """Write the notebook and return its path."""
    cells = [nbformat.v4.new_code_cell("", metadata={"tags": ["parameters"]})]
    cells += [nbformat.v4.new_code_cell(text.strip()) for text in CODE]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, path)
    return path


def executions(results_dir):
    """Return one `(seed, dropout, visible GPUs, threads)` per execution, in order."""
    file = Path(results_dir) / "executions.txt"
    return [tuple(line.split()) for line in file.read_text().splitlines()] if file.exists() else []


def child_processes(text):
    """Return the ids of the processes whose command line contains a text, but not this one."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                words = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in words:
                found.append(int(folder.name))
    return found
