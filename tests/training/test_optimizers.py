"""optimizers: rates that fall with the loss, and averages of the weights."""

import keras
import numpy as np
import pytest

from fer_lib.training.optimizers import OPTIMIZERS, build_optimizer, exchange_averages, plateau


def variable(value):
    return keras.Variable(np.float32(value), name="w")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_without_extras_an_optimizer_is_keras_s_own(name):
    assert type(build_optimizer(name, 0.1, 1e-3)) is OPTIMIZERS[name][0]
    expected = None if name == "adam" else 1e-3
    assert build_optimizer(name, 0.1, 1e-3).weight_decay == expected


def test_the_average_is_that_computed_by_hand():
    weight = variable([1.0])
    optimizer = build_optimizer("sgd", 0.1, 0.0, ema=0.9)
    optimizer.momentum, optimizer.nesterov = 0.0, False
    optimizer.build([weight])
    values = []
    for gradient in (1.0, 2.0, -1.0):
        optimizer.apply([keras.ops.convert_to_tensor([gradient])], [weight])
        values.append(float(weight[0]))
    np.testing.assert_allclose(values, [0.9, 0.7, 0.8], rtol=1e-6)
    average = values[0]
    for value in values[1:]:
        average = 0.9 * average + 0.1 * value
    optimizer.finalize_variable_values([weight])  # Keras does so after each `fit`
    assert float(weight[0]) == pytest.approx(0.8)
    exchange_averages(optimizer)
    assert float(weight[0]) == pytest.approx(average) and average != 0.8
    exchange_averages(optimizer)
    assert float(weight[0]) == pytest.approx(0.8)


def test_before_the_first_step_the_average_is_the_weight():
    weight = variable([3.0])
    optimizer = build_optimizer("adamw", 0.1, ema=0.9)
    optimizer.build([weight])
    exchange_averages(optimizer)
    assert float(weight[0]) == 3.0


def test_without_averages_nothing_is_exchanged():
    weight = variable([3.0])
    optimizer = build_optimizer("sgd", 0.1)
    optimizer.build([weight])
    exchange_averages(optimizer)
    assert float(weight[0]) == 3.0


def test_the_plateau_is_keras_s(rng):
    losses = np.cumsum(rng.normal(-0.05, 0.3, 60)) + 5
    callback = keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=3, min_delta=1e-4)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1))
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, loss in enumerate(losses):
        callback.on_epoch_end(epoch, {"val_loss": float(loss)})
        now = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
        assert plateau(0.1, losses[: epoch + 1]) == pytest.approx(now)
    assert 0 < now < 0.05


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ValueError, match="Unknown optimizer 'sdg'.*did you mean 'sgd'"):
        build_optimizer("sdg", 0.1)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_weight_decay_spares_biases_and_what_normalisation_scales_by(name):
    kinds = ("kernel", "bias", "gamma", "beta")
    weights = [keras.Variable(np.float32([1.0]), name=kind) for kind in kinds]
    optimizer = build_optimizer(name, 0.1, 0.5, ema=0.9)
    optimizer.apply([keras.ops.zeros((1,))] * 4, weights)
    after = [float(keras.ops.convert_to_numpy(weight)[0]) for weight in weights]
    assert after[0] == pytest.approx(0.95) and after[1:] == [1.0, 1.0, 1.0]
