"""calibration: a temperature mends confidence and changes no answer."""

import numpy as np
import pytest

from fer_lib.evaluation import calibration, metrics


@pytest.fixture
def too_sure(rng):
    """Labels drawn from probabilities, and the probabilities at a third of the temperature."""
    logits = rng.normal(size=(4000, 5)) * 1.5
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (rng.random((4000, 1)) > honest.cumsum(1)).sum(1).clip(max=4)
    return labels, calibration.apply_temperature(honest, 1 / 3)


def test_the_temperature_that_was_taken_away_is_found(too_sure):
    labels, probabilities = too_sure
    temperature = calibration.fit_temperature(labels, probabilities)
    assert temperature == pytest.approx(3, rel=0.05)
    mended = calibration.apply_temperature(probabilities, temperature)
    assert (mended.argmax(1) == probabilities.argmax(1)).all()
    for metric in ("log_loss", "brier_score", "expected_calibration_error"):
        before, after = (metrics.METRICS[metric](labels, p) for p in (probabilities, mended))
        assert after < before, metric
    assert metrics.expected_calibration_error(labels, mended) < 0.03


def test_no_other_temperature_has_a_smaller_log_loss(too_sure):
    labels, probabilities = too_sure
    best = calibration.fit_temperature(labels, probabilities)

    def loss(temperature):
        return metrics.log_loss(labels, calibration.apply_temperature(probabilities, temperature))

    assert loss(best) <= min(loss(best * factor) for factor in (0.9, 0.99, 1.01, 1.1))


def test_votes_have_a_temperature_of_their_own(too_sure):
    labels, probabilities = too_sure
    one_hot = np.eye(5)[labels]
    fitted = calibration.fit_temperature(one_hot, probabilities)
    assert fitted == calibration.fit_temperature(labels, probabilities)
    votes = calibration.apply_temperature(probabilities, 7)
    assert calibration.fit_temperature(votes, probabilities) == pytest.approx(7, rel=1e-3)
    with pytest.raises(ValueError, match="targets must have the shape of probabilities"):
        calibration.fit_temperature(votes[:, :4], probabilities)


def test_temperature_1_changes_nothing_and_a_hot_row_is_uniform(too_sure):
    _, probabilities = too_sure
    np.testing.assert_allclose(calibration.apply_temperature(probabilities, 1), probabilities)
    hot = calibration.apply_temperature(probabilities[:9], 1e6)
    np.testing.assert_allclose(hot, np.full((9, 5), 0.2), atol=1e-4)
    rows = probabilities.astype(np.float32)
    assert calibration.apply_temperature(rows, 2).dtype == np.float32


@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [
        ([0, 1], np.eye(3)[[0, 1]]),
        ([0, 1], [[0.6, 0.3, 0.1], [0.3, 0.6, 0.1]]),
        ([0, 1, 2], np.full((3, 3), 1 / 3)),
        ([0], [[0.9, 0.05, 0.05]]),
    ],
    ids=["certain", "all right", "uniform", "one face"],
)
def test_faces_that_tell_no_temperature_leave_it_at_1(labels, probabilities):
    assert calibration.fit_temperature(np.array(labels), np.array(probabilities)) == 1.0


def test_certain_mistakes_and_answers_worse_than_chance_make_the_rows_flat():
    labels = np.arange(20) % 2
    certain = np.eye(2)[np.r_[labels[:16], 1 - labels[16:]]]  # 80 % right
    temperature = calibration.fit_temperature(labels, certain)
    mended = calibration.apply_temperature(certain, temperature)
    assert mended.max(axis=1) == pytest.approx(np.full(20, 0.8), abs=1e-3)
    wrong = np.where(labels[:, None] == [0, 1], 0.1, 0.9)
    assert calibration.fit_temperature(labels, wrong) == pytest.approx(100, rel=0.01)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"lie in \[0, 2\)"):
        calibration.fit_temperature([2], [[0.5, 0.5]])
    for wrong in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="temperature must be a positive number"):
            calibration.apply_temperature(np.eye(2), wrong)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 48, 48), dtype=np.uint8)


def test_a_stored_temperature_is_the_model_s_own(tiny, images, tmp_path):
    import keras

    from fer_lib.models.classifier import build_classifier
    from support.normalisation import answers

    keras.utils.set_random_seed(0)
    model = build_classifier(tiny, weights=None)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * 3, bias + np.linspace(-1, 1, 7)])
    before = answers(model, images)
    calibration.store_temperature(model, 2.5)
    after = answers(model, images)
    np.testing.assert_allclose(after, calibration.apply_temperature(before, 2.5), atol=1e-6)
    assert abs(after - before).max() > 0.01
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_allclose(answers(again, images), after, atol=1e-6)


def test_a_temperature_lies_before_a_softmax_of_its_own(images):
    import keras
    from keras import layers

    inputs = keras.Input((48, 48))
    x = layers.Conv2D(7, 5)(layers.Rescaling(1 / 255)(layers.Reshape((48, 48, 1))(inputs)))
    x = layers.Dropout(0.1)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, layers.Activation("softmax")(x))
    before = model.predict(images, verbose=0)
    calibration.store_temperature(model, 2.5)
    after = model.predict(images, verbose=0)
    np.testing.assert_allclose(after, calibration.apply_temperature(before, 2.5), atol=1e-6)
    assert abs(after - before).max() > 0.001


def test_a_temperature_needs_a_last_layer_to_lie_in():
    import keras

    inputs = keras.Input((3,))
    scaled = keras.layers.LayerNormalization()(keras.layers.Dense(2)(inputs))
    outputs = keras.layers.Softmax(name="probabilities")(scaled)
    with pytest.raises(ValueError, match=r"the last layer of .* is 'probabilities' \(Softmax\)"):
        calibration.store_temperature(keras.Model(inputs, outputs), 2)
    plain = keras.Model(inputs, keras.layers.Dense(2, name="logits")(inputs))
    weights = plain.get_weights()
    with pytest.raises(ValueError, match="'logits'"):
        calibration.store_temperature(plain, 2)
    with pytest.raises(ValueError, match="positive number; got 0"):
        calibration.store_temperature(plain, 0)
    assert all((a == b).all() for a, b in zip(weights, plain.get_weights(), strict=True))
