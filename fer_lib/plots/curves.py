"""Curves: losses and scores over the epochs, reliability, ROC and precision against recall."""

import itertools

import numpy as np

from fer_lib.emotions import COLOURS
from fer_lib.plots.drawing import (
    ACCENT,
    INK,
    LINES,
    MARKERS,
    QUIET,
    accented,
    label_beside,
    legend_beside,
    longest,
    new_axes,
    wilson,
    words,
)


def plot_history(history, *, metric="accuracy", best_epoch=None, ax=None, title=None, **kwargs):
    """Draw the training and validation curve of one metric over the epochs.

    Args:
        history: Data frame with columns `epoch`, `metric` or `val_<metric>` (or both), and
            optionally `stage`: where it changes, a thin vertical line is drawn.
        metric: Column name without `val_`.
        best_epoch: Optional value of `epoch` whose point is marked.

    Raises:
        ValueError: If neither column is there, or `best_epoch` is not in the history.
    """
    curves = {"training": metric, "validation": f"val_{metric}"}
    curves = {label: column for label, column in curves.items() if column in history}
    if not curves:
        raise ValueError(
            f"history must have a column {metric!r} or 'val_{metric}'; got {list(history)}."
        )
    ax = new_axes(ax, title, (6, 3.8))
    styles = {"training": (QUIET, "--", "o"), "validation": (ACCENT, "-", "s")}
    for label, column in curves.items():
        colour, line, marker = styles[label]
        style = {"color": colour, "linestyle": line, "marker": marker, "markersize": 3.5}
        ax.plot(history["epoch"], history[column], label=label, **style | kwargs)
    _mark_stages(ax, history)
    if best_epoch is not None:
        _mark_best(ax, history, list(curves.values())[-1], best_epoch)
    _finish_curves(ax, metric)
    ax.legend(frameon=False)
    return ax


def plot_histories(histories, *, metric="val_accuracy", accent=None, ax=None, title=None, **kwargs):
    """Draw one metric of several runs over the epochs, each named at the end of its line.

    Args:
        histories: `{run: data frame with columns epoch and metric}`.
        metric: Column name.
        accent: Runs that stand out in colour, the others being grey; all in ink if `None`.

    Raises:
        ValueError: If a history lacks the column; the message names the run.
    """
    for run, history in histories.items():
        if metric not in history:
            raise ValueError(
                f"every history must have a column {metric!r}; {run!r} has {list(history)}."
            )
    ax = new_axes(ax, title, (5.5 + longest(histories), max(3.8, 1 + 0.25 * len(histories))))
    colours = accented(histories, accent)
    markers = list(itertools.islice(itertools.cycle(MARKERS), len(histories)))
    styles = zip(colours, itertools.cycle(LINES), markers)
    for (run, history), (colour, line, marker) in zip(histories.items(), styles, strict=False):
        style = {"color": colour, "linestyle": line, "marker": marker, "markersize": 3.5}
        style["zorder"] = 3 if colour == ACCENT else 2
        ax.plot(history["epoch"], history[metric], label=run, **style | kwargs)
    _finish_curves(ax, metric)
    ends = [(h["epoch"].iloc[-1], h[metric].iloc[-1]) for h in histories.values()]
    label_beside(ax, ends, list(histories), colours, markers)
    return ax


def plot_reliability(tables, *, ax=None, title=None, **kwargs):
    """Draw accuracy against confidence, and below it how many faces have each confidence.

    Calibrated probabilities lie on the diagonal, too confident ones below it. The bars are
    Wilson's 95 % intervals of the accuracy in each bin.

    Args:
        tables: `{name: table of metrics.reliability}`, such as before and after a temperature;
            the last one stands out.
    """
    ax = new_axes(ax, title, (5, 5.6))
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=":", label="calibrated")
    colours = accented(tables, list(tables)[-1:])
    strip = ax.inset_axes([0, -0.34, 1, 0.22], sharex=ax)
    for place, (name, table) in enumerate(tables.items()):
        low, high, n = (np.asarray(table[key]) for key in ("low", "high", "n"))
        accuracy, colour = np.asarray(table["accuracy"], float), colours[place]
        style = {"color": colour, "linestyle": LINES[place], "marker": MARKERS[place]}
        style |= {"markersize": 4, "capsize": 2, "elinewidth": 0.9}
        around = np.abs(wilson(accuracy, n) - accuracy)
        ax.errorbar(table["confidence"], accuracy, yerr=around, label=name, **style | kwargs)
        look = {"color": colour, "alpha": 0.5, "align": "edge", "edgecolor": "white"}
        strip.bar(low, n, high - low, **look)
    _finish_square(ax, "", "accuracy")
    strip.spines[["top", "right"]].set_visible(False)
    strip.set_ylabel("faces")
    strip.set_xlabel("confidence (largest probability)")
    ax.legend(frameon=False, loc="upper left", fontsize=8)
    return ax


