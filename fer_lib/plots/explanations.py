"""Figures of single predictions: which places of a face spoke for a class, and how sure it is."""

import numpy as np

from fer_lib.emotions import COLOURS
from fer_lib.plots.drawing import ACCENT, INK, check_images, new_axes

_GAP = 0.1  # between two faces, whose side is 1
_LINE = 0.17  # height of a line of a caption


def plot_maps(
    images,
    maps,
    captions=None,
    *,
    limit=None,
    label=None,
    columns=6,
    ax=None,
    title=None,
    **kwargs,
):
    """Draw faces with their maps laid over them: red speaks for the class, blue against it.

    Args:
        images: `uint8` array of shape `(n, height, width)` or `(n, height, width, 3)`, n > 0.
        maps: Float array of shape `(n, height, width)`, such as those of `explain`. The colour
            fades to nothing at 0.
        captions: Optional sequence of n short strings; `"\\n"` starts a second line.
        limit: Value of the full colour, of either sign. Defaults to the largest of all maps.
        label: What the colour stands for, with its unit.
        columns: Faces in a row.
        **kwargs: Go to `imshow` of the maps (`cmap`, …).

    Raises:
        ValueError: If images, maps or captions do not fit together.
    """
    images, maps = np.asarray(images), np.asarray(maps, np.float32)
    captions = [""] * len(images) if captions is None else [str(caption) for caption in captions]
    check_images(images)
    if maps.shape != images.shape[:3] or len(captions) != len(images):
        raise ValueError(
            f"maps must have the shape of images, {images.shape[:3]}, and captions their number; "
            f"got {maps.shape} and {len(captions)}."
        )
    limit = limit or float(abs(maps).max()) or 1.0
    columns, lines = min(columns, len(images)), max(text.count("\n") + 1 for text in captions)
    tall = images.shape[1] / images.shape[2]
    down = tall + _GAP + _LINE * lines * any(captions)
    rows = -(-len(images) // columns)
    ax = new_axes(ax, title, (1.25 * columns * (1 + _GAP), 1.25 * rows * down + 0.9))
    look = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "interpolation": "bilinear"} | kwargs
    for place, (image, values, caption) in enumerate(zip(images, maps, captions, strict=True)):
        left, top = place % columns * (1 + _GAP), place // columns * down
        box = (left, left + 1, top + tall, top)
        ax.imshow(image, cmap="gray", vmin=0, vmax=255, extent=box)
        opaque = 0.75 * np.clip(abs(values) / limit, 0, 1)
        overlay = ax.imshow(values, alpha=opaque, extent=box, **look)
        ax.text(left + 0.5, top + tall + 0.02, caption, ha="center", va="top", fontsize=8)
    ax.set_xlim(0, columns * (1 + _GAP) - _GAP)
    ax.set_ylim(rows * down - _GAP, 0)
    ax.axis("off")
    _colour_bar(ax, overlay, label, maps.min() < 0, rows * down)
    return ax


def plot_average_maps(averages, *, ax=None, title=None, **kwargs):
    """Draw the average map of each emotion over the mean of its faces, with their number.

    Args:
        averages: `{emotion: {"map", "face", "n"}}`, as `explanations.average_maps` returns it.
        **kwargs: Go to `plot_maps` (`label`, `limit`, `columns`, …).
    """
    if not averages:
        raise ValueError("averages must hold at least one emotion; it is empty.")
    images, maps = (np.stack([of[key] for of in averages.values()]) for key in ("face", "map"))
    captions = [
        f"{emotion}\n{of['n']:,} {'face' if of['n'] == 1 else 'faces'}"
        for emotion, of in averages.items()
    ]
    return plot_maps(images, maps, captions, ax=ax, title=title, **{"columns": 4} | kwargs)


