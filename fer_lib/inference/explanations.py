"""Explanations: which places of a face spoke for the class that a classifier named.

Each method returns one map a face, of the face's size. A map says what moves this network's
answer, not what an expression is made of. Compare methods before believing one: the last map of a
48-pixel network is 2 x 2, so its activation maps tell quarters of a face apart and no more.
"""

import functools
import itertools
from pathlib import Path

import numpy as np

from fer_lib import emotions
from fer_lib.choices import lookup
from fer_lib.inference.activation_maps import (
    check_faces,
    class_activation_maps,
    explained_classes,
    grad_cam_maps,
)
from fer_lib.screen import progress


def occlusion_maps(predict, images, classes=None, *, patch=8, stride=4):
    """Return by how much a class's probability falls when a place of the face is hidden.

    A square patch of the face's mean value is moved over the face; each place of the map is the
    mean over the patches that hid it. Needs predictions alone, so any classifier will do. Zeiler
    and Fergus 2014, arXiv:1311.2901, sec. 4.2.

    Args:
        predict: Function from `uint8` faces to probabilities `(n, classes)`, such as
            `Predictor.predict` or `model.predict_on_batch`.
        images: `uint8` array of shape `(n, height, width)` or, in colour,
            `(n, height, width, 3)`, values 0 to 255.
        classes: Integer array of shape `(n,)`: the class to explain of each face. Defaults to
            the one that is predicted.
        patch: Side of the patch in pixels.
        stride: Pixels between two patches, at most `patch`. At 48 x 48 pixels the defaults ask
            for 122 predictions a face.

    Returns:
        `float32` array of shape `(n, height, width)` in [-1, 1]: positive where hiding the place
        lowers the probability of the class.

    Raises:
        ValueError: If images, classes, patch or stride do not fit.
    """
    images = check_faces(images, classes)
    height, width = images.shape[1:3]
    if not 1 <= stride <= patch <= min(height, width):
        raise ValueError(
            "patch and stride must be pixels with 1 <= stride <= patch <= the face's side; got "
            f"patch={patch}, stride={stride} for faces of {height} x {width}."
        )
    hidden = _patches(height, width, patch, stride)
    over = hidden[..., None] if images.ndim == 4 else hidden
    maps = np.empty(images.shape[:3], np.float32)
    for place, image in enumerate(progress(images, "hiding patches")):
        patched = np.where(over, np.uint8(np.rint(image.mean())), image)
        answers = np.asarray(predict(np.concatenate([image[None], patched])), np.float32)
        chosen = explained_classes(
            answers[:1], None if classes is None else classes[place : place + 1]
        )[0]
        falls = answers[0, chosen] - answers[1:, chosen]
        maps[place] = np.tensordot(falls, hidden, 1) / hidden.sum(axis=0)
    return maps


METHODS = {
    "cam": class_activation_maps,
    "grad_cam": grad_cam_maps,
    "occlusion": occlusion_maps,
}

# What the numbers of a map are.
UNITS = {
    "cam": "part of the logit",
    "grad_cam": "activation weighed by gradient",
    "occlusion": "fall of the probability",
}


def find_predictor(model=None, results_dir="runs"):
    """Return the classifier to explain.

    Args:
        model: What `predictor.load_predictor` opens, or `None`: the newest finished run in
            `results_dir` that holds its model, else the model that ships with the package.
        results_dir: Folder of runs.

    Returns:
        `(predictor, sentence)`: a `Predictor`, and which one it is.

    Raises:
        FileNotFoundError: If there is none; the message says how to make one.
    """
    from fer_lib.inference.predictor import PREDICTORS, load_predictor

    if model is None:
        written = Path(results_dir).glob("**/scores.json")
        found = [path for path in written if path.with_name("model.keras").is_file()]
        if found:
            model = max(found, key=lambda path: path.stat().st_mtime).parent
        elif Path(PREDICTORS["default"]).is_file():
            model = "default"
        else:
            raise FileNotFoundError(
                f"No finished run in {results_dir}/ holds a model to explain, and none ships with "
                "this copy. Make one: papermill notebooks/run_experiment.ipynb out.ipynb -p "
                "epochs 3; or name a run's folder or an exported file (model=)."
            )
    predictor = load_predictor(model)
    return predictor, f"Explained: {predictor.path}, which knows {', '.join(predictor.label_set)}."


