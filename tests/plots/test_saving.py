"""Saved figures: the same bytes again, PDFs that fit a paper, and captions beside them."""

import re

import numpy as np
import pytest
from matplotlib import pyplot
from plots.test_plots import DRAW, F1, SCORES

from fer_lib import plots
from fer_lib.emotions import FER7
from fer_lib.plots import saving


def inches(path):
    """Return width and height of a PDF's page."""
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", path.read_bytes())
    return float(box[1]) / 72, float(box[2]) / 72


def test_saving_keeps_dots_in_the_name_and_repeats_byte_for_byte(tmp_path):
    formats = ("png", "pdf", "svg")
    first, second = (
        plots.save_figure(plots.plot_class_f1(F1), tmp_path / folder / "net_0.35-f1", formats)
        for folder in ("a", "b")
    )
    assert [path.name for path in first] == [
        "net_0.35-f1.png",
        "net_0.35-f1.pdf",
        "net_0.35-f1.svg",
    ]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert first[0].read_bytes()[:4] == b"\x89PNG" and first[1].read_bytes()[:4] == b"%PDF"
    assert not any(b"Date" in path.read_bytes() for path in first)


def test_a_figure_is_saved_too_and_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    figure = plots.plot_scores(SCORES).figure
    (path,) = plots.save_figure(figure, tmp_path / "scores", ["png"])
    before = path.read_bytes()

    def fail(temporary, **options):
        temporary.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        plots.save_figure(figure, tmp_path / "scores", ["png"])
    assert path.read_bytes() == before
    assert list(tmp_path.glob("*scores*")) == [path]


def test_a_pdf_is_as_wide_as_a_column_and_the_figure_stays_as_it_was(tmp_path):
    ax = plots.plot_confusion(np.eye(7, dtype=int) * 40, FER7, normalize=True, title="A title")
    before = [ax.figure.get_size_inches().tolist(), ax.title.get_fontsize(), ax.title.get_visible()]
    (path,) = plots.save_figure(ax, tmp_path / "confusion", ["pdf"])
    assert inches(path)[0] == pytest.approx(saving.COLUMN, abs=0.25)
    assert b"/Type3" not in path.read_bytes()
    after = [ax.figure.get_size_inches().tolist(), ax.title.get_fontsize(), ax.title.get_visible()]
    assert after == before
    assert {label.get_rotation() for label in ax.get_xticklabels()} == {0}


def test_a_figure_whose_texts_need_more_is_as_wide_as_a_page(tmp_path):
    long = {f"mobilenet_v2, all, 96 px, {n} epochs, mixup and teachers": s for n, s in
            enumerate(SCORES.values())}  # fmt: skip
    (path,) = plots.save_figure(plots.plot_scores(long), tmp_path / "scores", ["pdf"])
    assert inches(path)[0] == pytest.approx(saving.PAGE, abs=0.25)


@pytest.mark.parametrize("name", DRAW)
def test_no_pdf_is_wider_than_a_page(name, tmp_path):
    (path,) = plots.save_figure(DRAW[name](title="A title"), tmp_path / name, ["pdf"])
    assert inches(path)[0] < saving.PAGE + 0.3


def test_titles_that_tell_panels_apart_stay(tmp_path, monkeypatch):
    figure, axes = pyplot.subplots(1, 2)
    figure.suptitle("both")
    for ax, title in zip(axes, ("Loss", "Accuracy"), strict=True):
        ax.set_title(title)
    seen = {}

    def look(*words, **options):
        titles = [figure._suptitle, *(ax.title for ax in axes)]
        seen.update({title.get_text(): title.get_visible() for title in titles})

    monkeypatch.setattr(saving.storage, "replacing", lambda path: pyplot.rc_context())
    monkeypatch.setattr(figure, "savefig", look)
    plots.save_figure(figure, tmp_path / "curves", ["pdf"])
    assert seen == {"both": False, "Loss": True, "Accuracy": True}


def test_captions_of_a_folder_are_one_file(tmp_path):
    for name, caption in (
        ("f1", "F1 of each\n  emotion: two."),
        ("a", "One."),
        ("f1", "Again: 2."),
    ):
        plots.save_figure(plots.plot_class_f1(F1), tmp_path / name, ["png"], caption=caption)
    plots.save_figure(plots.plot_class_f1(F1), tmp_path / "none", ["png"])
    assert (tmp_path / "captions.txt").read_text() == "a: One.\nf1: Again: 2.\n"
    assert plots.read_captions(tmp_path) == {"a": "One.", "f1": "Again: 2."}
    assert plots.read_captions(tmp_path / "elsewhere") == {}
