"""plots: what the artists hold, never pixels."""

import subprocess
import sys
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgba
from plots.test_data import DRAW as DRAW_DATA
from plots.test_explanations import DRAW as DRAW_EXPLANATIONS

from fer_lib import plots
from fer_lib.emotions import CKPLUS7, COLOURS, FER7, FERPLUS8
from fer_lib.plots import drawing
from fer_lib.plots.drawing import ACCENT

IMAGES = np.random.default_rng(0).integers(1, 255, (5, 6, 4), dtype=np.uint8)
COUNTS = {"training": {"angry": 1200, "happy": 30}, "test": {"angry": 7, "happy": 0}}
F1 = {"angry": {"f1": 0.25, "n": 4}, "happy": {"f1": 0.75, "n": 4}}
HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3, 4],
        "accuracy": [0.3, 0.5, 0.6, 0.7],
        "val_accuracy": [0.2, 0.4, 0.55, 0.5],
        "val_macro_f1": [0.1, 0.3, 0.5, 0.45],
        "stage": ["head", "head", "100", "100"],
    }
)
SCORES = {
    name: {"accuracy": {"value": value, "low": value - 0.02, "high": value + 0.01}}
    for name, value in {"small": 0.5, "large": 0.6}.items()
}
SERIES = pd.DataFrame(
    {"happy": [0.7, np.nan, 0.2], "sad": [0.3, np.nan, 0.8]}, index=pd.Index([0, 1, 3], name="s")
)
FOLLOWS = pd.DataFrame([[0, 2], [1, 0]], index=["happy", "sad"], columns=["happy", "sad"])
RELIABILITY = {
    "before": {
        "low": [0.4, 0.8],
        "high": [0.6, 1.0],
        "n": [30, 10],
        "confidence": [0.55, 0.9],
        "accuracy": [0.5, 0.6],
    }
}
ROC = {"happy": {"false_positive_rate": [0, 0.2, 1], "true_positive_rate": [0, 0.9, 1]}}
ROC["happy"]["area"] = 0.85
PRECISION = {"happy": {"recall": [1, 0.5, 0], "precision": [0.2, 0.6, 1]}}
PRECISION["happy"] |= {"average_precision": 0.4, "share": 0.2}
GAP = SimpleNamespace(trap="one seed", shown="small", honest="large", scores={})
GAP.scores.update(small=SCORES["small"], large=SCORES["large"])
COSTS = {"small": 3.5, "large": 40}
GROUPS = pd.DataFrame({"group": ["a", "b"], "n": [90, 4], "judged": [True, False]})
GROUPS = GROUPS.assign(recall=[0.7, np.nan], recall_low=[0.6, np.nan], recall_high=[0.8, np.nan])
DRAW = {
    "plot_groups": lambda **k: plots.plot_groups(GROUPS, **k),
    "plot_class_counts": lambda **k: plots.plot_class_counts(COUNTS, **k),
    "plot_faces": lambda **k: plots.plot_faces(IMAGES, list("abcde"), **k),
    "plot_mistakes": lambda **k: plots.plot_mistakes(IMAGES[:1], [0], [1], [0.9], FER7, **k),
    "plot_history": lambda **k: plots.plot_history(HISTORY, best_epoch=3, **k),
    "plot_histories": lambda **k: plots.plot_histories({"a": HISTORY, "b": HISTORY}, **k),
    "plot_confusion": lambda **k: plots.plot_confusion(np.eye(7, dtype=int), FER7, **k),
    "plot_confusion_difference": lambda **k: plots.plot_confusion_difference(
        np.eye(7, dtype=int), np.ones((7, 7), dtype=int), FER7, **k
    ),
    "plot_cost": lambda **k: plots.plot_cost(SCORES, COSTS, label="minutes", **k),
    "plot_precision_recall": lambda **k: plots.plot_precision_recall(PRECISION, **k),
    "plot_reliability": lambda **k: plots.plot_reliability(RELIABILITY, **k),
    "plot_roc": lambda **k: plots.plot_roc(ROC, **k),
    "plot_class_f1": lambda **k: plots.plot_class_f1(F1, **k),
    "plot_scores": lambda **k: plots.plot_scores(SCORES, **k),
    "plot_emotion_areas": lambda **k: plots.plot_emotion_areas(SERIES, **k),
    "plot_emotion_strip": lambda **k: plots.plot_emotion_strip(SERIES, **k),
    "plot_lane": lambda **k: plots.plot_lane(SERIES, **k),
    "plot_transitions": lambda **k: plots.plot_transitions(FOLLOWS, **k),
    "plot_gaps": lambda **k: plots.plot_gaps([GAP], **k),
    **DRAW_DATA,
    **DRAW_EXPLANATIONS,
}


