"""Options of the layers against their formulas, in float64 NumPy."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import special

from keras_vatt import layers

WIDTH = 16
ACTIVATIONS = {
    "gelu": lambda x: x * special.ndtr(x),
    "relu": lambda x: np.maximum(x, 0),
    "swish": lambda x: x * special.expit(x),
}


def tokens():
    return np.random.default_rng(0).normal(size=(2, 7, WIDTH))


def with_weights(layer):
    """Builds a layer and gives each of its weights other values."""
    layer.build((None, None, WIDTH))
    random = np.random.default_rng(1)
    values = {}
    for weight in layer.weights:
        if "seed" in weight.path:
            continue
        values[weight.path] = random.normal(scale=0.3, size=tuple(weight.shape))
        weight.assign(values[weight.path])
    return values


def norm(x, values, name, epsilon):
    centered = x - x.mean(-1, keepdims=True)
    scaled = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + epsilon)
    return scaled * values[f"block/{name}/gamma"] + values[f"block/{name}/beta"]


def dense(x, values, path):
    return x @ values[f"{path}/kernel"] + values.get(f"{path}/bias", 0.0)


def attention(x, values, num_heads=2):
    query, key, value = (
        dense(x, values, f"block/attention/{name}").reshape(*x.shape[:2], num_heads, -1)
        for name in ("query", "key", "value")
    )
    logits = np.einsum("bthd,bshd->bhts", query, key) / np.sqrt(query.shape[-1])
    context = np.einsum("bhts,bshd->bthd", special.softmax(logits, axis=-1), value)
    return dense(context.reshape(*x.shape[:2], -1), values, "block/attention/output")


def mlp(x, values, activation, path):
    if activation != "geglu":
        hidden = ACTIVATIONS[activation](dense(x, values, f"{path}/inner"))
    else:
        gelu = ACTIVATIONS["gelu"](dense(x, values, f"{path}/inner"))
        hidden = gelu * dense(x, values, f"{path}/gate")
    return dense(hidden, values, f"{path}/outer")


def assert_close(actual, expected):
    actual = ops.convert_to_numpy(actual)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("activation", [*ACTIVATIONS, "geglu"])
def test_the_mlp_follows_the_formula_of_its_activation(activation, use_bias):
    layer = layers.FeedForward(
        8, use_bias=use_bias, activation=activation, name="feed_forward"
    )
    values = with_weights(layer)
    assert any("bias" in path for path in values) == use_bias
    expected = mlp(tokens(), values, activation, "feed_forward")
    assert_close(layer(ops.convert_to_tensor(tokens(), "float32")), expected)


@pytest.mark.parametrize("use_bias", [True, False])
def test_a_post_norm_block_normalizes_after_each_addition(use_bias):
    epsilon = 1e-2
    block = layers.TransformerBlock(
        2,
        8,
        24,
        layer_norm_epsilon=epsilon,
        use_bias=use_bias,
        normalize_first=False,
        activation="relu",
        name="block",
    )
    values = with_weights(block)
    assert ("block/attention/query/bias" in values) == use_bias
    x = tokens()
    x = norm(x + attention(x, values), values, "attention_norm", epsilon)
    updated = x + mlp(x, values, "relu", "block/feed_forward")
    expected = norm(updated, values, "feed_forward_norm", epsilon)
    inputs = ops.convert_to_tensor(tokens(), "float32")
    assert_close(block(inputs), expected)
    assert_close(block(inputs, num_queries=2), expected[:, :2])


def test_a_post_norm_encoder_ends_with_its_last_block():
    encoder = layers.TransformerEncoder(2, 2, 8, 24, normalize_first=False)
    encoder.build((None, None, WIDTH))
    inputs = ops.convert_to_tensor(tokens(), "float32")
    expected = encoder.blocks[1](encoder.blocks[0](inputs))
    assert encoder.final_norm is None
    assert_close(encoder(inputs), ops.convert_to_numpy(expected))


def test_relative_buckets_grow_logarithmically_up_to_the_largest_distance():
    bias = layers.RelativePositionBias(1, num_buckets=8, max_distance=20)
    bias.build((None, None, WIDTH))
    bias.embeddings.assign(np.arange(8.0)[:, None])
    buckets = ops.convert_to_numpy(bias(ops.zeros((1, 24, WIDTH))))[0, 0]
    # Two exact distances, then log(distance / 2) / log(20 / 2) over two buckets.
    before = [0, 1, 2, 2, 2, 2, 2, 3, 3]
    np.testing.assert_array_equal(buckets[8, 8::-1], before)
    np.testing.assert_array_equal(buckets[0, 1:9], 4 + np.array(before[1:]))
    assert buckets[23, 0] == 3


@pytest.mark.once
@pytest.mark.parametrize("arguments", [(3, 64), (32, 8)])
def test_buckets_without_a_logarithm_are_refused(arguments):
    with pytest.raises(ValueError, match="max_distance"):
        layers.RelativePositionBias(2, *arguments)


@pytest.mark.parametrize("stride", [3, 4, 6])
def test_patches_start_a_stride_apart(stride):
    stem = layers.PatchStem(WIDTH, (4,), (5,), patch_stride=(stride,))
    stem.build((None, None, 1))
    samples = 4 + 4 * stride
    x = np.random.default_rng(0).normal(size=(1, samples + 1, 1)).astype("float32")
    kernel = ops.convert_to_numpy(stem.patch_embedding.kernel)
    patches = np.stack([x[0, s : s + 4, 0] for s in range(0, samples, stride)][:5])
    assert stem.grid(x.shape) == (5,)
    assert stem.grid((1, 3, 1)) == (0,)
    assert_close(stem.patch_embedding(x)[0], patches @ kernel[:, 0])
    assert stem(x).shape == (1, 6, WIDTH)


def test_masked_rows_attend_to_all_positions_alike():
    """As in the original code: a caption of padding alone has a mean as its value."""
    layer = layers.SelfAttention(2, 8)
    layer.build((None, None, WIDTH))
    x = ops.convert_to_tensor(tokens(), "float32")
    nowhere = ops.zeros((2, 7), "bool")
    bias = ops.convert_to_tensor(np.random.default_rng(2).normal(size=(1, 2, 7, 7)))
    output, weights = layer(
        x,
        attention_mask=nowhere,
        attention_bias=ops.cast(bias, "float32"),
        return_attention_weights=True,
    )
    assert_close(weights, np.full((2, 2, 7, 7), 1 / 7))
    fused = layer(x, attention_mask=nowhere, attention_bias=ops.cast(bias, "float32"))
    assert_close(fused, ops.convert_to_numpy(output))


def test_bridge_heads_take_settings_of_their_batch_norms():
    settings = {"epsilon": 0.5, "momentum": 0.7, "scale": False, "center": False}
    head = layers.JointBridgeHead(3, batch_norm=settings)
    head.build({"audio": (None, 4)})
    assert head.audio_to_joint_norm.momentum == 0.7
    assert len(head.audio_to_joint_norm.weights) == 2
    pooled = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    kernel = ops.convert_to_numpy(head.audio_to_joint.kernel)
    expected = np.maximum(pooled, 0) @ kernel / np.sqrt(1 + 0.5)
    assert_close(head({"audio": pooled})["audio"]["to_video"], expected)
    config = keras.saving.serialize_keras_object(head)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == head.get_config()
    assert "batch_norm" not in layers.JointBridgeHead().get_config()


@pytest.mark.once
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.FeedForward(8, activation="mish"), "`activation`.*'mish'"),
        (lambda: layers.JointBridgeHead(batch_norm={"renorm": 1}), "'renorm'"),
        (
            lambda: layers.TransformerBlock(2, 8, 8, t5=True, normalize_first=False),
            "`normalize_first`",
        ),
        (lambda: layers.WordStem(9, 4, 8, projection=False), "embedding_dim=4"),
    ],
)
def test_options_that_no_layer_has_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
