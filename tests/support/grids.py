"""Grids of a few points, and results written for them."""

from fer_lib import storage
from fer_lib.sweeps.grid import make_grid


def tiny_grid(tmp_path, **parameters):
    """A grid of synthetic runs with a random start, for the stub."""
    fixed = {"dataset": "synthetic", "weights": None, "results_dir": str(tmp_path / "runs")}
    return make_grid(fixed | {"dropout": [0.1, 0.2]} | parameters, seeds=2)


def write_results(grid, validation, test):
    """Write a finished run for each point, with these scores."""
    for p, chosen, reported in zip(grid.points, validation, test, strict=True):
        folder = grid.results_dir / p.name
        storage.write_json(folder / "experiment.json", p.identity())
        (folder / "history.csv").write_text(f"epoch,stage,seconds\n1,all,{chosen}\n")
        scores = {"weights": "random start", "best_epoch": 1}
        for split, value in (("validation", chosen), ("test", reported)):
            one = {"value": value, "low": 0, "high": 1}
            names = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")
            scores |= {f"{split}_name": split, split: dict.fromkeys(names, one) | {"n": 7}}
        storage.write_json(folder / "scores.json", scores)
