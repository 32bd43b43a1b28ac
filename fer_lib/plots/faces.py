"""Figures of a data set: how many faces of what, and the faces themselves."""

from pathlib import Path

import numpy as np

from fer_lib.emotions import COLOURS
from fer_lib.plots.drawing import HATCHES, INK, check_images, inner_keys, legend_beside, new_axes


def plot_class_counts(counts, *, ax=None, title=None, **kwargs):
    """Draw the number of faces of each emotion, one bar per split, each with its number.

    Args:
        counts: `{split: {emotion: number of faces}}`; the first split orders the emotions.
    """
    emotions = inner_keys(counts)
    colours = [COLOURS.get(emotion, "0.55") for emotion in emotions]
    rows, thick = np.arange(len(emotions)), 0.84 / len(counts)
    ax = new_axes(ax, title, (7, 0.8 + 0.22 * len(emotions) * len(counts)))
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
        legend_beside(ax)
    return ax


def plot_faces(images, captions=None, *, columns=8, ax=None, title=None, **kwargs):
    """Draw faces as one mosaic, row by row, with a caption under each.

    Args:
        images: `uint8` array of shape `(n, height, width)` or `(n, height, width, 3)`, n > 0.
        captions: Optional sequence of n short strings; `"\\n"` starts a second line.
        columns: Faces in a row.

    Raises:
        ValueError: If images have another dtype or shape, or captions another length.
    """
    images, captions = np.asarray(images), list(captions) if captions is not None else []
    check_images(images)
    if captions and len(captions) != len(images):
        raise ValueError(f"captions has {len(captions)} entries for {len(images)} images.")
    lines = max((str(caption).count("\n") + 1 for caption in captions), default=0)
    canvas, corners = _mosaic(images, columns, lines)
    scale = 1.2 / images.shape[2]
    ax = new_axes(ax, title, (canvas.shape[1] * scale, canvas.shape[0] * scale))
    look = {"cmap": "gray", "vmin": 0, "vmax": 255, "interpolation": "nearest"}
    ax.imshow(canvas, **look | kwargs)
    ax.axis("off")
    _write_captions(ax, captions, corners, images.shape[1:3])
    return ax


def plot_mistakes(
    images, labels, predicted, confidence, label_set, *, ids=None, ax=None, title=None, **kwargs
):
    """Draw wrongly recognised faces with "true → predicted 0.97" under each.

    The caller picks which ones and their order.

    Args:
        images: As of `plot_faces`; of none, the figure says so.
        labels: Integer array of shape `(n,)`: the true classes.
        predicted: Integer array of shape `(n,)`: the predicted classes.
        confidence: Float array of shape `(n,)`: the probability of the predicted class.
        label_set: Emotion names in the order of the class numbers.
        ids: Optional array of shape `(n,)`; of a path, the file name is shown.
        **kwargs: Go to `plot_faces` (`columns`, …).
    """
    if not len(images):
        ax = new_axes(ax, title, (4, 1))
        ax.axis("off")
        ax.text(0.5, 0.5, "no mistakes", ha="center", va="center", transform=ax.transAxes)
        return ax
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


def _mosaic(images, columns, lines):
    """Return the white canvas with the faces on it, and each face's (left, top)."""
    count, height, width, *rgb = images.shape
    gap, columns = max(1, width // 12), min(columns, count)
    strip = int(np.ceil(lines * 0.17 * width))
    across, down = width + gap, height + strip + gap
    canvas = (-(-count // columns) * down - gap, columns * across - gap, *rgb)
    canvas = np.full(canvas, 255, np.uint8)
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
