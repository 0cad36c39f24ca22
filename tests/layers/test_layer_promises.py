"""Every layer is restored from its config, and runs in half."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt import layers

TOKENS = (2, 6, 16)
# For each layer its arguments and the shape of its input.
LAYERS = {
    "AggregationToken": ({}, TOKENS),
    "AxialPositionEmbedding": ({"axis_sizes": (6,)}, TOKENS),
    "DropToken": ({"num_positions": 6, "keep_rate": 0.5}, TOKENS),
    "FeedForward": ({"intermediate_dim": 8, "dropout": 0.1}, TOKENS),
    "PatchStem": (
        {"hidden_dim": 16, "patch_size": (4,), "position_sizes": (6,)},
        (2, 24, 1),
    ),
    "RelativePositionBias": ({"num_heads": 2}, TOKENS),
    "SeededDropout": ({"rate": 0.5}, TOKENS),
    "SelfAttention": ({"num_heads": 2, "head_dim": 8}, TOKENS),
    "StableBatchNormalization": ({}, (8, 16)),
    "TransformerBlock": (
        {"num_heads": 2, "head_dim": 8, "intermediate_dim": 8},
        TOKENS,
    ),
    "TransformerEncoder": (
        {"num_layers": 2, "num_heads": 2, "head_dim": 8, "intermediate_dim": 8},
        TOKENS,
    ),
    "WordStem": (
        {"vocabulary_size": 9, "embedding_dim": 4, "hidden_dim": 16},
        (2, 6),
    ),
}
HEADS = {"FactorizedBridgeHead": {"video_text_dim": 8}, "JointBridgeHead": {}}
PARAMETRIZED = pytest.mark.parametrize("name", LAYERS)


def layer_and_inputs(name, **overrides):
    arguments, shape = LAYERS[name]
    inputs = np.random.default_rng(0).uniform(0, 1, shape).astype("float32")
    if name == "WordStem":
        inputs = np.floor(8 * inputs).astype("int32")
    layer = getattr(layers, name)(**arguments | overrides)
    return layer, ops.convert_to_tensor(inputs)


def arrays(outputs):
    return [ops.convert_to_numpy(leaf) for leaf in keras.tree.flatten(outputs)]


def test_every_public_layer_is_tested():
    assert {*LAYERS, *HEADS} == set(layers.__all__)


@PARAMETRIZED
def test_a_layer_comes_back_from_its_config_with_its_weights(name):
    layer, inputs = layer_and_inputs(name)
    expected = layer(inputs)
    config = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    again(inputs)
    again.set_weights(layer.get_weights())
    for one, two in zip(arrays(again(inputs)), arrays(expected), strict=True):
        np.testing.assert_array_equal(one, two)


@PARAMETRIZED
def test_a_layer_computes_in_half_and_keeps_its_weights_whole(name):
    layer, inputs = layer_and_inputs(name, dtype="mixed_bfloat16")
    outputs = keras.tree.flatten(layer(inputs))
    assert {keras.backend.standardize_dtype(x.dtype) for x in outputs} == {"bfloat16"}
    assert {w.dtype for w in layer.trainable_weights} <= {"float32"}


@pytest.mark.parametrize("name", HEADS)
def test_a_bridge_head_comes_back_from_its_config(name):
    layer = getattr(layers, name)(**HEADS[name])
    config = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == layer.get_config()


def test_drop_token_keeps_its_share_in_training_alone():
    tokens = np.arange(24, dtype="float32").reshape(1, 24, 1) + np.zeros((3, 24, 2))
    layer = layers.DropToken(num_positions=24, keep_rate=0.5)
    kept = ops.convert_to_numpy(layer(tokens.astype("float32"), training=True))
    assert kept.shape == (3, 12, 2)
    for row in kept[:, :, 0]:
        assert len(set(row)) == 12
        assert set(row) <= set(range(24))
    whole = ops.convert_to_numpy(layer(tokens.astype("float32"), training=False))
    np.testing.assert_array_equal(whole, tokens)


def test_drop_token_refuses_to_keep_nothing():
    with pytest.raises(ValueError, match="keep_rate"):
        layers.DropToken(num_positions=4, keep_rate=0.1)


def test_dropout_is_the_same_for_the_same_seed_of_the_program():
    outputs = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        dropout = layers.SeededDropout(0.5)
        outputs.append(ops.convert_to_numpy(dropout(np.ones((4, 50)), training=True)))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert 0.3 < (outputs[0] == 0).mean() < 0.7


def test_batch_norm_is_exact_far_from_zero():
    # The mean of squares less the square of the mean loses all digits here.
    inputs = 1e3 + np.random.default_rng(0).normal(size=(64, 4))
    layer = layers.StableBatchNormalization(epsilon=1e-5)
    actual = ops.convert_to_numpy(layer(inputs.astype("float32"), training=True))
    inputs = inputs.astype("float32").astype("float64")
    expected = (inputs - inputs.mean(0)) / np.sqrt(inputs.var(0) + 1e-5)
    np.testing.assert_allclose(actual, expected, atol=1e-3)


def test_position_embedding_refuses_tokens_without_their_grid():
    layer = layers.AxialPositionEmbedding((2, 3))
    with pytest.raises(ValueError, match="grid axes"):
        layer(np.zeros((1, 6, 8), "float32"))
