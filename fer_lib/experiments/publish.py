"""Publishing: copies of what a report needs of finished runs, small and without faces."""

from pathlib import Path

from fer_lib import storage
from fer_lib.experiments.experiment import Experiment
from fer_lib.experiments.runs import load_run

# What a report needs of a run: no model, no face and no row of the data.
PUBLISHED = ("experiment.json", "environment.json", "history.csv", "scores.json")


def publish(folders, to):
    """Copy what a report needs of finished runs: parameters, environment, history and scores.

    The copies are small, hold neither model nor faces, and are read by `find_runs` like the runs
    themselves, so that tables and figures can be drawn again without training. `results_dir`, which
    is often a path of one machine, is the default in them.

    Args:
        folders: Folders of finished runs.
        to: Folder of the copies; each is named like its run.

    Returns:
        List of the copies' folders.

    Raises:
        FileNotFoundError: If a folder holds no finished run.
        FileExistsError: If another result was published under the same name.
        ValueError: If `to` is the folder that the runs themselves lie in.
    """
    found = [load_run(folder) for folder in folders]
    copies = [Path(to) / run.folder.name for run in found]
    for run, copy in zip(found, copies, strict=True):
        if not run.finished:
            raise FileNotFoundError(f"{run.folder} is not finished: it has no scores.json.")
        file = copy / "scores.json"
        if copy.resolve() == run.folder.resolve():
            raise ValueError(f"{run.folder} can not be its own copy: give another folder as `to`.")
        if file.exists() and storage.read_json(file) != run.scores:
            raise FileExistsError(f"{file} holds other scores; delete its folder to replace it.")
    for run, copy in zip(found, copies, strict=True):
        told = storage.read_json(run.folder / "experiment.json")
        told["results_dir"] = Experiment.results_dir
        storage.write_json(copy / "experiment.json", told)
        for name in PUBLISHED[1:]:  # scores.json last, as in the run itself
            with storage.replacing(copy / name) as temporary:
                temporary.write_bytes((run.folder / name).read_bytes())
    return copies
