"""Videos: exact rows and face numbers, kills and faults, and what is written."""

import os
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest

from support.places import ROOT

cv2 = pytest.importorskip("cv2", reason='needs pip install "fer_lib[vision]"')

from fer_lib.emotions import FER7
from fer_lib.vision import detection, part_file, video
from fer_lib.vision.video import predict_video
from support import clips
from support.clips import NUMBERS, Bands, read_clip, write_clip

PINNED = "source frame seconds face x y width height detection_score emotion unsure".split()


@pytest.fixture(autouse=True)
def frames_detector(monkeypatch):
    """The detector `frames` of white frames."""
    monkeypatch.setitem(detection.DETECTORS, "frames", clips.white_frames)
    monkeypatch.setattr(detection, "_ready", threading.local())


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "ünï 1.avi", clips.scenes())


def predict(source, predictor=None, **options):
    options = {"detector": "frames", "progress": False} | options
    return predict_video(source, predictor or Bands(), **options)


def numbers(table):
    return [group["face"].dropna().tolist() for _, group in table.groupby("frame")]


@pytest.mark.parametrize("search_every", [1, 5])
def test_the_rows_and_face_numbers_of_a_clip_are_exact(clip, search_every):
    predictor = Bands()
    table = predict(clip, predictor, search_every=search_every)
    assert list(table.columns) == [*PINNED, *FER7, "note"]
    assert numbers(table) == NUMBERS and len(table) == 80
    assert predictor.calls == 50  # one batch a frame with faces
    np.testing.assert_allclose(table["seconds"], table["frame"] / 25, atol=1e-6)
    assert (table["source"] == str(clip)).all()
    empty = table[table["frame"].between(40, 49)]
    assert (empty["emotion"] == "").all() and (empty["note"] == "no face found").all()
    assert empty[["face", "x", "detection_score", "unsure", "happy"]].isna().all(axis=None)
    first = table[table["face"] == 1]
    near = 1.5 if search_every == 1 else 4
    np.testing.assert_allclose(first["x"].astype(int), 20 + 3 * np.arange(20), atol=near)
    np.testing.assert_allclose(first["y"].astype(int), 40 + np.arange(20), atol=near)
    np.testing.assert_allclose(table.dropna(subset="face")[list(FER7)].sum(axis=1), 1, atol=1e-6)
    searched = first["detection_score"].notna().tolist()
    assert searched == [frame % search_every == 0 for frame in range(20)]
    assert table.attrs == {"frames": 60, "broken_frames": 0, "missing_frames": 0}


def test_every_third_frame(clip):
    table = predict(clip, every=3)
    assert table["frame"].unique().tolist() == list(range(0, 60, 3))
    assert numbers(table) == NUMBERS[::3]


def test_stop_after_seconds(clip):
    assert predict(clip, stop_after=0.4)["frame"].tolist() == list(range(10))


def test_probabilities_are_smoothed_in_time_and_raw_on_wish(clip):
    raw, smooth = (predict(clip, time_constant=tau)["happy"][:20] for tau in (0, 0.5))
    assert smooth.iloc[0] == raw.iloc[0]
    old, expected = np.exp(-0.04 / 0.5), [raw.iloc[0]]
    for value in raw[1:]:
        expected.append(old * expected[-1] + (1 - old) * value)
    np.testing.assert_allclose(smooth, expected, atol=1e-6)


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_the_table_is_written_and_no_part_is_left(clip, tmp_path, ending):
    table = predict(clip, out=tmp_path / f"faces.{ending}")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [f"faces.{ending}"]
    read = pd.read_csv if ending == "csv" else pd.read_json
    back = read(tmp_path / f"faces.{ending}")
    assert back["face"].dropna().tolist() == table["face"].dropna().tolist()
    np.testing.assert_allclose(back["happy"], table["happy"], atol=1e-9)


