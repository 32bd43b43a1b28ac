"""emotions: spellings, translation by name, suggestions."""

import colorsys

import numpy as np
import pytest

from fer_lib import emotions
from fer_lib.choices import lookup, suggest
from fer_lib.emotions import CKPLUS7, FER7, FERPLUS8, LABEL_SETS, canonical


@pytest.mark.parametrize(
    "spelling, emotion",
    [
        ("Anger", "angry"),
        ("AN", "angry"),
        (" happiness ", "happy"),
        ("Suprise", "surprise"),
        ("neutral", "neutral"),
        ("Fearful", "fear"),
        ("SADNESS", "sad"),
        ("dis-gust", "disgust"),
        ("contempt", "contempt"),
        ("Fearfull", "fear"),
        ("hapiness", "happy"),
        ("Dis gust", "disgust"),
    ],
)
def test_a_spelling_stands_for_its_emotion(spelling, emotion):
    assert canonical(spelling) == emotion


def test_no_spelling_stands_for_two_emotions():
    spellings = [s for name, others in emotions.SPELLINGS.items() for s in (name, *others)]
    assert len(spellings) == len(set(spellings))


def test_an_unknown_emotion_is_an_error_with_the_nearest():
    with pytest.raises(ValueError, match="Unknown emotion 'surprize3'.*did you mean 'surprize'"):
        canonical("surprize3")


def test_label_sets_name_each_emotion_once_and_every_emotion_has_its_colour():
    for names in LABEL_SETS.values():
        assert len(set(names)) == len(names)
        assert all(canonical(name) == name and name in emotions.COLOURS for name in names)
    assert len(set(emotions.COLOURS.values())) == len(emotions.COLOURS)


def test_colours_of_fer7_differ_in_lightness_or_hue():
    rgb = [[int(emotions.COLOURS[n][i : i + 2], 16) / 255 for i in (1, 3, 5)] for n in FER7]
    hls = np.array([colorsys.rgb_to_hls(*colour) for colour in rgb])
    distances = np.abs(hls[:, None] - hls[None]).sum(-1) + np.eye(len(hls))
    assert distances.min() > 0.05


@pytest.mark.parametrize("source", LABEL_SETS.values())
@pytest.mark.parametrize("to", LABEL_SETS.values())
def test_translation_goes_by_name(source, to):
    numbers = emotions.translate(source, to)
    assert numbers.shape == (len(source),) and numbers.dtype == np.int64
    for name, number in zip(source, numbers, strict=True):
        assert to[number] == name if number >= 0 else name not in to


def test_translation_marks_what_the_other_set_lacks():
    assert emotions.translate(FERPLUS8, FER7).tolist() == [6, 3, 5, 4, 0, 1, 2, -1]
    assert emotions.translate(FER7, CKPLUS7).tolist() == [0, 1, 2, 3, 4, 5, -1]


def test_only_a_near_name_is_suggested():
    assert suggest("epoch", ["epochs", "seed"]) == "; did you mean 'epochs'?"
    assert suggest("zzzz", ["epochs", "seed"]) == ""
    assert suggest(100, ["top", "100"]) == "; did you mean '100'?"


def test_a_lookup_returns_the_value_or_lists_the_keys():
    assert lookup({"a": 1}, "a", "letter") == 1
    with pytest.raises(ValueError, match=r"Unknown letter 'q'\. Known: 'a', 'b'$"):
        lookup({"a": 1, "b": 2}, "q", "letter")


def test_the_smallest_label_set_has_every_name_found():
    assert emotions.smallest_label_set(["sad", None, "neutral"]) == FER7
    assert emotions.smallest_label_set(["sad", "contempt"]) == CKPLUS7
    assert emotions.smallest_label_set(["neutral", "contempt"]) == FERPLUS8
    assert emotions.smallest_label_set([]) == FER7


def test_names_come_in_the_order_of_a_known_label_set_or_in_their_own():
    assert emotions.in_known_order(FERPLUS8[:7]) == FER7
    assert emotions.in_known_order(["sad", "happy"]) == ("sad", "happy")
