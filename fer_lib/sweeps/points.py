"""One point of a sweep: an experiment, run through papermill in a process of its own.

Everything about the points lies in `sweep/` in the folder of their runs, named like the run:
`<run>.ipynb` (the executed notebook), `<run>.log`, `<run>.lock.<number>` while it runs and
`<run>.failed.json` if it failed.
"""

import dataclasses
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

from fer_lib import storage
from fer_lib.experiments.experiment import Experiment
from fer_lib.sweeps.locks import Lock, holder, is_stale, newest_lock

BUSY = 75  # exit status: somebody else runs this point (EX_TEMPFAIL)
TO_RUN = ("missing", "stopped", "failed")
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


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


def state(experiment):
    """Return how far a point has come, in one word, from its files.

    Returns:
        `"running"`; `"failed"`; `"stopped"` (its process is gone, killed for instance);
        `"finished"`; or `"missing"`.
    """
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
        return [Experiment(**point, results_dir=results_dir) for point in points], content
    except (TypeError, KeyError) as error:
        raise ValueError(
            f"{path} was written by another version of fer_lib ({error}): delete it."
        ) from None


def command(points_file, number, notebook):
    """Return the command line that runs a point: `python -c …`, a list of `str`."""
    code = "import sys; from fer_lib.sweeps.points import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", code, str(points_file), str(number), str(notebook)]


def main(words):
    """Run the point that a command line names: the file of points, its number, the notebook."""
    points_file, number, notebook = words
    # As Ctrl-C does, so that papermill ends its kernel before the lock is given back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    return run_point(read_points(points_file)[0][int(number)], notebook)


def thread_variables(cores):
    """Return the environment variables that hold a process to so many threads, as a dict."""
    return dict.fromkeys(THREADS, str(cores))


def run_point(experiment, notebook):
    """Run one point in this process, unless it is finished or somebody else runs it.

    Output goes to the point's log.

    Args:
        experiment: A resolved `Experiment`.
        notebook: Path of the notebook.

    Returns:
        An exit status: 0 if the run is finished, `BUSY`, or 1 if it failed.
    """
    lock = Lock(point_file(experiment, ".lock"), job=_job(), on_lost=lambda: os._exit(BUSY))
    lock.path.parent.mkdir(parents=True, exist_ok=True)
    if not lock.acquire():
        return BUSY
    finished, failed = False, point_file(experiment, ".failed.json")
    try:
        if lock.number == 0 and is_finished(experiment) and not failed.exists():
            finished = True  # by somebody else, between asking and locking
            return 0
        failed.unlink(missing_ok=True)
        _remove_leftovers(experiment)
        with open(point_file(experiment, ".log"), "a", encoding="utf-8") as log:
            os.dup2(log.fileno(), sys.stdout.fileno())
            os.dup2(log.fileno(), sys.stderr.fileno())
        try:
            _execute(experiment, notebook)
            finished = True
        except Exception as error:  # whatever the notebook raised
            text = (str(error).strip().splitlines() or [""])[-1]
            about = {"error": text or type(error).__name__, "job": _job(), "time": _now()}
            storage.write_json(failed, about)
            logging.exception("The notebook failed.")
        return int(not finished)
    finally:
        lock.release(forget=finished)


def _execute(experiment, notebook):
    import papermill

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    logging.info("\n%s %s on %s", _now(), experiment.name, socket.gethostname())
    parameters = dataclasses.asdict(experiment)
    with storage.replacing(point_file(experiment, ".ipynb")) as output:
        try:
            papermill.execute_notebook(
                str(notebook), str(output), parameters, progress_bar=False, log_output=True
            )
        except Exception:
            if output.exists():
                os.replace(output, point_file(experiment, ".failed.ipynb"))
            raise
    point_file(experiment, ".failed.ipynb").unlink(missing_ok=True)
    if not is_finished(experiment):
        raise RuntimeError(f"{notebook} ended without writing {experiment.name}/scores.json.")


def _remove_leftovers(experiment):
    """Remove the temporary files of a process that was killed; only for the lock's holder."""
    run = Path(experiment.results_dir) / experiment.name
    own = sweep_folder(experiment.results_dir).glob(f".????????.{experiment.name}.*")
    for path in [*own, *run.glob(".????????.*"), *run.glob("checkpoint/.????????.*")]:
        path.unlink()


def _job():
    """Return the name of the SLURM job that this process is, or `""`."""
    names = ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")
    return "_".join(os.environ[name] for name in names if name in os.environ)


def _now():
    return time.strftime("%Y-%m-%d %H:%M:%S")
