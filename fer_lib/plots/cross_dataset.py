"""Figure of scores across data sets."""

from fer_lib.plots.drawing import accented, new_axes, words
from fer_lib.plots.scores import draw_intervals


def plot_cross_table(table, *, metric="accuracy", accent=None, ax=None, title=None, **kwargs):
    """Draw one metric of every model on every data set, with its interval, best on top.

    Scores are compared within a data set. A model that was scored on fewer or more of its faces
    than most says so.

    Args:
        table: DataFrame of `cross_dataset.cross_table`.
        metric: `"accuracy"` or `"macro_f1"`.
        accent: Models that stand out in colour, the others being grey; all in ink if `None`.
        **kwargs: Go to `Axes.errorbar`.

    Raises:
        ValueError: If the table lacks the metric or has no rows.
    """
    if metric not in table or table.empty:
        raise ValueError(f"table must have rows and a column {metric!r}; it has {list(table)}.")
    parts = [part for _, part in table.groupby("dataset", sort=False)]
    ax = new_axes(ax, title, (7, 0.9 + 0.27 * (len(table) + 1.6 * len(parts))))
    names, places, row = [], [], 0.0
    for part in parts:
        usual = part["n"].mode().iloc[0]
        heading = f"{_short(part['test'].iloc[0])}, {usual:,} faces"
        style = {"xycoords": ax.get_yaxis_transform(), "va": "center", "weight": "bold"}
        ax.annotate(heading, (0, row), fontsize=9, annotation_clip=False, **style)
        part = part.sort_values(metric, ascending=False)
        rows = [row + 1 + number for number in range(len(part))]
        numbers = part[[metric, f"{metric}_low", f"{metric}_high"]].to_numpy().tolist()
        draw_intervals(ax, rows, numbers, accented(part["model"].tolist(), accent), **kwargs)
        names += [_name(of, usual) for of in part.to_dict("records")]
        places += rows
        row = rows[-1] + 1.6
    ax.set_yticks(places, names)
    ax.set_ylim(row - 1, -0.7)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(words(metric))
    return ax


def _short(test):
    """Return a test's name without its brackets, which name a file."""
    return test.split(" (")[0].replace("ckplus, all of it", "CK+")


def _name(of, usual):
    """Return a model's name, with its faces where they are others than those of most models."""
    if of["n"] == usual:
        return of["model"]
    return f"{of['model']} ({of['n']:,} faces, {of['emotions']} emotions)"
