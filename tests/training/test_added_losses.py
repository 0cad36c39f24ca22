"""Regularizers and `add_loss` are added to a step, and not harmonized."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization
from keras_vatt.training import Branch
from tests.training.steps import train, values_of
from tests.training.toy import ToyModel

INPUTS = np.array([[1.0, 2.0, 3.0]] * 4, "float32")
BATCH = {"first": INPUTS, "second": INPUTS * np.array([-2.0, 0.1, 0.1], "float32")}


class Adds(keras.layers.Layer):
    """Adds the mean of its inputs, times a factor, as a loss."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.built = True

    def call(self, x):
        self.add_loss(self.factor * ops.mean(x))
        return x


class RegularizedToy(ToyModel):
    """The toy model with an L2 regularizer, and losses that its layers add.

    Args:
        l2: float, the factor of the regularizer.
        in_encode: float, the factor of the mean of the features of `first`.
        in_embed: float, the factor of the mean of the outputs of `first`.
    """

    def __init__(self, l2=0.0, in_encode=0.0, in_embed=0.0):
        super().__init__(shared=True)
        (self.kernel,) = {id(k): k for k in self.kernels.values()}.values()
        self.kernel.regularizer = keras.regularizers.L2(l2) if l2 else None
        self.in_encode, self.in_embed = in_encode, in_embed
        self.adds = {"encode": Adds(in_encode), "embed": Adds(in_embed)}

    def branches(self):
        branches = super().branches()
        first = branches["first"]

        def encode(batch, training):
            features = first.encode(batch, training)
            return self.adds["encode"](features) if self.in_encode else features

        def embed(features, training):
            return self.adds["embed"](features) if self.in_embed else features

        return branches | {"first": Branch(("first",), encode, embed)}


def gradients():
    """The gradients of the two losses and of a mean of the features of `first`."""
    first, second = (BATCH[name].mean(axis=0).astype("float64") / 3 for name in BATCH)
    return first, second, first


CASES = {
    "weights": ({"l2": 0.05}, lambda kernel, mean: 0.05 * 2 * kernel),
    "encode": ({"in_encode": 0.5}, lambda kernel, mean: 0.5 * mean),
    "embed": ({"in_embed": 0.5}, lambda kernel, mean: 0.5 * mean),
    "both": (
        {"in_embed": 0.5, "in_encode": 0.25, "l2": 0.05},
        lambda kernel, mean: 0.75 * mean + 0.1 * kernel,
    ),
}
SETTINGS = {
    "plain": {},
    "realign": {"harmonizer": "realign"},
    "groups": {"harmonizer": "realign", "num_groups": 2},
    "features": {"harmonizer": "sum", "compare": "features"},
}


@pytest.mark.parametrize(("losses", "added"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("settings", SETTINGS)
def test_gradient_is_added_to_the_harmonized_one(losses, added, settings):
    model = RegularizedToy(**losses)
    model.compile(keras.optimizers.SGD(1.0), **SETTINGS[settings])
    logs = train(model, BATCH)
    first, second, mean = gradients()
    expected = first + second
    if settings in ("realign", "groups"):  # All samples are equal.
        product = first @ second
        assert product < 0
        expected = expected - product * (first / (first @ first))
        expected = expected - product * (second / (second @ second))
    kernel = np.ones(3)
    expected = expected + added(kernel, mean)
    (after,) = values_of(model.trainable_variables)
    np.testing.assert_allclose(kernel - after, expected, atol=1e-6)

    of_weights = losses.get("l2", 0.0) * 3
    of_outputs = (losses.get("in_encode", 0.0) + losses.get("in_embed", 0.0)) * 2
    total = logs["first_loss"] + logs["second_loss"] + of_weights + of_outputs
    assert logs["loss"] == pytest.approx(total, rel=1e-5)


def test_norms_and_cosines_do_not_depend_on_regularizers():
    logs = []
    for l2 in (0.0, 10.0):
        model = RegularizedToy(l2=l2)
        model.compile(keras.optimizers.SGD(1.0), harmonizer="realign")
        logs.append(train(model, BATCH))
    for name in ("gradient_cosine", "first_gradient_norm", "second_gradient_norm"):
        assert logs[0][name] == logs[1][name]


def test_skipped_step_applies_no_regularizer():
    model = RegularizedToy(l2=10.0, in_encode=1.0)
    model.compile(keras.optimizers.SGD(1.0), harmonization.Curriculum(1.0))
    assert train(model, BATCH)["skip_rate"] == 1
    (after,) = values_of(model.trainable_variables)
    np.testing.assert_array_equal(after, np.ones(3))


def test_loss_scale_cancels():
    def update(scale):
        model = RegularizedToy(l2=0.05, in_encode=0.5, in_embed=0.25)
        optimizer = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(1.0), initial_scale=scale
        )
        model.compile(optimizer, harmonizer="realign")
        train(model, BATCH)
        return values_of(model.trainable_variables)[0]

    np.testing.assert_allclose(update(1.0), update(512.0), atol=1e-6)


def test_regularizer_that_is_not_finite_skips_the_step():
    model = RegularizedToy(l2=3e38)
    model.compile(keras.optimizers.SGD(1.0), harmonizer="realign")
    assert train(model, BATCH)["nonfinite_rate"] == 1
    (after,) = values_of(model.trainable_variables)
    np.testing.assert_array_equal(after, np.ones(3))


def test_evaluation_adds_the_weight_regularizers():
    model = RegularizedToy(l2=0.05)
    model.compile("sgd")
    logs = model.evaluate(BATCH, verbose=0, return_dict=True)
    total = logs["first_loss"] + logs["second_loss"] + 0.05 * 3
    assert logs["loss"] == pytest.approx(total, rel=1e-5)


def test_losses_of_layers_in_micro_batches_are_refused():
    model = RegularizedToy(in_encode=0.5)
    model.compile("sgd", num_micro_batches=2)
    with pytest.raises(ValueError, match="add_loss"):
        train(model, BATCH)
    model = RegularizedToy(l2=0.05, in_embed=0.5)
    model.compile(keras.optimizers.SGD(1.0), num_micro_batches=2)
    train(model, BATCH)
    first, second, mean = gradients()
    expected = first + second + 0.1 * np.ones(3) + 0.5 * mean
    (after,) = values_of(model.trainable_variables)
    np.testing.assert_allclose(1 - after, expected, atol=1e-6)
