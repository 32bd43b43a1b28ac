"""screen: bars are for those who watch."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from fer_lib import screen


@pytest.fixture
def unwatched(monkeypatch):
    for name in ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)


def test_a_log_holds_no_bars(unwatched, capsys):
    assert list(screen.progress(range(3), "work", delay=0)) == [0, 1, 2]
    bar = screen.progress(text="work", total=2, delay=0)
    bar.set_description("other work")
    bar.update(1)
    assert bar.n == 1
    bar.write("a line")
    bar.close()
    assert capsys.readouterr() == ("a line\n", "")


def test_in_a_terminal_a_bar_says_what_the_work_is(unwatched, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(screen.progress(range(3), "work", delay=0)) == [0, 1, 2]
    assert "work" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["JPY_SESSION_NAME", "VSCODE_PID"])
def test_an_open_notebook_is_watched(name, unwatched, monkeypatch):
    assert not screen.watched()
    monkeypatch.setenv(name, "notebook.ipynb")
    assert screen.watched()


def test_what_native_libraries_write_is_kept_back_in_threads_too(capfd):
    def work(number):
        os.write(2, b"noise")
        return number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda n: screen.without_stderr(work, n), range(40))) == [*range(40)]
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
    with pytest.raises(ValueError, match="mine"):
        screen.without_stderr(int, "mine")