def explainer(method, predictor, **options):
    """Return the function `(images, classes=None) → maps` of a method for a classifier.

    Args:
        method: Key of `METHODS`.
        predictor: A `Predictor` (`predictor.load_predictor`). `"cam"` and `"grad_cam"` open the
            `.keras` file that it reads; `"occlusion"` takes any.
        **options: Further arguments of the method.

    Raises:
        ValueError: If the method is unknown, or needs the layers of a file that has none.
    """
    function = lookup(METHODS, method, "explanation")
    if method == "occlusion":
        return functools.partial(function, predictor.predict, **options)
    path = getattr(predictor, "path", None)
    if path is None or path.suffix != ".keras":
        raise ValueError(
            f"method={method!r} looks into the network, so it needs a run's folder or a .keras "
            f'file; {predictor!r} gives answers alone: use method="occlusion".'
        )
    import keras

    model = keras.models.load_model(path, compile=False)
    return functools.partial(function, model, **options)


def scale_maps(maps):
    """Return each map divided by its largest absolute value, `float32` in [-1, 1].

    Makes maps of faces comparable in shape, no longer in strength. A map of zeros stays one.
    """
    maps = np.asarray(maps, np.float32)
    largest = abs(maps).max(axis=(1, 2), keepdims=True)
    return maps / np.where(largest == 0, 1, largest)


def average_maps(explain, faces, probabilities, label_set, *, of="correct"):
    """Average the maps of each emotion over many faces.

    Only faces that are aligned alike have places in common: the mean face, which comes with each
    map, shows how well they are.

    Args:
        explain: Function `(images, classes) → maps`, such as from `explainer`.
        faces: `Faces`, labelled with any label set.
        probabilities: Float array of shape `(n, classes)`: what the model answers on them.
        label_set: Emotion names in the order of its columns.
        of: Whose maps are averaged under an emotion. `"correct"`: the faces of this label that
            the model recognised; `"true"`: all of this label, whatever it answered;
            `"predicted"`: all that it took for this emotion, whatever their label.

    Returns:
        `{emotion: {"map": float32 (height, width), "face": uint8 mean face, "n": faces}}`,
        without the emotions that have no such face; the map in the method's own range.

    Raises:
        ValueError: If no face is left, or an argument does not fit.
    """
    true = emotions.translate(faces.label_set, label_set)[faces.classes]
    predicted = explained_classes(np.asarray(probabilities), None)
    if len(predicted) != len(faces):
        raise ValueError(f"probabilities has {len(predicted)} rows for {len(faces)} faces.")
    choices = {"correct": true == predicted, "true": true >= 0, "predicted": predicted >= 0}
    kept = np.flatnonzero(lookup(choices, of, "choice of faces (of)"))
    classes = predicted if of == "predicted" else true
    if not len(kept):
        raise ValueError(f"of={of!r} leaves no face of {faces.name} to average over.")
    images, classes = faces.images[kept], classes[kept]
    maps = explain(images, classes)
    return {
        label_set[number]: {
            "map": maps[classes == number].mean(axis=0),
            "face": np.rint(images[classes == number].mean(axis=0)).astype(np.uint8),
            "n": int((classes == number).sum()),
        }
        for number in np.unique(classes)
    }


def _patches(height, width, patch, stride):
    """Return what each patch hides, `bool` of shape `(patches, height, width)`."""
    rows, columns = (
        [slice(start, start + patch) for start in (*range(0, side - patch, stride), side - patch)]
        for side in (height, width)
    )
    hidden = np.zeros((len(rows) * len(columns), height, width), bool)
    for place, (row, column) in enumerate(itertools.product(rows, columns)):
        hidden[place, row, column] = True
    return hidden
