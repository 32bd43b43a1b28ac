"""What the pages and the set-up files promise."""

import ast
import re
import tomllib

import pandas as pd
import pytest
import yaml

import fer_lib
from fer_lib.__main__ import commands
from fer_lib.audit.pitfalls import pitfall
from fer_lib.data.catalogue import DATASETS
from fer_lib.evaluation.bootstrap import in_words
from fer_lib.experiments import runs
from fer_lib.experiments.experiment import Experiment
from support import tables
from support.places import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "figures" / "README.md").read_text(encoding="utf-8")
PAGES = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in tables.PAGES}


def section(title):
    """Return the text under a heading of figures/README.md."""
    return RESULTS.split(f"\n## {title}\n")[1].split("\n## ")[0]


def anchors(text):
    """Return the anchors of a page's headings, as web pages of repositories make them."""
    titles = re.findall(r"^#+ (.*)$", text, flags=re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_there_are_two_set_up_commands_and_ci_runs_the_second():
    first, second = re.findall(r"^python3 -m venv .*$", README, flags=re.M)
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


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    version = re.search(r'__version__ = "(.*)"', (ROOT / "fer_lib" / "__init__.py").read_text())
    assert citation["version"] == version[1]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


def test_the_first_page_is_short():
    assert len(README.splitlines()) <= 150 and len(README.encode()) <= 9000


@pytest.mark.parametrize("page", PAGES)
def test_the_links_and_pictures_of_a_page_are_there(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        there = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_commands_name_are_there(page):
    for path in re.findall(r"\b(?:notebooks|tests|fer_lib)/[\w/]+\.(?:ipynb|yaml|py)", PAGES[page]):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES)
def test_no_page_asks_an_index_for_a_package_of_our_name(page):
    assert "pip install fer_lib" not in PAGES[page] and 'install "fer_lib' not in PAGES[page]


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_of_a_page_are_made_from_the_files(page):
    """After new results: python tests/support/tables.py."""
    assert tables.filled(PAGES[page]) == PAGES[page]


def test_every_figure_is_shown_beside_its_command():
    assert "papermill notebooks/compare_runs.ipynb" in RESULTS
    for figure in (ROOT / "figures").glob("*.png"):
        assert f"({figure.name})" in RESULTS, figure.name


def test_recipes_are_experiments_and_are_listed():
    listed = PAGES["notebooks/README.md"]
    for path in (ROOT / "notebooks" / "recipes").glob("*.yaml"):
        Experiment(**yaml.safe_load(path.read_text())).validate()
        assert f"(recipes/{path.name})" in listed, path.name


def test_the_recipes_of_a_chain_start_from_the_folders_that_the_ones_before_write():
    recipes = [yaml.safe_load(p.read_text()) for p in (ROOT / "notebooks/recipes").glob("*.yaml")]
    written = {f"runs/{Experiment(**recipe).name}" for recipe in recipes}
    for recipe in recipes:
        for path in [recipe["weights"], *(recipe.get("distill_from") or "").split(",")]:
            folder = (path or "").removesuffix("/model.keras")
            shipped = folder.startswith("fer_lib/") and (ROOT / folder).exists()
            assert "/" not in folder or shipped or folder in written, path


def test_grids_say_the_command_that_runs_them():
    for path in (ROOT / "notebooks" / "grids").glob("*.yaml"):
        assert f"notebooks/grids/{path.name}" in path.read_text(), path.name
        assert f"`{path.stem}`" in PAGES["notebooks/README.md"], path.name


def test_the_scores_of_the_study_are_what_was_measured():
    for run in runs.find_runs(ROOT / "figures" / "study").values():
        score = run.scores["test"]["accuracy"]
        text = "{value:.3f} [{low:.3f}, {high:.3f}]".format(**score)
        assert text in RESULTS, run.folder.name


def test_the_validation_scores_of_the_chain_are_what_was_measured():
    text = " ".join(section("Runs on FER-2013").split())
    found = {
        run.folder.name[-8:]: run for run in runs.find_runs(ROOT / "figures" / "runs").values()
    }
    for key in tables.STEPS:
        scores = found[key].scores["validation"]
        both = [f"{scores[metric]['value']:.3f}" for metric in ("accuracy", "macro_f1")]
        assert " and ".join(both) in text, key


def test_the_spread_between_seeds_is_what_was_measured():
    found = list(runs.find_runs(ROOT / "figures" / "runs").values())
    found += runs.find_runs(ROOT / "figures" / "study").values()
    settings = yaml.safe_load((ROOT / "notebooks" / "grids" / "seeds.yaml").read_text())
    for unfreeze in settings["parameters"]["unfreeze"]:
        asked = settings["parameters"] | {"unfreeze": unfreeze}
        seeds = [r for r in found if asked.items() <= vars(r.experiment).items()]
        assert sorted(r.experiment.seed for r in seeds) == settings["seeds"]
        for metric in ("accuracy", "macro_f1"):
            scores = pd.Series([r.scores["test"][metric]["value"] for r in seeds])
            assert f"{scores.mean():.3f} ± {scores.std():.3f}" in section("Seeds")


def test_the_scores_of_the_search_are_what_was_measured():
    found = runs.find_runs(ROOT / "figures" / "tune")
    assert len(found) == 6
    for run in found.values():
        for metric in ("macro_f1", "accuracy"):
            score = run.scores["validation"][metric]
            text = "{value:.3f} [{low:.3f}, {high:.3f}]".format(**score)
            assert text in section("A search on validation"), run.folder.name


@pytest.mark.parametrize("name", ["ckplus", "ckplus_default"])
def test_the_scores_of_ckplus_are_what_was_measured(name):
    for _, draws in pd.read_csv(ROOT / "figures" / f"{name}.csv").groupby("unfreeze"):
        assert sorted(draws.split_seed) == list(range(10))
        for metric in ("validation_macro_f1", "accuracy", "macro_f1"):
            assert in_words(pitfall.over_seeds(draws[metric])["accuracy"]) in section("CK+")
        for metric in ("accuracy", "macro_f1"):
            assert f"± {draws[metric].std():.3f}" in section("CK+")


def test_no_message_asks_an_index_for_a_package_of_our_name():
    for path in (ROOT / "fer_lib").rglob("*.py"):
        assert "pip install" + ' "fer_lib' not in path.read_text(encoding="utf-8"), path


def test_every_data_set_backbone_table_and_command_that_pages_name_is_known():
    listed = re.findall(r"`(\w+)`", PAGES["fer_lib/README.md"].split("## Data")[1].split("**")[0])
    assert set(DATASETS) <= set(listed)
    for page, text in PAGES.items():
        for command in re.findall(r"python -m fer_lib (\w+)", text):
            assert command in commands.commands, (page, command)


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_python_name_what_is_there(page):
    for block in re.findall(r"```python\n(.*?)```", PAGES[page], flags=re.S):
        ast.parse(block)
        for name in re.findall(r"\bfer_lib\.(\w+)", block):
            assert name in dir(fer_lib), name
