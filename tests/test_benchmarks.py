"""benchmark: every script is known, runs, and hands its rows over."""

import ast
import importlib.util
import json
import subprocess
import sys

import pandas as pd
import pytest

from support.places import ROOT

_SPEC = importlib.util.spec_from_file_location("bench", ROOT / "tests/benchmarks/__main__.py")
benchmark = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(benchmark)


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """A folder of two benchmarks, one of which fails."""
    good = (
        "import json, pathlib, sys\n"
        "path = pathlib.Path(sys.argv[sys.argv.index('--json') + 1])\n"
        "size = 'full' if '--full' in sys.argv else 'small'\n"
        "path.write_text(json.dumps([{'case': size, 'way': 'ours', 'median': 1.0}]))\n"
        "print('a table')\n"
    )
    (tmp_path / "good.py").write_text(good)
    (tmp_path / "bad.py").write_text("raise ValueError('no clock')\n")
    monkeypatch.setattr(benchmark, "FOLDER", tmp_path)
    monkeypatch.setattr(benchmark, "BENCHMARKS", {"good": "what works", "bad": "what fails"})
    return tmp_path


def test_every_benchmark_is_a_script_that_says_how_to_run_it():
    for name in benchmark.BENCHMARKS:
        source = (benchmark.FOLDER / f"{name}.py").read_text()
        assert f"python tests/benchmarks/{name}.py" in ast.get_docstring(ast.parse(source))


def test_rows_are_collected_and_a_failure_is_a_row_with_its_reason(scripts):
    shown = []
    rows = benchmark.run_benchmarks(show=shown.append)
    assert rows[0] == {"benchmark": "good", "case": "small", "way": "ours", "median": 1.0}
    assert rows[1]["case"] == "failed" and rows[1]["note"] == "ValueError: no clock"
    assert any("a table" in text for text in shown)
    (row,) = benchmark.run_benchmarks(["good"], full=True)
    assert row["case"] == "full"


def test_the_command_writes_the_rows_and_tells_of_a_failure_by_its_status(scripts, capsys):
    path = scripts / "rows.json"
    assert benchmark.main(["--only", "good", "--json", str(path)]) == 0
    assert json.loads(path.read_text())[0]["benchmark"] == "good"
    assert benchmark.main(["--json", str(scripts / "rows.csv")]) == 1
    assert list(pd.read_csv(scripts / "rows.csv").benchmark) == ["good", "bad"]
    with pytest.raises(SystemExit):
        benchmark.main(["--only", "god"])
    assert "did you mean 'good'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        benchmark.main(["--only", "good", "--json", "rows.txt"])


def test_files_too_large_for_the_way_back_are_cut_and_put_together(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("lent", benchmark.FOLDER / "lent_gpu.py")
    lent = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lent)
    monkeypatch.setattr(lent, "PART", 100)
    files = {"runs/one/checkpoint/0002.optimizer.npz": bytes(range(250)), "plan.json": b"{}"}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    lent.split(tmp_path)
    sizes = [path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(sizes) == [2, 50, 100, 100]
    lent.join(tmp_path)
    found = {
        path.relative_to(tmp_path).as_posix(): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert found == files


@pytest.mark.slow
def test_the_device_s_benchmark_writes_each_row_at_once_and_goes_on_where_it_was(tmp_path):
    path = tmp_path / "rows.json"
    words = ["--accelerator", "--tiny", "--rounds", "1", "--peak", "1", "--json", str(path)]
    assert benchmark.main([*words, "--minutes", "0"]) == 0
    assert json.loads(path.read_text()) == []
    assert benchmark.main(words) == 0
    step, run = rows = json.loads(path.read_text())
    assert step["kind"] == "step" and step["faces_a_second"] > 0 and 0 <= step["input_share"] < 1
    assert step["peak_share"] == pytest.approx(step["tera_operations"])
    assert step["compile_seconds"] > 0 and step["memory"] > 1e6
    assert run["kind"] == "run" and run["median"] > run["training_seconds"] > 0
    assert path.with_suffix(".png").stat().st_size > 1000
    assert benchmark.main([*words, "--minutes", "0"]) == 0
    assert json.loads(path.read_text()) == rows


@pytest.mark.slow
def test_networks_are_scored_on_validation_after_equal_minutes(tmp_path):
    words = ["--tiny", "--only", "separable", "--results", "runs", "--csv", "table.csv"]
    command = [sys.executable, benchmark.FOLDER / "networks.py", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = pd.read_csv(tmp_path / "table.csv").to_dict("records")
    assert row["case"] == "separable" and row["n"] == 16 and row["epochs"] == 1
    (run,) = (tmp_path / "runs").iterdir()
    history = pd.read_csv(run / "history.csv")
    assert row["accuracy"] == pytest.approx(history.val_accuracy[0])
