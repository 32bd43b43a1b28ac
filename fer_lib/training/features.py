"""Features of faces: pixels, or what a pretrained network sees."""

from fer_lib.choices import lookup
from fer_lib.data import exploration
from fer_lib.data.faces import grey


def pixel_features(images, *, components=128, seed=0):
    """Return principal components of the faces, freed of brightness and contrast: no weights.

    Args:
        images: `uint8` array of shape `(n, height, width)`.
        components: Number of components, fewer where there are fewer faces.
        seed: Seed of the decomposition.

    Returns:
        `float32` array of shape `(n, components)`.
    """
    from sklearn.decomposition import PCA

    rows = exploration.standardised(images)
    components = min(components, *rows.shape)
    return PCA(components, svd_solver="randomized", random_state=seed).fit_transform(rows)


def network_features(images, *, backbone="mobilenet_v2", weights="imagenet", image_size=96):
    """Return what a pretrained network sees that is not trained on these labels.

    The averages of its last map of stride 16 or less and of its output, side by side: with both the
    classifier agrees with 52 % of FER-2013's labels, with the output alone with 45 %.

    Args:
        images: `uint8` array of shape `(n, height, width)` or `(n, height, width, 3)`, which is
            seen in grey.
        backbone: Key of `classifier.BACKBONES`.
        weights: As in `classifier.build_classifier`. Weights fitted to the labels under test would
            have learnt their errors by heart and find none.
        image_size: Side in pixels at which the network sees the faces.

    Returns:
        `float32` array of shape `(n, d)`.

    Raises:
        FileNotFoundError: If the weights can not be had.
    """
    import keras

    from fer_lib.models import classifier
    from fer_lib.training import frozen

    images = grey(images)
    size = images.shape[1:]
    model = classifier.build_classifier(
        backbone, weights=weights, unfreeze="top", image_size=image_size, face_size=size
    )
    padding = keras.layers.ZeroPadding2D
    body = [each for each in classifier.backbone_layers(model) if not isinstance(each, padding)]
    large = [layer.output for layer in body if layer.output.shape[1] >= image_size // 16]
    middle = keras.layers.GlobalAveragePooling2D()(large[-1])
    both = keras.layers.Concatenate()([middle, model.get_layer("pool").output])
    forward = frozen.forward_pass(keras.Model(model.input, both), len(images), exact=False)
    return forward(images, "features")


FEATURES = {"pixels": pixel_features, "network": network_features}


def face_features(images, name="auto", **options):
    """Return features of faces by name, and a sentence that says which.

    Args:
        images: `uint8` array of shape `(n, height, width)`.
        name: Key of `FEATURES`, or `"auto"`: the network where MobileNetV2's ImageNet weights can
            be had, else the pixels.
        **options: Go to the function.

    Returns:
        `(features, sentence)`: `float32` array of shape `(n, d)`, and the sentence.
    """
    reason = ""
    if name == "auto":
        from fer_lib.models.weights import resolve_auto

        found, notice = resolve_auto("mobilenet_v2", "MobileNetV2", 1.0)
        name = "network" if found else "pixels"
        reason = f" ({notice.splitlines()[0]})" if notice else ""
    features = lookup(FEATURES, name, "kind of features")(images, **options)
    return features, f"Features: {name}, {features.shape[1]} numbers a face{reason}."
