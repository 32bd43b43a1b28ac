"""The growing table: what was saved survives, and comes back bit for bit."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lib.vision import face_table
from fer_lib.vision.part_file import PartFile, left_complete, part_names

LABELS = ("happy", "sad")
CALL = {"source": "a.mp4", "every": 1}


def row(frame, face=None, likely=0.1, source='a, "b"\nü.mp4'):
    at = {"source": source, "frame": frame, "seconds": frame / 3}
    if face is None:
        return at | {"emotion": "", "note": "no face found"}
    box = {"face": face, "x": 1, "y": 2, "width": 3, "height": 4, "detection_score": float("nan")}
    said = {"emotion": "sad", "unsure": True, "note": ""}
    return at | box | said | {"happy": likely, "sad": 1 - likely}


def test_the_table_is_that_of_the_rows(tmp_path):
    part = PartFile(tmp_path / "t.csv", LABELS, CALL)
    rows = [row(0, 1, 1 / 3), row(0, 2, 1e-9), row(1), row(2, 1, 0.1 + 0.2)]
    for one in rows:
        part.append([one], None)
    wanted = face_table.faces_table(rows, LABELS)
    pd.testing.assert_frame_equal(part.table(), wanted, check_exact=True)
    part.remove()
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_probabilities_come_back_bit_for_bit(tmp_path_factory, values):
    part = PartFile(tmp_path_factory.mktemp("p") / "t.csv", LABELS, CALL)
    part.append([row(n, 1, value) for n, value in enumerate(values)], None)
    np.testing.assert_array_equal(part.table()["happy"], values)
    part.close()


def test_what_was_not_saved_is_dropped_and_what_was_goes_on(tmp_path):
    part = PartFile(tmp_path / "t.csv", LABELS, CALL)
    part.append([row(0, 1), row(0, 2)], {"next": 1})
    part.append([row(1)], {"next": 2})
    part.save()
    part.append([row(2, 1)], {"next": 3})
    part._file.flush()  # a kill: neither saved nor closed
    again = PartFile(tmp_path / "t.csv", LABELS, CALL)
    assert again.state == {"next": 2}
    frames = list(again.frames())
    assert [[r["face"] for r in rows] for rows in frames] == [[1, 2], [""]]
    assert frames[0][0]["x"] == 1 and frames[0][0]["unsure"] is True
    assert frames[0][0]["sad"] == 0.9 and frames[1][0]["emotion"] == ""
    again.append([row(2, 5)], {"next": 3})
    assert again.table()["face"].dropna().tolist() == [1, 2, 5]
    again.close()


def test_rows_appended_later_are_not_among_the_frames_of_before(tmp_path):
    part = PartFile(tmp_path / "t.csv", LABELS, CALL)
    part.append([row(0, 1)], {"next": 1})
    part.close()
    again = PartFile(tmp_path / "t.csv", LABELS, CALL)
    frames = again.frames()
    first = next(frames)
    again.append([row(1, 1)], {"next": 2})
    assert [first, *frames] == [first]
    again.close()


def test_the_state_is_saved_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_lib.vision.part_file.SAVE_EVERY", 0)
    part = PartFile(tmp_path / "t.csv", LABELS, CALL)
    part.append([row(0, 1)], {"next": 1})
    saved = json.loads(part_names(tmp_path / "t.csv")[1].read_text())
    assert saved["state"] == {"next": 1}
    part.close()


def test_a_part_of_another_call_is_refused_and_kept(tmp_path):
    part = PartFile(tmp_path / "t.csv", LABELS, CALL)
    part.append([row(0, 1)], {"next": 1})
    part.close()
    before = part.path.read_bytes()
    with pytest.raises(FileExistsError, match=r"t\.csv\.part\.csv is part of another run \(every"):
        PartFile(tmp_path / "t.csv", LABELS, CALL | {"every": 2})
    assert part.path.read_bytes() == before


def test_tables_of_one_stem_have_parts_of_their_own():
    names = {path.name for end in ("csv", "json") for path in part_names(f"a/faces.{end}")}
    assert len(names) == 4 and not names & {"faces.csv", "faces.json"}


@pytest.mark.parametrize("name", ["t.csv.part.csv", "t.csv.part.json"])
@pytest.mark.parametrize("content", ["mine", '{"call": {}, "place": 3}', ""])
def test_a_file_that_is_no_part_is_never_touched(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(FileExistsError, match="is there already and no part of a table"):
        PartFile(tmp_path / "t.csv", LABELS, CALL)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(name, content)]


def test_a_part_shorter_than_it_was_is_said(tmp_path):
    part = PartFile(tmp_path / "t.csv", LABELS, CALL)
    part.append([row(0, 1)], {"next": 1})
    part.close()
    part.path.write_bytes(part.path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="is shorter than it was when it was saved"):
        PartFile(tmp_path / "t.csv", LABELS, CALL)


@pytest.mark.parametrize("more", [b"", b"half a li", b"x" * 300_000])
def test_what_a_kill_left_behind_the_saved_place_is_gone_to_the_byte(tmp_path, more):
    whole = PartFile(tmp_path / "whole.csv", LABELS, CALL)
    part = PartFile(tmp_path / "t.csv", LABELS, CALL)
    for frame in range(3):
        whole.append([row(frame, 1)], {"next": frame + 1})
        part.append([row(frame, 1)], {"next": frame + 1})
        part.save()
    part._file.close()
    with open(part.path, "ab") as file:
        file.write(more)
    again = PartFile(tmp_path / "t.csv", LABELS, CALL)
    for one in (whole, again):
        one.append([row(3)], {"next": 4})
        one.close()
    assert again.path.read_bytes() == whole.path.read_bytes()


@pytest.mark.parametrize("damage", ["zeros", "other", "shorter"])
def test_a_part_that_is_not_what_was_saved_is_refused_by_name(tmp_path, damage):
    part = PartFile(tmp_path / "t.csv", LABELS, CALL)
    part.append([row(0, 1), row(1, 1)], {"next": 2})
    part.close()
    content = bytearray(part.path.read_bytes())
    content[-30:-20] = {"zeros": bytes(10), "other": b"0123456789", "shorter": b""}[damage]
    part.path.write_bytes(content)
    with pytest.raises(ValueError, match=r"t\.csv\.part\.csv is .*start anew"):
        PartFile(tmp_path / "t.csv", LABELS, CALL)


def test_a_part_that_an_earlier_version_saved_goes_on(tmp_path):
    part = PartFile(tmp_path / "t.csv", LABELS, CALL)
    part.append([row(0, 1)], {"next": 1})
    part.close()
    saved = json.loads(part.state_path.read_text())
    del saved["checksum"], saved["complete"]
    part.state_path.write_text(json.dumps(saved))
    assert PartFile(tmp_path / "t.csv", LABELS, CALL).state == {"next": 1}


def test_who_was_killed_while_it_wrote_its_files_is_known(tmp_path):
    path = tmp_path / "t.csv"
    assert not left_complete(path)
    part = PartFile(path, LABELS, CALL)
    part.append([row(0, 1)], {"next": 1})
    part.save()
    assert not left_complete(path)
    part.finish()
    assert left_complete(path) and PartFile(path, LABELS, CALL).complete
    content = part.state_path.read_bytes()
    part.state_path.write_bytes(b"zeros")
    with pytest.raises(FileExistsError, match=r"t\.csv\.part\.json is there already and no part"):
        left_complete(path)
    part.state_path.write_bytes(content)
    part.remove()
    assert not left_complete(path) and not list(tmp_path.iterdir())
