"""Figures of results: confusion matrices, scores and their intervals, and what they cost."""

from collections.abc import Mapping

import numpy as np

from fer_lib.emotions import COLOURS
from fer_lib.plots.drawing import INK, MARKERS, inner_keys, legend_beside, new_axes, shades, words


def plot_confusion(counts, label_set, *, normalize=False, ax=None, title=None, **kwargs):
    """Draw a confusion matrix, true classes down and predicted ones across.

    Args:
        counts: Integer array of shape `(classes, classes)`, rows true.
        label_set: Emotion names in the order of the class numbers.
        normalize: Show each row as percentages of its faces; the number of faces stands beside
            the name, and a row without faces shows dashes.

    Raises:
        ValueError: If counts is not square or does not fit the label set.
    """
    counts = np.asarray(counts)
    _check_square(counts, label_set)
    totals, rows = counts.sum(axis=1, keepdims=True), list(label_set)
    texts = np.vectorize("{:,}".format, otypes=[object])(counts)
    if normalize:
        counts = 100 * counts / np.maximum(totals, 1)
        texts = np.where(totals > 0, np.vectorize("{:.0f}".format, otypes=[object])(counts), "–")
        rows = [f"{name} ({n:,})" for name, n in zip(label_set, totals[:, 0], strict=True)]
    look = {"cmap": "Blues", "vmin": 0, "vmax": 100 if normalize else None}
    ax = _matrix(counts, texts, rows, label_set, ax, title, look | kwargs)
    ax.set_xlabel("predicted" + ", % of the true class" * normalize)
    ax.set_ylabel("true" + " (faces)" * normalize)
    return ax


def plot_confusion_difference(counts, others, label_set, *, ax=None, title=None, **kwargs):
    """Draw the difference of two confusion matrices, in percentage points of each true class.

    Args:
        counts, others: Integer arrays of shape `(classes, classes)`, rows true. What `counts` has
            more of is blue, what `others` has more of is red. A class of which one of them has
            no faces shows dashes.
        label_set: Emotion names in the order of the class numbers.

    Raises:
        ValueError: If a matrix does not fit the label set.
    """
    shares, filled = [], True
    for matrix in (np.asarray(counts), np.asarray(others)):
        _check_square(matrix, label_set)
        totals = matrix.sum(axis=1, keepdims=True)
        shares.append(100 * matrix / np.maximum(totals, 1))
        filled = filled & (totals > 0)
    gaps = np.where(filled, shares[0] - shares[1], 0).round() + 0.0  # no "-0"
    texts = np.where(filled, np.vectorize("{:+.0f}".format, otypes=[object])(gaps), "–")
    limit = max(1, abs(gaps).max())
    look = {"cmap": "RdBu", "vmin": -limit, "vmax": limit}
    ax = _matrix(gaps, texts, label_set, label_set, ax, title, look | kwargs)
    ax.set_xlabel("predicted, difference in % of the true class")
    ax.set_ylabel("true")
    return ax


def _check_square(counts, label_set):
    if counts.shape != (len(label_set), len(label_set)):
        raise ValueError(
            f"counts must have shape {(len(label_set),) * 2} for {len(label_set)} emotions; "
            f"got {counts.shape}."
        )


def _matrix(values, texts, rows, columns, ax, title, look):
    import seaborn

    ax = new_axes(ax, title, (1.8 + 0.6 * len(columns), 1.2 + 0.48 * len(columns)))
    look = {"annot": texts, "fmt": "", "linewidths": 0.5, "linecolor": "0.8", "cbar": False} | look
    seaborn.heatmap(values, xticklabels=columns, yticklabels=rows, ax=ax, **look)
    ax.set_xticks(ax.get_xticks(), ax.get_xticklabels(), rotation=35, ha="right")
    ax.set_yticks(ax.get_yticks(), ax.get_yticklabels(), rotation=0)
    return ax


