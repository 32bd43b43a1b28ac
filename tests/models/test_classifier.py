"""models: every backbone keeps one contract, and trains exactly the layers it is told to."""

import keras
import numpy as np
import pytest

from fer_lib.audit import model_checks
from fer_lib.data import synthetic
from fer_lib.models import classifier
from fer_lib.models.classifier import BACKBONES, build_classifier, set_trainable
from support.normalisation import answers, normalisations, normalise

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="compiles for minutes on other backends"
)


@pytest.fixture(scope="module")
def images():
    """Eight synthetic faces."""
    return synthetic.make_faces(8, seed=3).images


# test_backbones.py holds the others to the same contract.
@pytest.fixture(scope="module", params=["mobilenet", "mobilenet_v2"])
def built(request):
    """The narrowest classifier of each backbone, with a random start that tells faces apart."""
    keras.utils.set_random_seed(0)
    alpha = min(BACKBONES[request.param].alphas)
    model = build_classifier(request.param, alpha=alpha, weights=None, batch_norm="original")
    normalise(model)
    model.run_eagerly = True  # tracing graphs would take most of the time
    return model


def plain_network(backbone, size=48):
    """The network of `keras.applications` itself, as narrow as `built`."""
    spec = BACKBONES[backbone]
    application = getattr(keras.applications, spec.application)
    return application((size, size, 3), min(spec.alphas), include_top=False, weights=None)


def preprocess(backbone, pixels):
    """What `keras.applications` itself does to RGB pixels before this network."""
    module = {"mobilenet": "mobilenet", "mobilenet_v2": "mobilenet_v2"}[backbone]
    return getattr(keras.applications, module).preprocess_input(pixels)


def what_the_network_sees(model, images):
    """The tensor that enters the first convolution."""
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    return answers(keras.Model(model.input, first.input), images)


def test_raw_uint8_faces_become_probabilities(built, images):
    probabilities = answers(built, images)
    assert images.dtype == np.uint8 and images.shape == (8, 48, 48)
    assert probabilities.shape == (8, 7) and probabilities.dtype == np.float32
    assert (probabilities > 0).all()
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)


def test_different_faces_get_different_probabilities(built, images):
    assert answers(built, images).std(axis=0).min() > 1e-3


@pytest.mark.slow
def test_a_saved_model_predicts_exactly_the_same(built, images, tmp_path):
    built.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    before, after = answers(built, images), answers(loaded, images)
    np.testing.assert_array_equal(before, after)
    assert loaded.name == built.name


@pytest.mark.slow
def test_a_face_is_judged_alone_whatever_batch_it_comes_in(built, images):
    finding = model_checks.batch_dependence(built, images)
    assert finding.status == "pass"
    # oneDNN sums each size of a batch in its own order.
    assert finding.figures["largest difference alone"] < 1e-4
    assert finding.figures["largest difference in another order"] < 1e-4


def test_the_first_convolution_sees_values_from_minus_one_to_one(built, images):
    seen = what_the_network_sees(built, images)
    assert seen.shape == (8, 48, 48, 3)
    assert np.abs(seen).max() < 1 + 1e-6 and seen.std() > 0.1
    assert (seen[..., 0] == seen[..., 1]).all() and (seen[..., 0] == seen[..., 2]).all()


def test_black_and_white_arrive_as_minus_one_and_one(built):
    extremes = np.zeros((2, 48, 48), np.uint8)
    extremes[1] = 255
    seen = what_the_network_sees(built, extremes)
    np.testing.assert_allclose(seen[0], -1, atol=1e-6)
    np.testing.assert_allclose(seen[1], 1, atol=1e-6)


@pytest.mark.realdata
def test_real_faces_arrive_with_their_contrast(built, shared):
    with np.load(shared / "data" / "ckplus48.npz") as arrays:
        seen = what_the_network_sees(built, arrays["pixels"][:32])
    assert np.abs(seen).max() < 1 + 1e-6 and seen.std() > 0.1


@pytest.mark.slow
def test_a_grey_face_predicts_as_the_plain_network_on_three_equal_channels(built, images):
    plain = plain_network(built.name)
    plain.set_weights(
        [w for layer in classifier.backbone_layers(built) for w in layer.get_weights()]
    )
    rgb = np.repeat(images[..., None], 3, axis=3).astype("float32")
    maps = answers(plain, preprocess(built.name, rgb))
    kernel, bias = built.get_layer("emotion").get_weights()
    logits = maps.mean(axis=(1, 2)) @ kernel + bias
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(answers(built, images), expected, atol=5e-5)


