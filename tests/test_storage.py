"""storage: where things lie, and that a write happens whole or not at all."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fer_lib import storage


def test_fer_home_is_the_environment_s_or_the_user_s_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("FER_HOME", str(tmp_path))
    assert storage.fer_home() == tmp_path
    monkeypatch.setenv("FER_HOME", "~/faces")
    assert storage.fer_home() == Path.home() / "faces"
    for unset in ("", None):
        monkeypatch.setenv("FER_HOME", "") if unset == "" else monkeypatch.delenv("FER_HOME")
        assert storage.fer_home() == Path.home() / ".cache" / "fer_lib"


def test_replacing_writes_the_new_file_and_makes_its_folder(tmp_path):
    path = tmp_path / "new" / "folder" / "file.weights.h5"
    with storage.replacing(path) as temporary:
        assert temporary.parent == path.parent and temporary.name.endswith(".file.weights.h5")
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_write_that_is_broken_off_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error), storage.replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), storage.replacing(path):
        pass
    assert path.read_text() == "old"


def test_two_writers_do_not_share_a_temporary_file(tmp_path):
    path = tmp_path / "file.txt"
    with storage.replacing(path) as first, storage.replacing(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"


def test_json_comes_back_as_it_was_written(tmp_path):
    value = {"name": "größe", "list": [1, 2.5, None], "nested": {"a": True}}
    storage.write_json(tmp_path / "value.json", value)
    assert storage.read_json(tmp_path / "value.json") == value


def test_what_json_cannot_hold_leaves_the_old_file(tmp_path):
    path = tmp_path / "value.json"
    storage.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        storage.write_json(path, {"a": object()})
    assert storage.read_json(path) == {"a": 1}


def test_a_damaged_json_file_is_named(tmp_path):
    path = tmp_path / "value.json"
    path.write_text('{"a": ')
    with pytest.raises(ValueError, match="value.json is not valid JSON"):
        storage.read_json(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="value.json is not valid JSON"):
        storage.read_json(path)


def test_the_hash_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"faces")
    assert storage.file_hash(path) == hashlib.sha256(b"faces").hexdigest()
    assert storage.file_hash(path, "md5") == hashlib.md5(b"faces").hexdigest()


HOLD = (
    "import sys, time\nfrom fer_lib import storage\n"
    "with storage.locked(sys.argv[1]):\n    print('held', flush=True)\n    time.sleep(60)\n"
)


def test_a_file_held_by_another_process_is_refused_until_that_is_gone(tmp_path):
    path = tmp_path / "new" / "faces.csv"
    other = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        who = rf"faces\.csv is being written by process {other.pid} on {socket.gethostname()}"
        with pytest.raises(BlockingIOError, match=who), storage.locked(path):
            pytest.fail("two hold one file")
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
        other.stdout.close()
    os.utime(path.with_name(".faces.csv.lock"), (4e9, 4e9))  # whatever the clock says
    with storage.locked(path), storage.locked(path.with_name("faces.json")):
        pass
    assert not list(path.parent.iterdir())


def test_of_many_that_want_a_file_one_at_a_time_has_it(tmp_path):
    inside, most, had, failed = [], [], [], []

    def take():
        for _ in range(200):
            try:
                with storage.locked(tmp_path / "a"):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
                    had.append(1)
            except BlockingIOError:
                continue
            except OSError as error:  # nothing else may come of it
                failed.append(error)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1 and had and not failed and not list(tmp_path.iterdir())


def test_a_lock_clears_what_killed_writers_of_the_file_left_and_nothing_else(tmp_path):
    other = storage.temporary_name(tmp_path / "xa[1].csv").name
    keep = [other, ".0123abcd.a[1].csv", ".mine.a[1].csv", ".fer-0-1.a[1].csv", "a[1].csv"]
    for name in [*keep, storage.temporary_name(tmp_path / "a[1].csv").name]:
        (tmp_path / name).write_text("")
    with storage.locked(tmp_path / "a[1].csv"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(keep)


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def temporary_of(path, pid, host=None):
    """Write a temporary file as another process would have left it, and return its path."""
    name = storage.temporary_name(path).name.replace(f"-{os.getpid()}-", f"-{pid}-")
    name = name if host is None else name.replace(f".fer-{storage._host()}", f".fer-{host}")
    path.with_name(name).write_text("")
    return path.with_name(name)


def test_what_dead_processes_left_goes_with_the_next_write_and_what_lives_stays(tmp_path):
    dead = dead_process()
    gone = [temporary_of(tmp_path / name, dead) for name in ("a.csv", "other.npz")]
    folder = temporary_of(tmp_path / "folder", dead)
    folder.unlink()
    (folder / "below").mkdir(parents=True)
    elsewhere = temporary_of(tmp_path / "a.csv", dead, host="abcdef")
    alive = temporary_of(tmp_path / "a.csv", 1)
    storage.write_json(tmp_path / "new.json", {})
    assert not [path for path in [*gone, folder] if path.exists()]
    assert elsewhere.exists() and alive.exists()
    with storage.locked(tmp_path / "a.csv"):  # whoever it was that wrote it, nobody does now
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"new.json"}


def test_a_folder_appears_with_all_its_files_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "data"
    with pytest.raises(KeyboardInterrupt), storage.replacing_folder(path) as temporary:
        (temporary / "half").write_text("")
        raise KeyboardInterrupt
    assert not list(path.parent.iterdir())
    path.mkdir()  # an empty one gives way
    with storage.replacing_folder(path) as temporary:
        (temporary / "whole").write_text("")
    assert [file.name for file in path.iterdir()] == ["whole"]
    with pytest.raises(FileExistsError, match="data is there already"):
        with storage.replacing_folder(path) as temporary:
            (temporary / "other").write_text("")
    assert [file.name for file in path.iterdir()] == ["whole"]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["x" * 255, "표" * 85, "a.weights.h5"])
def test_a_file_with_the_longest_of_names_is_written(tmp_path, name):
    with storage.replacing(tmp_path / name) as temporary:
        temporary.write_text("new")
    assert (tmp_path / name).read_text() == "new" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError("encoder -2")])
def test_an_error_of_writing_names_the_file(tmp_path, error):
    with pytest.raises(OSError, match="scores.json"), storage.replacing(tmp_path / "scores.json"):
        raise error
    with pytest.raises(OSError, match=r"/a/scores.json"):
        with storage.replacing(tmp_path / "a/scores.json") as temporary:
            temporary.mkdir()
            temporary.write_text("")  # an error that names the temporary file