def texts(artists):
    return [artist.get_text() for artist in artists]


def legend(ax):
    return texts(ax.get_legend().get_texts())


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def test_every_plot_function_is_covered_here():
    assert set(DRAW) == {name for name in dir(plots) if name.startswith("plot_")}


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_a_new_figure_holds_one_axes_and_nothing_is_shown_or_saved(draw, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pyplot, "show", lambda *a, **k: pytest.fail("a plot was shown"))
    before = matplotlib.rcParams.copy()
    pyplot.figure()
    ax = draw(title="a title")
    assert ax.get_title() == "a title"
    assert ax.figure.axes == [ax]
    assert len(pyplot.get_fignums()) == 2
    assert matplotlib.rcParams == before
    assert not list(tmp_path.glob("*.*"))


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_an_axes_passed_in_is_drawn_on(draw):
    figure, (left, right) = pyplot.subplots(1, 2)
    assert draw(ax=right) is right
    assert pyplot.get_fignums() == [figure.number]
    assert figure.axes == [left, right]
    assert right.has_data() and not left.has_data()


def test_class_counts_are_bars_with_their_numbers():
    ax = plots.plot_class_counts(COUNTS)
    assert texts(ax.get_yticklabels()) == ["angry", "happy"]
    bars = [bar for bar in ax.patches if bar.get_facecolor() == to_rgba(COLOURS["angry"])]
    assert [bar.get_width() for bar in bars] == [1200, 7]
    assert bars[0].get_y() < bars[1].get_y() and ax.yaxis_inverted()
    assert bars[0].get_hatch() != bars[1].get_hatch()
    assert texts(ax.texts) == ["1,200", "30", "7", "0"]
    assert legend(ax) == ["training", "test"]
    assert ax.get_xlabel() == "faces"


def test_an_emotion_that_one_split_lacks_counts_nothing():
    ax = plots.plot_class_counts({"a": {"angry": 3}, "b": {"contempt": 2}})
    assert texts(ax.get_yticklabels()) == ["angry", "contempt"]
    assert texts(ax.texts) == ["3", "0", "0", "2"]


def test_nothing_to_draw_is_an_error():
    with pytest.raises(ValueError, match="at least one row"):
        plots.plot_class_counts({})


def test_faces_lie_unchanged_in_one_image_row_by_row():
    ax = plots.plot_faces(IMAGES, list("abcde"), columns=3)
    (artist,) = ax.images
    canvas = np.asarray(artist.get_array())
    assert artist.get_interpolation() == "nearest" and artist.get_clim() == (0, 255)
    tops = np.flatnonzero((canvas[:, :4] != 255).any(1))
    assert (canvas[:6, :4] == IMAGES[0]).all()
    assert (canvas[:6, 5:9] == IMAGES[1]).all()
    second = tops[6]
    assert (canvas[second : second + 6, :4] == IMAGES[3]).all()
    assert np.count_nonzero(canvas != 255) == IMAGES.size


