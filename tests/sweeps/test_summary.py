"""summary: one table of the runs of a grid."""

import numpy as np
import pandas as pd
import pytest

from fer_lib.sweeps.summary import collect, summarise
from support.grids import tiny_grid, write_results


def test_the_summary_is_mean_and_sd_over_seeds_with_the_best_chosen_on_validation(tmp_path):
    grid = tiny_grid(tmp_path, backbone=["mobilenet", "mobilenet_v2"])
    points = [(p.backbone, p.dropout) for p in grid.points]
    assert points[0] == points[1] == ("mobilenet", 0.1)  # seeds vary fastest
    validation = [0.3, 0.5, 0.6, 0.4, 0.9, 0.1, 0.2, 0.6]
    test = [0.9, 0.7, 0.1, 0.3, 0.2, 0.4, 0.8, 0.6]
    write_results(grid, validation, test)
    table = collect(grid, tmp_path / "table.csv")
    assert table.run.tolist() == [p.name for p in grid.points]
    assert table.validation_macro_f1.tolist() == validation and table.accuracy.tolist() == test
    assert "minutes" not in table
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "table.csv")[["run", "accuracy"]], table[["run", "accuracy"]]
    )
    summary = summarise(table, "backbone")
    assert summary.seeds.tolist() == [2] * 4
    assert set(summary) >= {"backbone", "dropout", "best"} and "epochs" not in summary
    np.testing.assert_allclose(summary.accuracy, [0.8, 0.2, 0.3, 0.7])
    np.testing.assert_allclose(summary.accuracy_sd, np.sqrt([0.02, 0.02, 0.02, 0.02]))
    np.testing.assert_allclose(summary.validation_macro_f1, [0.4, 0.5, 0.5, 0.4])
    assert summary.best.tolist() == [False, True, True, False]  # not the best on test
    assert summarise(table).best.sum() == 1
    over_splits = table.rename(columns={"seed": "split_seed"})
    pd.testing.assert_frame_equal(summarise(over_splits, "backbone"), summary)
    with pytest.raises(ValueError, match="did you mean 'backbone'"):
        summarise(table, "bakbone")


def test_an_empty_sweep_is_said_to_be_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match="No point of the grid is finished"):
        collect(tiny_grid(tmp_path))


def test_runs_of_several_machines_are_one_table_in_the_grid_s_order(tmp_path):
    here, there = (tiny_grid(tmp_path / place) for place in ("laptop", "cluster"))
    write_results(here, [0.1] * 4, [0.1] * 4)
    write_results(there, [0.2] * 4, [0.2] * 4)
    for grid, gone in ((here, (1, 2)), (there, (0,))):
        for number in gone:
            (grid.results_dir / grid.points[number].name / "scores.json").unlink()
    table = collect(here, also=[there.results_dir])
    assert table.run.tolist() == [p.name for p in here.points]
    assert table.accuracy.tolist() == [0.1, 0.2, 0.2, 0.1]
