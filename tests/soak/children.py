"""Work in forked processes, whose words are kept: what is imported once serves them all."""

import itertools
import os
import resource
import signal
import sys
import time
import traceback

from support.kills import is_change

FAILED = 99  # exit status of work that ended with an error nobody expected


class Child:
    """Work that runs in a forked process, in a folder.

    Args:
        work: Function without arguments that returns an exit status.
        folder: Its working folder.
        log: File that its words go to.
        largest: Bytes that a file may have, or `None`.
        step: How many changes of files in the folder it makes before it is killed, or `None`.
    """

    def __init__(self, work, folder, log, *, largest=None, step=None):
        self.log = log
        log.touch()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            status = FAILED
            try:
                _begin(folder, log, largest)
                if step is not None:
                    _kill_at(step, folder)
                status = work() or 0
            except KeyboardInterrupt:
                status = 130
            except SystemExit as stop:
                status = stop.code or 0
            except BaseException:
                traceback.print_exc()
            finally:
                _end(status)

    def wait(self, seconds=120.0):
        """Return the exit status, below 0 for a signal; kill it after so many seconds."""
        end = time.monotonic() + seconds
        while True:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.pid = None
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > end:
                self.send(signal.SIGKILL)
                os.waitpid(self.pid, 0)
                self.pid = None
                raise TimeoutError(f"it did not end within {seconds:g} s")
            time.sleep(0.005)

    def ended(self, seconds):
        """Return whether it ends within so many seconds; it is left alone if not."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return True
            time.sleep(0.002)
        return False

    def send(self, number):
        """Send it a signal."""
        os.kill(self.pid, number)

    @property
    def words(self):
        """What it has said so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def _begin(folder, log, largest):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.chdir(folder)
    os.environ["FER_HOME"] = str(folder / "home")
    if largest is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an OSError instead
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))


def _kill_at(step, folder):
    """Kill this process before it makes, renames or deletes one more file or folder."""
    done = itertools.count()

    def look(event, args):
        if is_change(event, args):
            if os.path.abspath(args[0]).startswith(f"{folder}{os.sep}") and next(done) == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def _end(status):
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, KeyboardInterrupt):
            pass
    os._exit(status)