def plot_class_f1(per_class, *, ax=None, title=None, **kwargs):
    """Draw the F1 of each emotion as bars from 0, for one run or several.

    Args:
        per_class: `{emotion: F1}` or `{run: {emotion: F1}}`, where an F1 is a number or a
            mapping with the key `"f1"` and, for the interval, `"f1_low"` and `"f1_high"` (as
            `confusion.per_class` returns). The first run orders the emotions; an emotion that a
            run lacks has no bar.
    """
    single = all(_is_f1(value) for value in per_class.values())
    runs = {"": per_class} if single else per_class
    emotions = inner_keys(runs)
    places, wide = np.arange(len(emotions)), 0.84 / len(runs)
    ax = new_axes(
        ax, title, (max(6 if single else 7.5, 1.5 + 0.28 * len(emotions) * len(runs)), 3.6)
    )
    colours = [COLOURS.get(emotion, "0.55") for emotion in emotions]
    for place, ((run, of), shade) in enumerate(zip(runs.items(), shades(len(runs)), strict=True)):
        style = {"color": colours if single else shade, "edgecolor": INK, "linewidth": 0.6}
        heights = [_f1(of.get(emotion, np.nan)) for emotion in emotions]
        offset = (place - (len(runs) - 1) / 2) * wide
        ends = [_f1_ends(of.get(emotion, np.nan)) for emotion in emotions]
        low, high = np.transpose(ends)
        if (low < high).any():
            # A percentile interval may leave its value out, and error bars must not be negative.
            style["yerr"] = np.maximum([heights - low, high - heights], 0)
            style |= {"ecolor": INK, "capsize": 2, "error_kw": {"linewidth": 0.9}}
        bars = ax.bar(places + offset, heights, wide, label=run, **style | kwargs)
        texts = ["" if np.isnan(height) else f"{height:.2f}" for height in heights]
        ax.bar_label(bars, texts, padding=2, fontsize=8, rotation=0 if single else 90)
    ax.set_xticks(places, emotions)
    ax.set_ylim(0, 1.05 if single else 1.15)
    ax.set_yticks(np.linspace(0, 1, 6))
    ax.set_ylabel("F1")
    if not single:
        legend_beside(ax)
    return ax


def plot_scores(scores, *, metric="accuracy", ax=None, title=None, **kwargs):
    """Draw one metric of several runs: a dot, its interval and both in figures.

    Args:
        scores: `{run: what metrics.score returned}`, drawn from the top.
        metric: Key of METRICS.
    """
    values, lows, highs = (
        np.array([of[metric][part] for of in scores.values()]) for part in ("value", "low", "high")
    )
    rows = np.arange(len(scores))
    ax = new_axes(ax, title, (7, 0.9 + 0.32 * len(scores)))
    style = {"fmt": "o", "color": INK, "markersize": 5, "capsize": 3, "linewidth": 1.2}
    # A percentile interval may leave its value out, and error bars must not be negative.
    around = np.maximum([values - lows, highs - values], 0)
    ax.errorbar(values, rows, xerr=around, **style | kwargs)
    for row, numbers in enumerate(zip(values, lows, highs, strict=True)):
        text = "{:.3f} [{:.3f}, {:.3f}]".format(*numbers)
        where = {"xycoords": ax.get_yaxis_transform(), "va": "center", "fontsize": 8}
        ax.annotate(text, (1.02, row), annotation_clip=False, **where)
    ax.set_yticks(rows, list(scores))
    ax.set_ylim(len(scores) - 0.5, -0.5)
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)
    ax.set_xlabel(words(metric))
    return ax


def plot_cost(scores, costs, *, label, metric="accuracy", log=False, ax=None, title=None, **kwargs):
    """Draw one metric of several runs, with its interval, over what each run costs.

    Args:
        scores: `{run: what metrics.score returned}`.
        costs: `{run: number}`: minutes of training, parameters, multiply-adds …
        label: What the cost is, with its unit.
        metric: Key of METRICS.
        log: Whether the cost's axis is logarithmic; otherwise it starts at 0.
    """
    ax = new_axes(ax, title, (7.5, max(3.8, 0.9 + 0.26 * len(scores))))
    for place, (run, of) in enumerate(scores.items()):
        value, low, high = (of[metric][part] for part in ("value", "low", "high"))
        style = {"color": shades(len(scores))[place], "marker": MARKERS[place % len(MARKERS)]}
        style |= {"markersize": 6, "capsize": 3, "linewidth": 1.2, "linestyle": "none"}
        # A percentile interval may leave its value out, and error bars must not be negative.
        around = [[max(value - low, 0)], [max(high - value, 0)]]
        ax.errorbar([costs[run]], [value], yerr=around, label=run, **style | kwargs)
    if log:
        ax.set_xscale("log")
    else:
        ax.set_xlim(left=0)
    ax.grid(color="0.92")
    ax.set_axisbelow(True)
    ax.set_xlabel(label)
    ax.set_ylabel(words(metric))
    legend_beside(ax)
    return ax


def _is_f1(value):
    return not isinstance(value, Mapping) or "f1" in value


def _f1(value):
    return value["f1"] if isinstance(value, Mapping) else value


def _f1_ends(value):
    """Return the ends of an F1's interval; the F1 itself where it has none."""
    f1 = _f1(value)
    if not isinstance(value, Mapping):
        return f1, f1
    return value.get("f1_low", f1), value.get("f1_high", f1)
