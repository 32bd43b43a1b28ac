"""What README and the set-up files promise."""

import re
import tomllib

import pandas as pd
import pytest
import yaml

from fer_lib import benchmark
from fer_lib.audit.pitfalls import pitfall
from fer_lib.evaluation.bootstrap import in_words
from fer_lib.experiments import runs
from support.places import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def setup_commands():
    return re.findall(r"^python3 -m venv .*$", README, flags=re.M)


def test_there_are_two_set_up_commands_and_ci_runs_the_second():
    first, second = setup_commands()
    assert "papermill notebooks/run_experiment.ipynb out.ipynb -p epochs 15" in first
    assert "pytest" in second
    assert second in (ROOT / ".ci" / "run").read_text().splitlines()


def test_requirements_are_the_package_s_own():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    listed = [line for line in lines if line and not line.startswith(("#", "-"))]
    assert listed == project["dependencies"]
    assert "-e ." in lines


def test_the_conda_environment_installs_the_requirements():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert {"pip": ["-r requirements.txt"]} in environment["dependencies"]


def test_the_results_table_is_what_was_measured():
    path = ROOT / "figures" / "results.csv"
    if not path.exists():
        pytest.skip("no results are reported yet")
    summary = runs.summary_table(pd.read_csv(path, keep_default_na=False)).astype(str)
    for row in summary.drop(columns="state").itertuples(index=False):
        assert "| " + " | ".join(row) + " |" in README


def test_the_scores_of_the_study_are_what_was_measured():
    for run in runs.find_runs(ROOT / "figures" / "study").values():
        score = run.scores["test"]["accuracy"]
        text = "{value:.3f} [{low:.3f}, {high:.3f}]".format(**score)
        assert text in README.split("## Results")[1], run.folder.name


def test_the_spread_between_seeds_is_what_was_measured():
    text = README.split("### Seeds")[1].split("###")[0]
    found = list(runs.find_runs(ROOT / "figures" / "runs").values())
    found += runs.find_runs(ROOT / "figures" / "study").values()
    settings = yaml.safe_load((ROOT / "notebooks" / "study_seeds.yaml").read_text())
    for unfreeze in settings["parameters"]["unfreeze"]:
        asked = settings["parameters"] | {"unfreeze": unfreeze}
        seeds = [r for r in found if asked.items() <= vars(r.experiment).items()]
        assert sorted(r.experiment.seed for r in seeds) == settings["seeds"]
        for metric in ("accuracy", "macro_f1"):
            scores = pd.Series([r.scores["test"][metric]["value"] for r in seeds])
            assert f"{scores.mean():.3f} ± {scores.std():.3f}" in text


def test_the_scores_of_the_search_are_what_was_measured():
    text = README.split("### A search")[1].split("###")[0]
    found = runs.find_runs(ROOT / "figures" / "tune")
    assert len(found) == 6
    for run in found.values():
        for metric in ("macro_f1", "accuracy"):
            score = run.scores["validation"][metric]
            assert "{value:.3f} [{low:.3f}, {high:.3f}]".format(**score) in text, run.folder.name


@pytest.mark.parametrize("name", ["ckplus", "ckplus_default"])
def test_the_scores_of_ckplus_are_what_was_measured(name):
    text = README.split("### CK+")[1].split("###")[0]
    for _, draws in pd.read_csv(ROOT / "figures" / f"{name}.csv").groupby("unfreeze"):
        assert sorted(draws.split_seed) == list(range(10))
        for metric in ("validation_macro_f1", "accuracy", "macro_f1"):
            assert in_words(pitfall.over_seeds(draws[metric])["accuracy"]) in text
        for metric in ("accuracy", "macro_f1"):
            assert f"± {draws[metric].std():.3f}" in text


def test_every_figure_is_named_with_its_command():
    assert "papermill notebooks/compare_runs.ipynb" in README
    for figure in (ROOT / "figures").glob("*.png"):
        assert f"figures/{figure.name}" in README, figure.name


def test_the_speed_table_is_what_was_measured():
    table = benchmark.summary_table(pd.read_csv(ROOT / "figures" / "benchmarks.csv"))
    for row in table.drop(columns="benchmark").itertuples(index=False):
        assert "| " + " | ".join(row) + " |" in README
