"""Layers that compute the first positions alone compute them as ever."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt import layers

BATCH, LENGTH, WIDTH = 3, 7, 16
HEADS = {"num_heads": 2, "head_dim": 8}
# Dropout as small as this drops nothing, but takes the path that can.
EXPLICIT_PATH = {"dropout": 1e-12}
PATHS = pytest.mark.parametrize(
    "path", [{}, EXPLICIT_PATH], ids=["fused attention", "explicit attention"]
)
NUM_QUERIES = pytest.mark.parametrize("num_queries", [1, 3])
CASES = pytest.mark.parametrize("case", ["plain", "mask", "bias", "mask and bias"])


def tokens():
    array = np.random.default_rng(0).normal(size=(BATCH, LENGTH, WIDTH))
    return ops.convert_to_tensor(array, "float32")


def masks_and_biases(case):
    """Some rows are padded; the bias differs from query to query."""
    mask = np.arange(LENGTH) < np.array([[LENGTH], [4], [2]])
    bias = np.random.default_rng(1).normal(size=(1, 2, LENGTH, LENGTH))
    given = {}
    if "mask" in case:
        given["attention_mask"] = ops.convert_to_tensor(mask)
    if "bias" in case:
        given["attention_bias"] = ops.convert_to_tensor(bias, "float32")
    return given


def assert_close(actual, expected, tolerance=1e-6):
    actual, expected = (ops.convert_to_numpy(x) for x in (actual, expected))
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def built(layer):
    """With weights that are not the zeros and ones that biases and norms start at."""
    layer.build((None, None, WIDTH))
    random = np.random.default_rng(2)
    layer.set_weights(
        [
            weight + random.normal(scale=0.1, size=weight.shape)
            if np.issubdtype(weight.dtype, np.floating)
            else weight
            for weight in layer.get_weights()
        ]
    )
    return layer


@PATHS
@NUM_QUERIES
@CASES
def test_attention_of_the_first_queries_is_the_first_part_of_all(
    path, num_queries, case
):
    attention = built(layers.SelfAttention(**HEADS, **path))
    given = masks_and_biases(case)
    whole = attention(tokens(), **given, training=True)
    first = attention(tokens(), **given, training=True, num_queries=num_queries)
    assert_close(first, whole[:, :num_queries])


@CASES
def test_attention_weights_of_the_first_queries_reach_all_positions(case):
    attention = built(layers.SelfAttention(**HEADS))
    given = masks_and_biases(case) | {"return_attention_weights": True}
    _, whole = attention(tokens(), **given)
    _, first = attention(tokens(), **given, num_queries=2)
    assert first.shape == (BATCH, 2, 2, LENGTH)
    assert_close(first, whole[:, :, :2])


def test_a_bias_that_is_the_same_for_all_queries_need_not_be_spread_out():
    attention = built(layers.SelfAttention(**HEADS))
    bias = masks_and_biases("bias")["attention_bias"][:, :, :1]
    whole = attention(tokens(), attention_bias=bias)
    first = attention(tokens(), attention_bias=bias, num_queries=2)
    assert_close(first, whole[:, :2])


@PATHS
@NUM_QUERIES
@pytest.mark.parametrize("t5", [False, True])
def test_block_of_the_first_queries_is_the_first_part_of_all(path, num_queries, t5):
    block = built(layers.TransformerBlock(**HEADS, intermediate_dim=8, t5=t5, **path))
    given = masks_and_biases("mask and bias")
    whole = block(tokens(), **given, training=True)
    first = block(tokens(), **given, training=True, num_queries=num_queries)
    assert_close(first, whole[:, :num_queries])


@PATHS
@pytest.mark.parametrize("t5", [False, True])
@pytest.mark.parametrize("rematerialize", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_encoder_of_the_first_token_is_the_first_part_of_all(
    path, t5, rematerialize, num_layers
):
    encoder = layers.TransformerEncoder(
        num_layers,
        **HEADS,
        intermediate_dim=8,
        t5=t5,
        rematerialize=rematerialize,
        **path,
    )
    given = masks_and_biases("mask") | {"training": True}
    whole = built(encoder)(tokens(), **given)
    assert_close(encoder(tokens(), **given, first_token_only=True), whole[:, :1])


def test_encoder_of_the_first_token_drops_activations_in_training():
    encoder = layers.TransformerEncoder(2, **HEADS, intermediate_dim=8, dropout=0.5)
    outputs = ops.convert_to_numpy(
        encoder(tokens(), training=True, first_token_only=True)
    )
    assert outputs.shape == (BATCH, 1, WIDTH)
    assert 0.2 < (outputs == 0).mean() < 0.8


@pytest.mark.parametrize("length", [LENGTH, None])
def test_symbolic_outputs_are_as_long_as_the_queries(length):
    x = keras.KerasTensor((None, length, WIDTH))
    attention = layers.SelfAttention(**HEADS)
    block = layers.TransformerBlock(**HEADS, intermediate_dim=8)
    encoder = layers.TransformerEncoder(2, **HEADS, intermediate_dim=8)
    for layer in (attention, block, encoder):
        assert layer(x).shape == (None, length, WIDTH)
    for layer in (attention, block):
        assert layer(x, num_queries=2).shape == (None, 2, WIDTH)
    assert encoder(x, first_token_only=True).shape == (None, 1, WIDTH)
    outputs, weights = attention(x, return_attention_weights=True, num_queries=2)
    assert outputs.shape == (None, 2, WIDTH)
    assert weights.shape == (None, 2, 2, length)
