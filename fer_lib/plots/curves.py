"""Figures of training: losses and scores over the epochs."""

import itertools

from fer_lib.plots.drawing import INK, LINES, MARKERS, legend_beside, new_axes, shades, words


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
    styles = {"training": ("0.45", "--", "o"), "validation": ("#0072B2", "-", "s")}
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


def plot_histories(histories, *, metric="val_accuracy", ax=None, title=None, **kwargs):
    """Draw one metric of several runs over the epochs.

    Args:
        histories: `{run: data frame with columns epoch and metric}`.
        metric: Column name.

    Raises:
        ValueError: If a history lacks the column; the message names the run.
    """
    for run, history in histories.items():
        if metric not in history:
            raise ValueError(
                f"every history must have a column {metric!r}; {run!r} has {list(history)}."
            )
    ax = new_axes(ax, title, (7, 3.8))
    styles = zip(shades(len(histories)), itertools.cycle(LINES), itertools.cycle(MARKERS))
    for (run, history), (colour, line, marker) in zip(histories.items(), styles, strict=False):
        style = {"color": colour, "linestyle": line, "marker": marker, "markersize": 3.5}
        ax.plot(history["epoch"], history[metric], label=run, **style | kwargs)
    _finish_curves(ax, metric)
    legend_beside(ax)
    return ax


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