def test_the_annotated_video_shows_the_boxes(clip, tmp_path):
    predict(clip, annotated=tmp_path / "marked.mp4", timeline=tmp_path / "time.png")
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["marked.mp4", "time.png"]
    pictures, marked = clips.scenes(), read_clip(tmp_path / "marked.mp4")
    assert len(marked) == 60 and marked[0].shape == (240, 320, 3)
    differ = [np.abs(m.astype(int) - p).mean() for m, p in zip(marked, pictures, strict=True)]
    assert max(differ[40:50]) + 1 < min(differ[:40])
    assert cv2.VideoCapture(str(tmp_path / "marked.mp4")).get(cv2.CAP_PROP_FPS) == 25
    assert cv2.imread(str(tmp_path / "time.png")).shape[1] > 1000


def interrupted():
    raise KeyboardInterrupt


@pytest.mark.parametrize("stop_at", [1, 2, 23, 49])
def test_a_stopped_run_goes_on_to_the_same_table(clip, tmp_path, stop_at):
    whole = predict(clip)
    arguments = {"out": tmp_path / "faces.csv", "annotated": tmp_path / "marked.mp4"}
    with pytest.raises(KeyboardInterrupt, match=r"rows so far are in .*faces\.part\.csv"):
        predict(clip, Bands(stop_at, interrupted), **arguments)
    part = pd.read_csv(tmp_path / "faces.part.csv")
    assert list(part.columns) == list(whole.columns)  # usable as it is
    done = stop_at - 1 + 10 * (stop_at > 40)  # ten frames have no face and call for nothing
    assert part["frame"].nunique() == done
    assert not (tmp_path / "marked.mp4").exists()
    again = Bands()
    pd.testing.assert_frame_equal(predict(clip, again, **arguments), whole)
    assert again.calls == 50 - (stop_at - 1)
    assert len(read_clip(tmp_path / "marked.mp4")) == 60
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == {"faces.csv", "marked.mp4"}


def test_a_killed_run_goes_on_to_the_same_table(clip, tmp_path):
    code = (
        "import os, sys, clips\n"
        "from fer_lib.vision import detection, part_file, video\n"
        "part_file.SAVE_EVERY = 0.05\n"
        "detection.DETECTORS['frames'] = clips.white_frames\n"
        "video.predict_video(sys.argv[1], clips.Bands(41, lambda: os._exit(9)),\n"
        "                    detector='frames', out=sys.argv[2], progress=False)\n"
    )
    out = tmp_path / "faces.csv"
    paths = os.pathsep.join([str(ROOT / "tests"), *filter(None, sys.path)])
    command = [sys.executable, "-c", code, clip, out]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths})
    assert done.returncode == 9 and (tmp_path / "faces.part.json").exists()
    with open(tmp_path / "faces.part.csv", "a") as file:
        file.write("half a li")  # as a kill may leave it
    again = Bands()
    pd.testing.assert_frame_equal(predict(clip, again, out=out), predict(clip))
    assert again.calls < 50


def test_a_part_of_another_call_is_not_gone_on_with(clip, tmp_path):
    out = tmp_path / "faces.csv"
    with pytest.raises(KeyboardInterrupt):
        predict(clip, Bands(5, interrupted), out=out)
    before = (tmp_path / "faces.part.csv").read_bytes()
    with pytest.raises(FileExistsError, match=r"part of another run \(every differ\)"):
        predict(clip, out=out, every=2)
    assert (tmp_path / "faces.part.csv").read_bytes() == before


