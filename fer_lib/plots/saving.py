"""Saving: a PNG for the screen, a PDF for a paper, and captions beside them."""

import contextlib
import warnings
from pathlib import Path

from fer_lib import storage

COLUMN, PAGE = 3.4, 7.0  # inches: one column and both, as most journals and theses have them
CAPTIONS = "captions.txt"
_NARROW = 1.5  # inches: an Axes below this shows nothing
# Each format's own record of when and by which version it was written.
_SILENT = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
}


def save_figure(ax, path, formats=("png", "pdf"), *, caption=None):
    """Save a figure in several formats; the same figure gives the same bytes.

    A PDF is for a paper: as wide as a column (3.4 inches), or as two (7 inches) where one is too
    narrow for its texts; without its title, which is the caption's task; with fonts that
    publishers take. Titles that tell panels apart stay. Other formats are as on the screen.

    Args:
        ax: Axes or Figure.
        path: File path without suffix (a dot in the name is no suffix).
        formats: Suffixes that Matplotlib knows.
        caption: What a reader must know, or `None`. It is written to `captions.txt` in the
            figure's folder, one line a figure.

    Returns:
        List of the paths written, in the order of `formats`.
    """
    from matplotlib import rc_context

    figure = ax.get_figure(root=True)
    paths = [Path(f"{path}.{suffix}") for suffix in formats]
    for suffix, file in zip(formats, paths, strict=True):
        look = _for_a_paper(figure) if suffix == "pdf" else contextlib.nullcontext()
        settings = {"svg.hashsalt": "fer_lib", "pdf.fonttype": 42}
        with storage.replacing(file) as temporary, rc_context(settings), look:
            figure.savefig(
                temporary,
                format=suffix,
                dpi=150,
                bbox_inches="tight",
                metadata=_SILENT.get(suffix),
            )
    if caption is not None:
        _write_caption(Path(f"{path}.png"), caption)
    return paths


def read_captions(folder):
    """Return the captions of the figures in a folder, `{name of the figure: caption}`."""
    file = Path(folder) / CAPTIONS
    if not file.exists():
        return {}
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def _write_caption(figure, caption):
    captions = read_captions(figure.parent) | {figure.stem: " ".join(caption.split())}
    with storage.replacing(figure.parent / CAPTIONS) as temporary:
        lines = (f"{name}: {text}\n" for name, text in sorted(captions.items()))
        temporary.write_text("".join(lines), encoding="utf-8")


@contextlib.contextmanager
def _for_a_paper(figure):
    """Give a figure the look of a paper while a block runs, and then its own again."""
    from matplotlib.text import Text

    width, height = figure.get_size_inches()
    texts = figure.findobj(Text)
    sizes = [text.get_fontsize() for text in texts]
    titles = [ax.title for ax in figure.axes if ax.get_title()]
    hidden = titles if len(titles) == 1 else []
    if figure.get_suptitle():
        hidden = [*hidden, figure._suptitle]
    labels = [label for ax in _all_axes(figure) for label in ax.get_xticklabels()]
    turned = [label.get_rotation() for label in labels]
    try:
        for title in hidden:
            title.set_visible(False)
        for text, size in zip(texts, sizes, strict=True):
            text.set_fontsize(max(6.5, 0.8 * size))
        for wide, rotation in ((COLUMN, None), (COLUMN, 90), (PAGE, None)):
            figure.set_size_inches(wide, height * min(0.8, max(0.62, wide / width)))
            for label, own in zip(labels, turned, strict=True):
                label.set_rotation(own if rotation is None else rotation)
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                figure.draw_without_rendering()
            if not told and _is_legible(figure):  # Matplotlib tells of Axes without room
                break
        yield
    finally:
        for title in hidden:
            title.set_visible(True)
        for text, size in zip(texts, sizes, strict=True):
            text.set_fontsize(size)
        for label, own in zip(labels, turned, strict=True):
            label.set_rotation(own)
        figure.set_size_inches(width, height)


def _all_axes(figure):
    return [*figure.axes, *(inset for ax in figure.axes for inset in ax.child_axes)]


def _is_legible(figure):
    """Return whether the Axes are wide enough and no two texts in them overlap."""
    if any(ax.get_window_extent().width < _NARROW * figure.dpi for ax in figure.axes):
        return False
    for ax in _all_axes(figure):
        texts = [text for text in ax.texts if text.get_text() and text.get_visible()]
        ticks = [label for label in ax.get_xticklabels() if label.get_text()]
        boxes = [text.get_window_extent() for text in texts]
        across = [label.get_window_extent() for label in ticks]
        for among in (boxes, across):
            for place, box in enumerate(among):
                if any(box.overlaps(other) for other in among[place + 1 :]):
                    return False
    return True
