"""IMTL-G."""

import numpy as np
import pytest
from keras import ops

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
def test_weights_are_those_of_the_pseudoinverse(kind, size):
    gradients = sample_gradients(kind, size)
    gram = gradients @ gradients.T
    expected = np.linalg.pinv(gram, rcond=1e-15) @ np.sqrt(np.diag(gram))
    expected /= expected.sum()
    weights = weights_of(h.IMTLG(), gradients)
    assert_same_update(weights, expected, gradients, tolerance_of(kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_the_update_projects_equally_on_every_gradient(kind, size):
    gradients = sample_gradients(kind, size)
    weights = weights_of(h.IMTLG(), gradients)
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-4)
    norms = np.linalg.norm(gradients, axis=1)
    projections = gradients @ (weights @ gradients) / norms
    lengths = (np.abs(weights) * norms).sum()
    np.testing.assert_allclose(
        projections, projections[0], rtol=0, atol=tolerance_of(kind) * lengths
    )


@pytest.mark.parametrize("cosine", [-1.0, -0.999, 0.0, 0.999, 1.0])
def test_two_losses_are_weighted_by_their_inverse_norms_at_every_angle(cosine):
    gram = np.array([[9.0, 3.0 * cosine], [3.0 * cosine, 1.0]])
    weights, _ = h.IMTLG()(gram)
    np.testing.assert_allclose(ops.convert_to_numpy(weights), [0.25, 0.75], rtol=1e-4)
