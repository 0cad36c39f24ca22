"""CAGrad."""

import numpy as np
import pytest
from keras import ops
from scipy.optimize import minimize

from keras_vatt import harmonization as h
from tests.harmonization._inputs import (
    KINDS,
    SIZES,
    sample_gradients,
    tolerance_of,
    weights_of,
)


def _upper_bound(gradients, c):
    """The dual of the paper: the least `<g_w, g_0> + c |g_0| |g_w|` over the simplex.

    No update in the ball improves every loss by more. Minimized by SLSQP.
    """
    size, total = len(gradients), gradients.sum(axis=0)
    radius = c * np.linalg.norm(total)
    gram, with_sum = gradients @ gradients.T, gradients @ total

    def length(w):
        return np.sqrt(max(w @ gram @ w, 1e-30))

    starts = [*np.eye(size), np.full(size, 1 / size)]
    return min(
        minimize(
            lambda w: w @ with_sum + radius * length(w),
            start,
            jac=lambda w: with_sum + radius * (gram @ w) / length(w),
            bounds=[(0, 1)] * size,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        ).fun
        for start in starts
    )


@pytest.mark.parametrize("c", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("kind", ["independent", "agreeing", "conflicting", "parallel"])
@pytest.mark.parametrize("size", SIZES)
def test_no_update_in_the_ball_improves_the_worst_loss_more(kind, size, c):
    gradients = sample_gradients(kind, size)
    total = gradients.sum(axis=0)
    radius = c * np.linalg.norm(total)
    update = weights_of(h.CAGrad(c), gradients) @ gradients
    assert np.linalg.norm(update - total) <= radius * (1 + 1e-4)
    worst = (gradients @ update).min()
    scale = np.linalg.norm(gradients, axis=1).min() * np.linalg.norm(total)
    np.testing.assert_allclose(
        worst, _upper_bound(gradients, c), rtol=0, atol=1e-4 * scale
    )


@pytest.mark.parametrize("c", [0.1, 1.0])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_the_worst_loss_gains_no_less_than_from_the_sum(kind, size, c):
    gradients = sample_gradients(kind, size)
    total = gradients.sum(axis=0)
    update = weights_of(h.CAGrad(c), gradients) @ gradients
    norms = np.linalg.norm(gradients, axis=1)
    radius = c * np.linalg.norm(total)
    tolerance = tolerance_of(kind) * norms.sum()
    assert np.linalg.norm(update - total) <= radius + tolerance
    worst, of_sum = (gradients @ update).min(), (gradients @ total).min()
    assert worst >= of_sum - tolerance * norms.min()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_a_ball_without_radius_leaves_the_plain_sum(kind, size):
    weights = weights_of(h.CAGrad(0.0), sample_gradients(kind, size))
    np.testing.assert_allclose(weights, np.ones(size), rtol=1e-5)


def test_where_two_gradients_cancel_the_nearest_harmless_update_is_taken():
    gradients = np.array([[1.0, 0.0], [-1.0, 0.0], [0.01, 1.0]])
    update = weights_of(h.CAGrad(0.5), gradients) @ gradients
    np.testing.assert_allclose(update, [0.0, 1.0], atol=1e-5)


def test_opposite_gradients_of_one_length_cancel():
    weights, apply = h.CAGrad()([[1.0, -1.0], [-1.0, 1.0]])
    assert bool(apply)
    np.testing.assert_allclose(ops.convert_to_numpy(weights), [1.0, 1.0], rtol=1e-5)


def test_a_negative_radius_is_refused():
    with pytest.raises(ValueError, match="c=-0.1"):
        h.CAGrad(-0.1)
