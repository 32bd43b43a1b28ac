"""What is said of each person: time, shares and changes of a table whose answers are known."""

import numpy as np
import pandas as pd
import pytest

from fer_lib.vision import people
from fer_lib.vision.face_table import faces_table

LABELS = ("happy", "sad", "neutral")


def table(faces, times=None, source="v"):
    """A table from `{face: "hhss-n"}`, a letter a frame and `-` where it is not seen."""
    rows = []
    for frame in range(max(map(len, faces.values()))):
        at = {"source": source, "frame": frame, "seconds": times[frame] if times else frame / 10}
        for face, text in faces.items():
            letter = text[frame : frame + 1]
            if letter in "-":
                continue
            emotion = next(name for name in LABELS if name[0] == letter)
            odds = dict.fromkeys(LABELS, 0.2) | {emotion: 0.6}
            box = {"face": face, "emotion": emotion, "unsure": letter == "s", "note": ""}
            rows.append(at | box | odds)
        if not rows or rows[-1]["frame"] != frame:
            rows.append(at | {"emotion": "", "note": "no face found"})
    return faces_table(rows, LABELS)


def test_a_row_per_person_and_video_with_time_shares_means_and_episodes():
    both = pd.concat([table({1: "hhhhss----", 2: "------nnnn"}), table({1: "n" * 10}, source="w")])
    rows = people.per_person(both)
    assert rows[["source", "face"]].values.tolist() == [["v", 1], ["v", 2], ["w", 1]]
    first = rows.iloc[0]
    assert first["seconds"] == pytest.approx(0.6) and first["frames"] == 6
    assert first["emotion"] == "happy" and first["last_seen"] == 0.5
    assert first["happy_share"] == pytest.approx(4 / 6)
    assert first["unsure_share"] == pytest.approx(2 / 6)
    assert first["happy_mean"] == pytest.approx((4 * 0.6 + 2 * 0.2) / 6)
    assert first["happy_per_minute"] == pytest.approx(60 / 0.6) and first["neutral_per_minute"] == 0
    assert rows.iloc[1]["first_seen"] == pytest.approx(0.6)


def test_a_frame_counts_for_as_long_as_it_is_shown():
    rows = people.per_person(table({1: "hs-"}, times=[0.0, 3.0, 4.0]))
    assert rows["seconds"][0] == pytest.approx(4)
    assert rows["happy_share"][0] == pytest.approx(3 / 4)


def test_a_single_frame_and_no_face_are_no_error():
    (row,) = people.per_person(table({1: "h"})).to_dict("records")
    assert row["seconds"] == 0 and row["happy_share"] == 1 and np.isnan(row["happy_per_minute"])
    assert people.per_person(table({1: "--"})).empty
    assert "nobody was seen, 2 frames" in people.people_text(table({1: "--"}))


def test_changes_are_from_the_person_s_own_mean_in_the_baseline():
    faces = table({1: "nnhh", 2: "ssss", 3: "---h"})
    changed = people.relative_to_baseline(faces, 0, 0.2)
    assert list(changed)[-4:] == ["happy_change", "sad_change", "neutral_change", "note"]
    by = changed.set_index(["face", "frame"])
    np.testing.assert_allclose(
        by.loc[(1, 3), ["happy_change", "neutral_change"]].astype(float), [0.4, -0.4]
    )
    np.testing.assert_allclose(by.loc[(2, 3), "sad_change"], 0, atol=1e-12)
    assert np.isnan(by.loc[(3, 3), "happy_change"])
    assert len(changed) == len(faces) and (changed["happy"] == faces["happy"]).all()
    pd.testing.assert_frame_equal(people.per_person(changed), people.per_person(faces))


def test_changes_may_be_from_another_file_by_the_numbers_of_the_people():
    rest = table({1: "nn", 2: "ss"}, source="rest")
    both = pd.concat([rest, table({1: "hh", 3: "hh"})], ignore_index=True)
    changed = people.relative_to_baseline(both, 0, 9, source="rest")
    later = changed[changed["source"] == "v"].set_index("face")
    np.testing.assert_allclose(later.loc[1, "happy_change"], 0.4)
    assert np.isnan(later.loc[3, "happy_change"]).all()


def test_one_person_alone_in_the_file_is_who_was_seen_longest():
    rest = table({1: "nn"}, source="rest")
    both = pd.concat([rest, table({2: "h---", 3: "hhhh"})], ignore_index=True)
    later = people.relative_to_baseline(both, 0, 9, source="rest").set_index(["source", "face"])
    np.testing.assert_allclose(later.loc[("v", 3), "happy_change"], 0.4)
    assert np.isnan(later.loc[("v", 2), "happy_change"]).all()
    with pytest.raises(ValueError, match="nobody is seen in gone, the baseline"):
        people.relative_to_baseline(both, 0, 9, source="gone")


@pytest.mark.parametrize("span", [(1, 1), (-1, 2), (5, 9)])
def test_a_baseline_that_is_none_is_refused(span):
    with pytest.raises(ValueError, match="baseline"):
        people.relative_to_baseline(table({1: "hh"}), *span)


def test_the_text_for_a_screen_is_short_and_says_who_how_long_and_how():
    text = people.people_text(table({n: "hhhs" for n in range(1, 20)}))
    assert len(text.splitlines()) == 14
    assert "v: 19 people, 4 frames, 0.4 seconds" in text
    assert "person 1: 0.4 s (from 0.0 to 0.3): happy 75%, sad 25%" in text
    assert "and 7 more" in text
    noted = faces_table(
        [{"source": "v", "frame": 0, "seconds": 0.0, "emotion": "", "note": "x"}], LABELS
    )
    assert "1 x x" in people.people_text(noted)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("1:30", 90), ("0:01:30.5", 90.5), (" 2.5s ", 2.5)],
)
def test_times_are_read(text, seconds):
    assert people.read_seconds(text) == seconds
    assert people.read_span(f"0-{text.strip()}") == (0, seconds)


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4", "-1", "1e3", "5 s"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match="must be"):
        people.read_seconds(text)
    with pytest.raises(ValueError, match="must be"):
        people.read_span(text)


def test_a_baseline_is_a_file_that_is_there_or_a_time(tmp_path):
    (tmp_path / "0-5s").touch()
    assert people.read_baseline(str(tmp_path / "0-5s")) == str(tmp_path / "0-5s")
    assert people.read_baseline("1-2s") == (1, 2)
    with pytest.raises(ValueError, match="a stretch of time or a file: .*'neutral.mp4'"):
        people.read_baseline("neutral.mp4")
