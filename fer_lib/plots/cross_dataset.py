"""Figure of scores across data sets."""

import textwrap

import numpy as np

from fer_lib.plots.drawing import new_axes, words


def plot_cross_table(table, *, metric="accuracy", ax=None, title=None, **kwargs):
    """Draw one metric of every model on every data set, with interval, faces and emotions.

    Args:
        table: DataFrame of `cross_dataset.cross_table`.
        metric: `"accuracy"` or `"macro_f1"`.
        **kwargs: Go to `seaborn.heatmap`.

    Raises:
        ValueError: If the table lacks the metric or has no rows.
    """
    import seaborn

    if metric not in table or table.empty:
        raise ValueError(f"table must have rows and a column {metric!r}; it has {list(table)}.")
    models, data = table["model"].unique(), table["dataset"].unique()
    values = table.pivot(index="model", columns="dataset", values=metric).loc[models, data]
    texts = values.astype(object)
    for row in table.to_dict("records"):
        texts.loc[row["model"], row["dataset"]] = _cell(row, metric)
    ax = new_axes(ax, title, (2.4 + 2.3 * len(data), 0.9 + 0.95 * len(models)))
    # Up to the light blues alone, on which black is read.
    look = {"annot": texts.to_numpy(), "fmt": "", "cmap": "Blues", "vmin": 0, "vmax": 1.6}
    look |= {"cbar": False, "linewidths": 0.5, "linecolor": "0.8"}
    look |= {"annot_kws": {"fontsize": 8, "color": "black"}}
    seaborn.heatmap(values, ax=ax, **look | kwargs)
    sources = table.drop_duplicates("model")["trained_on"].fillna("data not known")
    rows = [
        f"{textwrap.fill(m, 26)}\n(on {source})" for m, source in zip(models, sources, strict=True)
    ]
    tests = table.drop_duplicates("dataset")["test"]
    ax.set_yticks(np.arange(len(models)) + 0.5, rows, rotation=0)
    ax.set_xticks(np.arange(len(data)) + 0.5, [textwrap.fill(t, 28) for t in tests], rotation=0)
    ax.set_xlabel(f"scored on: {words(metric)} [95 % interval]")
    ax.set_ylabel("model (trained on)")
    return ax


def _cell(row, metric):
    """Return what stands in one cell: the score, and what it is a score of."""
    ends = (row[metric + end] for end in ("", "_low", "_high"))
    lines = ["{:.3f} [{:.3f}, {:.3f}]".format(*ends)]
    lines.append(f"{row['n']:,} faces, {row['emotions']} emotions")
    if row["left_out"]:
        lines.append(f"faces left out: {row['left_out']}")
    if row["removed"]:
        lines.append(f"answers removed: {row['removed']}")
    if not isinstance(row["seen"], int | np.integer):
        lines.append("training faces not at hand")
    elif row["seen"]:
        lines.append(f"{row['seen']:,} faces seen in training")
    return "\n".join(lines)
