"""benchmark: every script is known, runs, and hands its rows over."""

import ast
import json

import pandas as pd
import pytest

from fer_lib import benchmark
from fer_lib.__main__ import main


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
    assert main(["benchmark", "--only", "good", "--json", str(path)]) == 0
    assert json.loads(path.read_text())[0]["benchmark"] == "good"
    assert main(["benchmark", "--json", str(scripts / "rows.csv")]) == 1
    assert list(pd.read_csv(scripts / "rows.csv").benchmark) == ["good", "bad"]
    assert main(["benchmark", "--only", "god"]) == 1
    assert "did you mean 'good'" in capsys.readouterr().err
    assert main(["benchmark", "--only", "good", "--json", "rows.txt"]) == 1


def test_an_installation_without_the_repository_is_told_so(scripts, monkeypatch):
    monkeypatch.setattr(benchmark, "FOLDER", scripts / "none")
    with pytest.raises(FileNotFoundError, match="clone it"):
        benchmark.run_benchmarks(["good"])


def test_a_real_benchmark_runs():
    (row,) = benchmark.run_benchmarks(["synthetic_faces"])
    assert row["way"] == "make_faces" and row["median"] > 0 and row["unit"] == "faces/s"


def test_a_summary_compares_the_last_way_of_a_case_with_its_first():
    ways = ((1.0, 1.0, None), (0.5, 2.0, None), (0.1, 10.0, 8.0))
    rows = [
        {"benchmark": "b", "case": "c", "way": f"way {n}", "median": m, "unit": "s", "ratio": r}
        | {"goal": goal}
        for n, (m, r, goal) in enumerate(ways)
    ]
    alone = {"benchmark": "b", "case": "d", "way": "x", "median": 3.0, "unit": "fps", "goal": 2}
    (row,) = benchmark.summary_table([*rows, alone]).to_dict("records")
    assert row["against"] == "way 0" and row["ours"] == "way 2"
    assert (row["its_median"], row["median"], row["ratio"], row["goal"]) == (
        "1 s", "0.1 s", "10.0", "8",
    )  # fmt: skip
