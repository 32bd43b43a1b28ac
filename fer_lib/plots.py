"""Figures: one function draws one Axes and returns it.

Each takes the data first and `ax=None` (a new figure), `title=None`; further keywords go to the
artist it draws. It computes no statistic, shows nothing and saves nothing (`save_figure` does).
"""

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fer_lib import storage
from fer_lib.emotions import COLOURS

INK = "0.2"
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++")
MARKERS = "osD^vPX*<>"
LINES = ("-", "--", "-.", ":")


def plot_class_counts(counts, *, ax=None, title=None, **kwargs):
    """Draw the number of faces of each emotion, one bar per split, each with its number.

    Args:
        counts: `{split: {emotion: number of faces}}`; the first split orders the emotions.
    """
    emotions = _inner_keys(counts)
    colours = [COLOURS.get(emotion, "0.55") for emotion in emotions]
    rows, thick = np.arange(len(emotions)), 0.84 / len(counts)
    ax = _axes(ax, title, (7, 0.8 + 0.22 * len(emotions) * len(counts)))
    for place, (split, of) in enumerate(counts.items()):
        style = {"hatch": HATCHES[place % len(HATCHES)], "edgecolor": INK, "linewidth": 0.6}
        widths = [of.get(emotion, 0) for emotion in emotions]
        offset = (place - (len(counts) - 1) / 2) * thick
        bars = ax.barh(rows + offset, widths, thick, color=colours, **style | kwargs)
        ax.bar_label(bars, fmt="{:,.0f}", padding=2, fontsize=8)
        ax.barh(0, 0, color="0.85", label=split, **style)  # the legend's patch, of no emotion
    ax.set_yticks(rows, emotions)
    ax.invert_yaxis()
    ax.margins(x=0.1)
    ax.set_xlabel("faces")
    if len(counts) > 1:
        _legend_beside(ax)
    return ax


def plot_faces(images, captions=None, *, columns=8, ax=None, title=None, **kwargs):
    """Draw faces as one mosaic, row by row, with a caption under each.

    Args:
        images: `uint8` array of shape `(n, height, width)`, n > 0.
        captions: Optional sequence of n short strings; `"\\n"` starts a second line.
        columns: Faces in a row.

    Raises:
        ValueError: If images have another dtype or shape, or captions another length.
    """
    images, captions = np.asarray(images), list(captions) if captions is not None else []
    if images.dtype != np.uint8 or images.ndim != 3 or not len(images):
        raise ValueError(
            "images must be uint8 of shape (n, height, width) with n > 0; "
            f"got {images.dtype} of shape {images.shape}."
        )
    if captions and len(captions) != len(images):
        raise ValueError(f"captions has {len(captions)} entries for {len(images)} images.")
    lines = max((str(caption).count("\n") + 1 for caption in captions), default=0)
    canvas, corners = _mosaic(images, columns, lines)
    scale = 1.2 / images.shape[2]
    ax = _axes(ax, title, (canvas.shape[1] * scale, canvas.shape[0] * scale))
    look = {"cmap": "gray", "vmin": 0, "vmax": 255, "interpolation": "nearest"}
    ax.imshow(canvas, **look | kwargs)
    ax.axis("off")
    _write_captions(ax, captions, corners, images.shape[1:])
    return ax


