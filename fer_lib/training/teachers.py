"""Distillation: teachers, which are finished classifiers, and what they say of training faces."""

import numpy as np

from fer_lib import storage
from fer_lib.emotions import translate
from fer_lib.inference.predictor import (
    PREDICTORS,
    find_model,
    load_predictor,
    read_sidecar,
    sidecar,
)
from fer_lib.screen import progress


def find_teachers(names):
    """Return the files of the teachers that a comma-separated text names, without opening them.

    Args:
        names: See `load_teachers`.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    return [find_model(name.strip()) for name in names.split(",")] if names else []


def load_teachers(names):
    """Return the teachers that a comma-separated text names, a list of `Predictor`.

    Args:
        names: Runs' folders, `.keras`, `.tflite` or `.onnx` files or names; see
            `predictor.load_predictor`. `None` for no teacher.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a file is none of a classifier.
    """
    return [load_predictor(name.strip()) for name in names.split(",")] if names else []


def describe_teacher(teacher):
    """Return what a run records of a teacher: name, content, and what it was trained on.

    Args:
        teacher: A `Predictor`.

    Returns:
        Dict of `name` (a shipped model's own, else the path), `sha256` of its file and
        `trained_on`: the training faces of its run, or the run that it was exported from.
    """
    names = {path: name for name, path in PREDICTORS.items()}
    if sidecar(teacher.path).is_file():
        trained_on = read_sidecar(teacher.path).get("source", "not recorded")
    else:
        trained_on = storage.read_json(teacher.path.with_name("scores.json"))["train_name"]
    return {
        "name": names.get(teacher.path, str(teacher.path)),
        "sha256": storage.file_hash(teacher.path),
        "trained_on": trained_on,
    }


def ask_teachers(teachers, faces):
    """Return the teachers' mean answer about faces.

    Args:
        teachers: List of `Predictor`.
        faces: `Faces` of the teachers' face size.

    Returns:
        `float32` `(n, classes)`, rows summing to 1, columns in the order of `faces.label_set`.

    Raises:
        ValueError: If a teacher knows other emotions, or takes faces of another size.
    """
    ask = asking(teachers, faces)
    names = ", ".join(teacher.path.name for teacher in teachers)
    starts = progress(range(0, len(faces), 1024), f"teachers {names}")
    return np.concatenate([ask(faces.images[start : start + 1024]) for start in starts])


def asking(teachers, faces):
    """Return the function that asks the teachers about pictures of such faces.

    Args:
        teachers: List of `Predictor`.
        faces: `Faces` whose emotions they must tell apart.

    Returns:
        Function from `uint8` pictures of the teachers' face size to their mean answer, `float32`
        `(n, classes)`, columns in the order of `faces.label_set`.

    Raises:
        ValueError: If a teacher knows other emotions.
    """
    for teacher in teachers:
        if set(teacher.label_set) != set(faces.label_set):
            raise ValueError(
                f"distill_from: {teacher.path} tells {', '.join(teacher.label_set)} apart, but the "
                f"training faces are {', '.join(faces.label_set)}; use a teacher with their "
                "emotions."
            )
    columns = [translate(faces.label_set, teacher.label_set) for teacher in teachers]

    def ask(images):
        answers = zip(teachers, columns, strict=True)
        found = [teacher.predict(images)[:, order] for teacher, order in answers]
        return np.mean(found, axis=0, dtype=np.float32)

    return ask
