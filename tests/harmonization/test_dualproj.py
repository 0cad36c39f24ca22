"""DualProj."""

import numpy as np
import pytest
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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_the_update_is_the_projection_of_the_sum_onto_the_dual_cone(kind, size):
    gradients = sample_gradients(kind, size)
    norms = np.linalg.norm(gradients, axis=1)
    units = gradients / norms[:, None]
    onto_cone, _ = nnls(-units.T, gradients.sum(axis=0), maxiter=10_000)
    expected = 1 + onto_cone / norms
    weights = weights_of(h.DualProj(), gradients)
    assert_same_update(weights, expected, gradients, tolerance_of(kind))
    assert weights.min() >= 1