def plot_mistakes(
    images, labels, predicted, confidence, label_set, *, ids=None, ax=None, title=None, **kwargs
):
    """Draw wrongly recognised faces with "true → predicted 0.97" under each.

    The caller picks which ones and their order.

    Args:
        images: `uint8` array of shape `(n, height, width)`.
        labels: Integer array of shape `(n,)`: the true classes.
        predicted: Integer array of shape `(n,)`: the predicted classes.
        confidence: Float array of shape `(n,)`: the probability of the predicted class.
        label_set: Emotion names in the order of the class numbers.
        ids: Optional array of shape `(n,)`; of a path, the file name is shown.
        **kwargs: Go to `plot_faces` (`columns`, …).
    """
    captions = [
        f"{label_set[true]} →\n{label_set[guess]} {share:.2f}"
        for true, guess, share in zip(labels, predicted, confidence, strict=True)
    ]
    if ids is not None:
        captions = [
            f"{caption}\n{Path(str(name)).name}"
            for caption, name in zip(captions, ids, strict=True)
        ]
    return plot_faces(images, captions, ax=ax, title=title, **kwargs)


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
    ax = _axes(ax, title, (6, 3.8))
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
    ax = _axes(ax, title, (7, 3.8))
    styles = zip(_shades(len(histories)), itertools.cycle(LINES), itertools.cycle(MARKERS))
    for (run, history), (colour, line, marker) in zip(histories.items(), styles, strict=False):
        style = {"color": colour, "linestyle": line, "marker": marker, "markersize": 3.5}
        ax.plot(history["epoch"], history[metric], label=run, **style | kwargs)
    _finish_curves(ax, metric)
    _legend_beside(ax)
    return ax


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
    import seaborn

    counts = np.asarray(counts)
    if counts.shape != (len(label_set), len(label_set)):
        raise ValueError(
            f"counts must have shape {(len(label_set),) * 2} for {len(label_set)} emotions; "
            f"got {counts.shape}."
        )
    totals, rows = counts.sum(axis=1, keepdims=True), list(label_set)
    texts = np.vectorize("{:,}".format, otypes=[object])(counts)
    if normalize:
        counts = 100 * counts / np.maximum(totals, 1)
        texts = np.where(totals > 0, np.vectorize("{:.0f}".format, otypes=[object])(counts), "–")
        rows = [f"{name} ({n:,})" for name, n in zip(label_set, totals[:, 0], strict=True)]
    ax = _axes(ax, title, (1.8 + 0.6 * len(label_set), 1.2 + 0.48 * len(label_set)))
    look = {"cmap": "Blues", "vmin": 0, "vmax": 100 if normalize else None, "cbar": False}
    look |= {"annot": texts, "fmt": "", "linewidths": 0.5, "linecolor": "0.8"}
    seaborn.heatmap(counts, xticklabels=label_set, yticklabels=rows, ax=ax, **look | kwargs)
    ax.set_xticks(ax.get_xticks(), ax.get_xticklabels(), rotation=35, ha="right")
    ax.set_yticks(ax.get_yticks(), ax.get_yticklabels(), rotation=0)
    ax.set_xlabel("predicted" + ", % of the true class" * normalize)
    ax.set_ylabel("true" + " (faces)" * normalize)
    return ax


def plot_class_f1(per_class, *, ax=None, title=None, **kwargs):
    """Draw the F1 of each emotion as bars from 0, for one run or several.

    Args:
        per_class: `{emotion: F1}` or `{run: {emotion: F1}}`, where an F1 is a number or a
            mapping with the key `"f1"` (as in `metrics.score`). The first run orders the
            emotions; an emotion that a run lacks has no bar.
    """
    single = all(_is_f1(value) for value in per_class.values())
    runs = {"": per_class} if single else per_class
    emotions = _inner_keys(runs)
    places, wide = np.arange(len(emotions)), 0.84 / len(runs)
    ax = _axes(ax, title, (max(6 if single else 7.5, 1.5 + 0.28 * len(emotions) * len(runs)), 3.6))
    colours = [COLOURS.get(emotion, "0.55") for emotion in emotions]
    for place, ((run, of), shade) in enumerate(zip(runs.items(), _shades(len(runs)), strict=True)):
        style = {"color": colours if single else shade, "edgecolor": INK, "linewidth": 0.6}
        heights = [_f1(of.get(emotion, np.nan)) for emotion in emotions]
        offset = (place - (len(runs) - 1) / 2) * wide
        bars = ax.bar(places + offset, heights, wide, label=run, **style | kwargs)
        texts = ["" if np.isnan(height) else f"{height:.2f}" for height in heights]
        ax.bar_label(bars, texts, padding=2, fontsize=8, rotation=0 if single else 90)
    ax.set_xticks(places, emotions)
    ax.set_ylim(0, 1.05 if single else 1.15)
    ax.set_yticks(np.linspace(0, 1, 6))
    ax.set_ylabel("F1")
    if not single:
        _legend_beside(ax)
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
    ax = _axes(ax, title, (7, 0.9 + 0.32 * len(scores)))
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
    ax.set_xlabel(_words(metric))
    return ax


