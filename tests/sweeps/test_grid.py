"""grid: which experiments a YAML file or words stand for."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lib.experiments.experiment import Experiment
from fer_lib.sweeps.grid import make_grid, read_grid

YAML = """
parameters:
  backbone: [mobilenet, mobilenet_v2]
  unfreeze: [top, 100, all]
  learning_rate: [1e-4]   # text to YAML 1.1
  epochs: 15
seeds: 2
exclude:
  - {backbone: mobilenet, unfreeze: "100"}
include:
  - {backbone: mobilenet_v2, alpha: 0.35}
  - {backbone: mobilenet_v2, alpha: 0.5, seed: 9}
"""


def write(tmp_path, text):
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    return str(path)


def test_a_file_is_crossed_excluded_and_included(tmp_path):
    grid = read_grid([write(tmp_path, YAML)])
    fixed = {"learning_rate": 1e-4, "epochs": 15}
    pairs = [("mobilenet", "top"), ("mobilenet", "all")]
    pairs += [("mobilenet_v2", mode) for mode in ("top", "100", "all")]
    expected = [
        Experiment(backbone=backbone, unfreeze=mode, seed=seed, **fixed)
        for (backbone, mode), seed in itertools.product(pairs, (0, 1))
    ]
    expected += [
        Experiment(backbone="mobilenet_v2", alpha=alpha, seed=seed, **fixed)
        for alpha, seed in ((0.35, 0), (0.35, 1), (0.5, 9))
    ]
    assert set(grid.points) == set(expected) and len(grid.points) == len(expected)
    assert grid.varied == ("backbone", "alpha", "unfreeze", "seed")


def test_words_are_a_grid_and_replace_what_a_file_says(tmp_path):
    grid = read_grid(["backbone=mobilenet,mobilenet_v2", "patience=None,3", "seeds=4,5"])
    assert len(grid.points) == 8 and {p.patience for p in grid.points} == {None, 3}
    assert {p.seed for p in grid.points} == {4, 5}
    grid = read_grid([write(tmp_path, YAML), "seeds=1", "results_dir=here", "epochs=3"])
    assert {(p.epochs, str(grid.results_dir)) for p in grid.points} == {(3, "here")}
    assert {p.seed for p in grid.points} == {0, 9}


def test_a_point_named_twice_is_there_once():
    grid = make_grid({"unfreeze": ["100", 100, "all"]}, include=[{"unfreeze": "all"}])
    assert [p.unfreeze for p in grid.points] == ["100", "all"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parameters: {epoch: [1]}", "Unknown parameter 'epoch'.*did you mean 'epochs'"),
        ("parameter: {epochs: [1]}", "Unknown section.*did you mean 'parameters'"),
        ("parameters: {epochs: [many]}", "epochs must be a whole number"),
        ("parameters: {epochs: [0]}", "epochs must lie in"),
        ("parameters: {epochs: []}", "no value for epochs"),
        ("parameters: [epochs]", "parameters must be a dict"),
        ("parameters: {results_dir: [a, b]}", "results_dir must be one folder"),
        ("exclude: [{epochs: 3}]", "matches no point"),
        ("exclude: [{epochs: [15, 3]}]", "epochs must be one value"),
        ("exclude: [{epochs: 15}]", "no point left"),
        ("include: [{epoch: 3}]", "Unknown parameter 'epoch'"),
        ("include: {epochs: 3}", "include must be a list"),
        ("seeds: few", "seeds must be a list or a number"),
        ("seeds: 0", "seeds is how many there are, 1 for seed 0 alone"),
        ("{seeds: 2, parameters: {seed: 1}}", "not both"),
        ("[a", "not valid YAML"),
        ("text", "must hold names with values"),
    ],
)
def test_a_grid_that_can_not_be_meant_is_refused(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_grid([write(tmp_path, text)])


def test_a_missing_file_and_a_word_without_values_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no grid file gird.yaml"):
        read_grid(["gird.yaml"])
    with pytest.raises(ValueError, match="got 'epochs'"):
        read_grid(["seeds=1", "epochs"])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True),
)
def test_words_cross_to_the_product(epochs, seeds):
    words = [f"epochs={','.join(map(str, epochs))}", f"seeds={','.join(map(str, seeds))},99"]
    points = read_grid(words).points
    assert {(p.epochs, p.seed) for p in points} == set(itertools.product(epochs, [*seeds, 99]))
    assert len({p.name for p in points}) == len(points) == len(epochs) * (len(seeds) + 1)


def test_a_grid_that_nobody_can_mean_is_refused_before_it_is_made():
    with pytest.raises(ValueError, match="at most 10,000, or a list; got 1000000000"):
        make_grid({"epochs": 1}, seeds=1_000_000_000)
    with pytest.raises(ValueError, match="at most 10,000 points; this one has 27,000"):
        make_grid({name: list(range(1, 31)) for name in ("epochs", "batch_size", "patience")})