def test_captions_stand_under_their_faces_and_fit_between_them():
    names = ["surprise", "x\n0.97", "a rather long caption", "", "e"]
    ax = plots.plot_faces(np.repeat(IMAGES, 8, axis=1).repeat(12, axis=2), names, columns=3)
    assert texts(ax.texts) == names
    assert ax.texts[0].get_position()[1] > 47
    ax.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text()]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert len({text.get_fontsize() for text in ax.texts}) == 1


def test_fewer_faces_than_columns_leave_no_empty_columns():
    ax = plots.plot_faces(IMAGES[:2], columns=8)
    assert ax.images[0].get_array().shape == (6, 9)
    assert not ax.texts


@pytest.mark.parametrize(
    ("images", "captions", "message"),
    [
        (IMAGES / 255, None, "uint8 .* got float64"),
        (IMAGES[0], None, r"got uint8 of shape \(6, 4\)"),
        (IMAGES[:0], None, "n > 0"),
        (IMAGES, ["one"], "captions has 1 entries for 5 images"),
    ],
)
def test_images_that_do_not_fit_are_named(images, captions, message):
    with pytest.raises(ValueError, match=message):
        plots.plot_faces(images, captions)


def test_mistakes_say_true_predicted_confidence_and_file_name():
    ax = plots.plot_mistakes(
        IMAGES[:2], [0, 3], [4, 6], [0.974, 0.5], FER7, ids=["anger/S1.png", 12], columns=1
    )
    assert texts(ax.texts) == ["angry →\nsad 0.97\nS1.png", "happy →\nneutral 0.50\n12"]
    assert ax.images[0].get_array().shape[1] == 4


def test_a_run_without_a_mistake_has_a_figure_too():
    ax = plots.plot_mistakes(IMAGES[:0], [], [], [], FER7, ids=[], title="a run")
    assert (texts(ax.texts), ax.get_title()) == (["no mistakes"], "a run")


def test_history_draws_both_curves_the_best_epoch_and_the_stage_change():
    ax = plots.plot_history(HISTORY, best_epoch=3)
    drawn = lines(ax)
    assert list(drawn["training"].get_ydata()) == list(HISTORY.accuracy)
    assert list(drawn["validation"].get_ydata()) == list(HISTORY.val_accuracy)
    assert drawn["training"].get_linestyle() != drawn["validation"].get_linestyle()
    assert drawn["best epoch 3: 0.550"].get_xydata().tolist() == [[3, 0.55]]
    assert list(drawn["head → 100"].get_xdata()) == [2.5, 2.5]
    assert legend(ax) == list(drawn)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "accuracy")


def test_a_metric_of_validation_only_is_one_curve():
    ax = plots.plot_history(HISTORY.drop(columns="stage"), metric="macro_f1")
    assert legend(ax) == ["validation"]
    assert ax.get_ylabel() == "macro-F1"


def test_a_metric_or_epoch_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="'auc' or 'val_auc'; got .*'epoch'"):
        plots.plot_history(HISTORY, metric="auc")
    with pytest.raises(ValueError, match=r"\[1, 2, 3, 4\]; got 9"):
        plots.plot_history(HISTORY, best_epoch=9)
    with pytest.raises(ValueError, match="'auc'; 'mine' has"):
        plots.plot_histories({"mine": HISTORY}, metric="auc")


def test_histories_differ_by_more_than_colour_and_are_named_at_their_ends():
    flat = HISTORY.assign(val_accuracy=0.1)
    ax = plots.plot_histories({"run a": HISTORY, "run b": flat}, accent=["run b"])
    a, b = ax.get_lines()
    assert list(a.get_ydata()) == list(HISTORY.val_accuracy) and set(b.get_ydata()) == {0.1}
    assert a.get_linestyle() != b.get_linestyle() and a.get_marker() != b.get_marker()
    assert b.get_color() == ACCENT != a.get_color()
    assert [text.xy for text in ax.texts] == [(4, 0.5), (4, 0.1)]
    assert texts(ax.texts) == ["run a", "run b"] and ax.get_legend() is None
    ends = ax.transLimits.transform([text.xy for text in ax.texts])[:, 1]
    assert [text.get_position()[1] for text in ax.texts] == pytest.approx(ends)  # at that height
    assert len(ax.collections) == 2  # each marker again, beside its name
    assert ax.get_ylabel() == "validation accuracy"


