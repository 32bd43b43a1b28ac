"""optimizers: rates that fall by depth and with the loss, and averages of the weights."""

import keras
import numpy as np
import pytest

from fer_lib.data import synthetic
from fer_lib.models import classifier
from fer_lib.training.optimizers import (
    OPTIMIZERS,
    build_optimizer,
    exchange_averages,
    plateau,
    rate_factors,
)


def numpy(variables):
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def variable(value):
    return keras.Variable(np.float32(value), name="w")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_without_extras_an_optimizer_is_keras_s_own(name):
    assert type(build_optimizer(name, 0.1, 1e-3)) is OPTIMIZERS[name][0]
    expected = None if name == "adam" else 1e-3
    assert build_optimizer(name, 0.1, 1e-3).weight_decay == expected


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_factor_scales_the_update_itself(name, rng):
    start = rng.normal(size=(2, 3)).astype(np.float32)
    moved = {}
    for factor in (1.0, 0.25):
        weight = variable(start)
        optimizer = build_optimizer(name, 0.01, 0.0, factors={weight.path: factor})
        for step in range(3):
            optimizer.apply([keras.ops.ones((2, 3)) * (step + 1)], [weight])
        moved[factor] = keras.ops.convert_to_numpy(weight) - start
    np.testing.assert_allclose(moved[0.25], 0.25 * moved[1.0], rtol=1e-3)
    assert np.abs(moved[1.0]).min() > 1e-3


def test_factors_fall_with_every_larger_map(tiny):
    model = classifier.build_classifier(tiny, weights=None)
    factors = rate_factors(model, 0.5)
    assert set(factors) == {weight.path for weight in model.weights}
    # the head; maps of 6, 12 and 24 pixels
    for path, factor in {
        "emotion/kernel": 1.0,
        "conv_4/kernel": 0.5,
        "bn_4/gamma": 0.5,
        "conv_3_expand/kernel": 0.25,
        "conv_2/kernel": 0.25,
        "conv_1/kernel": 0.125,
    }.items():
        assert factors[path] == factor


def test_a_side_branch_has_the_factor_of_its_map():
    model = classifier.build_classifier("se_resnet", image_size=48)
    factors = rate_factors(model, 0.5)
    branches = {path: f for path, f in factors.items() if path.startswith("1a_se")}
    assert branches and set(branches.values()) == {factors["1a2_conv/kernel"]}
    assert factors["stem_conv/kernel"] < factors["1a2_conv/kernel"] < factors["4a2_conv/kernel"]


@pytest.mark.slow
def test_the_first_layer_s_update_is_decayed_by_its_depth(tiny):
    faces = synthetic.make_faces(32, seed=1)

    def update(factors):
        keras.utils.set_random_seed(0)
        model = classifier.build_classifier(tiny, weights=None, dropout=0.0)
        before = dict(zip([w.path for w in model.weights], numpy(model.weights), strict=True))
        optimizer = build_optimizer("sgd", 0.1, 0.0, factors=factors(model))
        model.compile(optimizer, "categorical_crossentropy")
        model.train_on_batch(faces.images, faces.targets)
        return {w.path: keras.ops.convert_to_numpy(w) - before[w.path] for w in model.weights}

    plain, decayed = update(lambda model: None), update(lambda model: rate_factors(model, 0.5))
    for path, factor in {"emotion/kernel": 1, "conv_4/kernel": 0.5, "conv_1/kernel": 0.125}.items():
        assert np.abs(plain[path]).max() > 1e-4
        np.testing.assert_allclose(decayed[path], factor * plain[path], atol=1e-6)


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
    for optimizer in (build_optimizer("sgd", 0.1), build_optimizer("sgd", 0.1, factors={})):
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
