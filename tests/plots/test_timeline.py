"""Figures over time: areas in the emotions' colours, the strip's values, and transitions."""

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.colors import to_rgba

from fer_lib import plots
from fer_lib.emotions import COLOURS

SERIES = pd.DataFrame(
    {"happy": [0.7, np.nan, 0.2], "sad": [0.3, np.nan, 0.8]}, index=pd.Index([0.0, 1, 3])
)
FOLLOWS = pd.DataFrame([[0, 2], [1, 0]], index=["happy", "sad"], columns=["happy", "sad"])


def test_areas_are_stacked_in_the_colours_of_the_emotions():
    ax = plots.plot_emotion_areas(SERIES.dropna())
    happy, sad = ax.collections
    assert tuple(happy.get_facecolor()[0]) == to_rgba(COLOURS["happy"])
    heights = sad.get_paths()[0].vertices
    assert heights[:, 1].max() == 1 and {0.7, 0.2} <= set(heights[:, 1].round(6))
    assert ax.get_xlim() == (0, 3) and ax.get_ylim() == (0, 1)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["happy", "sad"]


def test_the_strip_holds_the_probabilities_and_nothing_where_there_was_no_face():
    (mesh,) = plots.plot_emotion_strip(SERIES).collections
    values = mesh.get_array().reshape(2, 3)
    np.testing.assert_allclose(values[:, [0, 2]], [[0.7, 0.2], [0.3, 0.8]])
    assert values.mask[:, 1].all() and mesh.get_clim() == (0, 1)


def test_transitions_are_written_from_rows_to_columns():
    ax = plots.plot_transitions(FOLLOWS)
    assert [text.get_text() for text in ax.texts] == ["0", "2", "1", "0"]
    assert ax.get_ylabel() == "from" and ax.get_xlabel() == "to"


def test_the_figure_of_a_video_holds_all_three_and_is_not_pyplot_s():
    figure = plots.timeline_figure(SERIES, FOLLOWS, title="clip")
    assert len(figure.axes) == 3 and not pyplot.get_fignums()
    plots.timeline_figure(SERIES.iloc[:0], FOLLOWS * 0)  # a video without frames
    plots.timeline_figure(SERIES.iloc[:1], FOLLOWS * 0)


def test_the_same_figure_is_saved_as_the_same_bytes(tmp_path):
    for name in "ab":
        plots.save_figure(plots.timeline_figure(SERIES, FOLLOWS), tmp_path / name, ["png"])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