def plot_roc(curves, *, ax=None, title=None, **kwargs):
    """Draw the ROC curve of each emotion against all others; the diagonal is chance.

    Args:
        curves: `{emotion: curve}` of `one_vs_rest.roc_curves`.
    """
    ax = new_axes(ax, title, (6.6, 4.6))
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=":", label="chance")
    for emotion, curve, style in _emotion_styles(curves):
        x, y = curve["false_positive_rate"], curve["true_positive_rate"]
        ax.plot(x, y, label=f"{emotion}, area {curve['area']:.3f}", **style | kwargs)
    _finish_square(ax, "false positive rate", "true positive rate")
    legend_beside(ax)
    return ax


def plot_precision_recall(curves, *, ax=None, title=None, **kwargs):
    """Draw precision against recall of each emotion against all others.

    A dotted line of the emotion's colour is its share of the faces: the precision of chance.

    Args:
        curves: `{emotion: curve}` of `one_vs_rest.precision_recall_curves`.
    """
    ax = new_axes(ax, title, (6.6, 4.6))
    for emotion, curve, style in _emotion_styles(curves):
        label = f"{emotion}, average {curve['average_precision']:.3f}"
        share = {"color": style["color"], "linewidth": 0.8, "linestyle": ":"}
        ax.axhline(curve["share"], zorder=1, **share)
        style |= {"drawstyle": "steps-post"}
        ax.plot(curve["recall"], curve["precision"], label=label, **style | kwargs)
    _finish_square(ax, "recall", "precision")
    legend_beside(ax)
    return ax


def _emotion_styles(curves):
    """Yield each emotion with its curve and a line that differs in more than colour."""
    from matplotlib import patheffects

    outline = [patheffects.withStroke(linewidth=2.4, foreground="0.3")]  # yellow on white
    for (emotion, curve), line in zip(curves.items(), itertools.cycle(LINES), strict=False):
        colour = COLOURS.get(emotion, "0.4")
        style = {"color": colour, "linestyle": line, "linewidth": 1.6}
        yield emotion, curve, style | {"path_effects": outline}


def _finish_square(ax, across, up):
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.01)
    ax.set_aspect("equal")
    ax.set_xlabel(across)
    ax.set_ylabel(up)
    ax.grid(color="0.92")
    ax.set_axisbelow(True)


def _mark_stages(ax, history):
    """Draw a thin line between the epochs where the stage changes, named in the legend."""
    if "stage" not in history:
        return
    rows = list(zip(history["epoch"], history["stage"], strict=True))
    for (before, old), (after, new) in itertools.pairwise(rows):
        if old != new:
            style = {"color": "0.4", "linewidth": 1, "linestyle": ":"}
            ax.axvline((before + after) / 2, label=f"{old} → {new}", **style)


def _mark_best(ax, history, column, best_epoch):
    found = history.loc[history["epoch"] == best_epoch, column]
    if not len(found):
        epochs = list(history["epoch"])
        raise ValueError(f"best_epoch must be an epoch of the history {epochs}; got {best_epoch}.")
    value = found.iloc[0]
    style = {"marker": "*", "markersize": 13, "color": "#E69F00", "markeredgecolor": INK}
    label = f"best epoch {best_epoch}: {value:.3f}"
    ax.plot([best_epoch], [value], linestyle="none", zorder=5, label=label, **style)


def _finish_curves(ax, metric):
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("epoch")
    ax.set_ylabel(words(metric))
    ax.grid(color="0.92")
    ax.set_axisbelow(True)
