"""screen: bars are for those who watch."""

import logging
import os
import sys
import warnings
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


def test_a_notebook_shows_warnings_as_sentences_and_not_those_of_tensorflow(monkeypatch, capsys):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    logger = logging.getLogger("tensorflow")
    monkeypatch.setattr(logger, "filters", [])
    told = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    monkeypatch.setattr(logger, "handlers", [handler])
    screen.prepare_notebook()
    warnings.showwarning("PrivateTest is missing.", UserWarning, "faces.py", 1)
    assert capsys.readouterr() == ("Note: PrivateTest is missing.\n", "")
    logger.warning("5 out of the last 14 calls")
    logger.error("out of memory")
    assert told == ["out of memory"]
