"""Worker: one process that runs one point of a sweep through papermill, under its lock."""

import dataclasses
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

from fer_lib import storage
from fer_lib.experiments.locks import Lock, job_name
from fer_lib.sweeps import points

BUSY = 75  # exit status: somebody else runs this point (EX_TEMPFAIL)


THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


def command(points_file, number, notebook):
    """Return the command line that runs a point: `python -c …`, a list of `str`."""
    code = "import sys; from fer_lib.sweeps.worker import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", code, str(points_file), str(number), str(notebook)]


def main(words):
    """Run the point that a command line names: the file of points, its number, the notebook."""
    points_file, number, notebook = words
    # As Ctrl-C does: papermill then ends its kernel before the lock is given back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    return run_point(points.read_points(points_file)[0][int(number)], notebook)


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
    lock = Lock(
        points.point_file(experiment, ".lock"), job=job_name(), on_lost=lambda: os._exit(BUSY)
    )
    lock.path.parent.mkdir(parents=True, exist_ok=True)
    if not lock.acquire():
        return BUSY
    finished, failed = False, points.point_file(experiment, ".failed.json")
    try:
        if lock.number == 0 and points.is_finished(experiment) and not failed.exists():
            finished = True  # by somebody else, between asking and locking
            return 0
        failed.unlink(missing_ok=True)
        _remove_leftovers(experiment)
        with open(points.point_file(experiment, ".log"), "a", encoding="utf-8") as log:
            os.dup2(log.fileno(), sys.stdout.fileno())
            os.dup2(log.fileno(), sys.stderr.fileno())
        try:
            _execute(experiment, notebook)
            finished = True
        except Exception as error:  # whatever the notebook raised
            text = (str(error).strip().splitlines() or [""])[-1]
            about = {"error": text or type(error).__name__, "job": job_name(), "time": _now()}
            storage.write_json(failed, about)
            logging.exception("The notebook failed.")
        return int(not finished)
    finally:
        lock.release(forget=finished)


def _execute(experiment, notebook):
    # A grammar of addresses that jsonschema takes where it is installed: seconds at each start.
    sys.modules.setdefault("rfc3987_syntax", None)
    import papermill

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    logging.info("\n%s %s on %s", _now(), experiment.name, socket.gethostname())
    parameters = dataclasses.asdict(experiment)
    with storage.replacing(points.point_file(experiment, ".ipynb")) as output:
        try:
            papermill.execute_notebook(
                str(notebook), str(output), parameters, progress_bar=False, log_output=True
            )
        except Exception:
            if output.exists():
                os.replace(output, points.point_file(experiment, ".failed.ipynb"))
            raise
    points.point_file(experiment, ".failed.ipynb").unlink(missing_ok=True)
    if not points.is_finished(experiment):
        raise RuntimeError(f"{notebook} ended without writing {experiment.name}/scores.json.")


def _remove_leftovers(experiment):
    """Remove the temporary files of a process that was killed; only for the lock's holder."""
    run = Path(experiment.results_dir) / experiment.name
    storage.remove_remains(run)
    for ending in (".ipynb", ".failed.json"):
        storage.remove_remains(points.point_file(experiment, ending))


def _now():
    return time.strftime("%Y-%m-%d %H:%M:%S")
