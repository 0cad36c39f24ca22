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
        ([[9.0, 0.0], [0.0, 1.0]], h.ConFIG(), [2 / 3, 2.0]),
        ([[1.0, -2.0], [-2.0, 8.0]], h.DualProj(), [2.0, 1.0]),
        ([[4.0, 0.0], [0.0, 1.0]], h.AlignedMTL(), [0.5, 1.0]),
        ([[8.0, 0.0], [0.0, 1.0]], h.FairGrad(2.0), [0.4, 1.6]),
        ([[9.0, 0.0], [0.0, 1.0]], h.NashMTL(), [0.5, 1.5]),
        ([[1.0, 1.0, 1.0], [1.0, 4.0, 4.0], [1.0, 4.0, 5.0]], h.Krum(), [0, 0.5, 0.5]),
        ([[1.0, -0.5], [-0.5, 1.0]], h.Mean(), [0.5, 0.5]),
        ([[1.0, -0.5], [-0.5, 1.0]], h.Constant([2.0, 0.5]), [2.0, 0.5]),
        ([[4.0, 0.0], [0.0, 9.0]], h.PCD(0.75), [0.8, 0.4]),
        ([[1.0, 0.0], [0.0, 9.0]], h.SDMGrad(1.0), [0.75, 0.25]),
        ([[1.0, 0.0], [0.0, 9.0]], h.MoDo(0.1, 0.0), [0.55, 0.45]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_weights_of_the_examples_are_right(gram, harmonizer, expected):
    weights = harmonizer(gram)[0]
    np.testing.assert_allclose(ops.convert_to_numpy(weights), expected, rtol=1e-5)


def test_the_weights_of_the_examples_over_two_steps_are_right():
    gradvac = h.MovingGradVac(beta=0.5)
    _, _, state = gradvac([[1.0, 0.8], [0.8, 1.0]])
    targets = ops.convert_to_numpy(state["targets"])
    np.testing.assert_allclose(targets, [[0.0, 0.4], [0.4, 0.0]], rtol=1e-6)
    weights, _, _ = gradvac([[1.0, 0.0], [0.0, 1.0]], 1, state)
    np.testing.assert_allclose(ops.convert_to_numpy(weights), 1.4364, rtol=1e-4)

    smooth = h.CRMOGM(h.MGDA(), alpha=0.5)
    _, _, state = smooth([[1.0, 0.0], [0.0, 3.0]])
    weights, _, _ = smooth([[1.0, 0.0], [0.0, 1.0]], 1, state)
    np.testing.assert_allclose(ops.convert_to_numpy(weights), [0.625, 0.375], rtol=1e-5)