def save_figure(ax, path, formats=("png", "pdf")):
    """Save a figure in several formats; the same figure gives the same bytes.

    Args:
        ax: Axes or Figure.
        path: File path without suffix (a dot in the name is no suffix).
        formats: Suffixes that Matplotlib knows.

    Returns:
        List of the paths written, in the order of `formats`.
    """
    from matplotlib import rc_context

    figure = ax.get_figure(root=True)
    # Each format's own record of when and by which version it was written.
    metadata = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        "svg": {"Date": None, "Creator": None},
    }
    paths = [Path(f"{path}.{suffix}") for suffix in formats]
    for suffix, file in zip(formats, paths, strict=True):
        with storage.replacing(file) as temporary, rc_context({"svg.hashsalt": "fer_lib"}):
            figure.savefig(
                temporary,
                format=suffix,
                dpi=150,
                bbox_inches="tight",
                metadata=metadata.get(suffix),
            )
    return paths


def _axes(ax, title, size):
    """Return `ax`, or that of a new figure of `size` inches, with its title and no box."""
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(figsize=size, layout="constrained")[1]
    if title is not None:
        ax.set_title(title)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _legend_beside(ax):
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)


def _shades(count):
    """Return colours that differ in lightness, and so in print."""
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0.1, 0.8, count))


def _words(metric):
    """Return a column name as an axis label: `"val_macro_f1"` → `"validation macro f1"`."""
    return metric.replace("val_", "validation_").replace("_", " ")


def _inner_keys(table):
    """Return the keys of all rows of `{row: {key: …}}`, in the order in which they come."""
    if not table:
        raise ValueError("there must be at least one row to draw; got an empty mapping.")
    return list(dict.fromkeys(key for row in table.values() for key in row))


def _is_f1(value):
    return not isinstance(value, Mapping) or "f1" in value


def _f1(value):
    return value["f1"] if isinstance(value, Mapping) else value


def _mosaic(images, columns, lines):
    """Return the white canvas with the faces on it, and each face's (left, top)."""
    count, height, width = images.shape
    gap, columns = max(1, width // 12), min(columns, count)
    strip = int(np.ceil(lines * 0.17 * width))
    across, down = width + gap, height + strip + gap
    canvas = np.full((-(-count // columns) * down - gap, columns * across - gap), 255, np.uint8)
    corners = [(n % columns * across, n // columns * down) for n in range(count)]
    for image, (left, top) in zip(images, corners, strict=True):
        canvas[top : top + height, left : left + width] = image
    return canvas, corners


def _write_captions(ax, captions, corners, shape):
    """Write captions under the faces, in one size that fits their strip and the longest line."""
    if not captions:
        return
    figure = ax.get_figure(root=True)
    figure.draw_without_rendering()  # only now is the size of a mosaic's pixel known
    height, width = shape
    points = ax.get_window_extent().width / np.ptp(ax.get_xlim()) * 72 / figure.dpi
    longest = max(len(line) for caption in captions for line in str(caption).split("\n"))
    size = min(9, width * points * 0.125, width * points / (0.62 * max(longest, 1)))
    style = {"ha": "center", "va": "top", "fontsize": size, "linespacing": 1.05}
    for caption, (left, top) in zip(captions, corners, strict=True):
        ax.text(left + (width - 1) / 2, top + height + 0.02 * width, str(caption), **style)


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
    ax.set_ylabel(_words(metric))
    ax.grid(color="0.92")
    ax.set_axisbelow(True)
