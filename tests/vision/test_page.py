"""The page: answers on this computer alone, looks at photos and videos, and says what it is."""

import json
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2", reason='needs pip install "fer_lib[vision]"')

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


def test_a_photo_gives_its_marked_copy_and_a_table():
    image = clips.picture((20, 40), (200, 100), height=400, width=400)
    marked, table = page.look_at_photo(image, clips.Bands(), "frames")
    assert table["face"].tolist() == [1, 2] and marked.shape == image.shape
    assert (marked != image).any()
    marked, table = page.look_at_photo(np.zeros((400, 400, 3), np.uint8), clips.Bands(), "frames")
    assert table["note"].tolist() == ["no face found"] and not marked.any()


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
    with pytest.raises(ImportError, match=r'pip install "fer_lib\[page\]"'):
        page.build_page(clips.Bands(), detector="frames")


@pytest.mark.slow
def test_the_page_answers_looks_at_a_photo_and_a_video_and_keeps_nothing(tmp_path, monkeypatch):
    pytest.importorskip("gradio", reason='needs pip install "fer_lib[page]"')
    import urllib.request

    from gradio_client import Client, handle_file
    from PIL import Image

    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    Image.fromarray(clips.picture((20, 40), height=400, width=400)).save(tmp_path / "a.png")
    clip = clips.write_clip(tmp_path / "c.avi", clips.scenes())
    with page.served(clips.Bands(), detector="frames") as (blocks, address):
        kept = Path(page.os.environ["GRADIO_TEMP_DIR"])
        assert address.startswith("http://127.0.0.1:")
        assert not blocks.analytics_enabled and not blocks.share
        with urllib.request.urlopen(address, timeout=20) as answer:
            text = answer.read().decode()
        assert "not what a person feels" in text and "2024/1689" in text
        client = Client(address, verbose=False, download_files=str(tmp_path / "down"))
        marked, table = client.predict(handle_file(tmp_path / "a.png"), api_name="/photo")
        assert dict(zip(table["headers"], table["data"][0], strict=True))["width"] == clips.SIZE
        assert Path(marked).exists() and any(kept.rglob("*.*"))
        figure, found = client.predict(handle_file(clip), api_name="/video")
        assert {row[0] for row in found["data"]} == {1, 2, 3, 4} and figure
        client.close()
    assert not kept.exists() and "GRADIO_TEMP_DIR" not in page.os.environ
