"""activation_maps: maps that add up to the logit, and agree with one another on both backends."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

from fer_lib.data.synthetic import make_faces
from fer_lib.inference import activation_maps
from fer_lib.models import classifier

IMAGES = make_faces(6, seed=3).images


@pytest.fixture(scope="module")
def pooled(tiny):
    """A classifier of `build_classifier`, a map of 6 x 6, with a bias to tell it from none."""
    keras.utils.set_random_seed(1)
    model = classifier.build_classifier(tiny, weights=None, unfreeze="all")
    model.get_layer("emotion").bias.assign(np.linspace(-1, 1, 7))
    return model


WAYS = {
    "cam": activation_maps.class_activation_maps,
    "grad_cam": activation_maps.grad_cam_maps,
}


def logits(model):
    """The logits of `IMAGES`, as the model itself says them without its softmax."""
    output = model.layers[-1]
    activation, output.activation = output.activation, keras.activations.linear
    try:
        return keras.ops.convert_to_numpy(model(IMAGES))
    finally:
        output.activation = activation


def small(head):
    """A classifier of a map of 3 x 3 x 4 and the layers of `head`."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input((48, 48), dtype="uint8")
    x = layers.Reshape((48, 48, 1))(inputs)
    x = layers.Conv2D(4, 16, 16, activation="relu", name="map")(layers.Rescaling(1 / 255)(x))
    return keras.Model(inputs, head(x), name="small")


def flat_head(x):
    return layers.Dense(7, activation="softmax", name="emotion")(layers.Flatten()(x))


def two_branches(x):
    pools = [layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)]
    return layers.Dense(7, activation="softmax")(layers.Concatenate(name="both")(pools))


def separate_softmax(x):
    x = layers.Dense(7)(layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x)))
    return layers.Softmax()(x)


def test_the_mean_of_the_activation_map_and_the_bias_are_the_logit(pooled):
    bias = keras.ops.convert_to_numpy(pooled.get_layer("emotion").bias)
    wanted = logits(pooled)
    for number in range(7):
        classes = np.full(len(IMAGES), number)
        maps = activation_maps.class_activation_maps(pooled, IMAGES, classes, resize=False)
        assert maps.shape == (6, 6, 6)
        np.testing.assert_allclose(maps.mean((1, 2)) + bias[number], wanted[:, number], atol=1e-5)


def test_maps_have_the_faces_size_and_keep_their_mean(pooled):
    maps = activation_maps.class_activation_maps(pooled, IMAGES, batch_size=4)
    assert maps.shape == IMAGES.shape and maps.dtype == np.float32
    coarse = activation_maps.class_activation_maps(pooled, IMAGES, resize=False)
    # 6 places to 48 pixels: each weighs the same, so nothing is lost or made up.
    np.testing.assert_allclose(maps.mean((1, 2)), coarse.mean((1, 2)), atol=1e-5)
    assert activation_maps.class_activation_maps(pooled, IMAGES[:0]).shape == (0, 48, 48)


def test_the_class_explained_is_the_predicted_one_unless_told(pooled):
    predicted = logits(pooled).argmax(axis=1)
    maps = activation_maps.class_activation_maps(pooled, IMAGES)
    same = activation_maps.class_activation_maps(pooled, IMAGES, predicted)
    other = activation_maps.class_activation_maps(pooled, IMAGES, (predicted + 1) % 7)
    np.testing.assert_array_equal(maps, same)
    assert not np.allclose(maps, other)


def test_grad_cam_is_the_positive_part_of_the_activation_map_where_that_is_exact(pooled):
    activation = activation_maps.class_activation_maps(pooled, IMAGES, resize=False)
    gradient = activation_maps.grad_cam_maps(pooled, IMAGES, resize=False, batch_size=4)
    assert gradient.max() > 0
    np.testing.assert_allclose(gradient, np.maximum(activation, 0) / 36, atol=1e-6)


def test_grad_cam_weighs_channels_by_the_mean_gradient_behind_a_flattened_map():
    model = small(flat_head)
    maps = keras.Model(model.input, model.get_layer("map").output).predict_on_batch(IMAGES)
    kernel = np.reshape(model.get_layer("emotion").kernel, (3, 3, 4, 7))
    weights = kernel.mean(axis=(0, 1))[:, logits(model).argmax(axis=1)]
    wanted = np.maximum(np.einsum("nrck,kn->nrc", maps, weights), 0)
    assert wanted.max() > 0
    got = activation_maps.grad_cam_maps(model, IMAGES, resize=False)
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    assert activation_maps.grad_cam_maps(model, IMAGES).shape == IMAGES.shape


