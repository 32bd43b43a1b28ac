"""attention: over channels and places of one face's map, in every backbone that has a map."""

import keras
import numpy as np
import pytest

from fer_lib.audit import model_checks
from fer_lib.data import synthetic
from fer_lib.models import classifier
from fer_lib.models.attention import ATTENTION
from fer_lib.models.classifier import build_classifier, set_trainable
from fer_lib.models.transfer import TRANSFER
from support.normalisation import answers, normalise

NARROW = {"alpha": 0.25, "weights": None}


@pytest.fixture(scope="module")
def images():
    """Eight synthetic faces."""
    return synthetic.make_faces(8, seed=3).images


@pytest.fixture(scope="module", params=ATTENTION)
def built(request):
    """MobileNet 0.25 with each attention and a random start that tells faces apart."""
    keras.utils.set_random_seed(0)
    model = build_classifier("mobilenet", attention=request.param, **NARROW)
    normalise(model)
    model.run_eagerly = True  # tracing graphs would take most of the time
    return model


@pytest.mark.slow
def test_a_face_is_judged_alone_whatever_batch_it_comes_in(built, images):
    finding = model_checks.batch_dependence(built, images)
    # oneDNN sums each size of a batch in its own order.
    assert finding.status == "pass" and finding.figures["largest difference alone"] < 1e-4
    assert answers(built, images).std(axis=0).max() > 1e-4


@pytest.mark.slow
def test_attention_over_the_batch_would_be_seen(images, monkeypatch):
    def over_the_batch(x):
        vectors = keras.layers.GlobalMaxPooling2D(name="attention_vectors")(x)
        vectors = keras.layers.Attention(name="attention_faces")([vectors, vectors])
        return keras.layers.Reshape((1, 1, x.shape[-1]), name="attention_map")(vectors)

    monkeypatch.setitem(ATTENTION, "batch", over_the_batch)
    model = build_classifier("mobilenet", attention="batch", **NARROW)
    normalise(model)
    model.run_eagerly = True
    finding = model_checks.batch_dependence(model, images)
    assert finding.figures["largest difference alone"] > 1e-4


@pytest.mark.slow
def test_a_saved_model_predicts_exactly_the_same(built, images, tmp_path):
    built.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    before, after = answers(built, images), answers(loaded, images)
    np.testing.assert_array_equal(before, after)


def test_only_keras_s_own_layers_are_saved(built):
    assert {type(layer).__module__.split(".")[0] for layer in built.layers} == {"keras"}


def test_attention_trains_with_the_head_and_the_backbone_stays(built, images):
    set_trainable(built, "top")
    body = {w.path for layer in classifier.backbone_layers(built) for w in layer.weights}
    attention = {w.path for w in built.trainable_weights if "attention_" in w.path}
    assert attention and not body & {w.path for w in built.trainable_weights}
    before = {w.path: np.array(w) for w in built.weights}
    built.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy", run_eagerly=True)
    built.train_on_batch(images, np.eye(7)[np.arange(8) % 7])
    moved = {w.path for w in built.weights if (np.array(w) != before[w.path]).any()}
    assert not moved & body
    # With softmax over the keys a bias of theirs has no gradient but rounding.
    assert len(attention - moved) <= 2


@pytest.mark.parametrize(
    "name",
    [
        name if "mobilenet" in name else pytest.param(name, marks=pytest.mark.slow)
        for name in TRANSFER
    ],
)
def test_it_attends_to_a_map_of_stride_16(name, monkeypatch):
    seen = []

    def look(x):
        seen.append(tuple(x.shape[1:3]))
        return keras.layers.Activation("linear", name="attention_look")(x)

    monkeypatch.setitem(ATTENTION, "look", look)
    alpha = min(TRANSFER[name].alphas, default=1.0)
    model = build_classifier(
        name, alpha=alpha, weights=None, attention="look", image_size=64, unfreeze="100"
    )
    assert seen == [(4, 4)]
    last = classifier.backbone_layers(model)[-1]
    assert last.output.shape[1:3] == (4, 4) and last.trainable
    trained = [layer.name for layer in classifier.backbone_layers(model) if layer.trainable]
    assert trained[0] == TRANSFER[name].trains_from


def test_places_have_different_weights_in_cbam(images):
    keras.utils.set_random_seed(0)
    model = build_classifier("mobilenet", attention="cbam", image_size=96, **NARROW)
    weights = keras.Model(model.input, model.get_layer("attention_place_weights").output)
    places = answers(weights, images)
    assert places.shape == (8, 6, 6, 1) and places.min() > 0 and places.max() < 1


def test_the_paper_s_map_of_14_gives_patches_of_4_by_4():
    x = keras.Input((14, 14, 512))
    assert ATTENTION["patch"](x).shape == (None, 4, 4, 256)


def test_an_unknown_attention_or_a_network_without_a_map_is_an_error():
    with pytest.raises(ValueError, match="Unknown attention 'cbm'.*did you mean 'cbam'"):
        build_classifier("mobilenet", attention="cbm", **NARROW)
    with pytest.raises(ValueError, match="needs a transfer backbone.*cnn4 is none"):
        build_classifier("cnn4", attention="se")