def plot_answer(image, probabilities, label_set, *, true=None, ax=None, title=None, **kwargs):
    """Draw a face beside the probability of each emotion, the most probable on top.

    Args:
        image: `uint8` array of shape `(height, width)` or `(height, width, 3)`: the face.
        probabilities: Float array of shape `(classes,)`, summing to 1.
        label_set: Emotion names in the order of the classes.
        true: The emotion that the face is labelled with, which is marked, or `None`.
        **kwargs: Go to `Axes.barh`.

    Raises:
        ValueError: If the label set does not name each probability.
    """
    probabilities = np.asarray(probabilities, float)
    if probabilities.shape != (len(label_set),):
        raise ValueError(
            f"label_set must name each probability; got {len(label_set)} names for an array of "
            f"shape {probabilities.shape}."
        )
    order = np.argsort(-probabilities, kind="stable")
    names = [label_set[number] for number in order]
    ax = new_axes(ax, title, (5.5, 2.6))
    style = {"color": [COLOURS.get(name, "0.55") for name in names], "edgecolor": INK}
    bars = ax.barh(range(len(names)), probabilities[order], **style | {"linewidth": 0.6} | kwargs)
    ax.bar_label(bars, fmt="{:.2f}", padding=2, fontsize=8)
    ax.set_yticks(range(len(names)), [f"{n} (label)" if n == true else n for n in names])
    ax.invert_yaxis()
    ax.set_xlim(0, 1.08)
    ax.set_xlabel("probability")
    face = ax.inset_axes([-1.0, 0.0, 0.62, 1.0])
    face.imshow(image, cmap="gray", vmin=0, vmax=255)
    face.axis("off")
    return ax


def _colour_bar(ax, overlay, label, signed, height):
    """Put the scale of the colours below the Axes, whatever the number of rows."""
    from matplotlib.cm import ScalarMappable

    bar = ax.inset_axes([0.3, -0.25 / height, 0.4, 0.09 / height])
    colours = ScalarMappable(overlay.norm, overlay.cmap)  # the overlay's own are transparent
    scale = ax.get_figure(root=True).colorbar(colours, cax=bar, orientation="horizontal")
    scale.set_label(label or "", fontsize=8)
    bar.tick_params(labelsize=7)
    bar.set_xlim(overlay.norm.vmin if signed else 0, overlay.norm.vmax)


def plot_answers(
    images, probabilities, label_set, captions=None, *, columns=3, ax=None, title=None, **kwargs
):
    """Draw faces, each beside the three emotions that are most probable in it.

    Args:
        images: `uint8` array of shape `(n, height, width)` or `(n, height, width, 3)`, n > 0.
        probabilities: Float array of shape `(n, classes)`, rows summing to 1.
        label_set: Emotion names in the order of the classes.
        captions: Optional sequence of n short strings.
        columns: Faces in a row.
        **kwargs: Go to the `Rectangle` of each bar.

    Raises:
        ValueError: If images, probabilities or captions do not fit together.
    """
    from matplotlib.patches import Rectangle

    images, probabilities = np.asarray(images), np.asarray(probabilities, float)
    captions = [""] * len(images) if captions is None else [str(caption) for caption in captions]
    if probabilities.shape != (len(images), len(label_set)) or len(captions) != len(images):
        raise ValueError(
            f"probabilities must have shape {(len(images), len(label_set))} for {len(images)} "
            f"images and {len(label_set)} emotions, and captions their number; got "
            f"{probabilities.shape} and {len(captions)}."
        )
    columns = min(columns, len(images))
    rows, wide, tall = -(-len(images) // columns), 3.1, 1.12 + _LINE * any(captions)
    ax = new_axes(ax, title, (0.95 * wide * columns, 0.95 * tall * rows + 0.3))
    for place, (image, answer, caption) in enumerate(
        zip(images, probabilities, captions, strict=True)
    ):
        left, top = place % columns * wide, place // columns * tall
        extent = (left, left + 1, top + 1, top)
        ax.imshow(image, cmap="gray", vmin=0, vmax=255, extent=extent)
        ax.text(left + 0.5, top + 1.02, caption, ha="center", va="top", fontsize=8)
        for number, best in enumerate(np.argsort(-answer, kind="stable")[:3]):
            y = top + 0.14 + 0.3 * number
            colour = ACCENT if number == 0 else "0.75"
            style = {"facecolor": colour, "linewidth": 0} | kwargs
            ax.text(left + 1.08, y - 0.02, label_set[best], va="bottom", fontsize=8)
            ax.add_patch(Rectangle((left + 1.08, y), 1.3 * answer[best], 0.1, **style))
            end = left + 1.13 + 1.3 * answer[best]
            ax.text(end, y + 0.05, f"{answer[best]:.2f}", va="center", fontsize=8)
    ax.set_xlim(-0.02, columns * wide)
    ax.set_ylim(rows * tall, -0.02)
    ax.set_aspect("equal")
    ax.axis("off")
    return ax