def test_the_backbone_layers_are_those_of_the_plain_network(built):
    names = [layer.name for layer in classifier.backbone_layers(built)]
    assert names == [layer.name for layer in plain_network(built.name).layers[1:]]


# what trains


def trainable_names(model):
    return {layer.name for layer in classifier.backbone_layers(model) if layer.trainable}


def test_top_trains_the_head_alone(built):
    set_trainable(built, "top")
    head = built.get_layer("emotion").trainable_weights
    assert [w.path for w in built.trainable_weights] == [w.path for w in head]


def test_all_trains_every_weight_but_the_moving_statistics(built):
    set_trainable(built, "all")
    left = {weight.name for weight in built.non_trainable_weights}
    assert left == {"moving_mean", "moving_variance"} | left & {"seed_generator_state"}


def test_100_trains_mobilenet_v2_from_its_layer_100_of_154_and_the_summary_counts_as_keras_does():
    names = [layer.name for layer in plain_network("mobilenet_v2", 96).layers]
    assert len(names) == 154 and names[100] == "block_11_expand_relu"
    model = build_classifier("mobilenet_v2", alpha=0.35, weights=None, unfreeze="100")
    assert trainable_names(model) == set(names[100:])
    summary, number = classifier.trainable_summary(model), names.index("block_11_depthwise")
    assert f"layer {number}, block_11_depthwise" in summary and "154 backbone layers" in summary


def test_100_trains_mobilenet_v1_from_the_block_at_the_same_depth():
    names = [layer.name for layer in plain_network("mobilenet", 96).layers]
    model = build_classifier("mobilenet", alpha=0.25, weights=None, unfreeze="100")
    first = names.index("conv_dw_9")
    assert trainable_names(model) == set(names[first:])
    assert names[first - 1] == "conv_pw_8_relu"  # the end of a block
    assert abs(first / len(names) - 100 / 154) < 0.02


def test_modes_can_follow_each_other(built):
    total = len(built.weights)
    counts = []
    for mode in ("top", "100", "all", "100", "top"):
        set_trainable(built, mode)
        counts.append(len(built.trainable_weights))
        assert len(built.weights) == total
    assert counts == counts[::-1] and counts[0] < counts[1] < counts[2]


def test_the_summary_says_which_layers_train(built):
    lines = {}
    for mode in classifier.UNFREEZE:
        set_trainable(built, mode)
        lines[mode] = classifier.trainable_summary(built)
    first = {"mobilenet": "conv_dw_9", "mobilenet_v2": "block_11_depthwise"}[built.name]
    assert "the head alone" in lines["top"] and first in lines["100"]
    assert "conv1," in lines["all"].lower() and "random start" in lines["all"]
    assert len(set(lines.values())) == 3


def moved(model, images, before):
    """Fit one step; return the layers (or `layer/statistic`) whose numbers changed."""
    model.compile(keras.optimizers.SGD(0.01), "categorical_crossentropy", run_eagerly=True)
    model.fit(images, np.eye(7)[np.arange(8) % 7], batch_size=8, epochs=1, verbose=0)
    after = {w.path: keras.ops.convert_to_numpy(w) for w in model.weights}
    return {path for path, value in after.items() if (value != before[path]).any()}


@on_tensorflow
@pytest.mark.parametrize(
    "built", ["mobilenet", pytest.param("mobilenet_v2", marks=pytest.mark.slow)], indirect=True
)
@pytest.mark.parametrize("batch_norm", classifier.BATCH_NORM)
@pytest.mark.parametrize("unfreeze", classifier.UNFREEZE)
def test_in_a_fit_frozen_weights_stay_and_the_others_move(built, images, unfreeze, batch_norm):
    set_trainable(built, unfreeze, batch_norm)
    before = {w.path: np.array(keras.ops.convert_to_numpy(w)) for w in built.weights}
    names = [layer.name for layer in classifier.backbone_layers(built)]
    first = {"top": len(names), "100": names.index(BACKBONES[built.name].trains_from), "all": 0}
    expected = set()
    for number, layer in enumerate(classifier.backbone_layers(built)):
        frozen = isinstance(layer, keras.layers.BatchNormalization) and batch_norm == "frozen"
        if number >= first[unfreeze] and not frozen:
            expected |= {weight.path for weight in layer.weights}
    expected |= {weight.path for weight in built.get_layer("emotion").weights}
    changed = moved(built, images, before)
    assert not {path for path in changed - expected if "seed_generator" not in path}
    # A weight of a dead ReLU may stand still; whole tensors hardly ever do.
    assert len(expected - changed) <= 0.02 * len(expected), expected - changed


