"""MGDA."""

import numpy as np
import pytest
from keras import ops
from scipy.optimize import minimize

from keras_vatt import harmonization as h
from tests.harmonization._inputs import (
    KINDS,
    SIZES,
    assert_same_update,
    sample_gradients,
    tolerance_of,
    weights_of,
)


def _shortest_point(gradients):
    """The weights of the point of the hull that is nearest to zero, by SLSQP."""
    size = len(gradients)
    gram = gradients @ gradients.T / np.trace(gradients @ gradients.T)
    return minimize(
        lambda w: w @ gram @ w,
        np.full(size, 1 / size),
        jac=lambda w: 2 * gram @ w,
        bounds=[(0, 1)] * size,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 1000},
    ).x


@pytest.mark.parametrize("kind", ["independent", "agreeing", "conflicting", "parallel"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(2))
def test_the_update_is_the_shortest_convex_combination(kind, size, seed):
    gradients = sample_gradients(kind, size, seed)
    weights = weights_of(h.MGDA(), gradients)
    assert_same_update(weights, _shortest_point(gradients), gradients, 1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(2))
def test_the_update_meets_the_condition_of_the_shortest_point(kind, size, seed):
    # Of all points of the hull, and only of this one: <g_i, x> >= |x|^2 for every i.
    gradients = sample_gradients(kind, size, seed)
    weights = weights_of(h.MGDA(), gradients)
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-5)
    update = weights @ gradients
    lengths = (weights * np.linalg.norm(gradients, axis=1)).sum()
    slack = gradients @ update - update @ update
    norms = np.linalg.norm(gradients, axis=1)
    assert (slack >= -tolerance_of(kind) * lengths * norms).all()


def test_a_gradient_is_left_out_if_it_only_makes_the_update_longer():
    weights, _ = h.MGDA()([[1.0, 2.0], [2.0, 9.0]])
    np.testing.assert_allclose(ops.convert_to_numpy(weights), [1.0, 0.0], atol=1e-6)


def test_opposite_gradients_cancel():
    weights, _ = h.MGDA()([[4.0, -2.0], [-2.0, 1.0]])
    np.testing.assert_allclose(ops.convert_to_numpy(weights), [1 / 3, 2 / 3], rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_equal_gradients_share_their_weight_about_equally(seed):
    # Any split is as short. What is left of a difference is rounding.
    gradients = sample_gradients("conflicting", 2, seed)[[0, 0, 0, 1]]
    weights = weights_of(h.MGDA(), gradients)
    np.testing.assert_allclose(weights[:3], weights[:3].mean(), rtol=0.1)
