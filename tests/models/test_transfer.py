"""backbones: what every key of BACKBONES promises, pretrained or from scratch."""

import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest

from fer_lib.audit import model_checks
from fer_lib.data import synthetic
from fer_lib.models import classifier, weights
from fer_lib.models.classifier import BACKBONES, build_classifier, set_trainable
from fer_lib.models.from_scratch import NETWORKS
from fer_lib.models.transfer import TRANSFER, build_network
from fer_lib.training.frozen import split_at_frozen
from support.normalisation import answers, normalise

# test_models.py holds the two MobileNets to the same promises, and to more.
OTHERS = [name for name in TRANSFER if name not in ("mobilenet", "mobilenet_v2")]
# One of each kind stays among the quick tests.
SLOW = {"vgg16", "resnet50", "mobilenet_v3_large", "efficientnet_b0"}
SLOW |= {"cnn5x5", "cnn10", "separable", "resnet12", "resnet14"}
KERAS_FILES = {
    "mobilenet_v3_small": "weights_mobilenet_v3_small_224_0.75_float_no_top_v2.h5",
    "mobilenet_v3_large": "weights_mobilenet_v3_large_224_0.75_float_no_top_v2.h5",
    "efficientnet_b0": "efficientnetb0_notop.h5",
    "vgg16": "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "resnet50": "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
}


def marked(names):
    return [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in names]


def narrowest(name):
    return min(BACKBONES[name].alphas, default=1.0)


@pytest.fixture(scope="module")
def images():
    """Eight synthetic faces."""
    return synthetic.make_faces(8, seed=3).images


@pytest.fixture(scope="module", params=marked([*OTHERS, *NETWORKS]))
def built(request):
    """The narrowest classifier of each backbone; a test leaves it trainable as a whole."""
    keras.utils.set_random_seed(0)
    model = build_classifier(request.param, alpha=narrowest(request.param), weights=None)
    normalise(model)
    model.run_eagerly = True  # tracing graphs would take most of the time
    return model


def test_raw_uint8_faces_become_probabilities(built, images):
    probabilities = answers(built, images)
    assert probabilities.shape == (8, 7) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    assert probabilities.std(axis=0).max() > 1e-4  # different faces, different probabilities


@pytest.mark.slow
def test_a_face_is_judged_alone_whatever_batch_it_comes_in(built, images):
    finding = model_checks.batch_dependence(built, images)
    assert finding.status == "pass"
    # oneDNN sums each size of a batch in its own order.
    assert finding.figures["largest difference alone"] < 1e-4
    assert finding.figures["largest difference in another order"] < 1e-4


def test_the_first_convolution_sees_the_faces_with_their_contrast(built, images):
    seen = model_checks.first_convolution_input(built, images)
    assert seen.std(axis=(0, 1, 2)).min() > 0.1


@pytest.mark.slow
def test_a_saved_model_predicts_exactly_the_same(built, images, tmp_path):
    built.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    before, after = answers(built, images), answers(loaded, images)
    np.testing.assert_array_equal(before, after)


def test_one_step_moves_what_trains_and_nothing_else(built, images):
    spec = BACKBONES[built.name]
    mode = "100" if spec.trains_from else "all"
    set_trainable(built, mode)
    body = classifier.backbone_layers(built)
    names = [layer.name for layer in body]
    first = names.index(spec.trains_from) if spec.trains_from else 0
    frozen = {w.path for layer in body[:first] for w in layer.weights}
    before = {w.path: np.array(w) for w in built.weights}
    built.compile(keras.optimizers.SGD(0.01), "categorical_crossentropy", run_eagerly=True)
    built.train_on_batch(images, np.eye(7)[np.arange(8) % 7])
    random = {path for path in before if "seed_generator" in path}
    moved = {w.path for w in built.weights if (np.array(w) != before[w.path]).any()}
    set_trainable(built, "all")
    assert not moved & frozen
    # A dead ReLU may keep a weight still; whole tensors hardly ever stand still.
    expected = set(before) - frozen - random
    assert len(expected - moved) <= 0.1 * len(expected), expected - moved


def test_unfrozen_from_100_is_a_block_boundary_at_the_same_depth(built):
    spec = BACKBONES[built.name]
    if not spec.trains_from:
        with pytest.raises(ValueError, match="has no layer 100"):
            set_trainable(built, "100")
        return
    names = [layer.name for layer in classifier.backbone_layers(built)]
    assert abs((names.index(spec.trains_from) + 1) / (len(names) + 1) - 100 / 154) < 0.075
    set_trainable(built, "100")
    assert f"from layer {names.index(spec.trains_from) + 1}, {spec.trains_from}, on" in (
        classifier.trainable_summary(built)
    )
    set_trainable(built, "top")
    assert "the head alone" in classifier.trainable_summary(built)
    assert all(not layer.trainable for layer in classifier.backbone_layers(built))
    set_trainable(built, "all")