def momenta(model):
    return {layer.momentum for layer in normalisations(model)}


def test_adapting_batch_norm_follows_faster_than_the_original(built):
    original = momenta(plain_network(built.name))
    set_trainable(built, "all", "adapt")
    assert momenta(built) == {0.9} and original != {0.9}
    set_trainable(built, "all", "original")
    assert momenta(built) == original


# options


def test_a_face_is_enlarged_inside_the_model(tiny, images):
    model = build_classifier(tiny, weights=None, image_size=96)
    seen = what_the_network_sees(model, images)
    assert seen.shape == (8, 96, 96, 3) and seen.std() > 0.1
    assert abs(seen.mean() - (images / 127.5 - 1).mean()) < 0.01


def test_faces_of_another_shape_are_taken_raw(tiny, rng):
    model = build_classifier(tiny, weights=None, image_size=48, face_size=(80, 64))
    faces = rng.integers(0, 256, (3, 80, 64), dtype=np.uint8)
    assert answers(model, faces).shape == (3, 7)


def test_the_head_has_the_classes_and_the_dropout_asked_for(tiny, images):
    model = build_classifier(tiny, weights=None, classes=8, dropout=0.5)
    assert model.get_layer("dropout").rate == 0.5
    assert answers(model, images).shape == (8, 8)


def test_probabilities_stay_float32_under_mixed_precision(tiny, images):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_classifier(tiny, weights=None)
    finally:
        keras.config.set_dtype_policy("float32")
    probabilities = answers(model, images)
    assert model.get_layer("conv_1").compute_dtype == "bfloat16"
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"backbone": "mobilenet_v3"}, "Unknown backbone 'mobilenet_v3'.*did you mean 'mobilenet"),
        ({"unfreeze": "al"}, "Unknown unfreeze mode 'al'.*did you mean 'all'"),
        ({"batch_norm": "adopt"}, "Unknown batch_norm mode 'adopt'.*did you mean 'adapt'"),
    ],
)
def test_an_unknown_name_is_an_error_with_the_nearest_key(tiny, arguments, message):
    with pytest.raises(ValueError, match=message):
        build_classifier(**{"backbone": tiny, "weights": None} | arguments)


def test_the_model_says_where_it_started(tiny):
    model = build_classifier(tiny, weights=None)
    assert model.origin == "random start" and model.notice == ""
    assert "random start" in classifier.trainable_summary(model)


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("mini_xception", {}),
        pytest.param(
            *("mobilenet", {"alpha": 0.25, "weights": None, "image_size": 32}),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_faces_in_colour_of_another_size_go_through(backbone, options, images, tmp_path):
    keras.utils.set_random_seed(0)
    model = build_classifier(backbone, face_size=(48, 48, 3), **options)
    coloured = np.stack([images, images // 2, 255 - images], axis=-1)
    model.compile("sgd", "categorical_crossentropy", run_eagerly=True)
    assert np.isfinite(model.train_on_batch(coloured, np.eye(7)[np.arange(8) % 7]))
    normalise(model)
    found = answers(model, coloured)
    assert found.shape == (8, 7) and np.isfinite(found).all()
    assert not np.allclose(found, answers(model, coloured[..., ::-1]))
    assert "colour faces 48x48" in classifier.trainable_summary(model)
    model.save(tmp_path / "colour.keras")
    again = build_classifier(
        backbone, face_size=(48, 48, 3), **options | {"weights": tmp_path / "colour.keras"}
    )
    body = classifier.backbone_layers(model)
    for old, new in zip(body, classifier.backbone_layers(again), strict=True):
        for was, now in zip(old.get_weights(), new.get_weights(), strict=True):
            np.testing.assert_array_equal(was, now)


def test_grey_equals_colour_of_equal_channels_in_a_transfer_backbone(images):
    options = {"alpha": 0.25, "weights": None}
    grey = build_classifier("mobilenet", **options)
    colour = build_classifier("mobilenet", face_size=(48, 48, 3), **options)
    colour.set_weights(grey.get_weights())
    repeated = np.repeat(images[..., None], 3, axis=3)
    np.testing.assert_allclose(answers(colour, repeated), answers(grey, images), atol=1e-5)


def test_what_takes_no_colour_says_so():
    with pytest.raises(ValueError, match="vgg16 takes grey faces here.*take a MobileNet"):
        build_classifier("vgg16", weights=None, face_size=(48, 48, 3))
    with pytest.raises(ValueError, match="face_size must be .height, width., or"):
        build_classifier("mini_xception", face_size=(48, 48, 1))
