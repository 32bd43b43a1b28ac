"""Summary: how far the points of a grid are, and one table of those that are finished."""

from pathlib import Path

from fer_lib import storage
from fer_lib.sweeps import points

# Runs that differ in these alone are repetitions of one setting.
REPEATS = ("seed", "split_seed", "fold")


def status(grid, queued=()):
    """Return one row per point: its run's name, what varies in the grid, and how far it has come.

    Args:
        grid: A `grid.Grid`.
        queued: Names of the runs that wait in a queue; see `slurm.queued`.

    Returns:
        `pandas.DataFrame` with `run`, the varied parameters, `state` (of `points.state`, or
        `"queued"`), `epochs` ("3 of 15") and `details`.
    """
    import pandas as pd

    rows, experiments = [], points.prepare(grid)[0]
    states = points.states(experiments)
    for asked, experiment, found in zip(grid.points, experiments, states, strict=True):
        told = points.details(experiment) if found in ("running", "failed") else ""
        if experiment.name in queued and found != "running":
            found = "queued"
        rows.append(
            {"run": experiment.name}
            | {name: getattr(asked, name) for name in grid.varied}
            | {"state": found, "epochs": _epochs(experiment), "details": told}
        )
    return pd.DataFrame(rows)


def _epochs(experiment):
    history = Path(experiment.results_dir) / experiment.name / "history.csv"
    done = len(history.read_text("utf-8").splitlines()) - 1 if history.exists() else 0
    return f"{done} of {experiment.epochs}"


def collect(grid, file=None, also=()):
    """Gather the finished runs of a grid in one table.

    Args:
        grid: A `grid.Grid`.
        file: CSV file to write the table to, or `None`.
        also: Folders of runs that were copied from other machines. A point is the same by its
            name; one that is finished in several places is taken from the first.

    Returns:
        `pandas.DataFrame`, one row per finished run in the grid's order: the columns of
        `runs.runs_table`. How long runs took is left out, so that the same results make the same
        table wherever they ran.

    Raises:
        FileNotFoundError: If no point is finished.
    """
    from fer_lib.experiments import runs

    folders = [grid.results_dir, *also]
    table = runs.runs_table(folders)
    if len(table):
        table = table[table.state == "finished"].drop_duplicates("run").set_index("run")
    names = [e.name for e in points.prepare(grid)[0] if e.name in table.index]
    if not names:
        raise FileNotFoundError(
            f"No point of the grid is finished in {', '.join(map(str, folders))}."
        )
    table = table.drop(columns="minutes").loc[names].reset_index()
    if file:
        storage.write_csv(file, table)
    return table


def summarise(table, group=None, metrics=("accuracy", "macro_f1")):
    """Average a table of `collect` over seeds, splits and folds, and mark the best of each group.

    The best is chosen on validation: the largest mean `validation_macro_f1`. Data sets are never
    ranked against one another: each has a best of its own.

    Args:
        table: DataFrame of `collect`.
        group: Name of the parameter whose values form the groups, or `None` for one group.
        metrics: Names of the test scores to average.

    Returns:
        `pandas.DataFrame`, one row per configuration: the parameters that vary, `seeds` (how many
        runs), `<metric>` (mean) and `<metric>_sd` (sample standard deviation over seeds; missing
        for one seed) of validation macro-F1 and of the metrics, and `best`.

    Raises:
        ValueError: If `group` is no parameter.
    """
    from fer_lib.choices import lookup
    from fer_lib.experiments.experiment import NAMES

    parameters = [name for name in NAMES if name in table and name not in REPEATS]
    if group is not None:
        lookup(parameters, group, "parameter")
    keys = [name for name in parameters if table[name].nunique(dropna=False) > 1 or name == group]
    keys = keys or ["dataset"]
    scores = ["validation_macro_f1", *metrics]
    grouped = table.groupby(keys, sort=False, dropna=False)
    summary = grouped.size().rename("seeds").to_frame()
    for score in scores:
        summary[score], summary[f"{score}_sd"] = grouped[score].mean(), grouped[score].std()
    summary = summary.reset_index()
    within = [name for name in dict.fromkeys(("dataset", group)) if name in summary]
    if within:
        best = summary.groupby(within, dropna=False)["validation_macro_f1"].idxmax()
    else:  # one data set, whose column is left out
        best = [summary["validation_macro_f1"].idxmax()]
    summary["best"] = summary.index.isin(best)
    return summary
