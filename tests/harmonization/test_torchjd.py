"""Weights against those of TorchJD.

`UPGradWeighting` and `CAGradWeighting` of TorchJD stand for a mean: ours are K times
theirs. Its `PCGradWeighting` and `GradVacWeighting` stand for a sum, as ours do;
those of MGDA and IMTL-G sum to one in both. PCGrad and GradVac draw the order of the
visits there.
"""

import numpy as np
import pytest
import torch
from torchjd.aggregation import (
    CAGradWeighting,
    GradVacWeighting,
    IMTLGWeighting,
    MGDAWeighting,
    PCGradWeighting,
    SumWeighting,
    UPGradWeighting,
)
from torchjd.linalg import QuadprogProjector

from keras_vatt import harmonization as h
from tests.harmonization._inputs import SIZES, sample_gradients, weights_of

kinds = pytest.mark.parametrize("kind", ["independent", "agreeing", "conflicting"])
sizes = pytest.mark.parametrize("size", SIZES)


def _torchjd_weights(weighting, gradients):
    return weighting(torch.tensor(gradients @ gradients.T)).numpy()


@kinds
@sizes
@pytest.mark.parametrize(
    ("harmonizer", "weighting", "factor"),
    [
        (h.Sum(), SumWeighting(), lambda size: 1),
        (h.IMTLG(), IMTLGWeighting(), lambda size: 1),
        (
            h.UPGrad(),
            UPGradWeighting(projector=QuadprogProjector(norm_eps=0, reg_eps=1e-9)),
            lambda size: size,
        ),
        (h.CAGrad(0.5), CAGradWeighting(0.5, norm_eps=1e-9), lambda size: size),
    ],
    ids=["sum", "imtlg", "upgrad", "cagrad"],
)
def test_weights_are_those_of_torchjd(harmonizer, weighting, factor, kind, size):
    gradients = sample_gradients(kind, size)
    np.testing.assert_allclose(
        weights_of(harmonizer, gradients),
        factor(size) * _torchjd_weights(weighting, gradients),
        rtol=1e-3,
        atol=1e-3,
    )


@kinds
@sizes
def test_mgda_is_as_short_as_the_iteration_of_torchjd_and_close_to_it(kind, size):
    gradients = sample_gradients(kind, size)
    theirs = _torchjd_weights(MGDAWeighting(epsilon=1e-7, max_iters=2000), gradients)
    ours = weights_of(h.MGDA(), gradients)
    np.testing.assert_allclose(ours, theirs, atol=0.02)
    lengths = [np.linalg.norm(weights @ gradients) for weights in (ours, theirs)]
    assert lengths[0] <= lengths[1] * (1 + 1e-5)


def _drawn_outcomes(weighting, gradients):
    """Enough draws to see all eight choices of three orders of two visits."""
    torch.manual_seed(0)
    return [_torchjd_weights(weighting, gradients) for _ in range(80)]


def _gradvac_weighting(target):
    """A GradVac of TorchJD with this target for every pair of three losses.

    With `beta=1` the targets are the cosines of the last call, with `beta=0` they
    stay.
    """
    weighting = GradVacWeighting(beta=1.0, eps=0.0)
    weighting(torch.tensor(np.full((3, 3), target) + (1 - target) * np.eye(3)))
    weighting.beta = 0.0
    return weighting


@kinds
@pytest.mark.parametrize(
    ("harmonizer", "make_weighting"),
    [
        (h.PCGrad(), PCGradWeighting),
        (h.GradVac(0.0), lambda: GradVacWeighting(beta=0.0, eps=0.0)),
        (h.GradVac(0.5), lambda: _gradvac_weighting(0.5)),
    ],
    ids=["pcgrad", "gradvac_0", "gradvac_0.5"],
)
def test_surgery_in_turn_is_one_of_the_outcomes_torchjd_draws(
    harmonizer, make_weighting, kind
):
    gradients = sample_gradients(kind, 3)
    ours = weights_of(harmonizer, gradients)
    drawn = _drawn_outcomes(make_weighting(), gradients)
    assert min(np.abs(ours - theirs).max() for theirs in drawn) <= 1e-5
