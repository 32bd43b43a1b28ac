"""The same again: photographs, videos and exports give the same bits, however they are run."""

import hashlib
import json

import numpy as np
import pytest

pytest.importorskip("cv2", reason='needs pip install -e ".[vision]"')

from PIL import Image

import fer_lib
from fer_lib import storage
from fer_lib.data.synthetic import make_faces
from fer_lib.inference import formats
from fer_lib.inference.predictor import load_predictor
from fer_lib.models import classifier
from fer_lib.vision import detection, photos
from fer_lib.vision.video import predict_video
from support import clips, kills


@pytest.fixture(autouse=True)
def frames_detector(monkeypatch):
    """The detector `frames` of white frames."""
    monkeypatch.setitem(detection.DETECTORS, "frames", clips.white_frames)


@pytest.mark.parametrize("threads", [2, 3])
def test_answers_are_the_same_bits_on_any_number_of_threads_and_in_any_batch(threads):
    faces = make_faces(70, seed=4).images
    one = load_predictor("default", threads=1).predict(faces)
    many = load_predictor("default", threads=threads)
    np.testing.assert_array_equal(many.predict(faces), one)
    np.testing.assert_array_equal(np.concatenate([many.predict(f[None]) for f in faces]), one)


@pytest.mark.parametrize("name", ["faces.csv", "faces.json", "faces.parquet"])
def test_photographs_give_the_same_bytes_again_on_any_number_of_threads(
    name, tmp_path, monkeypatch
):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, image in enumerate(make_faces(6, seed=2).images):
        Image.fromarray(image).save(folder / f"{number}.png")
    Image.fromarray(clips.picture((20, 30), (150, 120))).save(folder / "two.jpg")
    found = []
    for place, threads in ((tmp_path / "a", 1), (tmp_path / "b", 4)):
        monkeypatch.setattr(photos, "cores", lambda threads=threads: threads)
        fer_lib.recognise(folder, detector="frames", out=place / name, annotated=place / "marked")
        found.append({p.name: p.read_bytes() for p in place.rglob("*") if p.is_file()})
    assert found[0] == found[1] and len(found[0]) == 8


def test_a_video_gives_the_same_bytes_again(tmp_path):
    clip, found = clips.write_clip(tmp_path / "clip.avi", clips.scenes()[::4]), []
    for place in (tmp_path / "a", tmp_path / "b"):
        predict_video(
            clip,
            clips.Bands(),
            detector="frames",
            progress=False,
            out=place / "faces.csv",
            summary=place / "people.csv",
            annotated=place / "marked.mp4",
            timeline=place / "timeline.png",
            elan=place / "episodes.txt",
        )
        found.append({p.name: p.read_bytes() for p in place.iterdir()})
    assert found[0] == found[1] and len(found[0]) == 5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["keras", "litert", "litert_float16", "litert_int8", "onnx"])
def test_an_export_gives_the_same_bytes_again(kind, tiny, tmp_path):
    model = classifier.build_classifier(tiny, weights=None, image_size=32)
    faces = make_faces(40, seed=1)
    found = []
    for place in (tmp_path / "a", tmp_path / "b"):
        (path,) = formats.export(
            model, place, formats=[kind], calibration=faces, label_set=faces.label_set
        ).values()
        found.append(hashlib.sha256(path.read_bytes()).hexdigest())
        assert json.loads(path.with_name(path.name + ".json").read_text())["sha256"] == found[-1]
    assert found[0] == found[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Photos", "Video"])
def test_a_kill_before_any_change_of_a_file_costs_nothing(name, tmp_path, monkeypatch, capsys):
    from soak import jobs

    job, whole = getattr(jobs, name)(), tmp_path / "whole"
    monkeypatch.setattr(jobs, "_prepare", lambda: None)
    whole.mkdir()
    job.fill(whole)
    with kills.killed_at(1000, whole) as changes:
        work(job, whole, monkeypatch)
    wanted = job.result(whole)
    assert len(changes) > 20 and len(wanted) > 3
    for step in range(len(changes)):
        place = tmp_path / str(step)
        place.mkdir()
        job.fill(place)
        with kills.killed_at(step, place), pytest.raises(kills.Killed):
            work(job, place, monkeypatch)
        capsys.readouterr()
        status = work(job, place, monkeypatch)
        assert not status or "is there already" in capsys.readouterr().err, changes[:step][-3:]
        assert job.result(place) == wanted, changes[:step][-3:]


def work(job, place, monkeypatch):
    """Do a job of the soak in its place as a new process would, to which those before are dead."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(storage, "_seen", set())
    monkeypatch.setattr(storage, "process_lives", lambda pid: False)
    return job.work()
