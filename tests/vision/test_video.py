"""Videos: exact rows and face numbers, kills and faults, and what is written."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

from support.places import ROOT

cv2 = pytest.importorskip("cv2", reason='needs pip install -e ".[vision]"')
pytest.importorskip("av", reason='needs pip install -e ".[vision]"')

from fer_lib.emotions import FER7
from fer_lib.vision import detection, drawing, face_table, part_file
from fer_lib.vision.face_table import faces_table
from fer_lib.vision.video import predict_video
from support import clips
from support.clips import NUMBERS, Bands, read_clip, write_clip

PINNED = (
    "source frame seconds timestamp face x y width height detection_score emotion unsure".split()
)


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
    first = table[(table["face"] == 1) & (table["frame"] < 20)]
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


@pytest.mark.parametrize(("start", "end"), [(0, 0.4), (0.2, 0.4), (0.21, None), (1.9, 9)])
def test_a_part_of_a_video_has_the_frames_numbers_and_times_of_the_whole(clip, start, end):
    table = predict(clip, start=start, end=end)
    wanted = [n for n in range(60) if start <= n / 25 < (end or 99)]
    assert table["frame"].unique().tolist() == wanted
    np.testing.assert_allclose(table["seconds"], table["frame"] / 25, atol=1e-6)


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
    assert files(tmp_path) == ["marked.mp4", "time.png"]
    pictures, marked = clips.scenes(), read_clip(tmp_path / "marked.mp4")
    assert len(marked) == 60 and marked[0].shape == (240, 320, 3)
    differ = [np.abs(m.astype(int) - p).mean() for m, p in zip(marked, pictures, strict=True)]
    assert max(differ[40:50]) < min(differ[:40])
    assert cv2.imread(str(tmp_path / "time.png")).shape[1] > 1000


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def interrupted():
    raise KeyboardInterrupt


@pytest.mark.parametrize("stop_at", [1, 2, 23, 49])
def test_a_stopped_run_goes_on_to_the_same_table(clip, tmp_path, stop_at):
    whole = predict(clip)
    arguments = {"out": tmp_path / "faces.csv", "annotated": tmp_path / "marked.mp4"}
    with pytest.raises(KeyboardInterrupt, match=r"rows so far are in .*faces\.csv\.part\.csv"):
        predict(clip, Bands(stop_at, interrupted), **arguments)
    part = pd.read_csv(tmp_path / "faces.csv.part.csv")
    assert list(part.columns) == list(whole.columns)  # usable as it is
    done = stop_at - 1 + 10 * (stop_at > 40)  # ten frames have no face and call for nothing
    assert part["frame"].nunique() == done
    assert not (tmp_path / "marked.mp4").exists()
    again = Bands()
    pd.testing.assert_frame_equal(predict(clip, again, **arguments), whole)
    assert again.calls == 50 - (stop_at - 1)
    assert len(read_clip(tmp_path / "marked.mp4")) == 60
    assert files(tmp_path) == ["faces.csv", "marked.mp4"]


RUN = (
    "import os, sys, time\n"
    "sys.path.insert(0, sys.argv[1])\n"
    "from support import clips\n"
    "from fer_lib.vision import detection, part_file, video\n"
    "part_file.SAVE_EVERY = 0.02\n"
    "detection.DETECTORS['frames'] = clips.white_frames\n"
    "class Slow(clips.Bands):\n"
    "    def predict(self, images):\n"
    "        time.sleep(0.02)\n"
    "        return super().predict(images)\n"
    "Slow.__name__ = 'Bands'\n"
    "video.predict_video(sys.argv[3:], Slow(), detector='frames',\n"
    "                    out=sys.argv[2], progress=False)\n"
)


def started(out, *sources):
    command = [sys.executable, "-c", RUN, ROOT / "tests", out, *sources]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, clip):
    """Two clips and the file of their uninterrupted table."""
    folder = tmp_path_factory.mktemp("whole")
    second = write_clip(folder / "second.avi", clips.scenes()[20:])
    done = started(folder / "t.csv", clip, second)
    assert done.wait() == 0, done.stderr.read()
    done.stderr.close()
    return [clip, second], (folder / "t.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("rows", [3, 90])
def test_a_killed_run_goes_on_to_the_same_file_byte_for_byte(whole, tmp_path, rows):
    sources, wanted = whole
    out, part = tmp_path / "t.csv", tmp_path / "t.csv.part.csv"
    done = started(out, *sources)
    wait_for(lambda: part.exists() and part.read_bytes().count(b"\n") > rows)
    done.send_signal(signal.SIGKILL)
    done.communicate()
    assert done.returncode == -9 and not out.exists()
    assert (tmp_path / "t.csv.part.json").exists()
    again = started(out, *sources)
    assert again.wait() == 0, again.stderr.read()
    again.stderr.close()
    assert out.read_bytes() == wanted and files(tmp_path) == ["t.csv"]


def test_a_second_process_on_the_same_files_is_refused_at_once_by_name(clip, tmp_path):
    code = (
        "import sys, time\nfrom fer_lib import storage\n"
        "with storage.locked(sys.argv[1]):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    outputs = {"out": "t.csv", "annotated": "a.mp4", "timeline": "t.png", "elan": "e.txt"}
    for name, file in outputs.items():
        command = [sys.executable, "-c", code, tmp_path / file]
        other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            other.stdout.readline()
            predictor = Bands()
            with pytest.raises(BlockingIOError, match=rf"{file} is being .*process {other.pid} "):
                predict(clip, predictor, **{name: tmp_path / file})
            assert predictor.calls == 0
        finally:
            other.kill()
            other.wait()
            other.stdout.close()
    predict(clip, end=0.2, **{name: tmp_path / file for name, file in outputs.items()})
    assert files(tmp_path) == sorted(outputs.values())


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
@pytest.mark.parametrize("several", [False, True])
def test_a_video_that_is_read_is_never_written(clip, tmp_path, link, several):
    source = tmp_path / "d.mp4"
    source.write_bytes(clip.read_bytes())
    target = source
    if link:
        target = tmp_path / "marked" / "d.mp4" if several else tmp_path / "other.mp4"
        target.parent.mkdir(exist_ok=True)
        link(source, target)
    with pytest.raises(ValueError, match="is the video that is read: choose another name"):
        marked = target.parent if several else target
        predict([source] if several else source, annotated=marked, overwrite=True)
    assert source.read_bytes() == clip.read_bytes()


def test_files_that_are_not_ours_are_never_touched(clip, tmp_path):
    mine = ["faces.part.csv", "faces.part.json", "boxes.part.mp4", "faces.csv.lock", "part.csv"]
    for name in mine:
        (tmp_path / name).write_text(name)
    predict(clip, out=tmp_path / "faces.csv", annotated=tmp_path / "boxes.mp4", end=0.2)
    assert files(tmp_path) == sorted([*mine, "faces.csv", "boxes.mp4"])
    assert all((tmp_path / name).read_text() == name for name in mine)
    (tmp_path / "new.csv.part.csv").write_text("mine")
    with pytest.raises(FileExistsError, match="no part of a table"):
        predict(clip, out=tmp_path / "new.csv")
    assert (tmp_path / "new.csv.part.csv").read_text() == "mine"


def test_several_videos_make_one_table_and_a_file_each(clip, tmp_path):
    folder, made = tmp_path / "videos", tmp_path / "made"
    for name in ("b/one.avi", "a/one.avi", "notes.txt", ".hidden.mp4", "broken.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(clip.read_bytes() if "one" in name else b"no video")
    places = {"annotated": made / "video", "timeline": made / "figure", "elan": made / "elan"}
    out, summary = made / "t.csv", made / "people.csv"
    table = predict(folder, out=out, summary=summary, start=0.2, **places)
    sources = [str(folder / name) for name in ("broken.mp4", "a/one.avi", "b/one.avi")]
    assert table["source"].unique().tolist() == sources
    assert "cannot be read: it is no video" in table["note"][0]
    first, second = (table[table["source"] == source] for source in sources[1:])
    columns = [name for name in table if name != "source"]
    pd.testing.assert_frame_equal(
        first[columns].reset_index(drop=True), second[columns].reset_index(drop=True)
    )
    assert files(made / "video") == ["one-2.mp4", "one.mp4"]
    assert files(made / "figure") == ["broken.png", "one-2.png", "one.png"]
    people = pd.read_csv(summary)
    assert people[["source", "face"]].values.tolist() == [
        [s, f] for s in sources[1:] for f in (1, 2)
    ]
    assert table.attrs["frames"] == 110


def test_a_baseline_adds_changes(clip, tmp_path):
    table = predict(clip, baseline=(0, 0.4), out=tmp_path / "t.csv")
    first = table[(table["face"] == 1) & (table["seconds"] < 0.4)]
    assert first["happy_change"].mean() == pytest.approx(0, abs=1e-12)
    assert list(pd.read_csv(tmp_path / "t.csv").columns[-8:-1]) == [f"{e}_change" for e in FER7]


def visit(*people, count=8):
    """Pictures of people side by side who look unlike each other: stripes of three directions."""
    down, across = np.mgrid[:44, :44]
    pictures = []
    for n in range(count):
        picture = clips.picture()
        for place, person in enumerate(people):
            x = 40 + 120 * place + 2 * n
            stripes = np.sin((across * (person != 1) + down * (person != 0)) / 2)
            picture[70 : 70 + clips.SIZE, x : x + clips.SIZE] = 250
            picture[78:122, x + 8 : x + 52] = (100 + 60 * stripes)[..., None]
        pictures.append(picture)
    return pictures


@pytest.fixture(scope="module")
def visits(tmp_path_factory):
    """Three videos: of one person, of another, and of the first and a third."""
    folder = tmp_path_factory.mktemp("visits")
    shown = {"a": visit(0), "b": visit(1), "c": visit(0, 2)}
    return [write_clip(folder / f"{name}.avi", pictures) for name, pictures in shown.items()]


def who(table):
    seen = table[table["face"].notna()]
    return seen.groupby("source", sort=False)["face"].unique().map(sorted).tolist()


def test_a_person_has_one_number_in_all_videos_of_a_call_only_if_asked(visits):
    assert who(predict(visits)) == [[1], [1], [1, 2]]
    assert who(predict(visits, same_people=True)) == [[1], [2], [1, 3]]


def test_nothing_of_a_probability_goes_from_one_video_to_the_next(visits):
    table = predict([visits[0], visits[2]], same_people=True)
    own = predict(visits[2])
    first = table[(table["source"] == str(visits[2])) & (table["frame"] == 0)]
    np.testing.assert_allclose(
        first.sort_values("x")[[*FER7]], own[own["frame"] == 0].sort_values("x")[[*FER7]]
    )


@pytest.mark.parametrize("stop_at", [3, 9, 17])
def test_a_stopped_run_knows_its_people_when_it_goes_on(visits, tmp_path, stop_at):
    whole = predict(visits, same_people=True)
    arguments = {"out": tmp_path / "t.csv", "same_people": True}
    with pytest.raises(KeyboardInterrupt):
        predict(visits, Bands(stop_at, interrupted), **arguments)
    pd.testing.assert_frame_equal(predict(visits, **arguments), whole)


def test_a_baseline_may_be_a_file_that_stays_outside_of_from_and_to(visits, tmp_path):
    neutral, others = visits[0], [visits[2]]
    made = {"out": tmp_path / "t.csv", "elan": tmp_path / "e.txt"}
    table = predict(others[0], baseline=neutral, start=0.1, **made)
    assert who(table) == [[1], [1, 2]]
    at_rest, later = (table[table["source"] == str(v)] for v in (neutral, others[0]))
    assert len(at_rest) == 8 and later["seconds"].min() >= 0.1
    usual = at_rest[[*FER7]].mean()
    for face, known in ((1, True), (2, False)):
        own = later[later["face"] == face]
        change = own[[f"{name}_change" for name in FER7]].to_numpy()
        assert np.isnan(change).all() != known
        if known:
            np.testing.assert_allclose(change, own[[*FER7]] - usual)


def test_a_baseline_file_that_is_the_video_itself_or_none_is_refused(visits, tmp_path):
    with pytest.raises(ValueError, match="is the video itself"):
        predict(visits[0], baseline=str(visits[0]))
    with pytest.raises(ValueError, match=r"gone\.mp4 cannot be read"):
        predict(visits[0], baseline=tmp_path / "gone.mp4")
    copied = shutil.copyfile(visits[0], tmp_path / "neutral.mp4")
    with pytest.raises(ValueError, match="is the video that is read"):
        predict(visits[1], baseline=copied, annotated=copied, overwrite=True)


def test_a_part_of_another_call_is_not_gone_on_with(clip, tmp_path):
    out = tmp_path / "faces.csv"
    with pytest.raises(KeyboardInterrupt):
        predict(clip, Bands(5, interrupted), out=out)
    before = (tmp_path / "faces.csv.part.csv").read_bytes()
    with pytest.raises(FileExistsError, match=r"part of another run \(every differ\)"):
        predict(clip, out=out, every=2)
    assert (tmp_path / "faces.csv.part.csv").read_bytes() == before


@pytest.mark.parametrize("name", ["out", "annotated", "timeline"])
def test_nothing_is_overwritten_silently(clip, tmp_path, name):
    path = tmp_path / {"out": "a.csv", "annotated": "a.mp4", "timeline": "a.png"}[name]
    path.write_text("precious")
    predictor = Bands()
    with pytest.raises(FileExistsError, match="is there already"):
        predict(clip, predictor, **{name: path})
    assert path.read_text() == "precious" and predictor.calls == 0
    predict(clip, predictor, overwrite=True, end=0.2, **{name: path})
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
        ({"end": 0}, "end after it"),
        ({"start": -1}, "start must be at least 0"),
        ({"start": 99}, "gives no frame: it has none from 99 s on"),
        ({"baseline": (5, 2)}, "baseline must end after it starts; got 5 to 2"),
        ({"out": "a.csv", "summary": "a.csv"}, "two of the files to write have one name"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(clip, wrong, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if wrong == {"search_every": 0}:
        predict(clip, search_every=0, end=0.1)  # at least each frame
        return
    with pytest.raises(ValueError, match=message):
        predict(clip, **wrong)
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


def test_a_source_that_is_no_video_is_named(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(ValueError, match=r"gone\.mp4 cannot be read: there is no such file"):
        predict(tmp_path / "gone.mp4")
    with pytest.raises(ValueError, match=r"text\.mp4 cannot be read: it is no video"):
        predict(tmp_path / "text.mp4")
    for camera in (0, "0"):
        with pytest.raises(ValueError, match="0 is a camera: python -m fer_lib webcam --camera 0"):
            predict(camera)
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", tmp_path / "*.avi"):
        with pytest.raises(ValueError, match="holds no videos"):
            predict(source)


def test_an_error_in_a_thread_ends_the_run_with_its_message(clip, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(drawing, "annotate", full)
    with pytest.raises(OSError, match="no space left"):
        predict(clip, annotated=tmp_path / "a.mp4", out=tmp_path / "t.csv")
    assert not (tmp_path / "a.mp4").exists() and not (tmp_path / "t.csv").exists()


def test_rows_are_not_kept_in_memory(clip, monkeypatch):
    kept = []
    monkeypatch.setattr(part_file.PartFile, "append", lambda self, rows, state: kept.append(state))
    monkeypatch.setattr(part_file.PartFile, "table", lambda self: faces_table([], FER7))
    predict(clip)
    # Beside the file, a run knows its state alone, and that does not grow.
    sizes = [len(str(state)) for state in kept]
    assert len(kept) == 61 and max(sizes) < 60_000


@pytest.mark.realdata
@pytest.mark.parametrize("detector", ["yunet", "haar"])
def test_real_faces_that_move_keep_their_numbers(shared, tmp_path, monkeypatch, detector):
    monkeypatch.setenv("FER_WEIGHTS", str(shared / "peers"))
    from fer_lib.vision.pictures import read_photo

    photo = read_photo(shared / "media" / "two_men_and_two_bystanders.jpg")
    wide = cv2.resize(photo, (700, 480))
    pictures = [wide[n : n + 440, 2 * n : 2 * n + 640] for n in range(30)]
    path = write_clip(tmp_path / "moving.mp4", [np.ascontiguousarray(p) for p in pictures])
    table = predict(path, detector=detector)
    counts = table["face"].value_counts()
    # Both men in front are in every frame under one number each.
    assert (counts == 30).sum() >= 2 and len(counts) <= 5


def test_a_kill_while_the_files_are_written_costs_nothing(clip, tmp_path, monkeypatch):
    names = {"out": "t.csv", "summary": "people.csv", "annotated": "m.mp4", "elan": "e.txt"}
    files = {key: tmp_path / name for key, name in names.items()}
    whole = {key: tmp_path / "whole" / name for key, name in names.items()}
    predict(clip, **whole)
    save, written = face_table.save_table, []

    def killed(table, path, **options):
        written.append(path)
        if path == files["out"]:
            raise SystemExit
        save(table, path, **options)

    monkeypatch.setattr(face_table, "save_table", killed)
    with pytest.raises(SystemExit):
        predict(clip, **files)
    monkeypatch.setattr(face_table, "save_table", save)
    predict(clip, **files)  # without overwrite
    assert {p.name: p.read_bytes() for p in files.values()} == {
        p.name: p.read_bytes() for p in whole.values()
    }
    assert {p.name for p in tmp_path.iterdir()} == {*names.values(), "whole"}
    with pytest.raises(FileExistsError):
        predict(clip, **files)


@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8"])
def test_a_list_of_videos_is_no_video(clip, tmp_path, name):
    (tmp_path / "other.avi").write_bytes(clip.read_bytes())
    text = {"mp4": "ffconcat version 1.0\nfile other.avi\n"}.get(name[5:])
    text = text or "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.avi\n#EXT-X-ENDLIST\n"
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"{name} cannot be read: it is no video"):
        predict(tmp_path / name)
