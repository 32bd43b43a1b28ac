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


@pytest.fixture
def called(monkeypatch):
    """What the commands hand over, instead of doing it."""
    import pandas as pd

    from fer_lib.audit import report
    from fer_lib.audit.finding import Finding
    from fer_lib.vision import page, photos, video, webcam

    calls = []

    def record(result):
        return lambda *words, **options: calls.append((words, options)) or result

    table = pd.DataFrame([["a.png", "happy"]], columns=["source", "emotion"])
    monkeypatch.setattr(photos, "predict_photos", record(table))
    monkeypatch.setattr(photos, "screen_table", lambda table: table.to_string())
    monkeypatch.setattr(video, "predict_video", record(table))
    monkeypatch.setattr(webcam, "show_webcam", record([]))
    monkeypatch.setattr(page, "serve", record(None))
    monkeypatch.setattr(report, "audit", record([Finding("split", "fail", {}, "It is shared.")]))
    return calls


def test_predict_hands_over_its_options(called, capsys):
    words = ["predict", "a.png", "b", "--model", "m.tflite", "--out", "t.csv", "--annotated", "d"]
    assert main(words) == 0
    ((paths, model), options), *_ = called
    assert (paths, model) == (["a.png", "b"], "m.tflite")
    assert (options["out"], options["annotated"], options["overwrite"]) == ("t.csv", "d", False)
    assert "happy" in capsys.readouterr().out


def test_video_hands_over_its_options(called):
    words = ["video", "in.mp4", "--model", "m", "--every", "2", "--timeline", "t.png"]
    assert main(words) == 0
    (words, options), *_ = called
    assert words == ("in.mp4", "m") and options["every"] == 2 and options["timeline"] == "t.png"


def test_webcam_and_page_hand_over_their_options(called):
    assert main(["webcam", "--camera", "1", "--model", "m"]) == 0
    assert main(["page", "--port", "7999", "--model", "m"]) == 0
    assert called[0][0] == ("m", 1)
    assert called[1] == (("m",), {"port": 7999, "show": print})


def test_without_a_model_the_shipped_one_answers(called):
    assert main(["predict", "a.png"]) == 0
    assert called[0][0] == (["a.png"], "default")


def test_audit_prints_its_findings_and_fails_with_a_check(called, capsys, tmp_path):
    assert main(["audit", "fer2013", "--json", str(tmp_path / "a.json")]) == 1
    assert "It is shared." in capsys.readouterr().out
    assert (tmp_path / "a.json").exists()


def test_a_stop_by_the_keyboard_is_one_line(monkeypatch, called, capsys):
    from fer_lib.vision import video

    def stopped(*words, **options):
        raise KeyboardInterrupt("The rows so far are in t.csv.part.")

    monkeypatch.setattr(video, "predict_video", stopped)
    assert main(["video", "in.mp4", "--model", "m"]) == 130
    assert "t.csv.part" in capsys.readouterr().err


def test_the_state_of_a_sweep_is_told_though_slurm_does_not_answer(tmp_path, monkeypatch, capsys):
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho 'no controller' >&2\nexit 1\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    words = ["dataset=synthetic", "weights=None", f"results_dir={tmp_path}"]
    assert main(["sweep", *words, "--status"]) == 0
    out = capsys.readouterr().out
    assert "not known: squeue failed: no controller" in out and "missing" in out
