"""The command line."""

import re
import subprocess
import sys
import time
import tomllib

import numpy as np
import pytest

import fer_lib
from fer_lib.__main__ import SECTIONS, commands, main
from fer_lib.experiments.runs import Run
from support.finished_runs import write_run
from support.places import ROOT, write_fer2013_csv


def test_help_answers_without_heavy_imports():
    code = (
        "import sys; from fer_lib.__main__ import main\n"
        "main(['--help'])\n"
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


def test_describe_counts_what_lies_at_a_path(tmp_path, capsys):
    data = write_fer2013_csv(tmp_path / "faces.csv")
    assert main(["describe", str(data)]) == 0
    told = capsys.readouterr().out
    assert "train: faces.csv" in told and " faces\n" in told and "surprise" in told


def test_a_wrong_format_is_told_before_the_run_is_read(capsys):
    assert main(["export", "nowhere", "--to", "x", "--formats", "webb"]) == 1
    assert "did you mean 'web'" in capsys.readouterr().err


def test_describe_prints_the_card(capsys):
    assert main(["describe", "fer2013"]) == 0
    assert "Licence" in capsys.readouterr().out


def test_an_error_is_one_line_and_a_status(capsys):
    assert main(["describe", "fer2031"]) == 1
    assert "did you mean 'fer2013'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tarin"], "Did you mean 'train'"),
        (["predict"], "Missing argument 'PATH...'"),
        (["page", "--modle", "x"], "Did you mean '--model'"),
        (["predict", "--modle", "x", "a.png"], "Did you mean one of: '--model'"),
        (["video", "in.mp4", "--every", "x"], "'x' is not a valid integer"),
        (["train", "epcohs=3"], "did you mean 'epochs'"),
        (["train", "epochs"], "written NAME=VALUE; got 'epochs'"),
        (["train", "-f", "no.yaml"], "no.yaml: No such file or directory."),
        (["compare", "no_run", "nor_this"], "No finished run in no_run/"),
        (["evaluate", "no_model", "synthetic"], "no_model"),
        (["sweep", "dataset=synthetic", "--engine", "pbs"], "'pbs' is not one of"),
        (["audit", "no_such_thing"], "no_such_thing"),
        (["export", "a", "--formats", "--to", "x"], "'--formats' requires an argument"),
        (["export", "no_run", "--to", "x"], "no_run is not a run's folder"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_status_1(words, told, capsys):
    assert main(words) == 1
    err = capsys.readouterr().err
    assert told in err and err.startswith("fer_lib: ") and err.count("\n") == 1


def test_each_command_has_a_section_a_summary_and_an_example(capsys):
    assert main([]) == 0
    overview = capsys.readouterr().out
    assert all(f"{section}:\n" in overview for section in SECTIONS)
    for name, command in commands.commands.items():
        assert f"\n  {name} " in overview and command.section in SECTIONS
        assert main([name, "--help"]) == 0
        text = capsys.readouterr().out
        assert f"Example:\n  fer {name} {command.example}".rstrip() in text
        assert not any(option.help is None for option in command.params if option.opts[0] == "--")


def test_the_version_is_the_library_s(capsys):
    assert main(["--version"]) == 0
    assert fer_lib.__version__ in capsys.readouterr().out


def test_the_installed_command_is_this_one():
    with open(ROOT / "pyproject.toml", "rb") as file:
        assert tomllib.load(file)["project"]["scripts"] == {"fer": "fer_lib.__main__:main"}


def test_ctrl_c_is_one_line_and_status_130(tmp_path):
    code = (
        "import os, signal, sys; from fer_lib import __main__ as door\n"
        "from fer_lib.data import catalogue\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background\n"
        "catalogue.describe = lambda name: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.exit(door.main(['describe']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.strip() == "fer_lib: stopped."


def test_a_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -m fer_lib describe | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stderr == ""


def test_without_a_name_describe_lists_the_data_sets(capsys):
    from fer_lib.data.catalogue import DATASETS

    assert main(["describe"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(DATASETS)
    assert "35,887" in lines[0]


def test_train_runs_the_experiment_of_files_and_words(tmp_path, monkeypatch, capsys):
    from fer_lib.experiments import runner

    result, asked = write_run(tmp_path), []
    monkeypatch.setattr(runner, "run", lambda experiment: asked.append(experiment) or result)
    (tmp_path / "a.yaml").write_text("epochs: 7\nlearning_rate: 1e-4\nunfreeze: 100\n")
    words = ["dataset=synthetic", "weights=None", "epochs=3"]
    assert main(["train", *words, "-f", str(tmp_path / "a.yaml")]) == 0
    this = asked[0]
    assert (this.dataset, this.epochs, this.learning_rate) == ("synthetic", 3, 1e-4)
    assert this.weights is None and this.unfreeze == "100"
    out = capsys.readouterr().out
    assert "macro_f1" in out and str(result.folder) in out


@pytest.mark.parametrize(
    ("content", "told"),
    [("- epochs", "must hold names"), ("a: [", "is not valid YAML"), ("epcohs: 3", "'epochs'")],
)
def test_train_names_what_is_wrong_with_a_recipe(content, told, tmp_path, capsys):
    (tmp_path / "a.yaml").write_text(content)
    assert main(["train", "-f", str(tmp_path / "a.yaml")]) == 1
    assert told in capsys.readouterr().err


def test_compare_tests_runs_against_the_best_or_the_one_named(tmp_path, capsys):
    first, second, third = (str(write_run(tmp_path, seed=n, answers=n).folder) for n in range(3))
    assert main(["compare", first, second]) == 0
    table = capsys.readouterr().out
    assert first in table and second in table and third not in table
    assert "p_holm" in table and "accuracy − best [95 % interval]" in table
    assert re.search(r"mean of their probabilities: accuracy 0\.\d+ \[", table)
    assert main(["compare", str(tmp_path), "--to", third]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if "px" in line}
    assert set(lines) == {first, second, third} and lines[third].endswith("best")


def test_compare_wants_two_finished_runs(tmp_path, capsys):
    first = str(write_run(tmp_path).folder)
    stopped = str(write_run(tmp_path, seed=1, finished=False).folder)
    assert main(["compare", first]) == 1
    assert "Two runs or more" in capsys.readouterr().err
    assert main(["compare", first, stopped]) == 1
    assert f"{stopped} is not finished" in capsys.readouterr().err


def test_evaluate_scores_a_shipped_model_on_a_data_set(tmp_path, monkeypatch, capsys):
    from fer_lib.data import catalogue

    few = catalogue.load_synthetic(train=14, validation=14, test=28)
    monkeypatch.setattr(catalogue, "load_dataset", lambda name: few)
    csv = tmp_path / "scores.csv"
    assert main(["evaluate", "default", "synthetic", "--whole", "--csv", str(csv)]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = dict(line.split(maxsplit=1) for line in lines if " " in line.strip())
    assert rows["n"].strip() == "56" and 0 <= float(rows["accuracy"]) <= 1
    assert csv.read_text().startswith("model,")


def test_evaluate_writes_answers_as_a_published_run_holds_them(tmp_path, monkeypatch, capsys):
    from fer_lib.data import catalogue
    from fer_lib.inference.predictor import load_predictor

    few = catalogue.load_synthetic(train=14, validation=14, test=28)
    monkeypatch.setattr(catalogue, "load_dataset", lambda name: few)
    file = tmp_path / "predictions.npz"
    assert main(["evaluate", "default", "synthetic", "--predictions", str(file)]) == 0
    (tmp_path / "experiment.json").touch()
    found = Run(tmp_path).predictions
    assert (found["ids"] == few["test"].ids).all() and (
        found["labels"] == few["test"].classes
    ).all()
    answers = load_predictor("default").predict(few["test"].images)
    np.testing.assert_allclose(found["probabilities"], answers, atol=5e-4)
    for wrong in (["default", "a", "b"], ["default", "a", "--whole"], [str(tmp_path), "a"]):
        assert main(["evaluate", *wrong, "--predictions", str(file)]) == 1
        assert "model's answers to the test faces of one data set" in capsys.readouterr().err


def test_several_words_after_one_option_are_all_taken(tmp_path, monkeypatch, capsys):
    from fer_lib.experiments import model_card

    run, asked = write_run(tmp_path).folder, {}

    def ship(run, to, **options):
        import pandas as pd

        asked.update(options)
        return pd.DataFrame()

    monkeypatch.setattr(model_card, "ship", ship)
    words = ["--formats", "keras", "litert_int8", "--name", "small"]
    assert main(["export", str(run), "--to", "x", *words]) == 0
    assert (asked["formats"], asked["name"]) == (["keras", "litert_int8"], "small")


# In the place of a command's work: import TensorFlow, and say so.
IMPORTING = (
    "import sys; from fer_lib import __main__ as door\n"
    "from fer_lib.data import catalogue\n"
    "catalogue.describe = lambda name: __import__('tensorflow').__version__\n"
    "sys.exit(door.main(['describe']))"
)


def test_what_an_import_of_tensorflow_writes_is_kept_back(tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        "import os; os.write(2, os.environ['TF_CPP_MIN_LOG_LEVEL'].encode()); __version__ = '2.20'"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{IMPORTING}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2.20\n", "")


@pytest.mark.slow
def test_tensorflow_is_imported_without_its_log():
    command = [sys.executable, "-c", IMPORTING]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == "" and done.stdout.count(".") == 2


@pytest.fixture
def called(monkeypatch):
    """What the commands hand over, instead of doing it."""
    import pandas as pd

    from fer_lib.audit import report
    from fer_lib.audit.finding import Finding
    from fer_lib.vision import face_table, page, people, photos, video, webcam

    calls = []

    def record(result):
        return lambda *words, **options: calls.append((words, options)) or result

    table = pd.DataFrame([["a.png", "happy"]], columns=["source", "emotion"])
    table.attrs = {"read": 1, "frames": 1}
    monkeypatch.setattr(photos, "recognise", record(table))
    monkeypatch.setattr(face_table, "screen_table", lambda table: table.to_string())
    monkeypatch.setattr(video, "predict_video", record(table))
    monkeypatch.setattr(people, "people_text", lambda table: "1 person")
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


def test_video_hands_over_its_options_and_says_what_is_written(called, capsys):
    words = ["video", "in.mp4", "--model", "m", "--every", "2", "--timeline", "t.png"]
    assert main([*words, "--from", "1:30", "--to", "95", "--baseline", "90-91s"]) == 0
    (words, options), *_ = called
    assert words == ("in.mp4", "m") and options["every"] == 2 and options["timeline"] == "t.png"
    assert (options["start"], options["end"], options["baseline"]) == (90, 95, (90, 91))
    assert capsys.readouterr().out == "1 person\nt.png is written.\n"
    assert main(["video", "a.mp4", "b.mp4"]) == 0
    assert called[1][0] == (["a.mp4", "b.mp4"], "default")
    assert main(["video", "a.mp4", "--from", "soon"]) == 1


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