def test_names_at_the_side_do_not_overlap():
    runs = {f"run {place}": HISTORY.assign(val_accuracy=0.5 + place / 1000) for place in range(8)}
    ax = plots.plot_histories(runs)
    ax.figure.draw_without_rendering()
    # Of an annotation with a line, the extent holds the line too.
    heights = sorted(text.get_position()[1] for text in ax.texts)
    high = ax.texts[0].get_fontsize() * ax.figure.dpi / 72 / ax.get_window_extent().height
    assert np.diff(heights).min() >= high
    assert [text.get_text() for text in sorted(ax.texts, key=lambda t: t.get_position()[1])] == [
        *runs
    ]


@pytest.mark.parametrize("label_set", [FER7, FERPLUS8, CKPLUS7], ids=len)
def test_confusion_writes_every_count(label_set):
    counts = np.arange(len(label_set) ** 2).reshape(len(label_set), -1) * 100
    ax = plots.plot_confusion(counts, label_set)
    assert texts(ax.texts) == [f"{count:,}" for count in counts.ravel()]
    assert np.array_equal(ax.collections[0].get_array(), counts)
    assert texts(ax.get_xticklabels()) == texts(ax.get_yticklabels()) == list(label_set)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")


def test_normalised_confusion_has_rows_of_percentages_and_survives_an_empty_row():
    with np.errstate(all="raise"):
        ax = plots.plot_confusion([[1, 3], [0, 0]], ["sad", "fear"], normalize=True)
    assert texts(ax.texts) == ["25", "75", "–", "–"]
    assert np.asarray(ax.collections[0].get_array()).tolist() == [[25, 75], [0, 0]]
    assert ax.collections[0].get_clim() == (0, 100)
    assert texts(ax.get_yticklabels()) == ["sad (4)", "fear (0)"]


def test_a_confusion_of_another_size_is_named():
    with pytest.raises(ValueError, match=r"\(7, 7\) for 7 emotions; got \(8, 8\)"):
        plots.plot_confusion(np.eye(8), FER7)


def spans(container, across=0):
    """The ends of the intervals of an ErrorbarContainer."""
    return [segment[:, across].tolist() for segment in container[2][0].get_segments()]


def test_class_f1_is_dots_with_intervals_the_best_emotion_on_top():
    ax = plots.plot_class_f1(
        {"angry": {"f1": 0.5, "f1_low": 0.4, "f1_high": 0.7}, "happy": {"f1": 0.75}}
    )
    (container,) = ax.containers
    assert container[0].get_xydata().tolist() == [[0.75, 0], [0.5, 1]]
    assert np.allclose(spans(container), [[0.75, 0.75], [0.4, 0.7]])
    assert texts(ax.get_yticklabels()) == ["happy", "angry"] and ax.yaxis_inverted()
    assert texts(ax.texts) == ["0.75", "0.50"] and ax.get_xlim() == (0, 1)
    assert ax.get_legend() is None


def test_class_f1_takes_several_runs_that_may_lack_an_emotion():
    ax = plots.plot_class_f1({"one": F1, "two": {"happy": 0.5, "contempt": 0.1}})
    assert texts(ax.get_yticklabels()) == ["happy", "angry (n = 4)", "contempt"]
    assert texts(ax.texts) == ["0.75", "0.25", "0.50", "0.10"]
    assert legend(ax) == ["one", "two"]
    one, two = (container[0] for container in ax.containers)
    assert one.get_color() == ACCENT != two.get_color() and one.get_marker() != two.get_marker()


