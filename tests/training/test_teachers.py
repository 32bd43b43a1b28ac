"""distillation: teachers answer by emotion name, and are written down."""

import numpy as np
import pytest

from fer_lib import storage
from fer_lib.data.synthetic import make_faces
from fer_lib.emotions import CKPLUS7, FER7
from fer_lib.inference import predictor
from fer_lib.training.teachers import ask_teachers, describe_teacher, load_teachers

FACES = make_faces(21, seed=3)


def answer(images, label_set):
    """Probabilities that depend on the face and on the emotion's name alone."""
    places = np.array([FER7.index(name) for name in label_set])
    logits = np.sin(images.mean(axis=(1, 2))[:, None] * (places + 1))
    return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)


def write_teacher(path, monkeypatch, label_set=FER7, **about):
    """Write a file that a predictor opens; its content does not matter."""
    path.write_bytes(b"network")
    about |= {"label_set": label_set, "face_size": [48, 48], "sha256": storage.file_hash(path)}
    storage.write_json(predictor.sidecar(path), about)
    opening = lambda path: lambda images: answer(images, label_set)  # noqa: E731
    monkeypatch.setitem(predictor.READERS, path.suffix, opening)
    return path


def test_a_teacher_s_columns_are_put_in_the_student_s_order(tmp_path, monkeypatch):
    turned = FER7[::-1]
    path = write_teacher(tmp_path / "teacher.tflite", monkeypatch, turned)
    taught = ask_teachers(load_teachers(str(path)), FACES)
    np.testing.assert_allclose(taught, answer(FACES.images, FER7), rtol=1e-6)
    assert (taught != answer(FACES.images, turned)).any() and taught.dtype == np.float32


def test_several_teachers_answer_by_their_mean(tmp_path, monkeypatch):
    one = write_teacher(tmp_path / "one.tflite", monkeypatch)
    other = write_teacher(tmp_path / "other.onnx", monkeypatch)
    uniform = lambda path: lambda images: np.full((len(images), 7), 1 / 7, np.float32)  # noqa: E731
    monkeypatch.setitem(predictor.READERS, ".onnx", uniform)
    teachers = load_teachers(f"{one}, {other}")
    taught = ask_teachers(teachers, FACES)
    np.testing.assert_allclose(taught, (answer(FACES.images, FER7) + 1 / 7) / 2, rtol=1e-5)


def test_a_teacher_of_other_emotions_is_refused(tmp_path, monkeypatch):
    path = write_teacher(tmp_path / "teacher.tflite", monkeypatch, CKPLUS7)
    with pytest.raises(ValueError, match="distill_from: .*contempt apart, but the training faces"):
        ask_teachers(load_teachers(str(path)), FACES)


def test_a_teacher_that_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match="nowhere.tflite"):
        load_teachers("nowhere.tflite")
    assert load_teachers(None) == []


def test_a_teacher_is_written_down_by_content(tmp_path, monkeypatch):
    path = write_teacher(tmp_path / "teacher.tflite", monkeypatch, source="fer2013-mobilenet-x")
    (teacher,) = load_teachers(str(path))
    assert describe_teacher(teacher) == {
        "name": str(path),
        "sha256": storage.file_hash(path),
        "trained_on": "fer2013-mobilenet-x",
    }


def test_a_shipped_teacher_goes_by_its_name():
    (teacher,) = load_teachers("default")
    assert describe_teacher(teacher)["name"] == "default"
