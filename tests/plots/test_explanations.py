"""plots.explanations and plots.cross_dataset: what the artists hold; `test_plots` holds
them to what all have in common.
"""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from fer_lib import plots
from fer_lib.emotions import COLOURS
from fer_lib.plots.drawing import ACCENT

IMAGES = np.random.default_rng(0).integers(1, 255, (5, 6, 4), dtype=np.uint8)
MAPS = np.linspace(-2, 1, IMAGES.size, dtype=np.float32).reshape(IMAGES.shape)
AVERAGES = {
    "happy": {"map": MAPS[0], "face": IMAGES[0], "n": 1234},
    "sad": {"map": MAPS[4], "face": IMAGES[4], "n": 1},
}
NAMES = ("sad", "happy", "fear")
ANSWERS = [[0.2, 0.7, 0.1], [0.6, 0.1, 0.3]]
TABLE = pd.DataFrame(
    {
        "model": ["ours", "ours", "theirs"],
        "trained_on": ["fer2013", "fer2013", None],
        "dataset": ["fer2013", "ckplus", "ckplus"],
        "test": ["FER-2013 PublicTest", "ckplus, all of it", "ckplus, all of it"],
        "n": [3589, 927, 927],
        "emotions": [7, 6, 6],
        "accuracy": [0.62, 0.7, 0.6],
        "accuracy_low": [0.6, 0.68, 0.57],
        "accuracy_high": [0.64, 0.72, 0.63],
        "left_out": ["", "contempt (54)", "contempt (54)"],
        "removed": ["", "neutral", ""],
        "seen": pd.array([280, 0, None], dtype="Int64"),
    }
)
DRAW = {
    "plot_maps": lambda **k: plots.plot_maps(IMAGES, MAPS, list("abcde"), **k),
    "plot_average_maps": lambda **k: plots.plot_average_maps(AVERAGES, **k),
    "plot_answer": lambda **k: plots.plot_answer(IMAGES[0], [0.2, 0.7, 0.1], NAMES, **k),
    "plot_answers": lambda **k: plots.plot_answers(IMAGES[:2], ANSWERS, NAMES, **k),
    "plot_cross_table": lambda **k: plots.plot_cross_table(TABLE, **k),
}


def texts(artists):
    return [artist.get_text() for artist in artists]


