"""UPGrad."""

import numpy as np
import pytest
from keras import ops
from scipy.optimize import nnls

from keras_vatt import harmonization as h
from tests.harmonization._inputs import (
    KINDS,
    SIZES,
    assert_same_update,
    sample_gradients,
    tolerance_of,
    weights_of,
)


def _projection(units, i):
    """Unit gradient `i` on the dual cone of all: its distance from their negatives.

    The nearest vector without conflict is what is left of a vector by its projection
    onto the cone of the negated gradients.
    """
    onto_cone, _ = nnls(-units.T, units[i], maxiter=10_000)
    return np.eye(len(units))[i] + onto_cone


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(2))
def test_the_update_is_the_sum_of_the_projections_onto_the_dual_cone(kind, size, seed):
    gradients = sample_gradients(kind, size, seed)
    norms = np.linalg.norm(gradients, axis=1)
    units = gradients / norms[:, None]
    expected = sum(norms[i] * _projection(units, i) for i in range(size)) / norms
    weights = weights_of(h.UPGrad(), gradients)
    assert_same_update(weights, expected, gradients, tolerance_of(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_two_losses_are_realigned(kind):
    gradients = sample_gradients(kind, 2)
    np.testing.assert_allclose(
        weights_of(h.UPGrad(), gradients),
        weights_of(h.Realignment(), gradients),
        rtol=1e-5,
    )


def test_opposite_gradients_cancel():
    weights, _ = h.UPGrad()([[4.0, -2.0], [-2.0, 1.0]])
    np.testing.assert_allclose(ops.convert_to_numpy(weights), [1.5, 3.0], rtol=1e-5)
