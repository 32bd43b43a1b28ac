"""Disturbances: what may happen to a job, and whether anything was lost by it.

Each takes a `Bench`, a job and a random generator, and returns how many disturbances there were.
What is lost is raised as `Lost`.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from soak.children import FAILED, Child

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
STEPS = 60  # changes of files, of which a short job makes about as many
_REFUSED = re.compile("is being written by|is there already")
# Python's own word on a Ctrl-C that came while a library was called back by it; nothing ends.
_IGNORED = re.compile(r"Exception ignored in: .*?\nKeyboardInterrupt: *\n", re.DOTALL)
_CRASH = re.compile(r"Traceback \(most recent call last\)|terminate called|Segmentation fault")


class Lost(Exception):
    """Something was lost, or was told badly."""


class Bench:
    """Places for jobs, their undisturbed results, and the small disk.

    Args:
        folder: Folder for everything; a disk is mounted in it where that is allowed.
    """

    def __init__(self, folder):
        self.folder, self.number = Path(folder), 0
        self.results, self.seconds, self.bytes = {}, {}, {}
        self.logs = self.folder / "logs"
        self.logs.mkdir()
        self.logs.chmod(0o777)
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(self.disk)]
        self.mounted = os.name == "posix" and os.geteuid() == 0 and not _call(words)

    def close(self):
        """Take the disk away."""
        if self.mounted:
            _call(["umount", str(self.disk)])

    @contextlib.contextmanager
    def place(self, job, *, disk=False):
        """Yield a new folder with a job's inputs."""
        self.number += 1
        place = (self.disk if disk else self.folder) / f"place{self.number}"
        place.mkdir()
        place.chmod(0o755)
        try:
            job.fill(place)
            yield place
        finally:
            place.chmod(0o755)
            shutil.rmtree(place)

    def start(self, job, place, **options):
        """Start a job in its place."""
        self.number += 1
        return Child(job.work, place, self.logs / f"{self.number}.txt", **options)

    def learn(self, job):
        """Run a job that nobody disturbs, and keep its result."""
        if hasattr(job, "disturb"):
            return
        with self.place(job) as place:
            before = _size(place)
            begun = time.monotonic()
            _run(self, job, place)
            self.seconds[job.name] = time.monotonic() - begun
            self.bytes[job.name] = _size(place) - before
            self.results[job.name] = job.result(place)
        if not self.results[job.name]:
            raise RuntimeError(f"{job.name} leaves nothing")

    def check(self, job, place):
        """Raise unless a place holds the undisturbed result and nothing else."""
        wanted, found = self.results[job.name], job.result(place)
        if wanted != found:
            names = sorted(n for n in wanted | found if wanted.get(n) != found.get(n))
            raise Lost(f"other than undisturbed: {', '.join(names)}")


def kill(bench, job, random):
    """End a job by signals at random times, or before it changes one of its files; started
    again, it must come to its result."""
    done = 0
    with bench.place(job) as place:
        for _ in range(random.randint(1, 3)):
            if random.random() < 0.5:
                child = bench.start(job, place, step=random.randrange(STEPS))
                done += status_of(child, ok=(0, 1, -signal.SIGKILL)) < 0
                continue
            child = bench.start(job, place)
            if child.ended(random.uniform(0, 1.1) * bench.seconds[job.name]):
                status_of(child, ok=(0, 1))
                break
            number = random.choice(SIGNALS)
            child.send(number)
            done += 1
            status_of(child, ok=(0, 1, 130, 128 + number, -number))
        _finish(bench, job, place)
    return done


