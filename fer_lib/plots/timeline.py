"""Figures of emotions over time: stacked areas, a heat strip, and what follows what."""

import numpy as np

from fer_lib.emotions import COLOURS
from fer_lib.plots.drawing import legend_beside, new_axes


def plot_emotion_areas(series, *, ax=None, title=None, **kwargs):
    """Draw the probability of each emotion over time as stacked areas.

    Args:
        series: Data frame with a column per emotion, probabilities 0 to 1, by seconds
            (`episodes.emotion_series`); nothing is drawn where it is empty.
    """
    ax = new_axes(ax, title, (9, 3))
    colours = [COLOURS.get(emotion, "0.55") for emotion in series]
    seconds, values = series.index.to_numpy(float), series.to_numpy(float).T
    style = {"colors": colours, "edgecolor": "white", "linewidth": 0.3}
    ax.stackplot(seconds, values, labels=list(series), **style | kwargs)
    ax.set_ylim(0, 1)
    ax.set_ylabel("probability")
    _seconds(ax, seconds)
    legend_beside(ax)
    return ax


def plot_emotion_strip(series, *, ax=None, title=None, **kwargs):
    """Draw the probability of each emotion over time as a heat strip, an emotion a row.

    Args:
        series: As of `plot_emotion_areas`; moments without a face stay white.
    """
    ax = new_axes(ax, title, (9, 2.4))
    seconds, values = series.index.to_numpy(float), series.to_numpy(float).T
    rows = np.arange(len(series.columns))
    look = {"cmap": "viridis", "vmin": 0, "vmax": 1, "shading": "nearest"}
    if len(seconds):
        ax.pcolormesh(seconds, rows, np.ma.masked_invalid(values), **look | kwargs)
    ax.set_yticks(rows, list(series))
    ax.set_ylim(len(rows) - 0.5, -0.5)
    _seconds(ax, seconds)
    return ax


def plot_transitions(counts, *, ax=None, title=None, **kwargs):
    """Draw how often each emotion was followed by which other.

    Args:
        counts: Square data frame, from (rows) and to (columns) (`episodes.transitions`).
    """
    import seaborn

    ax = new_axes(ax, title, (1.8 + 0.55 * len(counts), 1.2 + 0.48 * len(counts)))
    look = {"cmap": "Blues", "vmin": 0, "annot": True, "fmt": "d", "cbar": False}
    look |= {"linewidths": 0.5, "linecolor": "0.8"}
    seaborn.heatmap(counts, ax=ax, **look | kwargs)
    ax.set_xticks(ax.get_xticks(), list(counts.columns), rotation=35, ha="right")
    ax.set_yticks(ax.get_yticks(), list(counts.index), rotation=0)
    ax.set_xlabel("to")
    ax.set_ylabel("from")
    return ax


def timeline_figure(series, transitions, title=None):
    """Return a figure with stacked areas, the heat strip and the transitions of one video.

    Args:
        series: As of `plot_emotion_areas`.
        transitions: As of `plot_transitions`.
        title: Of the figure.
    """
    from matplotlib.figure import Figure

    # Not pyplot's: its list of figures would hold every one of a page that runs for days.
    figure = Figure(figsize=(13, 6), layout="constrained")
    axes = figure.subplot_mosaic("aaat;bbbt", width_ratios=(1, 1, 1, 1.6))
    plot_emotion_areas(series, ax=axes["a"], title="mean of the faces in sight")
    plot_emotion_strip(series, ax=axes["b"]).sharex(axes["a"])
    plot_transitions(transitions, ax=axes["t"], title="times that one followed another")
    figure.suptitle(title)
    return figure


def _seconds(ax, seconds):
    if len(seconds) > 1:
        ax.set_xlim(seconds[0], seconds[-1])
    ax.set_xlabel("seconds")
