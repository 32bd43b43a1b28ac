"""The page: answers on this computer alone, looks at photos and videos, and says what it is."""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2", reason='needs pip install -e ".[vision]"')

from fer_lib.emotions import FER7
from fer_lib.inference import honest_use
from fer_lib.vision import detection, page
from support import clips

PER_CLASS = {name: {"precision": 0.8, "recall": 0.7, "f1": 0.75, "n": 9} for name in FER7}
SCORES = {
    "test_name": "FER-2013 PublicTest",
    "test": {"n": 3589, "accuracy": {"value": 0.66}, "per_class": PER_CLASS},
}


@pytest.fixture(autouse=True)
def frames_detector(monkeypatch):
    """The detector `frames` of white frames."""
    monkeypatch.setitem(detection.DETECTORS, "frames", clips.white_frames)
    monkeypatch.setattr(detection, "_ready", threading.local())


def test_a_photo_gives_its_marked_copy_and_a_table(tmp_path):
    from PIL import Image

    image = clips.picture((20, 40), (200, 100), height=400, width=400)
    Image.fromarray(image).save(tmp_path / "two.png")
    marked, file, table = page.look_at_photo(
        tmp_path / "two.png", clips.Bands(), tmp_path / "1", "frames"
    )
    assert table["face"].tolist() == [1, 2] and table["source"].tolist() == ["two.png"] * 2
    assert np.asarray(Image.open(marked)).shape == image.shape and file.read_text().count("\n") == 3
    Image.fromarray(np.zeros((400, 400, 3), np.uint8)).save(tmp_path / "none.png")
    _, _, table = page.look_at_photo(tmp_path / "none.png", clips.Bands(), tmp_path / "2", "frames")
    assert table["note"].tolist() == ["no face found"]


def test_a_file_that_is_no_photo_is_refused_with_the_reason(tmp_path):
    (tmp_path / "text.jpg").write_text("no photo")
    with pytest.raises(ValueError, match=r"^text\.jpg cannot be read: it is no picture of a known"):
        page.look_at_photo(tmp_path / "text.jpg", clips.Bands(), tmp_path / "1", "frames")


@pytest.mark.parametrize("port", [0, 80000])
def test_a_port_that_does_not_exist_is_refused_in_one_sentence(port):
    with pytest.raises(ValueError, match=f"port must be 1 to 65535; got {port}"):
        page.serve(clips.Bands(), port=port)


def test_a_taken_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"Port {port} cannot be used .*choose another"):
            page.serve(clips.Bands(), port=port)


def test_the_folders_of_killed_pages_are_removed_and_those_of_live_ones_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(page.tempfile, "tempdir", str(tmp_path))
    dead, live, other = (tmp_path / name for name in ("fer_lib-page-1-a", "fer_lib-page-2-b", "my"))
    for folder in (dead, live, other):
        folder.mkdir()
        (folder / "photo.jpg").touch()
    code = (
        "import sys\nfrom fer_lib import storage\n"
        "with storage.locked(sys.argv[1]):\n    print('held', flush=True)\n    input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, live], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        with page._own_folder():
            own = Path(page.os.environ["GRADIO_TEMP_DIR"])
            assert page.tempfile.gettempdir() == str(own) and own.stat().st_mode & 0o77 == 0
            (own / "upload.jpg").touch()
            assert not dead.exists() and live.exists() and other.exists()
    finally:
        holder.communicate(b"\n")
    assert not own.exists() and page.tempfile.gettempdir() == str(tmp_path)


def test_errors_per_class_come_from_the_run(tmp_path):
    (tmp_path / "scores.json").write_text(json.dumps(SCORES))
    (tmp_path / "model.keras").touch()
    for model in (tmp_path, tmp_path / "model.keras"):
        text = honest_use.describe_errors(page.read_scores(model))
        assert "34% of all answers" in text and "3,589 faces of FER-2013 PublicTest" in text
        assert "| fear | 30% | 20% |" in text
    assert "is not known" in honest_use.describe_errors(
        page.read_scores(tmp_path / "x" / "m.tflite")
    )
    (tmp_path / "m.tflite.json").write_text(json.dumps(SCORES | {"test_name": "its own"}))
    assert page.read_scores(tmp_path / "m.tflite")["test_name"] == "its own"


def test_without_gradio_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[page\]"'):
        page.build_page(clips.Bands(), detector="frames")


@pytest.mark.slow
def test_the_page_answers_looks_at_a_photo_and_a_video_and_keeps_nothing(tmp_path, monkeypatch):
    pytest.importorskip("gradio", reason='needs pip install -e ".[page]"')
    import urllib.error
    import urllib.request

    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError
    from PIL import Image

    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    Image.fromarray(clips.picture((20, 40), height=400, width=400)).save(tmp_path / "a.png")
    clip = clips.write_clip(tmp_path / "c.avi", clips.scenes())
    with page.served(clips.Bands(), detector="frames") as (blocks, address):
        kept = Path(page.os.environ["GRADIO_TEMP_DIR"])
        assert address.startswith("http://127.0.0.1:")
        assert not blocks.analytics_enabled and not blocks.share
        assert not getattr(blocks, "run_history", False)
        with urllib.request.urlopen(address, timeout=20) as answer:
            text = answer.read().decode()
        assert "not what a person feels" in text and "2024/1689" in text
        client = Client(address, verbose=False, download_files=str(tmp_path / "down"))
        marked, table, _ = client.predict(handle_file(tmp_path / "a.png"), api_name="/photo")
        assert table["headers"][0] == "emotion"
        assert dict(zip(table["headers"], table["data"][0], strict=True))["width"] == clips.SIZE
        assert Path(marked).exists() and any(kept.rglob("*.*"))
        (tmp_path / "text.jpg").write_text("no photo")
        with pytest.raises(AppError, match=r"text\.jpg cannot be read: it is no picture"):
            client.predict(handle_file(tmp_path / "text.jpg"), api_name="/photo")
        for header, value in (("Host", "evil.com"), ("Origin", "http://evil.com")):
            asked = urllib.request.Request(address, headers={header: value})
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(asked, timeout=20)
        figure, found, *_ = client.predict(handle_file(clip), api_name="/video")
        face = found["headers"].index("face")
        assert {row[face] for row in found["data"]} == {1, 2} and figure
        client.close()
    assert not kept.exists() and "GRADIO_TEMP_DIR" not in page.os.environ
