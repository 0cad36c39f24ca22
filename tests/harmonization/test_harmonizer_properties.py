"""Every method has its properties on the same sampled gradients."""

import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h
from tests.harmonization._inputs import (
    CASES,
    SIZES,
    WELL_CONDITIONED_CASES,
    gram_of,
    sample_gradients,
    weights_of,
)
from tests.harmonization._properties import every_method, every_method_and


@every_method_and(CASES)
def test_weights_are_finite_float32_and_the_step_is_applied(promise, kind, size):
    weights, apply = promise.harmonizer(gram_of(sample_gradients(kind, size)))[:2]
    assert tuple(weights.shape) == (size,)
    assert ops.dtype(weights) == "float32"
    assert ops.dtype(apply) == "bool"
    assert bool(apply)
    assert np.isfinite(ops.convert_to_numpy(weights)).all()


@every_method_and(CASES, lambda promise: promise.nonnegative)
def test_no_weight_is_negative(promise, kind, size):
    assert weights_of(promise.harmonizer, sample_gradients(kind, size)).min() >= 0


@every_method_and(WELL_CONDITIONED_CASES)
def test_scaling_all_gradients_leaves_the_weights_as_they_are(promise, kind, size):
    gradients = sample_gradients(kind, size)
    weights = weights_of(promise.harmonizer, gradients)
    scaled = weights_of(promise.harmonizer, 1e5 * gradients)
    np.testing.assert_allclose(scaled, weights, rtol=1e-4, atol=1e-6)


@every_method_and(WELL_CONDITIONED_CASES, lambda promise: promise.symmetric)
def test_reordering_the_losses_reorders_the_weights(promise, kind, size):
    gradients = sample_gradients(kind, size)
    order = np.roll(np.arange(size)[::-1], 1)
    weights = weights_of(promise.harmonizer, gradients)
    reordered = weights_of(promise.harmonizer, gradients[order])
    np.testing.assert_allclose(reordered, weights[order], rtol=1e-4, atol=1e-6)


@every_method_and(
    WELL_CONDITIONED_CASES, lambda promise: promise.without_conflict_up_to > 1
)
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


# Of these, the weights depend on the number of losses or on their positions.
_UNLIKE_FEWER = (h.Constant, h.Random, h.Krum, h.PCD)


@every_method(lambda promise: not isinstance(promise.harmonizer, _UNLIKE_FEWER))
@pytest.mark.parametrize("kind", ["conflicting", "scaled"])
@pytest.mark.parametrize(
    ("size", "zeros"), [(2, [0]), (2, [1]), (2, [2]), (3, [0, 3])], ids=str
)
def test_zero_gradients_take_no_part(promise, kind, size, zeros):
    gradients, with_zeros, others = _with_zeros(kind, size, zeros)
    weights = weights_of(promise.harmonizer, with_zeros)
    np.testing.assert_array_equal(weights[zeros], 1)
    expected = weights_of(promise.harmonizer, gradients)
    np.testing.assert_allclose(weights[others], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("zeros", [[1], [3], [1, 3]], ids=str)
def test_zero_gradients_after_the_first_take_no_part_in_pcd(zeros):
    gradients, with_zeros, others = _with_zeros("conflicting", 3, zeros)
    weights = weights_of(h.PCD(0.3), with_zeros)
    np.testing.assert_array_equal(weights[zeros], 1)
    expected = weights_of(h.PCD(0.3), gradients)
    np.testing.assert_allclose(weights[others], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("num_selected", [1, 2])
@pytest.mark.parametrize("zeros", [[0], [2, 5]], ids=str)
def test_zero_gradients_are_no_neighbors_for_krum(zeros, num_selected):
    gradients, with_zeros, others = _with_zeros("independent", 5, zeros)
    krum = h.Krum(num_byzantine=1, num_selected=num_selected)
    weights = weights_of(krum, with_zeros)
    np.testing.assert_array_equal(weights[zeros], 1)
    np.testing.assert_allclose(weights[others], weights_of(krum, gradients))


def test_random_weights_of_the_others_sum_to_their_number():
    weights = weights_of(h.Random(), _with_zeros("conflicting", 3, [1])[1])
    assert weights[1] == 1
    np.testing.assert_allclose(weights.sum() - 1, 3, rtol=1e-5)


def _with_zeros(kind, size, zeros):
    gradients = sample_gradients(kind, size)
    with_zeros = np.zeros((size + len(zeros), gradients.shape[1]))
    others = np.setdiff1d(np.arange(len(with_zeros)), zeros)
    with_zeros[others] = gradients
    return gradients, with_zeros, others


@every_method()
def test_only_zero_gradients_leave_weights_of_one(promise):
    size = promise.num_losses[-1]
    weights = promise.harmonizer(np.zeros((size, size)))[0]
    np.testing.assert_array_equal(ops.convert_to_numpy(weights), np.ones(size))


@every_method()
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_skips_the_step(promise, value):
    size = promise.num_losses[-1]
    gram = gram_of(sample_gradients("conflicting", size))
    gram[0, 2] = gram[2, 0] = value
    weights, apply = promise.harmonizer(gram)[:2]
    assert not bool(apply)
    np.testing.assert_array_equal(ops.convert_to_numpy(weights), np.ones(size))
