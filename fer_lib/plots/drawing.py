"""What all figures share: axes, colours that print, and saving."""

from pathlib import Path

import numpy as np

from fer_lib import storage

INK = "0.2"
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++")
MARKERS = "osD^vPX*<>"
LINES = ("-", "--", "-.", ":")


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


def new_axes(ax, title, size):
    """Return `ax`, or that of a new figure of `size` inches, with its title and no box."""
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(figsize=size, layout="constrained")[1]
    if title is not None:
        ax.set_title(title)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def legend_beside(ax):
    """Put the legend to the right of the Axes."""
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)


def shades(count):
    """Return colours that differ in lightness, and so in print."""
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0.1, 0.8, count))


def words(metric):
    """Return a column name as an axis label: `"val_macro_f1"` → `"validation macro f1"`."""
    return metric.replace("val_", "validation_").replace("_", " ")


def inner_keys(table):
    """Return the keys of all rows of `{row: {key: …}}`, in the order in which they come."""
    if not table:
        raise ValueError("there must be at least one row to draw; got an empty mapping.")
    return list(dict.fromkeys(key for row in table.values() for key in row))
