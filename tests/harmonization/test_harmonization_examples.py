"""The weights in the docstring examples are right."""

import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h


@pytest.mark.parametrize(
    ("gram", "harmonizer", "expected"),
    [
        ([[1.0, -0.5], [-0.5, 2.0]], h.Realignment(), [1.5, 1.25]),
        ([[1.0, -0.5], [-0.5, 2.0]], h.PCGrad(), [1.5, 1.25]),
        ([[1.0, -0.5], [-0.5, 2.0]], h.UPGrad(), [1.5, 1.25]),
        ([[1.0, 0.0], [0.0, 1.0]], h.GradVac(0.6), [1.75, 1.75]),
        ([[1.0, 0.0], [0.0, 1.0]], h.CAGrad(0.5), [1.5, 1.5]),
        ([[1.0, 0.0], [0.0, 3.0]], h.MGDA(), [0.75, 0.25]),
        ([[9.0, 0.0], [0.0, 1.0]], h.IMTLG(), [0.25, 0.75]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_weights_of_the_examples_are_right(gram, harmonizer, expected):
    weights, _ = harmonizer(gram)
    np.testing.assert_allclose(ops.convert_to_numpy(weights), expected, rtol=1e-5)
