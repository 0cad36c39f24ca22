"""Aligned-MTL."""

import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h
from keras_vatt.harmonization._jacobi import eigen_decomposition
from tests.harmonization._inputs import WELL_CONDITIONED, sample_gradients, weights_of


def _aligned(gradients, scale):
    """Gradients with all singular values set to one, by NumPy."""
    left, singular, right = np.linalg.svd(gradients, full_matrices=False)
    return scale(singular) * left @ right


@pytest.mark.parametrize("kind", WELL_CONDITIONED)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 10])
@pytest.mark.parametrize(
    ("scale_mode", "scale"),
    [("min", np.min), ("rmse", lambda values: np.sqrt((values**2).mean()))],
)
def test_the_update_is_the_sum_of_the_aligned_gradients(kind, size, scale_mode, scale):
    gradients = sample_gradients(kind, size)
    update = weights_of(h.AlignedMTL(scale_mode), gradients) @ gradients
    expected = _aligned(gradients, scale).sum(axis=0)
    difference = np.linalg.norm(update - expected)
    assert difference <= 2e-5 * np.linalg.norm(expected)


def test_equal_gradients_are_one_component():
    weights, _ = h.AlignedMTL()([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 4.0]])
    # The components: the first two together, with singular value sqrt(2), and 2.
    expected = [1.0, 1.0, np.sqrt(0.5)]
    np.testing.assert_allclose(ops.convert_to_numpy(weights), expected, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 10])
def test_small_eigenvalues_keep_their_relative_precision(size):
    rng = np.random.default_rng(size)
    rows = rng.normal(size=(size, 16)) * np.logspace(0, -5, size)[:, None]
    gram = (rows @ rows.T).astype("float32")
    eigenvalues, vectors = eigen_decomposition(ops.convert_to_tensor(gram))
    eigenvalues = ops.convert_to_numpy(eigenvalues).astype("float64")
    vectors = ops.convert_to_numpy(vectors).astype("float64")
    expected = np.linalg.svd(rows, compute_uv=False)[::-1] ** 2
    np.testing.assert_allclose(np.sort(eigenvalues), expected, rtol=3e-5)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(size), atol=1e-5)


def test_an_unknown_scale_is_refused():
    with pytest.raises(ValueError, match="scale_mode='max'"):
        h.AlignedMTL("max")
