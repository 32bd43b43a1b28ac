"""locks: one holder at a time, whatever became of the last."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

from fer_lib.experiments import locks
from fer_lib.experiments.locks import Lock, newest_lock


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.lock"


def write_lock(path, number=0, *, age=0.0, **who):
    """Write the lock of somebody who last gave a sign of life `age` seconds ago."""
    file = path.with_name(f"{path.name}.{number}")
    file.write_text(json.dumps({"host": "elsewhere", "pid": 1, "job": ""} | who))
    then = time.time() - age
    os.utime(file, (then, then))
    return file


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_lock_has_one_holder_until_it_is_released(path):
    first, second = Lock(path), Lock(path)
    assert first.acquire() and not second.acquire()
    assert locks.holder(newest_lock(path))["pid"] == os.getpid()
    first.release()
    assert newest_lock(path) is None and second.acquire()
    second.release()
    assert list(path.parent.iterdir()) == []


def test_a_holder_elsewhere_counts_as_dead_only_after_a_long_silence(path):
    write_lock(path, age=locks.STALE - 20)
    assert not Lock(path).acquire()
    write_lock(path, age=locks.STALE + 20)
    lock = Lock(path)
    assert lock.acquire() and lock.number == 1
    assert not Lock(path).acquire()  # the new one is fresh
    lock.release()
    assert newest_lock(path).name == "run.lock.0"  # somebody may be taking it over: it stays
    assert lock.acquire()
    lock.release(forget=True)
    assert newest_lock(path) is None


def test_a_dead_process_of_this_host_is_noticed_sooner_but_not_at_once(path):
    here = {"host": locks.socket.gethostname(), "pid": dead_process()}
    write_lock(path, **here)
    assert not Lock(path).acquire()  # its kernel may live for another second
    write_lock(path, age=locks.GRACE + 1, **here)
    lock = Lock(path)
    assert lock.acquire()
    lock.release()
    write_lock(path, 5, age=locks.GRACE + 1, **here | {"pid": os.getpid()})
    assert not Lock(path).acquire()  # alive, only late


def test_a_clock_that_was_set_back_keeps_no_dead_process_alive(path):
    here = {"host": locks.socket.gethostname(), "pid": dead_process()}
    write_lock(path, age=-3600, **here)
    lock = Lock(path)
    assert lock.acquire()
    lock.release()
    write_lock(path, 5, age=-3600, **here | {"pid": os.getpid()})
    assert not Lock(path).acquire()


def test_who_waits_is_told_who_writes_and_a_dead_process_is_waited_for(path, monkeypatch):
    write_lock(path, host="elsewhere", pid=17)
    with pytest.raises(RuntimeError, match="the run is being written by process 17 on elsewhere"):
        locks.acquired(path, "the run")
    monkeypatch.setattr(locks, "GRACE", 0.5)
    write_lock(path, host=locks.socket.gethostname(), pid=dead_process())
    lock = locks.acquired(path, "the run")
    assert lock.number == 1
    lock.release(forget=True)


def test_a_holder_learns_that_its_folder_was_removed(tmp_path):
    lost, folder = threading.Event(), tmp_path / "run"
    folder.mkdir()
    lock = Lock(folder / "run.lock", beat=0.05, on_lost=lost.set)
    assert lock.acquire()
    shutil.rmtree(folder)
    assert lost.wait(5)


def test_a_requeued_job_takes_over_from_itself_at_once(path):
    write_lock(path, job="17_3")
    assert not Lock(path, job="17_4").acquire()
    lock = Lock(path, job="17_3")
    assert lock.acquire()
    lock.release()


def test_a_holder_gives_signs_of_life(path):
    lock = Lock(path, beat=0.05)
    assert lock.acquire()
    os.utime(newest_lock(path), (0, 0))
    time.sleep(0.5)
    assert time.time() - newest_lock(path).stat().st_mtime < 5
    lock.release()


def test_a_holder_learns_that_it_was_taken_over(path):
    lost = multiprocessing.Event()
    lock = Lock(path, beat=0.05, on_lost=lost.set)
    assert lock.acquire()
    write_lock(path, 1)
    assert lost.wait(5)
    lock.release()
    assert newest_lock(path).name == "run.lock.1"  # the other's lock is not touched


def _contend(path, barrier, results):
    lock = Lock(path)
    barrier.wait()
    results.put(lock.acquire())
    barrier.wait()


@pytest.mark.parametrize("stale", [False, True])
def test_of_many_that_try_at_once_one_succeeds(path, stale):
    context = multiprocessing.get_context("fork")
    for number in range(5):
        target = path.with_name(f"{number}.lock")
        if stale:
            write_lock(target, age=locks.STALE + 20)
        barrier, results = context.Barrier(6), context.Queue()
        arguments = (target, barrier, results)
        processes = [context.Process(target=_contend, args=arguments) for _ in range(6)]
        for process in processes:
            process.start()
        won = [results.get(timeout=20) for _ in processes]
        for process in processes:
            process.join()
        assert sum(won) == 1


def test_an_unreadable_lock_is_somebody_s(path):
    path.with_name("run.lock.0").write_text("")  # created, its content not yet written
    assert not Lock(path).acquire()
