"""Weights against those of TorchJD.

`UPGradWeighting` and `CAGradWeighting` of TorchJD stand for a mean: ours are K times
theirs. Its `PCGradWeighting` and `GradVacWeighting` stand for a sum, as ours do;
those of MGDA and IMTL-G sum to one in both. PCGrad and GradVac draw the order of the
visits there: for `MovingGradVac`, they are given ours.

`DualProjWeighting` and `AlignedMTLWeighting` stand for a mean. Those of FairGrad are
not normalized, and those of MoDo depend on the scale of the gradients. That of Nash-MTL
needs a solver that is no longer maintained: `test_bargaining.py` compares with SciPy.
"""

import numpy as np
import pytest
import torch
from keras import ops
from torchjd.aggregation import (
    AlignedMTLWeighting,
    CAGradWeighting,
    ConFIG,
    CRMOGMWeighting,
    DualProjWeighting,
    FairGradWeighting,
    GradVacWeighting,
    IMTLGWeighting,
    KrumWeighting,
    MeanWeighting,
    MGDAWeighting,
    MoDoWeighting,
    PCDWeighting,
    PCGradWeighting,
    SDMGradWeighting,
    SumWeighting,
    UPGradWeighting,
)
from torchjd.linalg import QuadprogProjector

from keras_vatt import harmonization as h
from tests.harmonization._inputs import SIZES, gram_of, sample_gradients, weights_of

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


_CASES = [
    ("independent", 2),
    ("conflicting", 2),
    ("agreeing", 3),
    ("conflicting", 3),
    ("conflicting", 5),
]
cases = pytest.mark.parametrize(("kind", "size"), _CASES)
cases_up_to_ten = pytest.mark.parametrize(
    ("kind", "size"), [*_CASES, ("independent", 10)]
)


def _assert_close(weights, expected, tolerance=1e-5):
    """Compares up to a tolerance relative to the largest weight."""
    difference = np.abs(weights - expected).max()
    assert difference <= tolerance * np.abs(expected).max(), (weights, expected)


def _projector():
    return QuadprogProjector(norm_eps=0, reg_eps=1e-9)


@cases
def test_the_projected_sum_is_k_times_the_projected_mean_of_torchjd(kind, size):
    gradients = sample_gradients(kind, size)
    theirs = _torchjd_weights(DualProjWeighting(projector=_projector()), gradients)
    _assert_close(weights_of(h.DualProj(), gradients), size * theirs)


@cases_up_to_ten
@pytest.mark.parametrize("scale_mode", ["min", "median", "rmse"])
def test_aligned_gradients_are_those_of_torchjd(kind, size, scale_mode):
    gradients = sample_gradients(kind, size)
    weighting = AlignedMTLWeighting(scale_mode=scale_mode)
    theirs = size * _torchjd_weights(weighting, gradients)
    _assert_close(weights_of(h.AlignedMTL(scale_mode), gradients), theirs)


@cases_up_to_ten
def test_the_update_of_config_is_that_of_torchjd(kind, size):
    gradients = sample_gradients(kind, size)
    theirs = ConFIG()(torch.tensor(gradients)).numpy()
    update = weights_of(h.ConFIG(), gradients) @ gradients
    _assert_close(update, theirs)


@cases_up_to_ten
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_fair_weights_are_those_of_torchjd_with_mean_one(kind, size, alpha):
    gradients = sample_gradients(kind, size)
    theirs = _torchjd_weights(FairGradWeighting(alpha), gradients)
    _assert_close(weights_of(h.FairGrad(alpha), gradients), theirs / theirs.mean())


@kinds
@pytest.mark.parametrize("size", [5, 10])
@pytest.mark.parametrize(("num_byzantine", "num_selected"), [(0, 1), (1, 2), (2, 3)])
def test_krum_selects_what_torchjd_selects(kind, size, num_byzantine, num_selected):
    gradients = sample_gradients(kind, size, seed=1)
    theirs = _torchjd_weights(KrumWeighting(num_byzantine, num_selected), gradients)
    _assert_close(weights_of(h.Krum(num_byzantine, num_selected), gradients), theirs)


@cases
def test_the_mean_is_that_of_torchjd(kind, size):
    gradients = sample_gradients(kind, size)
    theirs = _torchjd_weights(MeanWeighting(), gradients)
    _assert_close(weights_of(h.Mean(), gradients), theirs)


def _assert_same_over_steps(harmonizer, weighting, kind, size, prepare=np.asarray):
    """Compares the weights of ten steps, each with the state after the last."""
    state = None
    for step in range(10):
        gradients = sample_gradients(kind, size, seed=step)
        weights, apply, state = harmonizer(gram_of(gradients), step, state)
        assert bool(apply)
        theirs = _torchjd_weights(weighting, prepare(gradients))
        _assert_close(ops.convert_to_numpy(weights), theirs)


@cases_up_to_ten
@pytest.mark.parametrize("beta", [0.01, 0.5])
def test_moving_targets_are_those_of_torchjd(kind, size, beta, monkeypatch):
    orders = []
    monkeypatch.setattr(torch, "randperm", lambda count: orders.pop(0))

    def with_our_order(gradients):
        units = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
        for i, cosines in enumerate(units @ units.T):
            orders.append(torch.tensor(np.argsort(np.delete(cosines, i))))
        return gradients

    weighting = GradVacWeighting(beta=beta, eps=0.0)
    harmonizer = h.MovingGradVac(beta)
    _assert_same_over_steps(harmonizer, weighting, kind, size, with_our_order)


@cases
@pytest.mark.parametrize(("tau", "beta"), [(0.3, 0.999), (0.5, 0.0)])
def test_pcd_is_that_of_torchjd_without_epsilon(kind, size, tau, beta):
    weighting = PCDWeighting(tau, beta, eps=0.0)
    _assert_same_over_steps(h.PCD(tau, beta), weighting, kind, size)


@cases_up_to_ten
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_sdmgrad_is_that_of_torchjd(kind, size, momentum):
    weighting = SDMGradWeighting(lr=0.1, momentum=momentum, n_iter=7, lambda_=0.4)
    _assert_same_over_steps(h.SDMGrad(0.4, 0.1, momentum, 7), weighting, kind, size)


@cases_up_to_ten
def test_modo_is_that_of_torchjd_for_gradients_of_mean_norm_one(kind, size):
    def scaled(gradients):
        return gradients / np.linalg.norm(gradients, axis=1).mean()

    weighting = MoDoWeighting(gamma=0.2, rho=0.1)
    _assert_same_over_steps(h.MoDo(0.2, 0.1), weighting, kind, size, scaled)


@cases
@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_averaged_weights_are_those_of_torchjd(kind, size, alpha):
    weighting = CRMOGMWeighting(IMTLGWeighting(), alpha)
    _assert_same_over_steps(h.CRMOGM(h.IMTLG(), alpha), weighting, kind, size)
