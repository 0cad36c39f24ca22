"""Krum."""

import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h
from tests.harmonization._inputs import sample_gradients, weights_of


def test_outliers_are_left_out():
    gradients = sample_gradients("parallel", 7)
    gradients[2] *= -100
    gradients[5] = np.roll(gradients[5], 3)
    weights = weights_of(h.Krum(num_byzantine=2, num_selected=5), gradients)
    np.testing.assert_allclose(weights, [0.2, 0.2, 0, 0.2, 0.2, 0, 0.2], rtol=1e-6)


def test_of_three_the_closest_two_share_the_weight():
    weights, _ = h.Krum()(np.array([[1.0, 0, 0.9], [0, 1.0, 0], [0.9, 0, 1.0]]))
    np.testing.assert_array_equal(ops.convert_to_numpy(weights), [0.5, 0, 0.5])


def test_equal_gradients_share_the_weight():
    weights, _ = h.Krum(num_byzantine=1, num_selected=3)(np.ones((4, 4)))
    np.testing.assert_allclose(ops.convert_to_numpy(weights), 0.25)


@pytest.mark.parametrize(
    ("arguments", "size", "fewest"), [((0, 1), 2, 3), ((2, 1), 4, 5), ((0, 4), 3, 4)]
)
def test_too_few_losses_are_refused(arguments, size, fewest):
    with pytest.raises(ValueError, match=f"at least {fewest} losses. Received: {size}"):
        h.Krum(*arguments)(np.eye(size))


@pytest.mark.parametrize("arguments", [(-1, 1), (0, 0)])
def test_counts_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=f"num_byzantine={arguments[0]}"):
        h.Krum(*arguments)
