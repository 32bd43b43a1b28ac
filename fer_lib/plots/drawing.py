"""What all figures share: axes, colours that print, and names beside what they name."""

import textwrap

import numpy as np

INK = "0.2"
ACCENT = "#0072B2"  # what a figure is about
QUIET = "0.45"  # what it is compared with
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++")
MARKERS = "osD^vPX*<>"
_TITLE = 11  # points
LINES = ("-", "--", "-.", ":")


def new_axes(ax, title, size):
    """Return `ax`, or that of a new figure of `size` inches, with its title and no box.

    The title is wrapped to about the width of the Axes.
    """
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(figsize=size, layout="constrained")[1]
        wide = size[0]
    else:
        wide = ax.get_window_extent().width / ax.get_figure(root=True).dpi
    if title is not None:
        # A character is about half as wide as it is high.
        fit = max(20, int(wide * 72 / (0.55 * _TITLE)))
        lines = [textwrap.fill(line, fit) for line in str(title).split("\n")]
        ax.set_title("\n".join(lines), fontsize=_TITLE)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def check_images(images):
    """Refuse an array that holds no faces, grey or RGB, to draw."""
    fits = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    if images.dtype != np.uint8 or not fits or not images.size:
        raise ValueError(
            "images must be uint8 of shape (n, height, width) or (n, height, width, 3) with n > 0; "
            f"got {images.dtype} of shape {images.shape}."
        )


def accented(names, accent):
    """Return the colour of each name: the accent's for those in `accent`, else a quiet grey.

    Args:
        names: Sequence of names.
        accent: Names that stand out, or `None`: then all are drawn in ink.
    """
    if accent is None:
        return [INK] * len(names)
    return [ACCENT if name in accent else QUIET for name in names]


def longest(names, points=8):
    """Return about how many inches the longest of some names needs."""
    return max((len(str(name)) for name in names), default=0) * 0.55 * points / 72


def label_beside(ax, points, names, colours, markers=()):
    """Name points in a column to the right of the Axes, with a thin line to each behind the data.

    Names that would overlap are moved apart. The limits of the Axes must be final.

    Args:
        points: Sequence of `(x, y)` in data units.
        names: Their texts.
        colours: Their colours.
        markers: Marker of each, repeated before its name, or none.
    """
    ax.get_ylim()  # Matplotlib sets the limits when somebody asks for them; a transform does not
    y = ax.transData.transform(points)[:, 1]
    height = ax.get_window_extent().height
    place = _apart((y - ax.get_window_extent().y0) / height, 12 * ax.figure.dpi / 72 / height)
    for point, name, colour, at in zip(points, names, colours, place, strict=True):
        line = {"arrowstyle": "-", "color": "0.85", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 3}
        ax.annotate(
            name,
            point,
            (1.05 if markers else 1.03, at),
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            color=colour,
            arrowprops=line | {"relpos": (0, 0.5)},
            annotation_clip=False,
            zorder=1,
        )
    for marker, colour, at in zip(markers, colours, place, strict=False):
        style = {"s": 12, "color": colour, "marker": marker, "clip_on": False}
        ax.scatter([1.03], [at], transform=ax.transAxes, **style)


def wilson(share, n, z=1.96):
    """Return the ends of Wilson's (1927) 95 % interval of shares, stacked on a first axis."""
    share, n = np.asarray(share, float), np.asarray(n, float)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return np.array([middle - half, middle + half])


def _apart(places, gap):
    """Return places from 0 to 1 moved as little as it takes to be `gap` apart, in their order."""
    order = np.argsort(places, kind="stable")
    moved = np.array(places, float)[order]
    for _ in range(200):
        between = gap - np.diff(moved)
        if not (between > 1e-6).any():
            break
        push = np.maximum(between, 0) / 2
        moved[:-1] -= push
        moved[1:] += push
    result = np.empty(len(moved))
    result[order] = moved
    return result


def legend_beside(ax):
    """Put the legend to the right of the Axes."""
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)


def shades(count):
    """Return colours that differ in lightness, and so in print."""
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0.1, 0.8, count))


def words(metric):
    """Return a column name as an axis label: `"val_macro_f1"` → `"validation macro-F1"`."""
    text = metric.replace("val_", "validation_").replace("_", " ")
    return text.replace("macro f1", "macro-F1")


def inner_keys(table):
    """Return the keys of all rows of `{row: {key: …}}`, in the order in which they come."""
    if not table:
        raise ValueError("there must be at least one row to draw; got an empty mapping.")
    return list(dict.fromkeys(key for row in table.values() for key in row))