@pytest.mark.slow
def test_frozen_layers_split_off_compute_the_same(built, images):
    set_trainable(built, "top")
    split = split_at_frozen(built)
    set_trainable(built, "all")
    prefix, suffix = split
    features = answers(prefix, images)
    np.testing.assert_allclose(answers(suffix, features), answers(built, images), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", marked(OTHERS))
def test_a_grey_face_predicts_as_the_plain_network_on_three_equal_channels(name, images):
    keras.utils.set_random_seed(1)
    spec, alpha = BACKBONES[name], narrowest(name)
    model = build_classifier(name, alpha=alpha, weights=None)
    arguments = {"alpha": alpha} if spec.alphas else {}
    plain = getattr(keras.applications, spec.application)(
        input_shape=(48, 48, 3), include_top=False, weights=None, **arguments
    )
    plain.set_weights(
        [w for layer in classifier.backbone_layers(model) for w in layer.get_weights()]
    )
    rgb = np.repeat(images[..., None], 3, axis=3).astype("float32")
    if name == "efficientnet_b0":  # which normalises where its layer has ImageNet's statistics
        mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        rgb = 255 * (rgb / 255 - mean) / deviation
    if name in ("vgg16", "resnet50"):
        rgb = getattr(keras.applications, name).preprocess_input(rgb)
    maps = answers(plain, rgb)
    ours = keras.Model(model.input, classifier.backbone_layers(model)[-1].output)
    np.testing.assert_allclose(answers(ours, images), maps, atol=1e-3 * np.abs(maps).max())


def old_format(network, path):
    """Save weights as Keras's downloads hold them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name("whole.h5")
    network.save(whole)
    with h5py.File(whole) as source, h5py.File(path, "w") as target:
        target.attrs.update(source["model_weights"].attrs)
        for name in source["model_weights"]:
            source.copy(f"model_weights/{name}", target)
    whole.unlink()


@pytest.mark.parametrize("name", KERAS_FILES)
def test_keras_s_own_download_is_found_by_its_name(name, fer_home, monkeypatch):
    monkeypatch.delenv("FER_WEIGHTS", raising=False)
    (fer_home / "weights").mkdir(parents=True)
    (fer_home / "weights" / KERAS_FILES[name]).touch()
    assert weights._local_file(name, narrowest(name)).name == KERAS_FILES[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_b0"])
def test_keras_s_own_download_in_fer_home_is_where_a_backbone_starts(
    name, fer_home, monkeypatch, images
):
    monkeypatch.delenv("FER_WEIGHTS", raising=False)
    spec, alpha = BACKBONES[name], narrowest(name)
    network = build_network(spec.application, alpha, input_shape=(96, 96, 3))
    for layer in network.layers:  # as ImageNet's file has it
        if isinstance(layer, keras.layers.Normalization):
            layer.adapt_mean.assign([0.485, 0.456, 0.406])
            layer.adapt_variance.assign([0.229, 0.224, 0.225])
    old_format(network, fer_home / "weights" / KERAS_FILES[name])
    assert weights.resolve_auto(name, spec.application, alpha) == ("imagenet", "")
    model = build_classifier(name, alpha=alpha, weights="imagenet")
    assert KERAS_FILES[name] in model.origin
    ours = {w.path: np.array(w) for w in model.trainable_weights}
    theirs = {w.path: np.array(w) for w in network.trainable_weights}
    assert len(theirs) > 20
    for path, value in theirs.items():
        np.testing.assert_array_equal(ours[path], value)
    seen = model_checks.first_convolution_input(model, images)
    assert 0.1 < seen.std() < 100  # the file's normalisation does not come on top of ours


# EfficientNet


def test_efficientnet_is_fed_as_imagenet_was_whatever_its_weights(images):
    model = build_classifier("efficientnet_b0", weights=None)
    seen = model_checks.first_convolution_input(model, images)[:, :48, :48]
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (images[..., None] / 255 - mean) / deviation
    np.testing.assert_allclose(seen, expected, atol=1e-4)
    # Divided by 255 before, as it has been published, it sees next to nothing.
    twice = ((images / 255)[..., None] / 255 - mean) / deviation
    assert seen.std(axis=(0, 1, 2)).min() > 0.5 and twice.std(axis=(0, 1, 2)).max() < 0.01


# what can not be


@pytest.mark.parametrize("name", [n for n in BACKBONES if not BACKBONES[n].alphas])
def test_a_width_where_there_is_one_is_an_error(name):
    with pytest.raises(ValueError, match=f"{name} comes in one, so alpha must be 1.0; got 0.5"):
        build_classifier(name, alpha=0.5, weights=None)


def test_a_network_from_scratch_trains_as_a_whole_unless_it_starts_from_a_file(tmp_path, images):
    with pytest.raises(ValueError, match="mini_xception starts at random.*got 'top'"):
        build_classifier("mini_xception", unfreeze="top")
    with pytest.raises(FileNotFoundError, match="never trained on ImageNet"):
        build_classifier("mini_xception", weights="imagenet")
    run = build_classifier("mini_xception", classes=8)
    run.save(tmp_path / "run.keras")
    model = build_classifier("mini_xception", weights=str(tmp_path / "run.keras"), unfreeze="top")
    assert len(model.trainable_weights) == 2 and "run.keras" in model.origin
    for ours, theirs in zip(
        classifier.backbone_layers(model), classifier.backbone_layers(run), strict=True
    ):
        for value, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_array_equal(value, expected)


def test_a_network_from_scratch_is_no_case_for_a_notice():
    spec = BACKBONES["cnn4"]
    assert weights.resolve_auto("cnn4", spec.application, 1.0) == (None, "")


@pytest.mark.slow
def test_a_network_with_attention_predicts_on_jax(on_jax):  # mini_xception: test_backends.py
    code = (
        "import numpy as np, keras\n"
        "from fer_lib.models.classifier import build_classifier\n"
        "faces = np.random.default_rng(0).integers(0, 256, (2, 32, 32), dtype=np.uint8)\n"
        "model = build_classifier('mobilenet', alpha=.25, weights=None, image_size=32,\n"
        "    face_size=(32, 32), attention='cbam')\n"
        "print(keras.backend.backend(), np.asarray(model(faces)).sum(axis=1).round(4))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=on_jax)
    assert done.stdout.splitlines() == ["jax [1. 1.]"], done.stderr[-2000:]
