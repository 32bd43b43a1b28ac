"""plots.data: what the artists hold; `test_plots` holds the figures to what all have in common."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from fer_lib import plots
from fer_lib.emotions import COLOURS

MEANS = {name: np.full((6, 4), grey, np.uint8) for name, grey in (("angry", 90), ("sad", 160))}
VALUES = {"sad": np.linspace(1, 50, 40), "happy": np.append(np.linspace(2, 9, 40), 0)}
COPIES = {"identical": {"within train": 1200, "test in train": 3}, "near": {"within train": 1500}}
COUNTS = np.array([[30, 10, 0], [0, 0, 0]])
POINTS = np.array([[0.0, 1], [2, 3], [4, 5]])
BEFORE, AFTER = {"angry": 10, "sad": 5, "fear": 7}, {"angry": 14, "sad": 5, "fear": 4}
TABLE = pd.DataFrame(
    {"k": [100, 500], "precision": [0.8, 0.5], "low": [0.7, 0.45], "high": [0.9, 0.55]}
)
DRAW = {
    "plot_mean_faces": lambda **k: plots.plot_mean_faces(MEANS, {"angry": 3, "sad": 4321}, **k),
    "plot_distributions": lambda **k: plots.plot_distributions(VALUES, label="bits", **k),
    "plot_duplicates": lambda **k: plots.plot_duplicates(COPIES, **k),
    "plot_agreement": lambda **k: plots.plot_agreement(COUNTS, ["sad", "fear"], "abc", **k),
    "plot_embedding": lambda **k: plots.plot_embedding(POINTS, [0, 1, 1], ("sad", "fear"), **k),
    "plot_counts_change": lambda **k: plots.plot_counts_change(BEFORE, AFTER, **k),
    "plot_precision_at_k": lambda **k: plots.plot_precision_at_k({"mine": TABLE}, 0.2, **k),
}


def texts(artists):
    return [artist.get_text() for artist in artists]


def legend(ax):
    return texts(ax.get_legend().get_texts())


def widths(ax, colour):
    return [bar.get_width() for bar in ax.patches if bar.get_facecolor() == to_rgba(colour)]


def test_mean_faces_say_their_class_and_number():
    ax = DRAW["plot_mean_faces"]()
    assert texts(ax.texts) == ["angry\n3 faces", "sad\n4,321 faces"]
    assert {90, 160} < set(np.unique(ax.images[0].get_array()))


def test_distributions_are_one_shape_a_class_in_its_colour_and_order():
    ax = DRAW["plot_distributions"]()
    assert texts(ax.get_yticklabels()) == ["sad", "happy"]
    assert ax.get_xlabel() == "bits" and ax.get_xscale() == "linear"
    assert len(ax.collections) == 2
    ends = [collection.get_paths()[0].vertices[:, 0] for collection in ax.collections]
    assert [(x.min(), x.max()) for x in ends] == [(1, 50), (0, 9)]


def test_what_a_logarithmic_axis_cannot_show_is_counted():
    ax = plots.plot_distributions(VALUES, label="sharpness", log=True)
    assert ax.get_xscale() == "log" and ax.get_xlabel() == "sharpness (without 1 face at 0)"
    ax = plots.plot_distributions({"sad": VALUES["sad"]}, label="sharpness", log=True)
    assert ax.get_xlabel() == "sharpness"


def test_duplicates_are_bars_with_numbers_from_the_top():
    ax = DRAW["plot_duplicates"]()
    assert texts(ax.get_yticklabels()) == ["within train", "test in train"] and ax.yaxis_inverted()
    assert texts(ax.texts) == ["1,200", "3", "1,500", "0"]
    assert legend(ax) == ["identical", "near"] and ax.get_xlim()[0] == 0


def test_no_duplicates_at_all_can_be_drawn():
    ax = plots.plot_duplicates({"identical": {"within train": 0}})
    assert texts(ax.texts) == ["0"] and ax.get_xlim()[1] > 0


def test_agreement_is_percent_of_rows_and_survives_an_empty_one():
    with np.errstate(all="raise"):
        ax = plots.plot_agreement(COUNTS, ["sad", "fear"], "abc", labels=("FER", "FER+"))
    assert texts(ax.texts) == ["75", "25", "0", "–", "–", "–"]
    assert texts(ax.get_yticklabels()) == ["sad (40)", "fear (0)"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("FER+, % of each row", "FER (faces)")
    with pytest.raises(ValueError, match=r"\(3, 2\), .* got \(2, 3\)"):
        plots.plot_agreement(COUNTS, "abc", "de")


def test_a_map_has_a_colour_and_a_marker_a_class():
    ax = DRAW["plot_embedding"]()
    sad, fear = ax.collections
    assert sad.get_offsets().tolist() == [[0, 1]] and len(fear.get_offsets()) == 2
    assert np.allclose(sad.get_facecolor()[0, :3], to_rgba(COLOURS["sad"])[:3])
    assert not np.array_equal(sad.get_paths()[0].vertices, fear.get_paths()[0].vertices)
    assert legend(ax) == ["sad", "fear"] and not len(ax.get_xticks())


def test_a_change_of_counts_stands_at_the_end_of_its_bar():
    ax = DRAW["plot_counts_change"]()
    assert texts(ax.texts) == ["14 (+4)", "5", "4 (-3)"]
    assert widths(ax, COLOURS["angry"]) == [10] and widths(ax, COLOURS["fear"]) == [4]
    assert legend(ax) == ["before and after", "added", "left out"]
    assert legend(plots.plot_counts_change(BEFORE, BEFORE)) == ["before and after"]


def test_precision_is_drawn_with_its_intervals_beside_the_base_rate():
    ax = plots.plot_precision_at_k({"one": TABLE, "two": TABLE}, 0.2)
    curve = ax.containers[0]
    assert curve[0].get_xydata().tolist() == [[100, 0.8], [500, 0.5]]
    assert np.allclose(
        [part[:, 1] for part in curve[2][0].get_segments()], [[0.7, 0.9], [0.45, 0.55]]
    )
    assert sorted(legend(ax)) == ["all: 0.20", "one", "two"]
    assert texts(ax.get_xticklabels()) == ["100", "500"] and ax.get_xscale() == "log"
