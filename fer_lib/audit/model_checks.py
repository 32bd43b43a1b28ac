"""Checks that run a model on a few faces.

To add one: write it here, on a model and faces, and list it in `CHECKS`.
"""

import contextlib

import keras
import numpy as np

from fer_lib.audit.evidence import FACES_TO_TRY
from fer_lib.audit.finding import Check, Finding

_CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
)


def batch_dependence(model, images):
    """Check that the prediction of a face depends on that face alone.

    Attention or normalisation across the batch makes it depend on its neighbours, and inflates
    scores where a batch holds one class.

    Args:
        model: A `keras.Model` from faces to probabilities.
        images: `uint8` array of shape `(n, height, width)`, n of 2 or more.
    """
    together = model.predict(images, batch_size=len(images), verbose=0)
    order = np.random.default_rng(0).permutation(len(images))
    shuffled = model.predict(images[order], batch_size=max(2, len(images) // 2), verbose=0)
    alone = model.predict(images, batch_size=1, verbose=0)
    gaps = {
        "largest difference in another order": shuffled - together[order],
        "largest difference alone": alone - together,
    }
    figures = {name: float(np.abs(gap).max()) for name, gap in gaps.items()}
    largest, figures["faces"] = max(figures.values()), len(images)
    text = f"Probabilities differ by up to {largest:.1e} between batch sizes and orders"
    if largest <= 1e-3:
        return Finding("batch dependence", "pass", figures, f"{text}: rounding.")
    text += ": a face's prediction depends on its batch. Attend and normalise within a face."
    return Finding("batch dependence", "warn" if largest <= 1e-2 else "fail", figures, text)


def own_answers(model, images, probabilities):
    """Check that a model gives the answers that were scored.

    Args:
        model: A `keras.Model` that takes faces.
        images: `uint8` array of shape `(n, height, width)`.
        probabilities: Float array of shape `(n, classes)`: what was scored of these faces.
    """
    answers = model.predict(images, verbose=0)
    if answers.shape != probabilities.shape:
        text = (
            f"The model answers {answers.shape[1]} classes, {probabilities.shape[1]} were scored."
        )
        return Finding("answers", "fail", {"faces": len(images)}, text)
    gap = float(abs(answers - probabilities).max())
    figures = {"faces": len(images), "largest difference": gap}
    text = (
        f"The model's answers to {len(images)} faces differ by up to {gap:.1e} from the scored ones"
    )
    # bfloat16 on another device moves a probability by some hundredths.
    if gap < 0.1:
        return Finding("answers", "pass", figures, f"{text}: rounding.")
    return Finding("answers", "fail", figures, f"{text}: model.keras is of another run.")


def input_range(model, images):
    """Check that the first convolution sees the faces: neither constant nor saturated.

    Rescaling twice (÷255 before a backbone that rescales itself) leaves a deviation between
    faces of about 0.004, and a network that names one class.

    Args:
        model: A `keras.Model` that takes faces.
        images: `uint8` array of shape `(n, height, width)`.
    """
    check, seen = "input range", first_convolution_input(model, images)
    if seen is None:
        text = "The model has no 2-D convolution, so what it sees was not checked."
        return Finding(check, "warn", {}, text)
    if not np.isfinite(seen).all():
        text = "The first convolution sees values that are not numbers."
        return Finding(check, "fail", {"not numbers": int((~np.isfinite(seen)).sum())}, text)
    # From face to face: a border of zeros and a channel's own offset say nothing of a face.
    spread = float(np.median(seen.std(axis=0)))
    ends = float(np.mean((seen == seen.min()) | (seen == seen.max())))
    figures = {"minimum": seen.min(), "maximum": seen.max(), "mean": seen.mean()}
    figures |= {"standard deviation": spread, "share at the ends": ends}
    figures = {name: round(float(value), 5) for name, value in figures.items()}
    text = (
        f"The first convolution sees values from {seen.min():.3g} to {seen.max():.3g} with a "
        f"standard deviation from face to face of {spread:.3g}"
    )
    if ends > 0.5 and seen.min() < seen.max():
        text += f"; {ends:.0%} of them lie at the two ends: the input is saturated."
        return Finding(check, "fail", figures, text)
    if spread < max(0.1, 0.02 * np.abs(seen).max()):
        text += ": next to constant. The faces are rescaled twice, or not at all faces."
        return Finding(check, "fail", figures, text)
    if spread > 10:
        text += ": pixels that nothing rescaled. Right for VGG and ResNet weights only."
        return Finding(check, "warn", figures, text)
    return Finding(check, "pass", figures, f"{text}.")


def first_convolution_input(model, images):
    """Return what the first 2-D convolution that runs is given.

    Args:
        model: A `keras.Model`, flat or with models nested in it.
        images: What the model takes.

    Returns:
        `float32` array, or `None` if the model has no 2-D convolution.
    """
    seen = []
    with contextlib.ExitStack() as stack:
        for layer in _convolutions(model):
            stack.enter_context(_recording(layer, seen))
        model(keras.ops.convert_to_tensor(images), training=False)
    if not seen:
        return None
    return keras.ops.convert_to_numpy(keras.ops.cast(seen[0], "float32"))


def _convolutions(model):
    for layer in model.layers:
        if isinstance(layer, _CONVOLUTIONS):
            yield layer
        elif hasattr(layer, "layers"):
            yield from _convolutions(layer)


@contextlib.contextmanager
def _recording(layer, seen):
    """Keep what a layer is called with; a graph cut there would miss nested models."""
    call = layer.call

    def record(inputs, *args, **kwargs):
        seen.append(inputs)
        return call(inputs, *args, **kwargs)

    layer.call = record
    try:
        yield
    finally:
        del layer.call


def _own_answers(evidence):
    run, rows = evidence.run, evidence.scored[:FACES_TO_TRY]
    # Where the model's hash was written down, that tells more.
    if "files" in run.environment or min(rows) < 0:
        return None
    answers = evidence.probabilities[: len(rows)]
    return own_answers(evidence.model, evidence.parts["test"].images[rows], answers)


CHECKS = (
    Check("", ("data", "run", "model"), _own_answers),
    Check("L2", ("data", "run", "model"), lambda e: batch_dependence(e.model, e.some_images)),
    Check("", ("data", "run", "model"), lambda e: input_range(e.model, e.some_images)),
)