def test_colour_faces_are_drawn_in_colour():
    colour = np.stack([IMAGES, IMAGES // 2, 255 - IMAGES], axis=-1)
    maps = plots.plot_maps(colour, MAPS).images[::2]
    np.testing.assert_array_equal([face.get_array() for face in maps], colour)
    mosaic = plots.plot_faces(colour, columns=5).images[0].get_array()
    np.testing.assert_array_equal(mosaic[:6, :4], colour[0])


def test_each_face_has_its_map_over_it():
    ax = plots.plot_maps(IMAGES, MAPS, columns=3)
    faces, maps = ax.images[::2], ax.images[1::2]
    assert len(faces) == len(maps) == 5
    for face, overlay, image, values in zip(faces, maps, IMAGES, MAPS, strict=True):
        np.testing.assert_array_equal(face.get_array(), image)
        np.testing.assert_array_equal(overlay.get_array(), values)
        assert face.get_extent() == overlay.get_extent()
    lefts, tops = zip(
        *((face.get_extent()[0], face.get_extent()[3]) for face in faces), strict=True
    )
    assert lefts[0] == lefts[3] < lefts[1] < lefts[2] and tops[0] == tops[2] < tops[3]
    assert ax.yaxis_inverted()


def test_colours_are_of_one_scale_and_fade_at_nothing():
    maps = plots.plot_maps(IMAGES, MAPS).images[1::2]
    assert {overlay.get_clim() for overlay in maps} == {(-2, 2)}
    opaque = np.array([overlay.get_alpha() for overlay in maps])
    assert opaque[0, 0, 0] == 0.75 and np.all(opaque.ravel()[abs(MAPS.ravel()) < 0.01] < 0.01)
    limited = plots.plot_maps(IMAGES, MAPS, limit=0.5).images[1]
    assert limited.get_clim() == (-0.5, 0.5) and limited.get_alpha().max() == 0.75


def test_the_scale_stands_beside_with_its_unit():
    (bar,) = plots.plot_maps(IMAGES, MAPS, label="logit").child_axes
    assert bar.get_xlabel() == "logit" and bar.get_xlim() == (-2, 2)
    (bar,) = plots.plot_maps(IMAGES, abs(MAPS)).child_axes
    assert bar.get_xlim() == (0, 2)


@pytest.mark.filterwarnings("error")
def test_one_row_of_faces_keeps_its_size_under_a_long_scale():
    label = "what the probability loses where the face is hidden, as a share of the most"
    square = np.resize(IMAGES, (7, 8, 8)), np.resize(MAPS, (7, 8, 8))
    ax = plots.plot_maps(*square, ["happy →\nhappy 0.9"] * 7, columns=7, label=label, title="x")
    ax.figure.draw_without_rendering()
    assert ax.get_window_extent().height > 1.2 * ax.figure.dpi


def test_maps_of_zeros_are_drawn():
    assert plots.plot_maps(IMAGES, MAPS * 0).images[1].get_alpha().max() == 0


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match="images must be uint8"):
        plots.plot_maps(IMAGES / 255, MAPS)
    with pytest.raises(
        ValueError, match=r"\(5, 6, 4\), and captions their number; got \(4, 6, 4\)"
    ):
        plots.plot_maps(IMAGES, MAPS[:4])
    with pytest.raises(ValueError, match="captions their number; got .* and 2"):
        plots.plot_maps(IMAGES, MAPS, ["a", "b"])
    with pytest.raises(ValueError, match="at least one emotion"):
        plots.plot_average_maps({})
    with pytest.raises(ValueError, match="got 3 names for an array of shape"):
        plots.plot_answer(IMAGES[0], [0.5, 0.5], NAMES)


def test_averages_say_emotion_and_number():
    ax = DRAW["plot_average_maps"](label="logit")
    assert texts(ax.texts) == ["happy\n1,234 faces", "sad\n1 face"]
    np.testing.assert_array_equal(ax.images[2].get_array(), IMAGES[4])


def test_an_answer_is_bars_from_the_surest_beside_the_face():
    ax = plots.plot_answer(IMAGES[0], [0.2, 0.7, 0.1], NAMES, true="sad")
    assert texts(ax.get_yticklabels()) == ["happy", "sad (label)", "fear"]
    assert [bar.get_width() for bar in ax.patches] == [0.7, 0.2, 0.1]
    assert ax.patches[0].get_facecolor() == to_rgba(COLOURS["happy"]) and ax.yaxis_inverted()
    assert texts(ax.texts) == ["0.70", "0.20", "0.10"]
    (face,) = ax.child_axes
    np.testing.assert_array_equal(face.images[0].get_array(), IMAGES[0])


def test_answers_are_the_best_three_of_each_face_beside_it():
    ax = plots.plot_answers(IMAGES[:2], ANSWERS, NAMES, ["one", "two"])
    for artist, image in zip(ax.images, IMAGES, strict=False):
        np.testing.assert_array_equal(artist.get_array(), image)
    assert texts(ax.texts) == [
        *("one", "happy", "0.70", "sad", "0.20", "fear", "0.10"),
        *("two", "sad", "0.60", "fear", "0.30", "happy", "0.10"),
    ]
    assert [bar.get_width() / 1.3 for bar in ax.patches[:3]] == pytest.approx([0.7, 0.2, 0.1])
    with pytest.raises(ValueError, match=r"shape \(2, 2\) for 2 images .* got \(2, 3\)"):
        plots.plot_answers(IMAGES[:2], ANSWERS, NAMES[:2])


def test_scores_across_data_sets_are_sorted_within_each_and_say_their_faces():
    other = TABLE.assign(n=[3589, 981, 927], emotions=[7, 7, 6])
    ax = plots.plot_cross_table(other, accent=["ours"])
    assert texts(ax.get_yticklabels()) == ["ours", "ours (981 faces, 7 emotions)", "theirs"]
    assert texts(ax.texts) == [
        "FER-2013 PublicTest, 3,589 faces",
        "0.620 [0.600, 0.640]",
        "CK+, 927 faces",
        "0.700 [0.680, 0.720]",
        "0.600 [0.570, 0.630]",
    ]
    ours, _, theirs = (container[0] for container in ax.containers)
    assert ours.get_color() == ACCENT != theirs.get_color()
    low, high = ax.containers[2][2][0].get_segments()[0][:, 0]
    assert (low, high) == pytest.approx((0.57, 0.63))
    with pytest.raises(ValueError, match="column 'f1'"):
        plots.plot_cross_table(TABLE, metric="f1")
