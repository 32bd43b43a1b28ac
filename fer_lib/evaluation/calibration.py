"""Calibration: one temperature makes confidence fit accuracy, and no answer changes.

A network trained to certainty is more confident than right. Dividing its logits by one number,
fitted on validation faces, mends most of that (Guo et al. 2017, arXiv:1706.04599, sec. 4.2).
"""

import numpy as np

from fer_lib.evaluation import metrics

TEMPERATURES = (0.01, 100.0)


def fit_temperature(targets, probabilities):
    """Return the temperature that makes the cross-entropy (of labels: the log loss) smallest.

    Fit it on validation faces: on the faces that are reported it would flatter the score. And fit
    it to what the model was trained on: probabilities of votes that are made to fit the majority's
    labels no longer fit the votes.

    Args:
        targets: Integer array of shape `(n,)`, values in `[0, classes)`, or float array of shape
            `(n, classes)`, rows summing to 1, such as `Faces.targets`.
        probabilities: Float array of shape `(n, classes)`, rows summing to 1.

    Returns:
        A `float` between 0.01 and 100: above 1 for probabilities that are too confident, 100
        for ones that know no better than chance. 1.0 where the faces tell no temperature: all of
        them right (the loss falls for ever as the temperature does), or uniform rows.

    Raises:
        ValueError: If the two do not fit together; see `metrics.score`.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    targets = np.asarray(targets)
    if targets.ndim == 1:
        labels, probabilities = metrics.checked(targets, probabilities)
        targets = np.eye(probabilities.shape[1])[labels]
    metrics.kl_divergence(targets, probabilities)  # refuses what does not fit
    logits = _logits(probabilities)
    # -sum(targets * log softmax(logits / T)) is logsumexp((logits - sum(targets * logits)) / T).
    margins = logits - (targets * logits).sum(axis=1, keepdims=True)

    def loss(log_temperature):
        return logsumexp(margins / np.exp(log_temperature), axis=1).mean()

    bounds = np.log(TEMPERATURES)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    endless = found.x < bounds[0] + 0.01
    return 1.0 if endless or found.fun > loss(0) - 1e-9 else float(np.exp(found.x))


def apply_temperature(probabilities, temperature):
    """Return the probabilities that the same logits give at a temperature.

    Args:
        probabilities: Float array of shape `(n, classes)`, rows summing to 1; 0 is taken for
            float32's smallest normal number (1.2e-38).
        temperature: Positive number; 1 changes nothing, more makes the rows flatter.

    Returns:
        Array of the same shape, and dtype if that is a float: softmax(log p / temperature).

    Raises:
        ValueError: If the temperature is not a positive number.
    """
    from scipy.special import softmax

    probabilities = np.asarray(probabilities)
    kind = np.result_type(probabilities, np.float32)
    return softmax(_logits(probabilities) / _checked(temperature), axis=1).astype(kind)


def store_temperature(model, temperature):
    """Divide the logits of a classifier by a temperature, for good.

    Kernel and bias before its softmax are divided, so that the saved model and every export of it
    answer with calibrated probabilities at no cost. The most probable class stays the same. A
    second temperature multiplies the first.

    Args:
        model: A classifier of `classifier.build_classifier`, or another `keras.Model` that ends
            in a dense layer or convolution and softmax, with at most average pooling, flattening
            and dropout between. It is changed in place.
        temperature: Positive number, such as that of `fit_temperature`.

    Raises:
        ValueError: If the last layers are of other kinds, or the temperature not positive.
    """
    temperature, layer = _checked(temperature), _before_softmax(model)
    if layer is None:
        last = model.layers[-1]
        raise ValueError(
            "store_temperature needs a model that ends in a dense layer or convolution and "
            f"softmax; the last layer of {model.name!r} is {last.name!r} "
            f"({type(last).__name__}). Use apply_temperature on its probabilities."
        )
    layer.set_weights([weight / temperature for weight in layer.get_weights()])


def _before_softmax(model):
    """Return the layer whose kernel and bias make the logits, or `None`."""
    from keras import activations, layers

    weighted = layers.Dense, layers.Conv2D
    linear = layers.GlobalAveragePooling2D, layers.AveragePooling2D, layers.Flatten, layers.Dropout
    last, *others = reversed(model.layers)
    if isinstance(last, weighted) and last.activation is activations.softmax:
        return last
    softmax = getattr(last, "activation", None) is activations.softmax
    if softmax or isinstance(last, layers.Softmax):
        for layer in others:
            if isinstance(layer, weighted) and layer.activation is activations.linear:
                return layer
            if not isinstance(layer, linear):
                return None
    return None


def _logits(probabilities):
    """Return logarithms that give the rows by softmax, finite also where a row holds a 0."""
    values = np.asarray(probabilities, np.float64)
    return np.log(np.maximum(values, np.finfo(np.float32).tiny))


def _checked(temperature):
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature must be a positive number; got {temperature}.")
    return float(temperature)
