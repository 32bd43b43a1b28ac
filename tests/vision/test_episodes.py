"""Episodes, transitions and series of a small table whose answers are known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lib.vision import episodes
from fer_lib.vision.face_table import faces_table

LABELS = ("happy", "sad", "neutral")


def table(faces, rate=10):
    """A table from `{face: "hhss-n"}`, a letter a frame and `-` where it is not seen."""
    rows = []
    for frame in range(max(map(len, faces.values()))):
        at = {"source": "v", "frame": frame, "seconds": frame / rate}
        seen = [(face, text[frame]) for face, text in faces.items() if text[frame : frame + 1]]
        seen = [(face, letter) for face, letter in seen if letter != "-"]
        for face, letter in seen:
            likely = 0.5 + 0.4 * (letter == letter.upper())
            odds = {name: (1 - likely) / 2 for name in LABELS}
            (emotion,) = (name for name in LABELS if name[0] == letter.lower())
            rows.append(at | {"face": face, "emotion": emotion} | odds | {emotion: likely})
        if not seen:
            rows.append(at | {"emotion": "", "note": "no face found"})
    return faces_table(rows, LABELS)


def test_onset_apex_offset_and_duration():
    found = episodes.episodes(table({1: "nnhhHhssss"}))
    assert found["emotion"].tolist() == ["neutral", "happy", "sad"]
    happy = found.iloc[1]
    assert happy["onset"] == 0.2 and happy["apex"] == 0.4 and happy["offset"] == 0.6
    assert happy["duration"] == pytest.approx(0.4) and happy["frames"] == 4
    assert happy["peak"] == pytest.approx(0.9) and happy["mean"] == pytest.approx(0.6)
    assert found["continues"].tolist() == [False, True, True]
    assert found["offset"].iloc[2] == pytest.approx(1.0)  # the last frame lasts a frame


def test_faces_have_their_own_episodes():
    found = episodes.episodes(table({2: "hhss", 1: "ssss"}))
    assert found[["face", "emotion"]].values.tolist() == [[1, "sad"], [2, "happy"], [2, "sad"]]


def test_a_long_gap_ends_an_episode_and_a_short_one_does_not():
    assert len(episodes.episodes(table({1: "hh--hh"}))) == 1
    found = episodes.episodes(table({1: "hh-------hh"}))
    assert len(found) == 2 and found["offset"].iloc[0] == pytest.approx(0.2)
    assert not found["continues"].any()
    assert len(episodes.episodes(table({1: "hh--hh"}), max_gap=0.2)) == 2


def test_transitions_count_what_follows_on_the_same_face_without_a_gap():
    counts = episodes.transitions(table({1: "hhsshh", 2: "nnn-------hh"}))
    assert counts.loc["happy", "sad"] == counts.loc["sad", "happy"] == 1
    assert counts.to_numpy().sum() == 2
    assert list(counts) == list(counts.index) == list(LABELS)
    # "happy" after the short "sad" is left out does not follow "happy".
    assert episodes.transitions(table({1: "hhhshhh"}), min_seconds=0.15).to_numpy().sum() == 0


def test_the_summary_shares_out_the_time():
    rows = episodes.summary(table({1: "hhhhssnnhh"}))
    assert rows.index.tolist() == list(LABELS)
    assert rows["episodes"].tolist() == [2, 1, 1]
    np.testing.assert_allclose(rows["seconds"], [0.6, 0.2, 0.2])
    np.testing.assert_allclose(rows["share"], [0.6, 0.2, 0.2])
    assert rows.loc["happy", "longest"] == pytest.approx(0.4)
    never = episodes.summary(table({1: "hh"})).loc["sad"]
    assert never["episodes"] == 0 and never["share"] == 0 and np.isnan(never["mean_duration"])


def test_a_series_is_of_one_face_and_the_mean_of_all_only_on_wish():
    faces = table({1: "h-", 2: "ss"})
    np.testing.assert_allclose(episodes.emotion_series(faces).iloc[0], [0.25, 0.5, 0.25])
    series = episodes.emotion_series(faces, "mean")
    np.testing.assert_allclose(series.iloc[0], [0.375, 0.375, 0.25])
    one = episodes.emotion_series(faces, face=1)
    assert one.iloc[1].isna().all() and one.index.tolist() == [0, 0.1]
    with pytest.raises(ValueError, match=r"face must be a face of the table \(1, 2\); got 3"):
        episodes.emotion_series(faces, face=3)
    two = pd.concat([faces, faces.assign(source="w")])
    with pytest.raises(ValueError, match="must be of one video"):
        episodes.emotion_series(two)


def test_faces_of_two_videos_do_not_mix():
    first, second = table({1: "hhss"}), table({1: "nnnn"}).assign(source="w")
    found = episodes.episodes(pd.concat([first, second], ignore_index=True))
    assert found[["source", "emotion"]].values.tolist() == [
        ["v", "happy"],
        ["v", "sad"],
        ["w", "neutral"],
    ]
    assert episodes.transitions(pd.concat([second, first])).to_numpy().sum() == 1


def test_seldom_frames_do_not_make_each_an_episode():
    assert len(episodes.episodes(table({1: "hhhss"}, rate=0.5))) == 2


def test_lanes_are_of_the_most_seen_first_and_of_transitions_only_where_there_are_many():
    series, found, follows = episodes.lanes(table({1: "hh", 2: "ssss"}))
    assert list(series) == [2, 1] and len(found) == 2 and follows is None
    assert episodes.lanes(table({1: "hhss" * 12}))[2].to_numpy().sum() == 23
    assert episodes.lanes(table({1: "--"}))[0] == {}


def test_elan_gets_a_tier_per_person_and_times_that_it_reads(tmp_path):
    episodes.save_elan(table({1: "hhhhs", 2: "-ssss"}, rate=0.001), tmp_path / "e.txt")
    rows = pd.read_csv(tmp_path / "e.txt", sep="\t")
    assert list(rows) == ["tier", "begin", "end", "annotation"]
    assert rows.iloc[0].tolist() == ["person 1", "00:00:00.000", "01:06:40.000", "happy"]
    assert rows["tier"].tolist() == ["person 1"] * 2 + ["person 2"]


def test_long_series_are_averaged():
    series = episodes.emotion_series(table({1: "hs" * 500}), points=100)
    assert len(series) == 100 and series.index.is_monotonic_increasing
    np.testing.assert_allclose(series["happy"], 0.375, atol=0.01)


@pytest.mark.parametrize("text", ["---", "-"])
def test_a_video_without_faces_has_no_episodes(text):
    empty = table({1: text})
    found = episodes.episodes(empty)
    assert found.empty and list(found)[:3] == ["source", "face", "emotion"]
    assert episodes.transitions(empty).to_numpy().sum() == 0
    assert episodes.summary(empty)["seconds"].sum() == 0
    assert episodes.emotion_series(empty).isna().all(axis=None)
    assert episodes.emotion_series(empty.iloc[:0]).empty


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.integers(1, 3), st.text("hsn-", min_size=1, max_size=15), min_size=1))
def test_episodes_hold_every_frame_once(faces):
    rows = table(faces)
    found = episodes.episodes(rows)
    assert found["frames"].sum() == (rows["emotion"] != "").sum()
    assert (found["onset"] <= found["apex"]).all()
    assert (found["apex"] < found["offset"] + 1e-9).all() or rows["seconds"].nunique() == 1
    assert isinstance(found, pd.DataFrame) and (found["peak"] >= found["mean"] - 1e-9).all()