def test_a_softmax_of_its_own_and_a_backbone_called_as_a_layer_are_seen_through():
    plain = small(separate_softmax)
    inputs = keras.Input((48, 48), dtype="uint8")
    backbone = keras.Model(plain.input, plain.get_layer("map").output)
    nested = keras.Model(inputs, separate_softmax(backbone(inputs)))
    nested.set_weights(plain.get_weights())
    maps = activation_maps.class_activation_maps(plain, IMAGES)
    np.testing.assert_allclose(
        activation_maps.class_activation_maps(nested, IMAGES), maps, atol=1e-6
    )
    gradient = activation_maps.grad_cam_maps(plain, IMAGES, resize=False)
    maps = activation_maps.class_activation_maps(plain, IMAGES, resize=False)
    np.testing.assert_allclose(gradient, np.maximum(maps, 0) / 9, atol=1e-6)


def test_explaining_leaves_the_model_as_it_was(pooled):
    before = pooled.predict_on_batch(IMAGES), pooled.to_json()
    activation_maps.class_activation_maps(pooled, IMAGES)
    activation_maps.grad_cam_maps(pooled, IMAGES)
    np.testing.assert_array_equal(pooled.predict_on_batch(IMAGES), before[0])
    assert pooled.to_json() == before[1]


def test_a_model_that_has_no_exact_map_points_to_the_other_methods(tiny):
    whole = classifier.build_classifier(tiny, weights=None, unfreeze="all")
    features = keras.layers.Dense(8, "relu", name="dense")(whole.get_layer("pool").output)
    answers = keras.layers.Dense(7, "softmax", name="emotion")(features)
    hidden = keras.Model(whole.input, answers)
    with pytest.raises(ValueError, match=r"dense \(Dense\).*grad_cam_maps or occlusion_maps"):
        activation_maps.class_activation_maps(hidden, IMAGES)
    assert activation_maps.grad_cam_maps(hidden, IMAGES).min() >= 0
    with pytest.raises(ValueError, match="flatten.*Use grad_cam_maps"):
        activation_maps.class_activation_maps(small(flat_head), IMAGES)
    for method in (activation_maps.class_activation_maps, activation_maps.grad_cam_maps):
        with pytest.raises(ValueError, match="both takes 2 inputs. Use occlusion_maps"):
            method(small(two_branches), IMAGES)


def test_grad_cam_needs_a_logit_to_follow():
    model = small(lambda x: layers.UnitNormalization(name="unit")(layers.Flatten()(x)))
    with pytest.raises(ValueError, match=r"ends in unit \(UnitNormalization\). Use occlusion"):
        activation_maps.grad_cam_maps(model, IMAGES)


def test_a_backend_without_gradients_is_named(pooled, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(ValueError, match="Keras runs on numpy. Use class_activation_maps"):
        activation_maps.grad_cam_maps(pooled, IMAGES)


@pytest.mark.slow
def test_maps_on_jax_are_those_of_tensorflow(pooled, tmp_path, on_jax):
    pooled.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", IMAGES)
    code = (
        "import sys, keras, numpy as np\n"
        "from fer_lib.inference import activation_maps\n"
        "folder = sys.argv[1]\n"
        "model = keras.models.load_model(folder + '/model.keras', compile=False)\n"
        "images = np.load(folder + '/images.npy')\n"
        "maps = {'cam': activation_maps.class_activation_maps(model, images),\n"
        "        'grad_cam': activation_maps.grad_cam_maps(model, images)}\n"
        "np.savez(folder + '/maps.npz', **maps)\n"
        "print(keras.backend.backend())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        capture_output=True,
        text=True,
        env=on_jax,
    )
    assert done.stdout.split() == ["jax"], done.stderr[-2000:]
    with np.load(tmp_path / "maps.npz") as maps:
        for method in ("cam", "grad_cam"):
            ours = WAYS[method](pooled, IMAGES)
            assert maps[method].dtype == np.float32
            np.testing.assert_allclose(maps[method], ours, atol=1e-4)


def test_classes_that_do_not_fit_are_said(pooled):
    with pytest.raises(ValueError, match=r"integers in \[0, 7\)"):
        activation_maps.class_activation_maps(pooled, IMAGES, np.full(6, 7))
    with pytest.raises(ValueError, match="5 entries for 6 images"):
        activation_maps.grad_cam_maps(pooled, IMAGES, np.zeros(5, int))
