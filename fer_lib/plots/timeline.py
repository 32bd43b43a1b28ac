"""Figures of emotions over time: lanes of people, areas, a heat strip, and what follows what."""

import numpy as np

from fer_lib.emotions import COLOURS
from fer_lib.plots.drawing import legend_beside, new_axes

LANES = 12  # people in one figure
_LONG_ENOUGH = 0.06  # share of the axis that the name of an episode takes


def plot_lane(series, episodes=None, *, ax=None, title=None, **kwargs):
    """Draw one person over time: the leading emotion as colour, its probability as height.

    Where the person is not seen, the line at the bottom is dotted and nothing stands on it.

    Args:
        series: Data frame with a column per emotion, probabilities 0 to 1, by seconds
            (`episodes.emotion_series`), empty where the person is not seen.
        episodes: Data frame with `emotion`, `onset`, `apex`, `offset` and `peak`, or `None`. Each
            is underlined, its apex has a mark, and its name stands there if it is long enough.
    """
    ax = new_axes(ax, title, (9, 1.2))
    seconds, values = series.index.to_numpy(float), series.to_numpy(float)
    seen = ~np.isnan(values).any(axis=1)
    best = np.where(seen, np.where(np.isnan(values), -1, values).argmax(axis=1), -1)
    height = np.where(seen, np.nan_to_num(values).max(axis=1, initial=0), np.nan)
    edges = _edges(seconds)
    for number, emotion in enumerate(series):
        look = {"color": COLOURS.get(emotion, "0.55"), "linewidth": 0, "label": emotion}
        led = np.where(best == number, height, np.nan)
        ax.stairs(led, edges, fill=True, **look | kwargs)
    ax.axhline(0, color="0.6", linewidth=0.8, linestyle=":")
    ax.axhline(0.5, color="0.8", linewidth=0.6, zorder=0)
    if episodes is not None and len(seconds):
        _mark_episodes(ax, episodes, edges[-1] - edges[0])
    ax.set_ylim(-0.12, 1.3)
    ax.set_yticks([0, 0.5, 1])
    ax.set_ylabel("probability")
    _seconds(ax, edges)
    return ax


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
        mesh = ax.pcolormesh(seconds, rows, np.ma.masked_invalid(values), **look | kwargs)
        bar = ax.inset_axes((1.01, 0, 0.015, 1))  # beside the Axes, and part of it
        ax.figure.colorbar(mesh, cax=bar, label="probability")
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

    ax = new_axes(ax, title, (1.4 + 0.68 * len(counts), 1.2 + 0.48 * len(counts)))
    texts = counts.astype(str).where(counts > 0, "·")
    look = {"cmap": "Blues", "vmin": 0, "vmax": max(5, counts.to_numpy().max(initial=0))}
    look |= {"annot": texts, "fmt": "", "cbar": False, "linewidths": 0.5, "linecolor": "0.8"}
    seaborn.heatmap(counts, ax=ax, **look | kwargs)
    ax.set_xticks(ax.get_xticks(), list(counts.columns), rotation=0, fontsize=9)
    ax.set_yticks(ax.get_yticks(), list(counts.index), rotation=0)
    ax.set_xlabel("to")
    ax.set_ylabel("from")
    return ax


def timeline_figure(series, episodes, transitions=None, title=None):
    """Return a figure of one video: a lane per person, and what followed what.

    Args:
        series: Dict from a person's number to a data frame as of `plot_lane`; the first `LANES`
            are drawn.
        episodes: Data frame of all their episodes, with `face` and what `plot_lane` takes.
        transitions: As of `plot_transitions`, or `None` where there are too few to show.
        title: Of the figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    shown = list(series)[:LANES]
    more = 0 if transitions is None else 4.2
    # Not pyplot's: its list of figures would hold every one of a page that runs for days.
    figure = Figure(figsize=(11, 1.3 + max(1.2, 1.05 * len(shown)) + more), layout="constrained")
    if title is not None:
        figure.suptitle(title)
    if not shown:
        figure.text(0.5, 0.5, "No face was found in this video.", ha="center", va="center")
        return figure
    parts = figure.subfigures(2, height_ratios=(1.3 + 1.05 * len(shown), more)) if more else None
    above = parts[0] if more else figure
    axes = above.subplots(len(shown), sharex=True, squeeze=False)[:, 0]
    for ax, face in zip(axes, shown, strict=True):
        own = episodes[episodes["face"] == face]
        plot_lane(series[face], own, ax=ax)
        ax.set_ylabel(f"person {face}", rotation=0, ha="right", va="center")
        ax.set_xlabel("")
    axes[-1].set_xlabel(_TIME)
    left = len(series) - len(shown)
    who = "person who was" if left == 1 else "people who were"
    axes[0].set_title(
        "height: probability of the leading emotion; triangle: apex of an episode"
        + (f"; {left} {who} seen less, not shown" if left else ""),
        fontsize="small",
        loc="left",
    )
    emotions = list(series[shown[0]])
    patches = [Patch(color=COLOURS.get(emotion, "0.55"), label=emotion) for emotion in emotions]
    above.legend(handles=patches, loc="outside upper center", ncols=len(patches), frameon=False)
    if more:
        ax = plot_transitions(transitions, ax=parts[1].subplots())
        ax.set_title("times that one emotion followed another on the same person", fontsize="small")
    return figure


_TIME = "time in the video (seconds)"


def _edges(seconds):
    """Return the times at which each moment of a series begins, and the last ends."""
    step = np.median(np.diff(seconds)) if len(seconds) > 1 else 1.0
    return np.append(seconds, (seconds[-1] if len(seconds) else 0.0) + step)


def _mark_episodes(ax, episodes, span):
    for row in episodes.itertuples():
        colour = COLOURS.get(row.emotion, "0.55")
        ax.plot([row.onset, row.offset], [-0.06, -0.06], color=colour, linewidth=2.5, zorder=3,
                solid_capstyle="butt")  # fmt: skip
        ax.plot(row.apex, row.peak + 0.05, marker="v", markersize=3, color="0.25")
        if row.offset - row.onset >= _LONG_ENOUGH * span:
            ax.text((row.onset + row.offset) / 2, row.peak + 0.09, row.emotion, fontsize="x-small",
                    ha="center", va="bottom", clip_on=True)  # fmt: skip


def _seconds(ax, seconds):
    if len(seconds) > 1:
        ax.set_xlim(seconds[0], seconds[-1])
    ax.set_xlabel(_TIME)