def test_scores_are_dots_with_intervals_and_numbers_from_the_top():
    ax = plots.plot_scores(SCORES)
    assert [c[0].get_xydata().tolist() for c in ax.containers] == [[[0.5, 0]], [[0.6, 1]]]
    assert np.allclose([spans(c)[0] for c in ax.containers], [[0.48, 0.51], [0.58, 0.61]])
    assert texts(ax.get_yticklabels()) == ["small", "large"] and ax.yaxis_inverted()
    assert texts(ax.texts) == ["0.500 [0.480, 0.510]", "0.600 [0.580, 0.610]"]
    assert ax.get_xlabel() == "accuracy"


def test_one_run_can_stand_out():
    ax = plots.plot_scores(SCORES, accent=["large"])
    small, large = (container[0].get_color() for container in ax.containers)
    assert large == ACCENT != small
    assert [text.get_color() for text in ax.texts] == [small, large]


def test_a_confusion_difference_is_in_points_of_each_true_class_on_a_fixed_scale():
    ax = plots.plot_confusion_difference(
        [[80, 20, 0], [0, 0, 0], [1, 0, 199]], [[50, 50, 0], [1, 1, 0], [0, 0, 20]], "abc"
    )
    # Half a point more is neither +1 nor -0.
    assert texts(ax.texts) == ["+30", "−30", "·", "–", "–", "–", "·", "·", "·"]
    assert ax.collections[0].get_clim() == (-20, 20)
    with pytest.raises(ValueError, match=r"\(2, 2\) for 2 emotions; got \(3, 3\)"):
        plots.plot_confusion_difference(np.eye(2), np.eye(3), "ab")


def test_differences_of_confusions_within_noise_are_not_coloured():
    ax = plots.plot_confusion_difference([[54, 2], [5, 5]], [[52, 4], [5, 5]], "ab")
    assert texts(ax.texts) == ["+4", "−4", "·", "·"]
    assert not np.asarray(ax.collections[0].get_array()).any()


def test_intervals_of_shares_are_those_of_scipy():
    from scipy.stats import binomtest

    found = drawing.wilson(np.array([0.0, 0.3, 1.0]), np.array([5, 40, 7]))
    for (low, high), k, n in zip(found.T, (0, 12, 7), (5, 40, 7), strict=True):
        assert np.allclose((low, high), binomtest(k, n).proportion_ci(method="wilson"), atol=1e-4)


def test_cost_is_where_a_run_stands_with_its_interval_and_name():
    ax = plots.plot_cost(SCORES, COSTS, label="minutes of training")
    points = [container[0].get_xydata().tolist() for container in ax.containers]
    assert points == [[[3.5, 0.5]], [[40, 0.6]]]
    found = [spans(container, across=1)[0] for container in ax.containers]
    assert np.allclose(found, [[0.48, 0.51], [0.58, 0.61]])
    assert [(text.get_text(), text.xy) for text in ax.texts] == [
        ("small", (3.5, 0.5)),
        ("large", (40, 0.6)),
    ]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("minutes of training", "accuracy")
    assert ax.get_xlim()[0] == 0
    assert plots.plot_cost(SCORES, COSTS, label="parameters", log=True).get_xscale() == "log"


def test_reliability_is_accuracy_over_confidence_with_intervals_above_counts_of_faces():
    ax = plots.plot_reliability(RELIABILITY | {"after": RELIABILITY["before"]})
    assert lines(ax)["calibrated"].get_xydata().tolist() == [[0, 0], [1, 1]]
    before, after = (container for container in ax.containers if container.get_label())
    assert before[0].get_xydata().tolist() == [[0.55, 0.5], [0.9, 0.6]]
    assert before[0].get_linestyle() != after[0].get_linestyle()
    assert after[0].get_color() == ACCENT
    (low, high), _ = spans(before, across=1)
    assert low == pytest.approx(0.332, abs=0.001) and high == pytest.approx(0.668, abs=0.001)
    (strip,) = ax.child_axes
    assert [bar.get_height() for bar in strip.patches] == [30, 10] * 2
    assert [bar.get_x() for bar in strip.patches] == [0.4, 0.8] * 2
    assert ax.get_xlim() == (0, 1) and ax.get_ylim()[0] == 0
    assert legend(ax) == ["calibrated", "before", "after"]