@pytest.mark.parametrize("name", ["out", "annotated", "timeline"])
def test_nothing_is_overwritten_silently(clip, tmp_path, name):
    path = tmp_path / {"out": "a.csv", "annotated": "a.mp4", "timeline": "a.png"}[name]
    path.write_text("precious")
    predictor = Bands()
    with pytest.raises(FileExistsError, match="is there already"):
        predict(clip, predictor, **{name: path})
    assert path.read_text() == "precious" and predictor.calls == 0
    predict(clip, predictor, overwrite=True, stop_after=0.2, **{name: path})
    assert path.read_bytes() != b"precious"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"every": 0}, "every must be an integer from 1"),
        ({"search_every": 0}, "search_every must|integer from 1"),
        ({"annotated": "a.mp3"}, "did you mean '.mp4'"),
        ({"timeline": "a.gif"}, "'.png', '.pdf', '.svg'"),
        ({"out": "a.xlsx"}, "'.csv', '.parquet', '.json'"),
        ({"detector": "frame"}, "did you mean 'frames'"),
        ({"unsure_below": 2}, "unsure_below must be"),
        ({"stop_after": 0}, "not one frame"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(clip, wrong, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if wrong == {"search_every": 0}:
        predict(clip, search_every=0, stop_after=0.1)  # at least each frame
        return
    with pytest.raises(ValueError, match=message):
        predict(clip, **wrong)
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


def test_a_source_that_is_no_video_is_named(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(ValueError, match=r"gone\.mp4 can not be read: there is no such file"):
        predict(tmp_path / "gone.mp4")
    with pytest.raises(ValueError, match=r"text\.mp4 can not be read: it is no video"):
        predict(tmp_path / "text.mp4")
    with pytest.raises(ValueError, match="stop_after must say"):
        predict(0)


def damaged(path, length, seed=0):
    """Overwrite bytes in the middle of a video's frames."""
    content = bytearray(path.read_bytes())
    start = len(content) // 3
    noise = np.random.default_rng(seed).integers(0, 256, length, np.uint8)
    content[start : start + length] = noise.tobytes()
    path.write_bytes(content)
    return path


def test_broken_frames_are_counted_and_keep_a_row(tmp_path):
    noise = np.random.default_rng(0)
    pictures = [
        np.where(picture == 120, noise.integers(100, 140, picture.shape), picture).astype(np.uint8)
        for picture in [clips.picture((50 + n, 60), background=120) for n in range(50)]
    ]
    path = damaged(write_clip(tmp_path / "damaged.mp4", pictures), 150_000)
    with pytest.warns(UserWarning, match="frames can not be read"):
        table = predict(path, out=tmp_path / "t.csv", annotated=tmp_path / "a.mp4")
    broken = table[table["note"] == "the frame can not be read"]
    assert 0 < len(broken) == table.attrs["broken_frames"] < 40
    assert table["frame"].unique().tolist() == list(range(50))
    assert (broken["emotion"] == "").all() and table["seconds"].is_monotonic_increasing
    assert len(read_clip(tmp_path / "a.mp4")) == 50


def test_a_file_that_ends_too_early_says_so(tmp_path):
    path = write_clip(tmp_path / "cut.avi", clips.scenes())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(UserWarning, match="frames before the number that it promises"):
        table = predict(path)
    assert table.attrs["frames"] + table.attrs["missing_frames"] == 60
    assert table.attrs["missing_frames"] > 10


def test_an_error_in_a_thread_ends_the_run_with_its_message(clip, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(video.photos, "annotate", full)
    with pytest.raises(OSError, match="no space left"):
        predict(clip, annotated=tmp_path / "a.mp4", out=tmp_path / "t.csv")
    assert not (tmp_path / "a.mp4").exists() and not (tmp_path / "t.csv").exists()


def test_rows_are_not_kept_in_memory(clip, monkeypatch):
    kept = []
    monkeypatch.setattr(part_file.PartFile, "append", lambda self, rows, state: kept.append(state))
    monkeypatch.setattr(part_file.PartFile, "table", lambda self: pd.DataFrame())
    predict(clip)
    # Beside the file, a run knows its state alone, and that does not grow.
    sizes = [len(str(state)) for state in kept]
    assert len(kept) == 60 and max(sizes) < 1500


@pytest.mark.realdata
@pytest.mark.parametrize("detector", ["yunet", "haar"])
def test_real_faces_that_move_keep_their_numbers(shared, tmp_path, monkeypatch, detector):
    monkeypatch.setenv("FER_WEIGHTS", str(shared / "peers"))
    from fer_lib.vision.photos import read_photo

    photo = read_photo(shared / "media" / "two_men_and_two_bystanders.jpg")
    wide = cv2.resize(photo, (700, 480))
    pictures = [wide[n : n + 440, 2 * n : 2 * n + 640] for n in range(30)]
    path = write_clip(tmp_path / "moving.mp4", [np.ascontiguousarray(p) for p in pictures])
    table = predict(path, detector=detector)
    counts = table["face"].value_counts()
    # Both men in front are in every frame under one number each.
    assert (counts == 30).sum() >= 2 and len(counts) <= 5
