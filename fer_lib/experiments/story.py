"""What a run is about to do and what came of it, in sentences for the notebook."""

from pathlib import Path

from fer_lib.evaluation import bootstrap
from fer_lib.experiments.runs import Run
from fer_lib.models import cost

# Seconds a face and epoch on two cores of a desktop processor, if everything is trained:
# a constant and a share of the multiply-adds, through figures/benchmarks.csv at 48 and 96 px.
_FACE, _MULTIPLY_ADD = 1.3e-3, 1.27e-10
# Of that, by what is trained: frozen layers are computed once.
_SHARE = {"top": 0.02, "100": 0.22, "progressive": 0.6, "all": 1.0}


def plan(experiment):
    """Return what a run will do and where its results go, in a few lines.

    Args:
        experiment: A resolved `Experiment`, which may have been begun or finished before.
    """
    folder = Path(experiment.results_dir) / experiment.name
    start = f"weights {experiment.weights}" if experiment.weights else "random weights"
    if experiment.weights and Run(Path(experiment.weights)).finished:
        start = f"where {experiment.weights} ended"
    epochs = f"{experiment.epochs} epoch{'s' * (experiment.epochs > 1)}"
    lines = [
        f"Trains {experiment.network} ({experiment.unfreeze}) on {experiment.dataset} for "
        f"{epochs} at {experiment.image_size} px, from {start}.",
        "The best epoch is chosen on the validation faces, and the test faces are scored once.",
        f"Results go to {folder}",
    ]
    run = Run(folder)
    if run.finished:
        lines.append("This run is finished: it is read from there and not trained again.")
    elif (folder / "history.csv").exists():
        lines.append(f"It was stopped after epoch {len(run.history)} and goes on from there.")
    return "\n".join(lines)


def duration(experiment, data, model):
    """Return about how long the training takes, as a sentence.

    Args:
        experiment: A resolved `Experiment`.
        data: Dict of its `Faces`.
        model: Its classifier.
    """
    face = _FACE + _MULTIPLY_ADD * (cost.multiply_adds(model) or 0)
    seconds = face * len(data["train"]) * experiment.epochs * _SHARE[experiment.unfreeze] + 30
    minutes = max(1, round(seconds / 60))
    told = (
        f"{minutes} minute{'s' * (minutes > 1)}" if minutes < 90 else f"{seconds / 3600:.1f} hours"
    )
    return f"Training takes about {told} on two CPU cores; less on a GPU."


def conclusion(run):
    """Return what came of a finished run and what to do next, in a few lines."""
    test, folder = run.scores["test"], run.folder
    minutes = run.history.seconds.sum() / 60
    accuracy, macro_f1 = (bootstrap.in_words(test[name]) for name in ("accuracy", "macro_f1"))
    lines = [
        f"{run.scores['test_name']}, n = {test['n']:,}: accuracy {accuracy}, macro-F1 {macro_f1} "
        "(95 % intervals).",
        f"Epoch {run.scores['best_epoch']} of {len(run.history)} was the best on validation. "
        f"Training took {minutes:.1f} minutes.",
        f"Everything is in {folder}",
        "",
        "What next:",
        f"  python -m fer_lib audit {folder}",
        f"  python -m fer_lib export {folder} --to exported",
        f"  papermill notebooks/compare_runs.ipynb compare.ipynb -p results_dir {folder.parent}",
        f"  python -m fer_lib train -f {folder}/experiment.json weights={folder} epochs=10",
        "  # the last: 10 more epochs, as a run of their own",
    ]
    return "\n".join(lines)
