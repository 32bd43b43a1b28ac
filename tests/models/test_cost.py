"""complexity: multiply-adds against published numbers and against counting by hand."""

import keras
import pytest
from keras import layers

from fer_lib.models.classifier import BACKBONES
from fer_lib.models.cost import COLUMNS, models_table, multiply_adds

# In millions at 224 px, with their classifiers: 1.0 to 2.4 million that ours has not.
PUBLISHED = {"mobilenet": 569, "mobilenet_v2": 300, "mobilenet_v3_large": 219}


def test_published_numbers_at_224_pixels_are_met():
    table = models_table(PUBLISHED, image_size=224)
    for name, published in PUBLISHED.items():
        assert table.multiply_adds[name] / 1e6 == pytest.approx(published, rel=0.025)
    assert table.loc["mobilenet_v2", "last_map"] == "7 x 7 x 1280"
    assert table.loc["mobilenet_v2", "attention_map"] == "14 x 14 x 576"


@pytest.mark.parametrize(
    "layer, expected",
    [
        (layers.Conv2D(5, 3, padding="same"), 64 * 9 * 4 * 5),
        (layers.Conv2D(5, 3, 2, padding="same"), 16 * 9 * 4 * 5),
        (layers.Conv2D(8, 3, groups=2, padding="same"), 64 * 9 * 2 * 8),
        (layers.DepthwiseConv2D(3, padding="same"), 64 * 9 * 4),
        (layers.SeparableConv2D(5, 3, padding="same"), 64 * (9 * 4 + 4 * 5)),
        (layers.Dense(3), 64 * 4 * 3),
        (layers.BatchNormalization(), 0),
    ],
)
def test_a_layer_costs_its_kernel_at_every_place(layer, expected):
    inputs = keras.Input((8, 8, 4))
    assert multiply_adds(keras.Model(inputs, layer(inputs))) == expected


def test_attention_costs_its_projections_and_every_pair_of_tokens():
    inputs = keras.Input((10, 6))
    model = keras.Model(inputs, layers.MultiHeadAttention(2, 4)(inputs, inputs))
    assert multiply_adds(model) == 10 * 4 * 6 * 8 + 100 * 2 * (4 + 4)


def test_a_dense_layer_after_flattening_costs_its_kernel():
    inputs = keras.Input((7,))
    assert multiply_adds(keras.Model(inputs, layers.Dense(3)(inputs))) == 21


def test_the_table_has_a_row_for_every_name_and_says_what_trains():
    table = models_table(["mobilenet", "mini_xception"], alpha=1.0)
    assert tuple(table.columns) == COLUMNS and list(table.index) == ["mobilenet", "mini_xception"]
    assert table.loc["mobilenet", "attention_stride"] == 16
    assert table.loc[["mini_xception"], ["attention_map", "attention_stride"]].isna().all(axis=None)
    top = models_table(["mobilenet"], unfreeze="top", alpha=0.25, attention="se")
    assert 0 < top.trainable["mobilenet"] < top.parameters["mobilenet"] < 200_000
    assert top.attention_map["mobilenet"] == top.last_map["mobilenet"] == "3 x 3 x 128"


@pytest.mark.slow
def test_every_backbone_has_its_row():
    table = models_table()
    assert list(table.index) == list(BACKBONES) and (table.multiply_adds > 1e6).all()