def test_a_title_is_no_wider_than_its_figure():
    title = "FER-2013 PublicTest of a run with a name that says all of its many parameters"
    ax = plots.plot_confusion(np.eye(2, dtype=int), ["a", "b"], title=title)
    ax.figure.draw_without_rendering()
    assert "\n" in ax.get_title() and ax.get_title().replace("\n", " ") == title
    assert ax.title.get_window_extent().width < ax.figure.bbox.width * 1.1


def test_runs_are_named_by_what_differs():
    base = {"backbone": "mobilenet_v2", "unfreeze": "all", "image_size": 48, "dataset": "a"}
    settings = {
        "one": base,
        "two": base | {"unfreeze": "top", "mixing": "mixup"},
        "three": base | {"distill_from": "runs/x", "dataset": "b"},
    }
    assert plots.names_by_difference(settings) == {
        "one": "all",
        "two": "top + mixup",
        "three": "all + teachers on b",
    }


def test_a_title_is_a_run_s_name_and_twins_are_told_apart():
    settings = {
        "one": {"backbone": "x", "title": "mine", "dropout": 0.1},
        "two": {"backbone": "x", "dropout": 0.2, "results_dir": "a"},
        "three": {"backbone": "x", "dropout": 0.4, "results_dir": "b"},
        "four": {"backbone": "y"},
        "five": {"backbone": "y"},
    }
    assert list(plots.names_by_difference(settings).values()) == [
        "mine",
        "x, dropout 0.2",
        "x, dropout 0.4",
        "four",
        "five",
    ]
    assert plots.names_by_difference({"alone": {"backbone": "x"}}) == {"alone": "alone"}


def test_roc_and_precision_recall_name_each_emotion_with_its_area():
    ax = plots.plot_roc(ROC | {"sad": ROC["happy"]})
    drawn = lines(ax)
    assert list(drawn) == ["chance", "happy, area 0.850", "sad, area 0.850"]
    assert drawn["happy, area 0.850"].get_xydata().tolist() == [[0, 0], [0.2, 0.9], [1, 1]]
    assert drawn["happy, area 0.850"].get_color() == COLOURS["happy"]
    styles = {line.get_linestyle() for label, line in drawn.items() if label != "chance"}
    assert len(styles) == 2
    ax = plots.plot_precision_recall(PRECISION)
    assert legend(ax) == ["happy, average 0.400"]
    curve = lines(ax)["happy, average 0.400"]
    assert curve.get_xydata().tolist() == [[1, 0.2], [0.5, 0.6], [0, 1]]
    chance = next(line for line in ax.get_lines() if line is not curve)
    assert set(chance.get_ydata()) == {0.2}


def test_further_keywords_reach_the_artist():
    assert lines(plots.plot_history(HISTORY, linewidth=5))["training"].get_linewidth() == 5
    assert plots.plot_faces(IMAGES, cmap="viridis").images[0].get_cmap().name == "viridis"
    ax = plots.plot_confusion(np.eye(2, dtype=int), "ab", cmap="Greens")
    assert ax.collections[0].get_cmap().name == "Greens"


def test_importing_plots_is_cheap():
    code = (
        "import sys, fer_lib.plots; print({'matplotlib', 'seaborn', 'pandas'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert output.stdout.strip() == "set()", output.stderr


def test_class_f1_says_how_many_faces_and_where_they_are_too_few():
    few = {"f1": 0.8, "f1_low": None, "f1_high": None, "n": 3}
    many = {"f1": 0.5, "f1_low": 0.4, "f1_high": 0.7, "n": 1200}
    ax = plots.plot_class_f1({"disgust": few, "angry": many})
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "disgust (n = 3)",
        "angry (n = 1,200)",
    ]
    assert [text.get_text() for text in ax.texts] == ["0.80, too few", "0.50"]
