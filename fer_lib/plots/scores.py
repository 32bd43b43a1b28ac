"""Figures of results: confusion matrices, scores and their intervals, and what they cost."""

from collections.abc import Mapping

import numpy as np

from fer_lib.plots.drawing import (
    MARKERS,
    accented,
    inner_keys,
    label_beside,
    longest,
    new_axes,
    wilson,
    words,
)

SCALE = 20  # percentage points: the full colour of a difference of confusions


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
            more of is blue, what `others` has more of is red, at full colour from 20 points on.
            Differences whose 95 % interval contains 0, as of independent faces, are grey. A
            class of which one of them has no faces shows dashes.
        label_set: Emotion names in the order of the class numbers.

    Raises:
        ValueError: If a matrix does not fit the label set.
    """
    shares, totals = [], []
    for matrix in (np.asarray(counts), np.asarray(others)):
        _check_square(matrix, label_set)
        totals.append(matrix.sum(axis=1, keepdims=True))
        shares.append(matrix / np.maximum(totals[-1], 1))
    filled = np.broadcast_to((totals[0] > 0) & (totals[1] > 0), shares[0].shape)
    gaps = np.where(filled, 100 * shares[0] - 100 * shares[1], 0).round() + 0.0  # no "-0"
    noise = filled & _within_noise(*shares, *totals)
    texts = np.where(filled, np.vectorize("{:+.0f}".format, otypes=[object])(gaps), "–")
    texts[noise & (gaps == 0)] = "·"
    texts = np.char.replace(texts.astype(str), "-", "−")
    look = {"cmap": "RdBu", "vmin": -SCALE, "vmax": SCALE}
    shown = np.where(noise, 0, gaps)
    ax = _matrix(shown, texts, label_set, label_set, ax, title, look | kwargs)
    for text, quiet in zip(ax.texts, noise.ravel(), strict=True):
        if quiet:
            text.set_color("0.6")
    ax.set_xlabel("predicted: difference in points of the true class")
    ax.set_ylabel("true")
    return ax


def _within_noise(share, other, n, m, z=1.96):
    """Return where the 95 % interval of a difference of two shares contains 0.

    Newcombe's hybrid score interval (1998, Statistics in Medicine 17, 873-890, method 10).
    """
    (low, high), (other_low, other_high) = (
        wilson(of, np.maximum(faces, 1), z) for of, faces in ((share, n), (other, m))
    )
    gap = share - other
    below = np.sqrt((share - low) ** 2 + (other_high - other) ** 2)
    above = np.sqrt((high - share) ** 2 + (other - other_low) ** 2)
    return (gap - below <= 0) & (gap + above >= 0)


def _check_square(counts, label_set):
    if counts.shape != (len(label_set), len(label_set)):
        raise ValueError(
            f"counts must have shape {(len(label_set),) * 2} for {len(label_set)} emotions; "
            f"got {counts.shape}."
        )


def _matrix(values, texts, rows, columns, ax, title, look):
    import seaborn

    ax = new_axes(ax, title, (1.8 + 0.68 * len(columns), 1.2 + 0.48 * len(columns)))
    look = {"annot": texts, "fmt": "", "linewidths": 0.5, "linecolor": "0.8", "cbar": False} | look
    seaborn.heatmap(values, xticklabels=columns, yticklabels=rows, ax=ax, **look)
    ax.set_xticks(ax.get_xticks(), ax.get_xticklabels(), rotation=0, fontsize=9)
    ax.set_yticks(ax.get_yticks(), ax.get_yticklabels(), rotation=0)
    return ax


def plot_class_f1(per_class, *, ax=None, title=None, **kwargs):
    """Draw the F1 of each emotion as dots with intervals, for one run or several.

    The best emotion of the first run is on top; the first run stands out.

    Args:
        per_class: `{emotion: F1}` or `{run: {emotion: F1}}`, where an F1 is a number or a
            mapping with the key `"f1"` and, for the interval, `"f1_low"` and `"f1_high"` (as
            `confusion.per_class` returns). An emotion that a run lacks has no dot. The number of
            its faces, `"n"`, stands beside an emotion, and `"too few"` beside an F1 whose ends
            are `None`.
        **kwargs: Go to `Axes.errorbar`.
    """
    single = all(_is_f1(value) for value in per_class.values())
    runs = {"": per_class} if single else per_class
    emotions = inner_keys(runs)
    first = next(iter(runs.values()))
    emotions.sort(key=lambda name: -_f1(first.get(name, -1)))
    places, apart = np.arange(len(emotions)), min(0.36, 0.7 / len(runs))
    ax = new_axes(ax, title, (6.4, 1.2 + len(emotions) * max(0.36, 0.24 * len(runs))))
    colours = accented(runs, [next(iter(runs))])
    for number, ((run, of), colour) in enumerate(zip(runs.items(), colours, strict=True)):
        values = np.array([_f1(of.get(emotion, np.nan)) for emotion in emotions], float)
        low, high = np.transpose([_f1_ends(of.get(emotion, np.nan)) for emotion in emotions])
        rows = places + (number - (len(runs) - 1) / 2) * apart
        style = {"fmt": MARKERS[number % len(MARKERS)], "color": colour, "markersize": 5}
        style |= {"capsize": 2, "elinewidth": 1.2, "label": run}
        # A percentile interval may leave its value out, and error bars must not be negative.
        around = np.maximum([values - low, high - values], 0)
        ax.errorbar(values, rows, xerr=around, **style | kwargs)
        for emotion, value, row in zip(emotions, values, rows, strict=True):
            if not np.isnan(value):
                where = {"xycoords": ax.get_yaxis_transform(), "va": "center", "fontsize": 8}
                text = f"{value:.2f}{', too few' * _too_few(of[emotion])}"
                ax.annotate(text, (1.02, row), color=colour, annotation_clip=False, **where)
    ax.set_yticks(places, [_with_faces(emotion, runs) for emotion in emotions])
    ax.set_ylim(len(emotions) - 0.5, -0.5)
    ax.set_xlim(0, 1)
    ax.set_xlabel("F1")
    ax.grid(axis="x", color="0.92")
    ax.set_axisbelow(True)
    if not single:
        under = {
            "loc": "upper left",
            "bbox_to_anchor": (0, -0.45 / ax.figure.get_figheight() - 0.06),
        }
        ax.legend(frameon=False, fontsize=8, **under)
    return ax


def plot_scores(scores, *, metric="accuracy", accent=None, ax=None, title=None, **kwargs):
    """Draw one metric of several runs: a dot, its interval and both in figures.

    Args:
        scores: `{run: what metrics.score returned}`, drawn from the top.
        metric: Key of METRICS.
        accent: Runs that stand out in colour, the others being grey; all in ink if `None`.
    """
    numbers = [
        tuple(of[metric][part] for part in ("value", "low", "high")) for of in scores.values()
    ]
    ax = new_axes(ax, title, (5.2 + longest(scores, 10), 0.9 + 0.32 * len(scores)))
    draw_intervals(ax, range(len(scores)), numbers, accented(scores, accent), **kwargs)
    ax.set_yticks(range(len(scores)), list(scores))
    ax.set_ylim(len(scores) - 0.5, -0.5)
    ax.set_xlabel(words(metric))
    return ax


def plot_cost(
    scores,
    costs,
    *,
    label,
    metric="accuracy",
    accent=None,
    log=False,
    ax=None,
    title=None,
    **kwargs,
):
    """Draw one metric of several runs, with its interval, over what each run costs.

    Args:
        scores: `{run: what metrics.score returned}`.
        costs: `{run: number}`: minutes of training, parameters, multiply-adds …
        label: What the cost is, with its unit.
        metric: Key of METRICS.
        accent: Runs that stand out in colour, the others being grey; all in ink if `None`.
        log: Whether the cost's axis is logarithmic; otherwise it starts at 0.
    """
    ax = new_axes(ax, title, (5.5 + longest(scores), max(3.8, 0.9 + 0.28 * len(scores))))
    colours, points = accented(scores, accent), []
    for place, (run, of) in enumerate(scores.items()):
        value, low, high = (of[metric][part] for part in ("value", "low", "high"))
        style = {"color": colours[place], "marker": "o", "markersize": 6, "capsize": 3}
        style |= {"linewidth": 1.2, "linestyle": "none"}
        # A percentile interval may leave its value out, and error bars must not be negative.
        around = [[max(value - low, 0)], [max(high - value, 0)]]
        ax.errorbar([costs[run]], [value], yerr=around, label=run, **style | kwargs)
        points.append((costs[run], value))
    if log:
        from matplotlib.ticker import LogLocator

        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:g}")
    else:
        ax.set_xlim(left=0)
    ax.grid(color="0.92")
    ax.set_axisbelow(True)
    ax.set_xlabel(label)
    ax.set_ylabel(words(metric))
    label_beside(ax, points, list(scores), colours)
    return ax


def draw_intervals(ax, rows, numbers, colours, **kwargs):
    """Draw dots with intervals in rows, and both in figures to the right.

    Args:
        rows: Sequence of heights.
        numbers: Sequence of `(value, low, high)`.
        colours: One for each row.
        **kwargs: Go to `Axes.errorbar`.
    """
    style = {"fmt": "o", "markersize": 5, "capsize": 3, "linewidth": 1.2}
    for row, (value, low, high), colour in zip(rows, numbers, colours, strict=True):
        # A percentile interval may leave its value out, and error bars must not be negative.
        around = [[max(value - low, 0)], [max(high - value, 0)]]
        ax.errorbar([value], [row], xerr=around, **{"color": colour} | style | kwargs)
        text = f"{value:.3f} [{low:.3f}, {high:.3f}]"
        where = {"xycoords": ax.get_yaxis_transform(), "va": "center", "fontsize": 8}
        ax.annotate(text, (1.02, row), color=colour, annotation_clip=False, **where)
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)


def _is_f1(value):
    return not isinstance(value, Mapping) or "f1" in value


def _f1(value):
    return value["f1"] if isinstance(value, Mapping) else value


def _f1_ends(value):
    """Return the ends of an F1's interval; the F1 itself where it has none."""
    f1 = _f1(value)
    if not isinstance(value, Mapping) or _too_few(value):
        return f1, f1
    return value.get("f1_low", f1), value.get("f1_high", f1)


def _too_few(value):
    return isinstance(value, Mapping) and value.get("f1_low", 0) is None


def _with_faces(emotion, runs):
    """Return an emotion with the number of its faces, where the runs have one number."""
    values = [of[emotion] for of in runs.values() if emotion in of]
    counts = {value.get("n") if isinstance(value, Mapping) else None for value in values}
    n = counts.pop() if len(counts) == 1 else None
    return emotion if n is None else f"{emotion} (n = {n:,})"
