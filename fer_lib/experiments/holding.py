"""Holding a run's folder: by one process at a time, which says in a sentence how it was left."""

import _thread
import contextlib
import socket
import threading

from fer_lib import storage
from fer_lib.experiments import locks


class Stopped(KeyboardInterrupt):
    """Ctrl-C during a run, with a sentence on what is kept; a notebook shows that alone."""

    def _render_traceback_(self):  # what IPython shows in place of a traceback
        return [str(self)]


@contextlib.contextmanager
def one_process(folder):
    """Hold a run's folder for this process, and say in a sentence how it was left."""
    from fer_lib.training import checkpoints

    lost, in_main = [], threading.current_thread() is threading.main_thread()

    def on_lost():
        lost.append(folder)
        if in_main:
            _thread.interrupt_main()

    lock = locks.acquired(folder / "run.lock", folder, on_lost=on_lost)
    try:
        storage.remove_remains(folder)
        yield
        _forget_host(folder)
    except KeyboardInterrupt:
        if lost:
            raise RuntimeError(
                f"{folder} was removed, or another process took it over: training has stopped."
            ) from None
        done = len(checkpoints.read_history(folder))
        raise Stopped(
            f"Stopped after {done} finished epochs; the same command goes on from there ({folder})."
        ) from None
    finally:
        lock.release(forget=True)


def _forget_host(folder):
    """Take this machine's name out of the names of TensorBoard's files."""
    host = socket.gethostname()
    for path in (folder / "tensorboard").glob("**/*tfevents*"):
        if host in path.name:
            path.rename(path.with_name(path.name.replace(host, "host")))
