"""Nash-MTL and FairGrad."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from keras_vatt import harmonization as h
from tests.harmonization._inputs import (
    KINDS,
    WELL_CONDITIONED,
    assert_same_update,
    sample_gradients,
    tolerance_of,
    weights_of,
)


def _bargained(gradients):
    """The solution of `G a = 1 / a`, scaled to mean 1, in float64 by SciPy."""
    norms = np.linalg.norm(gradients, axis=1)
    cosines = gradients @ gradients.T / norms[:, None] / norms
    tight = dict.fromkeys(["xtol", "ftol", "gtol"], 1e-15)
    solution = least_squares(
        lambda y: cosines @ y - 1 / y,
        np.ones(len(norms)),
        jac=lambda y: cosines + np.diag(1 / y**2),
        bounds=(0, np.inf),
        **tight,
    )
    weights = solution.x / norms
    return weights / weights.mean()


@pytest.mark.parametrize("kind", WELL_CONDITIONED)
@pytest.mark.parametrize("size", [2, 3, 5, 10])
def test_the_bargaining_solution_is_that_of_a_float64_solver(kind, size):
    gradients = sample_gradients(kind, size)
    weights = weights_of(h.NashMTL(), gradients)
    np.testing.assert_allclose(weights, _bargained(gradients), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.0, 5.0])
def test_the_improvements_are_a_power_of_the_weights(kind, alpha):
    gradients = sample_gradients(kind, 3)
    weights = weights_of(h.FairGrad(alpha), gradients)
    improvements = gradients @ (weights @ gradients)
    expected = weights ** (-1 / alpha)
    # The scaling to mean 1 leaves a constant open: the largest improvement fixes it.
    largest = improvements.argmax()
    expected *= improvements[largest] / expected[largest]
    norms = np.linalg.norm(gradients, axis=1)
    tolerance = tolerance_of(kind) * norms * (weights * norms).sum()
    assert (np.abs(improvements - expected) <= tolerance).all()


def test_fairness_one_is_the_bargaining_solution_and_zero_the_sum():
    gradients = sample_gradients("conflicting", 3)
    nash = weights_of(h.NashMTL(), gradients)
    np.testing.assert_allclose(weights_of(h.FairGrad(1.0), gradients), nash, rtol=1e-6)
    np.testing.assert_array_equal(weights_of(h.FairGrad(0.0), gradients), 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_update_of_the_bargain_ignores_the_norms_up_to_its_length(kind):
    gradients = sample_gradients(kind, 3)
    factors = np.array([[10.0], [0.1], [1.0]])
    weights = weights_of(h.NashMTL(), gradients)
    scaled = weights_of(h.NashMTL(), factors * gradients) * factors[:, 0]
    expected = weights * scaled.sum() / weights.sum()
    assert_same_update(scaled, expected, gradients, tolerance_of(kind))


@pytest.mark.parametrize("alpha", [-0.1, np.inf, np.nan])
def test_a_fairness_that_is_negative_or_not_finite_is_refused(alpha):
    with pytest.raises(ValueError, match=f"alpha={alpha}"):
        h.FairGrad(alpha)
