"""Weights that don't depend on the angles: Mean, Constant, Random."""

import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h


def _weights(harmonizer, gram, step=0):
    return ops.convert_to_numpy(harmonizer(gram, step)[0])


def test_zero_gradients_are_not_counted_in_the_mean():
    weights = _weights(h.Mean(), np.diag([1.0, 0.0, 2.0, 3.0]))
    np.testing.assert_allclose(weights, [1 / 3, 1, 1 / 3, 1 / 3], rtol=1e-6)


def test_constant_weights_are_those_given():
    grams = np.stack([np.eye(3), 2 * np.ones((3, 3))])
    weights = _weights(h.Constant([2.0, 0.5, -1.0]), grams)
    np.testing.assert_array_equal(weights, [[2.0, 0.5, -1.0]] * 2)


@pytest.mark.parametrize("weights", [[], 1.0, [[1.0, 2.0]], [1.0, np.nan]])
def test_constants_that_are_no_list_of_numbers_are_refused(weights):
    with pytest.raises(ValueError, match="non-empty list of finite floats"):
        h.Constant(weights)


def test_the_number_of_constants_must_be_that_of_the_losses():
    with pytest.raises(ValueError, match=r"has 2 weights. .* 3 losses"):
        h.Constant([1.0, 2.0])(np.eye(3))


def test_random_weights_are_the_same_on_every_backend():
    weights = _weights(h.Random(seed=5), np.eye(3), step=11)
    np.testing.assert_allclose(weights, [0.191489, 0.632975, 2.175535], rtol=1e-4)


def test_random_weights_depend_on_seed_and_step_only():
    draws = {
        (seed, step): _weights(h.Random(seed), np.eye(4), step)
        for seed in (0, 1, 2**31 - 1)
        for step in (0, 1, 2**31 - 1)
    }
    assert len({tuple(draw) for draw in draws.values()}) == len(draws)
    again = _weights(h.Random(1), np.ones((2, 4, 4)), ops.convert_to_tensor(1, "int32"))
    np.testing.assert_array_equal(again, [draws[1, 1]] * 2)


def test_random_weights_are_the_softmax_of_normal_variables():
    weights = np.array(
        [ops.convert_to_numpy(h.Random(9)(np.eye(2), s)[0]) for s in range(400)]
    )
    np.testing.assert_allclose(weights.sum(axis=1), 2, rtol=1e-5)
    # The difference of two normal variables has mean 0 and variance 2.
    difference = np.log(weights[:, 0]) - np.log(weights[:, 1])
    assert abs(difference.mean()) < 0.25
    assert 1.6 < difference.var() < 2.4
    correlation = np.corrcoef(difference[1:], difference[:-1])[0, 1]
    assert abs(correlation) < 0.15


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match=f"seed={seed}"):
        h.Random(seed)
