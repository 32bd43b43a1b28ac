"""Optimizers and learning rates: by name, and averages of the weights.

To add one: an entry in `OPTIMIZERS` or `SCHEDULES`.
"""

import math

import keras
from keras import ops

from fer_lib.choices import lookup

OPTIMIZERS = {
    "adamw": (keras.optimizers.AdamW, {}),
    "adam": (keras.optimizers.Adam, {"weight_decay": None}),
    "sgd": (keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    "rmsprop": (keras.optimizers.RMSprop, {}),
}


def _constant(rate, steps):
    return rate


def _cosine(rate, steps):
    """Return a cosine decay to 0 after a linear warm-up over a tenth of the steps."""
    warmup = steps // 10
    return _Cosine(rate, max(1, steps - warmup), warmup)


class _Cosine(keras.optimizers.schedules.LearningRateSchedule):
    """`CosineDecay` of Keras with a warm-up from 0, to the bit, as one expression.

    Keras's has a `cond`, and its weight decay asks for the rate once per weight: MobileNetV2's
    first step then takes 15 s on one core instead of 12.
    """

    def __init__(self, rate, decay_steps, warmup_steps):
        self.rate, self.decay_steps, self.warmup_steps = rate, decay_steps, warmup_steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        done = ops.clip((step - self.warmup_steps) / self.decay_steps, 0.0, 1.0)
        decayed = 0.5 * (1.0 + ops.cos(math.pi * done))
        warm = step / self.warmup_steps if self.warmup_steps else 1.0
        return self.rate * ops.minimum(warm, decayed)

    def get_config(self):
        return {
            "rate": self.rate,
            "decay_steps": self.decay_steps,
            "warmup_steps": self.warmup_steps,
        }


# Cosine: Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts. "plateau" is constant
# but for what `plateau` makes of the history before each epoch.
SCHEDULES = {"constant": _constant, "cosine": _cosine, "plateau": _constant}


def plateau(rate, losses, *, factor=0.5, patience=3, min_delta=1e-4):
    """Return the learning rate after these epochs: lower wherever the loss stopped falling.

    What `keras.callbacks.ReduceLROnPlateau` does, as a function of the history alone, so that a
    training that was stopped goes on with the same rate.

    Args:
        rate: Learning rate of the first epoch.
        losses: Validation losses so far, oldest first.
        factor: What the rate is multiplied by.
        patience: Epochs without a better loss before it is.
        min_delta: By how much a better loss is lower.

    >>> plateau(0.1, [1.0, 0.9, 0.9, 0.9]), plateau(0.1, [1.0, 0.9, 0.9, 0.9, 0.9])
    (0.1, 0.05)
    """
    best, waited = math.inf, 0
    for loss in losses:
        better = loss < best - min_delta
        best, waited = (loss, 0) if better else (best, waited + 1)
        if waited >= patience:
            rate, waited = rate * factor, 0
    return rate


def build_optimizer(name, rate, weight_decay=0.0, *, ema=0.0):
    """Build an optimizer.

    Args:
        name: Key of `OPTIMIZERS`.
        rate: Learning rate, a number or a Keras schedule.
        weight_decay: Decoupled weight decay (not with `"adam"`) of kernels; biases and what
            normalisation scales and shifts by keep their size.
        ema: Momentum of the weights' exponential moving average, or 0 for none; see
            `exchange_averages`.

    Raises:
        ValueError: If the name is unknown.
    """
    kind, options = lookup(OPTIMIZERS, name, "optimizer")
    options = {"weight_decay": weight_decay} | options
    if ema:
        options |= {"use_ema": True, "ema_momentum": ema}
        kind = type(f"Averaging{kind.__name__}", (_Averaging, kind), {})
    optimizer = kind(rate, **options)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


class _Averaging:
    """One of Keras's optimizers whose averages of the weights can be exchanged with them."""

    def build(self, variables):
        """Create the state, with each average at the weight's own value."""
        if self.built:
            return
        super().build(variables)
        for variable, average in zip(variables, self._model_variables_moving_average, strict=True):
            average.assign(variable)

    def finalize_variable_values(self, variables):
        """Keep the weights: Keras would put the averages in their place at the end of `fit`."""

    def exchange(self):
        """Exchange the weights and their averages."""
        for variable, average in zip(
            self._trainable_variables, self._model_variables_moving_average, strict=True
        ):
            value = keras.ops.convert_to_numpy(variable)
            variable.assign(average)
            average.assign(value)


def exchange_averages(optimizer):
    """Exchange a model's weights and their averages, if its optimizer keeps averages.

    Polyak and Juditsky 1992; exponential as in Tarvainen and Valpola 2017, arXiv:1703.01780.
    The statistics of batch normalisation are not averaged here; they are averages already.

    Args:
        optimizer: A built optimizer of `build_optimizer`.
    """
    if optimizer.use_ema:
        optimizer.exchange()
