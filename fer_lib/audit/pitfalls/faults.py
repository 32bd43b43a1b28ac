"""Traps of the network: input that is rescaled twice, attention from face to face."""

import keras
import numpy as np
from keras import layers

from fer_lib.audit import model_checks
from fer_lib.audit.pitfalls.pitfall import Pitfall, over_faces
from fer_lib.audit.pitfalls.trainings import train_network
from fer_lib.audit.score_checks import class_collapse
from fer_lib.evaluation.bootstrap import in_words
from fer_lib.training import frozen


def divide_again(model):
    """Return a classifier that sees its faces divided by 255 before its own preprocessing.

    Args:
        model: A classifier of `classifier.build_classifier`; it is changed.
    """
    rescale = model.get_layer("rescale")
    rescale.scale = (np.asarray(rescale.scale) / 255).tolist()
    return model


def rescaled_twice(parts, *, seed=0, unfreeze="all", **settings):
    """Replay ÷255 in front of a network that rescales its input itself.

    Args:
        parts: Dict of `small_parts`.
        seed: Seed of both trainings.
        unfreeze: What trains; see `classifier.set_trainable`. A frozen body cannot get used to the
            input.
        **settings: Go to `train_network`; `backbone="efficientnet_b0"` is the classic.
    """
    import pandas as pd

    kinds = {"rescaled twice": divide_again, "rescaled once": None}
    examples = parts["test"].examples(5).images
    scores, curves, findings, rows = {}, {}, {}, {}
    for name, alter in kinds.items():
        asked = {"validation": parts["validation"], "test": parts["test"]}
        training = train_network(
            parts["train"], asked, seed=seed, alter=alter, unfreeze=unfreeze, **settings
        )
        epoch = training.best("validation")
        scores[name] = over_faces(training.right("test")[epoch])
        curves[name] = training.history
        labels, answers = parts["test"].classes, training.probabilities["test"][epoch]
        seen = model_checks.input_range(training.model, examples)
        spread = class_collapse(labels, answers, parts["test"].label_set)
        # Place by place, so that a border of zeros and a channel's offset are not counted.
        values = model_checks.first_convolution_input(training.model, examples)
        between = {"deviation between faces": round(float(np.median(values.std(axis=0))), 5)}
        rows[name] = seen.figures | between | spread.figures
        findings[name] = [seen, spread]
    columns = ["minimum", "maximum", "standard deviation", "deviation between faces", "accuracy"]
    columns += ["most predicted", "its share of predictions", "share of the majority class"]
    return Pitfall(
        f"÷255 before {training.model.name}, {unfreeze} trained",
        scores,
        *scores,
        "leave preprocessing to the model (models.build_classifier), look at what it sees",
        findings["rescaled twice"],
        f"{training.model.name} started from: {training.model.origin}. Of it rescaled once the "
        f"audit says: {', '.join(f'{f.check} {f.status}' for f in findings['rescaled once'])}.",
        pd.DataFrame.from_dict(rows, orient="index")[columns],
        curves,
    )


def faulty_batch_attention(model):
    """Return the classifier with a head that attends from face to face: a fault, for replay only.

    Keras's `Attention` takes the second last axis for the places to look at. After pooling there
    are no places left: that axis is the batch.

    Args:
        model: A classifier of `classifier.build_classifier` whose map is pooled.
    """
    return _with_head(model, layers.Attention(use_scale=True, name="faulty_batch_attention"))


def _with_head(model, attention=None):
    """Replace the head by that of PAtt-Lite (arXiv:2306.09626), with or without attention."""
    x = layers.Dropout(0.1, name="head_dropout")(model.get_layer("pool").output)
    x = layers.Dense(32, activation="relu", name="head_dense")(x)
    x = layers.BatchNormalization(momentum=0.9, name="head_norm")(x)
    x = attention([x, x]) if attention else x
    answer = layers.Dense(model.output.shape[-1], "softmax", dtype="float32", name="emotion")(x)
    return keras.Model(model.input, answer, name=model.name)


def attention_over_batch(parts, *, seed=0, batch_size=32, **settings):
    """Replay attention over the batch, tested on batches that are sorted by class.

    Args:
        parts: Dict of `small_parts`.
        seed: Seed of both trainings.
        batch_size: Faces per step in training and in testing.
        **settings: Go to `train_network`.
    """
    test = parts["test"]
    settings |= {"seed": seed, "batch_size": batch_size}
    asked = {"test": test[:1]}  # what the batch does is asked below
    faulty = train_network(parts["train"], asked, alter=faulty_batch_attention, **settings).model
    sound = train_network(parts["train"], asked, alter=_with_head, **settings).model
    orders = {
        "test batches sorted by class": np.argsort(test.classes, kind="stable"),
        "test batches shuffled": np.random.default_rng(seed).permutation(len(test)),
    }
    right = {name: _right(faulty, test, batch_size, order) for name, order in orders.items()}
    right["one face at a time"] = _right(faulty, test, 1)
    right["without that layer"] = _right(sound, test, batch_size)
    shown, honest = "test batches sorted by class", "one face at a time"
    gap = over_faces(right[shown].astype(float) - right[honest])
    return Pitfall(
        "attention over the batch, test sorted by class",
        {name: over_faces(values) for name, values in right.items()},
        shown,
        honest,
        "attend over places or channels of a face (attention.ATTENTION); "
        "predict with batches of 1 and of n",
        [model_checks.batch_dependence(faulty, test.examples(5).images)],
        f"The last epoch, batches of {batch_size}. Sorted minus one at a time, face by face: "
        f"{in_words(gap['accuracy'])}.",
    )


def _right(model, faces, batch_size, order=None):
    """Return which faces are recognised in batches of an order; no layer below knows batches."""
    order = np.arange(len(faces)) if order is None else order
    pooled = model.get_layer("pool").output
    features = frozen.compute_features(keras.Model(model.input, pooled), faces.images)
    head = keras.Model(pooled, model.output)
    answers = head.predict(features[order], batch_size=batch_size, verbose=0)
    right = np.empty(len(faces), bool)
    right[order] = answers.argmax(axis=1) == faces.classes[order]
    return right
