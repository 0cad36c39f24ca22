"""Every method has its properties on the same sampled gradients."""

import numpy as np
import pytest
from keras import ops

from tests.harmonization._inputs import (
    CASES,
    SIZES,
    WELL_CONDITIONED_CASES,
    gram_of,
    sample_gradients,
    weights_of,
)
from tests.harmonization._properties import every_method

all_cases = pytest.mark.parametrize(("kind", "size"), CASES)
well_conditioned_cases = pytest.mark.parametrize(
    ("kind", "size"), WELL_CONDITIONED_CASES
)


@every_method()
@all_cases
def test_weights_are_finite_float32_and_the_step_is_applied(promise, kind, size):
    weights, apply = promise.harmonizer(gram_of(sample_gradients(kind, size)))
    assert tuple(weights.shape) == (size,)
    assert ops.dtype(weights) == "float32"
    assert ops.dtype(apply) == "bool"
    assert bool(apply)
    assert np.isfinite(ops.convert_to_numpy(weights)).all()


@every_method(lambda promise: promise.nonnegative)
@all_cases
def test_no_weight_is_negative(promise, kind, size):
    assert weights_of(promise.harmonizer, sample_gradients(kind, size)).min() >= 0


@every_method()
@well_conditioned_cases
def test_scaling_all_gradients_leaves_the_weights_as_they_are(promise, kind, size):
    gradients = sample_gradients(kind, size)
    weights = weights_of(promise.harmonizer, gradients)
    scaled = weights_of(promise.harmonizer, 1e5 * gradients)
    np.testing.assert_allclose(scaled, weights, rtol=1e-4, atol=1e-6)


@every_method()
@well_conditioned_cases
def test_reordering_the_losses_reorders_the_weights(promise, kind, size):
    gradients = sample_gradients(kind, size)
    order = np.roll(np.arange(size)[::-1], 1)
    weights = weights_of(promise.harmonizer, gradients)
    reordered = weights_of(promise.harmonizer, gradients[order])
    np.testing.assert_allclose(reordered, weights[order], rtol=1e-4, atol=1e-6)


@every_method(lambda promise: promise.without_conflict_up_to > 1)
@well_conditioned_cases
def test_the_update_conflicts_with_no_gradient(promise, kind, size):
    gradients = sample_gradients(kind, min(size, promise.without_conflict_up_to))
    update = weights_of(promise.harmonizer, gradients) @ gradients
    lengths = np.linalg.norm(update) * np.linalg.norm(gradients, axis=1)
    assert (gradients @ update >= -1e-4 * lengths).all()


@every_method(lambda promise: promise.ones_without_conflict)
@pytest.mark.parametrize("size", SIZES)
def test_weights_are_ones_where_nothing_conflicts(promise, size):
    weights = weights_of(promise.harmonizer, sample_gradients("agreeing", size))
    np.testing.assert_allclose(weights, np.ones(size), rtol=1e-6)


@every_method()
@pytest.mark.parametrize("kind", ["conflicting", "scaled"])
@pytest.mark.parametrize(
    ("size", "zeros"), [(2, [0]), (2, [1]), (2, [2]), (3, [0, 3])], ids=str
)
def test_zero_gradients_take_no_part(promise, kind, size, zeros):
    gradients = sample_gradients(kind, size)
    with_zeros = np.zeros((size + len(zeros), gradients.shape[1]))
    others = np.setdiff1d(np.arange(len(with_zeros)), zeros)
    with_zeros[others] = gradients
    weights = weights_of(promise.harmonizer, with_zeros)
    np.testing.assert_array_equal(weights[zeros], 1)
    expected = weights_of(promise.harmonizer, gradients)
    np.testing.assert_allclose(weights[others], expected, rtol=1e-4, atol=1e-6)


@every_method()
def test_only_zero_gradients_leave_weights_of_one(promise):
    weights, _ = promise.harmonizer(np.zeros((3, 3)))
    np.testing.assert_array_equal(ops.convert_to_numpy(weights), np.ones(3))


@every_method()
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_skips_the_step(promise, value):
    gram = gram_of(sample_gradients("conflicting", 3))
    gram[0, 2] = gram[2, 0] = value
    weights, apply = promise.harmonizer(gram)
    assert not bool(apply)
    np.testing.assert_array_equal(ops.convert_to_numpy(weights), np.ones(3))
