"""The command line."""

import subprocess
import sys
import time

import pytest

from fer_lib.__main__ import main


def test_help_answers_without_heavy_imports():
    code = (
        "import sys; from fer_lib.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'keras', 'tensorflow', 'pandas', 'sklearn', 'matplotlib', 'numpy'}\n"
        "print(heavy & set(sys.modules))"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
    assert time.perf_counter() - started < 5  # half a second on an idle machine


def test_runs_says_so_when_there_are_none(tmp_path, capsys):
    assert main(["runs", str(tmp_path)]) == 0
    assert "No runs" in capsys.readouterr().out


def test_describe_prints_the_card(capsys):
    assert main(["describe", "fer2013"]) == 0
    assert "Licence" in capsys.readouterr().out


def test_an_error_is_one_line_and_a_status(capsys):
    assert main(["describe", "fer2031"]) == 1
    assert "did you mean 'fer2013'" in capsys.readouterr().err


def test_an_unknown_command_lists_the_known(capsys):
    with pytest.raises(SystemExit):
        main(["train"])
    assert "runs" in capsys.readouterr().err
