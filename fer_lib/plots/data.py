"""Figures that explore a data set: what its classes look like, copies, labels and their noise."""

import numpy as np

from fer_lib.emotions import COLOURS
from fer_lib.plots.drawing import HATCHES, INK, MARKERS, inner_keys, legend_beside, new_axes, shades
from fer_lib.plots.faces import plot_faces


def plot_mean_faces(means, counts, *, ax=None, title=None, **kwargs):
    """Draw the mean face of each class side by side, each with its number of faces.

    Args:
        means: `{emotion: uint8 array (height, width)}`.
        counts: `{emotion: number of faces}`.
        **kwargs: Go to `plot_faces` (`columns`, …).
    """
    captions = [f"{emotion}\n{counts[emotion]:,} faces" for emotion in means]
    return plot_faces(np.stack(list(means.values())), captions, ax=ax, title=title, **kwargs)


def plot_distributions(values, *, label, log=False, ax=None, title=None, **kwargs):
    """Draw how a quantity of the faces spreads in each class, with its quartiles.

    Args:
        values: `{emotion: float array (n,)}`, drawn from the top.
        label: What the quantity is, with its unit.
        log: Whether the axis is logarithmic; values of 0 or less are then left out and counted
            beside the label.
        **kwargs: Go to `seaborn.violinplot`.
    """
    import seaborn

    names = np.repeat(list(values), [len(of) for of in values.values()])
    numbers = np.concatenate([np.asarray(of, float) for of in values.values()])
    if log and (gone := int((numbers <= 0).sum())):
        names, numbers = names[numbers > 0], numbers[numbers > 0]
        label = f"{label} (without {gone:,} {'face' if gone == 1 else 'faces'} at 0)"
    ax = new_axes(ax, title, (7, 0.9 + 0.5 * len(values)))
    style = {"palette": {name: COLOURS.get(name, "0.55") for name in values}, "legend": False}
    style |= {"inner": "quart", "cut": 0, "density_norm": "width", "linewidth": 0.8}
    style |= {"order": list(values), "log_scale": log or None, "orient": "h"}
    seaborn.violinplot(x=numbers, y=names, hue=names, ax=ax, **style | kwargs)
    ax.set_ylabel("")
    ax.set_xlabel(label)
    return ax


def plot_duplicates(counts, *, ax=None, title=None, **kwargs):
    """Draw how many faces have a copy, one bar per kind of copy and place.

    Args:
        counts: `{kind: {place: number of faces}}` of `exploration.duplicate_counts`.
    """
    places = inner_keys(counts)
    rows, thick = np.arange(len(places)), 0.84 / len(counts)
    ax = new_axes(ax, title, (7, 0.9 + 0.26 * len(places) * len(counts)))
    for number, (kind, of) in enumerate(counts.items()):
        style = {"color": ("0.35", "0.75", "0.9")[number % 3], "hatch": HATCHES[number % 6]}
        style |= {"edgecolor": INK, "linewidth": 0.6, "label": kind}
        offset = (number - (len(counts) - 1) / 2) * thick
        widths = [of.get(place, 0) for place in places]
        bars = ax.barh(rows + offset, widths, thick, **style | kwargs)
        ax.bar_label(bars, fmt="{:,.0f}", padding=2, fontsize=8)
    ax.set_yticks(rows, places)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.12 * max(1, *(max(of.values()) for of in counts.values())))
    ax.set_xlabel("faces that have a copy")
    legend_beside(ax)
    return ax


def plot_agreement(counts, rows, columns, *, labels=("", ""), ax=None, title=None, **kwargs):
    """Draw which labels of one set meet which of another, as % of each row.

    Args:
        counts: Integer array of shape `(len(rows), len(columns))`.
        rows: Names of the first set's labels; the number of faces stands beside each.
        columns: Names of the second set's.
        labels: What the rows and what the columns are called.
        **kwargs: Go to `seaborn.heatmap`.

    Raises:
        ValueError: If counts do not fit the names.
    """
    import seaborn

    counts = np.asarray(counts)
    if counts.shape != (len(rows), len(columns)):
        raise ValueError(
            f"counts must have shape {(len(rows), len(columns))}, names of rows and columns; got "
            f"{counts.shape}."
        )
    totals = counts.sum(axis=1, keepdims=True)
    percent = 100 * counts / np.maximum(totals, 1)
    texts = np.where(totals > 0, np.vectorize("{:.0f}".format, otypes=[object])(percent), "–")
    names = [f"{name} ({n:,})" for name, n in zip(rows, totals[:, 0], strict=True)]
    ax = new_axes(ax, title, (1.8 + 0.68 * len(columns), 1.2 + 0.46 * len(rows)))
    look = {"cmap": "Blues", "vmin": 0, "vmax": 100, "cbar": False, "annot": texts, "fmt": ""}
    look |= {"linewidths": 0.5, "linecolor": "0.8"}
    seaborn.heatmap(percent, xticklabels=columns, yticklabels=names, ax=ax, **look | kwargs)
    ax.set_xticks(ax.get_xticks(), ax.get_xticklabels(), rotation=0, fontsize=9)
    ax.set_yticks(ax.get_yticks(), ax.get_yticklabels(), rotation=0)
    ax.set_xlabel(f"{labels[1]}, % of each row".lstrip(", "))
    ax.set_ylabel(f"{labels[0]} (faces)".lstrip())
    return ax


