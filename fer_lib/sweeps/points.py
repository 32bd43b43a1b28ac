"""Points of a sweep: their files, how far each has come, and what `"auto"` means in them.

Everything about the points lies in `sweep/` in the folder of their runs, named like the run:
`<run>.ipynb` (the executed notebook), `<run>.log`, `<run>.lock.<number>` while it runs and
`<run>.failed.json` if it failed.
"""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

from fer_lib import storage
from fer_lib.experiments.experiment import from_record
from fer_lib.experiments.locks import holder, is_stale, newest_lock

TO_RUN = ("missing", "stopped", "failed")


def sweep_folder(results_dir):
    """Return the folder of a sweep's own files."""
    return Path(results_dir) / "sweep"


def point_file(experiment, ending):
    """Return the file of a point with this ending: `.ipynb`, `.log`, `.lock`, `.failed.json`."""
    return sweep_folder(experiment.results_dir) / f"{experiment.name}{ending}"


def find_notebook(notebook=None):
    """Return the notebook that a sweep runs.

    Args:
        notebook: Its path, or `None` for the checkout's `notebooks/run_experiment.ipynb`.

    Raises:
        FileNotFoundError: If it is not there; installed packages have no notebooks.
    """
    checkout = Path(__file__).resolve().parents[2] / "notebooks" / "run_experiment.ipynb"
    path = Path(notebook).resolve() if notebook else checkout
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no notebook {path}. A sweep runs run_experiment.ipynb of a checkout of "
            "fer_lib (pip install -e . there), or the notebook that is named."
        )
    return path


def locked(results_dir):
    """Return the names of a sweep's points of which there are locks, held or stale, a set.

    One listing for all points: each by itself would list the folder of all of them anew.
    """
    try:
        names = os.listdir(sweep_folder(results_dir))
    except FileNotFoundError:
        return set()
    return {name.rpartition(".lock.")[0] for name in names}


def states(experiments):
    """Return `state` of each point of a sweep, a list."""
    known = locked(experiments[0].results_dir) if experiments else ()
    return [state(experiment, known) for experiment in experiments]


def state(experiment, known=None):
    """Return how far a point has come, in one word, from its files.

    Args:
        experiment: A resolved `Experiment`.
        known: Set of `locked`, which is asked in place of the folder; or `None`.

    Returns:
        `"running"`; `"failed"`; `"stopped"` (its process is gone, killed for instance);
        `"finished"`; or `"missing"`.
    """
    lock = None
    if known is None or experiment.name in known:
        lock = newest_lock(point_file(experiment, ".lock"))
    if lock and not is_stale(lock):
        return "running"
    if point_file(experiment, ".failed.json").exists():
        return "failed"
    if lock:  # also where it had its scores but not yet its notebook
        return "stopped"
    if is_finished(experiment):
        return "finished"
    begun = Path(experiment.results_dir) / experiment.name / "experiment.json"
    return "stopped" if begun.exists() else "missing"


def is_finished(experiment):
    """Return whether the point's run has its scores."""
    return (Path(experiment.results_dir) / experiment.name / "scores.json").exists()


def details(experiment):
    """Return what a reader wants to know of a point besides its state, as text."""
    lock = newest_lock(point_file(experiment, ".lock"))
    failed = point_file(experiment, ".failed.json")
    if lock and not is_stale(lock):
        who = holder(lock)
        text = f"on {who.get('host', '?')}, process {who.get('pid', '?')}"
        return f"{text}, job {who['job']}" if who.get("job") else text
    if failed.exists():
        return f"{storage.read_json(failed)['error']} (see {point_file(experiment, '.log')})"
    return ""


def write_points(path, experiments, **about):
    """Write the points of a sweep, resolved, with a few words about them.

    Args:
        path: JSON file.
        experiments: List of `Experiment`.
        **about: Further entries.
    """
    points = [experiment.identity() for experiment in experiments]
    storage.write_json(path, about | {"points": points})


def read_points(path):
    """Return `(experiments, about)` as written by `write_points`.

    Raises:
        ValueError: If the file was written by a version with other parameters.
    """
    content = storage.read_json(path)
    results_dir = str(Path(path).parent.parent)
    try:
        points = content.pop("points")
        return [from_record(point | {"results_dir": results_dir}) for point in points], content
    except (TypeError, KeyError) as error:
        raise ValueError(
            f"{path} was written by another version of fer_lib ({error}): delete it."
        ) from None


def points_file(grid):
    """Return the file in which a grid's points are written once `"auto"` in them is resolved."""
    asked = json.dumps([p.identity() for p in grid.points], sort_keys=True)
    digest = hashlib.sha256(asked.encode()).hexdigest()[:8]
    return sweep_folder(grid.results_dir) / f"grid-{digest}.json"


def prepare(grid):
    """Check every choice in the grid and settle what `"auto"` means, once for the whole sweep.

    What was settled is written down, so that `"auto"` means the same when the sweep is started
    again elsewhere or after a download.

    Args:
        grid: A `grid.Grid`.

    Returns:
        `(experiments, notices)`: lists of resolved `Experiment` and of sentences that the reader
        must see.

    Raises:
        ValueError: If a choice is unknown; nothing has run then.
        FileNotFoundError: If a data set or a file of weights is not there.
    """
    path = points_file(grid)
    if not path.exists():
        experiments, notices = _resolve(grid)
        write_points(path, experiments, notices=notices)
    experiments, about = read_points(path)
    return experiments, about["notices"]


def _resolve(grid):
    from fer_lib.experiments import runner

    settled, notices = {}, []
    for experiment in grid.points:
        experiment.validate()
        key = (experiment.dataset, experiment.backbone, experiment.alpha, experiment.weights)
        if key not in settled:
            settled[key], new = runner.resolve(experiment)
            notices += [notice for notice in new if notice not in notices]
            _check_files(settled[key])
    return [
        dataclasses.replace(p, dataset=s.dataset, weights=s.weights)
        for p in grid.points
        for s in [settled[p.dataset, p.backbone, p.alpha, p.weights]]
    ], notices


def _check_files(experiment):
    from fer_lib.choices import lookup
    from fer_lib.data import catalogue

    for name in catalogue.parts_of(experiment.dataset):
        if not Path(name).exists():
            lookup(catalogue.DATASETS, name, "data set (and no file or folder)")
    if (
        experiment.weights not in (None, "imagenet", "fer")
        and not Path(experiment.weights).exists()
    ):
        raise FileNotFoundError(
            "weights must be auto, imagenet, fer, None (a random start) or a file; there is no "
            f"{experiment.weights!r}."
        )
