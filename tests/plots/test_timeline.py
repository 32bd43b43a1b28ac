"""Figures over time: lanes and areas in the emotions' colours, the strip, and transitions."""

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.colors import to_rgba

from fer_lib import plots
from fer_lib.emotions import COLOURS

SERIES = pd.DataFrame(
    {"happy": [0.7, np.nan, 0.2], "sad": [0.3, np.nan, 0.8]}, index=pd.Index([0.0, 1, 3])
)
EPISODES = pd.DataFrame(
    [[1, "happy", 0.0, 0.0, 1.0, 0.7], [1, "sad", 3.0, 3.0, 4.0, 0.8]],
    columns=["face", "emotion", "onset", "apex", "offset", "peak"],
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
    assert [text.get_text() for text in ax.texts] == ["·", "2", "1", "·"]
    assert ax.get_ylabel() == "from" and ax.get_xlabel() == "to"


def test_the_strip_says_what_its_colours_mean():
    ax = plots.plot_emotion_strip(SERIES)
    ax.figure.canvas.draw()
    (bar,) = ax.child_axes
    assert bar.get_ylabel() == "probability" and bar.get_ylim() == (0, 1)


def test_a_lane_is_as_high_as_the_leading_emotion_s_probability_and_empty_in_a_gap():
    ax = plots.plot_lane(SERIES, EPISODES)
    happy, sad = ax.patches
    for patch, values, name in (
        (happy, [0.7, np.nan, np.nan], "happy"),
        (sad, [np.nan, np.nan, 0.8], "sad"),
    ):
        np.testing.assert_array_equal(patch.get_data().values, values)
        assert patch.get_facecolor() == to_rgba(COLOURS[name])
    np.testing.assert_array_equal(happy.get_data().edges, [0, 1, 3, 4.5])
    assert [text.get_text() for text in ax.texts] == ["happy", "sad"]
    marks = [line for line in ax.lines if line.get_marker() == "v"]
    assert [float(line.get_xdata()[0]) for line in marks] == [0, 3]
    plots.plot_lane(SERIES.iloc[:0])
    plots.plot_lane(SERIES.iloc[:1])


def test_the_figure_of_a_video_has_a_lane_per_person_and_is_not_pyplot_s():
    figure = plots.timeline_figure({7: SERIES, 3: SERIES}, EPISODES, title="clip")
    assert [ax.get_ylabel() for ax in figure.axes] == ["person 7", "person 3"]
    assert not pyplot.get_fignums()
    figure = plots.timeline_figure({1: SERIES}, EPISODES, FOLLOWS)
    assert [ax.get_ylabel() for ax in figure.axes] == ["person 1", "from"]
    crowd = plots.timeline_figure(dict.fromkeys(range(20), SERIES), EPISODES)
    assert len(crowd.axes) == 12 and "8 people who were seen less" in crowd.axes[0].get_title(
        "left"
    )


def test_a_video_without_a_face_says_so():
    figure = plots.timeline_figure({}, EPISODES.iloc[:0])
    assert not figure.axes and "No face was found" in figure.texts[0].get_text()


def test_the_same_figure_is_saved_as_the_same_bytes(tmp_path):
    for name in "ab":
        figure = plots.timeline_figure({1: SERIES}, EPISODES, FOLLOWS)
        plots.save_figure(figure, tmp_path / name, ["png"])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
