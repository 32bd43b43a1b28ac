"""Figure of scores by groups of people."""

from fer_lib.plots.drawing import new_axes, words
from fer_lib.plots.scores import draw_intervals


def plot_groups(table, *, measure="recall", ax=None, title=None, **kwargs):
    """Draw one score of each group of people, with its interval.

    Groups that were refused for their few faces are named, without a dot.

    Args:
        table: DataFrame of `by_group.group_table`.
        measure: `"recall"` or `"overconfidence"`.
        **kwargs: Go to `Axes.errorbar`.

    Raises:
        ValueError: If no group was judged.
    """
    if measure not in table:
        raise ValueError(f"table must have a column {measure!r} and a judged group: {list(table)}.")
    ax = new_axes(ax, title, (6.4, 1.2 + 0.36 * len(table)))
    rows = [row for row, judged in enumerate(table["judged"]) if judged]
    ends = [measure, f"{measure}_low", f"{measure}_high"]
    numbers = table.loc[table["judged"], ends].to_numpy(float).tolist()
    draw_intervals(ax, rows, numbers, ["C0"] * len(rows), **kwargs)
    for row in set(range(len(table))) - set(rows):
        where = {"xycoords": ax.get_yaxis_transform(), "va": "center", "fontsize": 8}
        ax.annotate("not judged", (1.02, row), color="0.45", annotation_clip=False, **where)
    names = [f"{of['group']} (n = {of['n']:,})" for of in table.to_dict("records")]
    ax.set_yticks(range(len(table)), names)
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("mean recall" if measure == "recall" else words(measure))
    return ax
