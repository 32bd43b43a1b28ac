"""The figure of all pitfalls."""

import numpy as np

from fer_lib.plots.drawing import legend_beside, new_axes

COLOURS = {"shown": "#D55E00", "honest": "#0072B2"}


def plot_gaps(pitfalls, *, ax=None, title=None, **kwargs):
    """Draw the number that each trap shows beside the honest one, with their intervals.

    Args:
        pitfalls: Sequence of `pitfalls.Pitfall`, drawn from the top.
    """
    rows = np.arange(len(pitfalls))
    ax = new_axes(ax, title, (9, 1.1 + 0.45 * len(pitfalls)))
    for offset, marker, which in ((-0.12, "s", "shown"), (0.12, "o", "honest")):
        scores = [each.scores[getattr(each, which)]["accuracy"] for each in pitfalls]
        values, low, high = (
            np.array([of[part] for of in scores]) for part in ("value", "low", "high")
        )
        style = {"fmt": marker, "color": COLOURS[which], "markersize": 5, "capsize": 3}
        around = np.maximum([values - low, high - values], 0)
        label = {"shown": "the trap shows", "honest": "honest"}[which]
        ax.errorbar(values, rows + offset, xerr=around, label=label, **style | kwargs)
    ax.set_yticks(rows, [each.trap for each in pitfalls])
    ax.set_ylim(len(pitfalls) - 0.5, -0.5)
    ax.set_xlim(0, 1)
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)
    ax.set_xlabel("accuracy")
    legend_beside(ax)
    return ax
