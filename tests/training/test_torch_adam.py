"""The fused Adam of PyTorch computes what Keras' Adam computes."""

import keras
import numpy as np
import pytest

if keras.config.backend() != "torch":
    pytest.skip("the fused operation is PyTorch's", allow_module_level=True)

import torch

from keras_vatt.training.backends.torch_adam import fused_adam

SHAPES = [(3, 4), (5,), ()]
SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.01, 2, 0.5)


def trained(optimizer, fused, dtype="float32", num_steps=5):
    random = np.random.default_rng(0)
    variables = [keras.Variable(random.normal(size=s), dtype=dtype) for s in SHAPES]
    optimizer.build(variables)
    for _ in range(num_steps):
        gradients = [torch.tensor(random.normal(size=s)) for s in SHAPES]
        # A gradient that is not contiguous.
        gradients[0] = gradients[0].T.contiguous().T
        gradients = [g.to(variables[0].value.dtype) for g in gradients]
        if fused:
            with fused_adam(optimizer):
                optimizer.apply(gradients, variables)
        else:
            optimizer.apply(gradients, variables)
    states = [*variables, *optimizer.variables]
    return [keras.ops.convert_to_numpy(v).astype("float64") for v in states]


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.Adam(SCHEDULE),
        lambda: keras.optimizers.Adam(amsgrad=True, beta_1=0.5, epsilon=1e-3),
        lambda: keras.optimizers.AdamW(weight_decay=0.1, clipnorm=0.1),
        lambda: keras.optimizers.Adam(gradient_accumulation_steps=2),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
        lambda: keras.optimizers.SGD(momentum=0.9),
    ],
)
def test_weights_and_state_are_those_of_keras(make):
    pairs = zip(trained(make(), True), trained(make(), False), strict=True)
    for actual, expected in pairs:
        np.testing.assert_allclose(actual, expected, rtol=2e-6, atol=1e-7)


def test_other_dtypes_are_updated_by_keras():
    adam = keras.optimizers.Adam
    pairs = zip(
        trained(adam(), True, "bfloat16"),
        trained(adam(), False, "bfloat16"),
        strict=True,
    )
    for actual, expected in pairs:
        np.testing.assert_array_equal(actual, expected)


def test_the_optimizer_is_unchanged_afterwards():
    optimizer = keras.optimizers.Adam()
    trained(optimizer, True)
    assert "_parallel_update_step" not in vars(optimizer)