def plot_embedding(points, classes, label_set, *, ax=None, title=None, **kwargs):
    """Draw faces as points of a plane, each class with its colour and marker.

    The axes have no unit, and so no numbers.

    Args:
        points: Float array of shape `(n, 2)`.
        classes: Integer array of shape `(n,)`.
        label_set: Emotion names in the order of the class numbers.
    """
    points, classes = np.asarray(points), np.asarray(classes)
    ax = new_axes(ax, title, (7.5, 5.5))
    for number, emotion in enumerate(label_set):
        x, y = points[classes == number].T
        style = {"s": 14, "alpha": 0.7, "linewidths": 0.3, "edgecolors": INK}
        style |= {"color": COLOURS.get(emotion, "0.55"), "marker": MARKERS[number % len(MARKERS)]}
        ax.scatter(x, y, label=emotion, **style | kwargs)
    ax.set_xticks([])
    ax.set_yticks([])
    legend_beside(ax)
    return ax


def plot_counts_change(before, after, *, ax=None, title=None, **kwargs):
    """Draw the faces of each class before and after something was added or left out.

    Args:
        before: `{emotion: number of faces}`.
        after: The same afterwards; the change stands at the end of each bar.
    """
    emotions = inner_keys({"before": before, "after": after})
    old, new = (np.array([of.get(name, 0) for name in emotions]) for of in (before, after))
    rows = np.arange(len(emotions))
    ax = new_axes(ax, title, (7, 0.9 + 0.36 * len(emotions)))
    style = {"edgecolor": INK, "linewidth": 0.6}
    colours = [COLOURS.get(name, "0.55") for name in emotions]
    ax.barh(rows, np.minimum(old, new), 0.7, color=colours, **style | kwargs)
    changed = ax.barh(
        rows, abs(new - old), 0.7, np.minimum(old, new), color="white", hatch="////", **style
    )
    texts = [f"{n:,} ({n - o:+,})" if n != o else f"{n:,}" for o, n in zip(old, new, strict=True)]
    ax.bar_label(changed, texts, padding=2, fontsize=8)
    ax.barh(0, 0, color="0.85", label="before and after", **style)
    for what, any_such in (("added", (new > old).any()), ("left out", (new < old).any())):
        if any_such:
            ax.barh(0, 0, color="white", hatch="////", label=what, **style)
    ax.set_yticks(rows, emotions)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.2 * max(1, old.max(), new.max()))
    ax.set_xlabel("faces")
    legend_beside(ax)
    return ax


def plot_precision_at_k(tables, base_rate, *, ax=None, title=None, **kwargs):
    """Draw which share of the first k faces of a ranking are what it looks for.

    Args:
        tables: `{ranking: table}`, tables with the columns `k`, `precision`, `low` and `high`.
        base_rate: Share among all faces, which a ranking at random would reach.
    """
    ax = new_axes(ax, title, (7, 4))
    colours = shades(len(tables))
    for number, (name, table) in enumerate(tables.items()):
        around = [table["precision"] - table["low"], table["high"] - table["precision"]]
        style = {"marker": MARKERS[number % len(MARKERS)], "capsize": 3, "linewidth": 1.2}
        style |= {"color": colours[number]}
        # Shifted a little, so that intervals of several rankings do not hide one another.
        k = table["k"] * 1.03**number
        ax.errorbar(k, table["precision"], yerr=np.maximum(around, 0), label=name, **style | kwargs)
    ax.axhline(base_rate, color=INK, linestyle="--", linewidth=1, label=f"all: {base_rate:.2f}")
    ticks = sorted({int(k) for table in tables.values() for k in table["k"]})
    ax.set_xscale("log")
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.minorticks_off()
    ax.set_ylim(0, 1)
    ax.grid(axis="y", color="0.9")
    ax.set_axisbelow(True)
    ax.set_xlabel("k, faces at the top of the list")
    ax.set_ylabel("precision at k")
    legend_beside(ax)
    return ax