def fill_disk(bench, job, random):
    """Let the disk be full at some point; with room again, the job must come to its result."""
    room = int(random.uniform(0, 1.2) * bench.bytes[job.name])
    with bench.place(job, disk=bench.mounted) as place:
        if bench.mounted:
            filler = bench.disk / "filler"
            filler.write_bytes(b"")
            free = shutil.disk_usage(bench.disk).free
            with open(filler, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(1, free - room))
            child = bench.start(job, place)
            try:
                _told(child, _names(place))
            finally:
                filler.unlink()
        else:
            _told(bench.start(job, place, largest=room // 3), _names(place))
        _finish(bench, job, place)
    return 1


def read_only(bench, job, random):
    """Let the folder be read-only; nothing may change, and once it is not, all is well."""
    if not bench.mounted and os.geteuid() == 0:  # modes mean nothing to root
        return 0
    with bench.place(job) as place:
        before = _names(place)
        with _unwritable(place, mounting=bench.mounted):
            _told(bench.start(job, place), before)
        if _names(place) != before:
            raise Lost(f"written all the same: {sorted(_names(place) - before)}")
        _finish(bench, job, place)
    return 1


@contextlib.contextmanager
def _unwritable(place, *, mounting):
    if not mounting:  # not root, for whom modes mean nothing
        place.chmod(0o555)
        yield
        place.chmod(0o755)
        return
    _call(["mount", "--bind", str(place), str(place)])
    _call(["mount", "-o", "remount,ro,bind", str(place)])
    try:
        yield
    finally:
        if _call(["umount", str(place)]):
            _call(["umount", "-l", str(place)])


def damage(bench, job, random):
    """Damage a file; the job comes to its result all the same, or names the file."""
    with bench.place(job) as place:
        if job.begin(place):
            child = bench.start(job, place)
            if not child.ended(random.uniform(0.2, 1) * bench.seconds[job.name]):
                child.send(signal.SIGKILL)
            status_of(child, ok=(0, -signal.SIGKILL))
        files = [file for file in job.fragile(place) if file.stat().st_size]
        if not files:
            return 0
        file = random.choice(files)
        others = [other for other in files if other != file and other.suffix == file.suffix]
        others = others if file.match(job.swaps) else []
        how = spoil(file, others, random)
        child = bench.start(job, place)
        status = status_of(child, ok=(0, 1))
        try:
            if status == 0 or "is there already" in child.words:  # it had come to its end before
                bench.check(job, place)
                return 1
        except Lost as lost:
            if not job.tells(child.words, place, file):
                raise Lost(f"{how} {file.relative_to(place)}: {lost}") from None
        if not job.tells(child.words, place, file):
            raise Lost(f"{how} {file.relative_to(place)} is not named: {_last(child.words)}")
    return 1


def spoil(file, others, random):
    """Damage a file in one of five ways and return which."""
    content = bytearray(file.read_bytes())
    length = len(content)
    start = random.randrange(length)
    stop = min(length, start + random.choice((16, 300, length)))
    how = random.choice(("truncated", "zeroed", "random", "swapped", "emptied"))
    if how == "swapped" and not others:
        how = "zeroed"
    if how == "truncated":
        content = content[: random.randrange(length)]
    elif how == "zeroed":
        content[start:stop] = bytes(stop - start)
    elif how == "random":
        content[start:stop] = random.randbytes(stop - start)
    elif how == "swapped":
        content = random.choice(others).read_bytes()
    else:
        content = b""
    file.unlink()
    file.write_bytes(content)
    return how


def twins(bench, job, random):
    """Start a job twice at once; one result comes of it, and who is refused is told why."""
    with bench.place(job) as place:
        first = bench.start(job, place)
        time.sleep(random.choice((0, random.uniform(0, 1) * bench.seconds[job.name])))
        second = bench.start(job, place)
        for child in (first, second):
            if status_of(child, ok=(0, 1)) == 1 and not _REFUSED.search(child.words):
                raise Lost(f"a twin failed: {_last(child.words)}")
        _finish(bench, job, place)
    return 1


def _finish(bench, job, place):
    """Run a job to its end, which it may have come to before, and check the result."""
    child = bench.start(job, place)
    status = status_of(child, ok=(0, 1))
    if status and "is there already" not in child.words:
        raise Lost(f"it does not go on: {_last(child.words)}")
    bench.check(job, place)


def _run(bench, job, place):
    child = bench.start(job, place)
    if child.wait(600):
        raise RuntimeError(f"{job.name} fails undisturbed: {child.words[-3000:]}")


def _told(child, names):
    """Wait for a child that cannot write; it ends well or in one sentence that names a file."""
    if status_of(child, ok=(0, 1)):
        last = _last(child.words)
        named = any(Path(name).name in last for name in (*names, "out"))
        if not (last.startswith("fer_lib: ") and named):
            raise Lost(f"no file is named: {last}")


def status_of(child, ok):
    """Wait for a child and return its status; raise if it is another, or a library speaks."""
    try:
        status = child.wait(300)
    except TimeoutError as error:
        raise Lost(f"{error}: {_last(child.words)}") from None
    words = _IGNORED.sub("", child.words)
    if status == FAILED or status not in ok or _CRASH.search(words):
        raise Lost(f"status {status}: {words[-3000:]}")
    return status


def _last(words):
    return (words.strip().splitlines() or [""])[-1][-500:]


def _names(place):
    return {str(path.relative_to(place)) for path in place.rglob("*")}


def _size(place):
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def _call(words):
    return subprocess.run(words, capture_output=True).returncode


DISTURBANCES = {
    "kill": kill,
    "disk": fill_disk,
    "read only": read_only,
    "damage": damage,
    "twins": twins,
}
