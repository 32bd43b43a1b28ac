"""Locks: one process at a time, by files alone, so that they hold across hosts and after a crash.

A lock is a file `<name>.lock.<number>` created exclusively. Its holder touches it every
`BEAT` seconds. A lock that was not touched for `STALE` seconds, or whose process is gone from
this host, is taken over by creating the next number: two that try at once cannot both succeed,
because nothing is removed before its turn comes.
"""

import errno
import json
import os
import socket
import threading
import time
from pathlib import Path

from fer_lib import storage

BEAT = 5  # seconds between two signs of life
STALE = 120  # seconds without one after which a holder on another host counts as dead
# A notebook's kernel notices the death of its process within a second; a dead process's lock is
# left alone for longer than that, so that no two kernels write to one folder.
GRACE = BEAT + 2


class Lock:
    """A lock by name in a folder; see the module's own text.

    Args:
        path: Path without number, `folder/<name>.lock`. The folder must exist.
        job: Name of the holder's job in a queue, or `""`. What the same job held before it was
            requeued counts as stale at once.
        beat: Seconds between two signs of life; `BEAT` by default.
        on_lost: Called from the beating thread if another process took the lock over (after this
            one had been suspended for longer than `STALE`), or the folder was removed.
    """

    def __init__(self, path, *, job="", beat=None, on_lost=lambda: None):
        self.path, self.job, self.on_lost = Path(path), job, on_lost
        self.beat = beat or BEAT
        self.number, self._released, self._thread = None, threading.Event(), None

    def acquire(self):
        """Take the lock if it is free or stale; return whether it was taken."""
        number = 0
        newest = newest_lock(self.path)
        if newest:
            if not is_stale(newest, self.job):
                return False
            number = _number(newest) + 1
        holder = {"host": socket.gethostname(), "pid": os.getpid(), "job": self.job}
        if not _create(self._file(number), json.dumps(holder)):
            return False
        self.number = number
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return True

    def release(self, forget=False):
        """Give the lock back.

        Args:
            forget: Whether to remove older, stale locks too: only where nobody will want the
                lock again, because somebody may be about to take over one of them.
        """
        self._released.set()
        self._thread.join()
        self._file(self.number).unlink(missing_ok=True)
        for number in range(self.number if forget else 0):
            self._file(number).unlink(missing_ok=True)

    def _file(self, number):
        return self.path.with_name(f"{self.path.name}.{number}")

    def _beat(self):
        while not self._released.wait(self.beat):
            if self._file(self.number + 1).exists():
                self.on_lost()
                return
            try:
                os.utime(self._file(self.number))
            except OSError:
                # A file server may be away for a while, which STALE allows for.
                if self._folder_is_gone():
                    self.on_lost()
                    return

    def _folder_is_gone(self):
        try:
            return not self.path.parent.is_dir()
        except OSError:
            return False


def newest_lock(path):
    """Return the file of the lock's last holder, or `None` if nobody held it."""
    path = Path(path)
    found = [p for p in path.parent.glob(f"{path.name}.*") if p.suffix[1:].isdecimal()]
    return max(found, key=_number, default=None)


def holder(file):
    """Return `{"host", "pid", "job"}` of a lock's file; empty if it is gone or not yet written."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def is_stale(file, job=""):
    """Return whether a lock's holder is gone.

    Args:
        file: The lock's file.
        job: Name of the caller's job in a queue, or `""`.
    """
    try:
        age = _clock(file.parent) - file.stat().st_mtime
    except FileNotFoundError:
        return False  # released this moment: its turn comes with the next try
    who = holder(file)
    if job and who.get("job") == job:
        return True
    if _is_dead(who):
        return abs(age) > GRACE  # a clock that was set back does not bring it to life
    return age > STALE


def acquired(path, what, **options):
    """Return a lock that was taken, after waiting for a process that has just died here.

    Args:
        path: See `Lock`.
        what: What the message calls what is locked.
        **options: Of `Lock`.

    Raises:
        RuntimeError: If somebody holds it.
    """
    lock, end = Lock(path, job=job_name(), **options), time.monotonic() + 2 * GRACE
    while not lock.acquire():
        newest = newest_lock(path)
        who = holder(newest) if newest else {}
        if newest and (not _is_dead(who) or time.monotonic() > end):
            raise RuntimeError(
                f"{what} is being written by process {who.get('pid', '?')} on "
                f"{who.get('host', '?')}: wait until it ends, or stop it."
            )
        time.sleep(0.2)
    return lock


def job_name():
    """Return the name of the SLURM job that this process is, or `""`."""
    names = ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")
    return "_".join(os.environ[name] for name in names if name in os.environ)


def _is_dead(who):
    """Tell whether a lock's holder was a process of this host and is gone."""
    return who.get("host") == socket.gethostname() and not storage.process_lives(who["pid"])


def _clock(folder):
    """Return the time by the file system's clock, which other hosts' marks were made with."""
    probe = storage.temporary_name(folder / "clock")
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        probe.unlink(missing_ok=True)


def _create(path, text):
    """Write a new file, whole from its first moment; return `False` if it is there already."""
    temporary = storage.temporary_name(path)
    try:
        try:
            temporary.write_text(text, encoding="utf-8")
            os.link(temporary, path)
        except OSError as error:
            # Some file systems know no second name of a file.
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
                raise
            with open(path, "x", encoding="utf-8") as file:
                file.write(text)
    except FileExistsError:
        return False
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _number(file):
    return int(file.suffix[1:])
