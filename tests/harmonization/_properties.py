"""The properties of each method."""

import dataclasses

import pytest

from keras_vatt import harmonization as h


@dataclasses.dataclass
class Promise:
    """Of a method, to the largest number of losses that the tests sample."""

    harmonizer: h.Harmonizer
    ones_without_conflict: bool = True
    nonnegative: bool = True
    without_conflict_up_to: int = 1  # losses
    symmetric: bool = True  # in the losses
    num_losses: tuple[int, ...] = (2, 3, 5)


PROMISES = {
    "sum": Promise(h.Sum()),
    "curriculum": Promise(h.Curriculum(-1.0)),
    "realignment": Promise(h.Realignment(), without_conflict_up_to=2),
    "pcgrad": Promise(h.PCGrad(), without_conflict_up_to=2),
    "gradvac": Promise(
        h.GradVac(0.5), ones_without_conflict=False, without_conflict_up_to=2
    ),
    "cagrad_0.5": Promise(h.CAGrad(0.5), ones_without_conflict=False),
    "cagrad_1": Promise(
        h.CAGrad(1.0), ones_without_conflict=False, without_conflict_up_to=5
    ),
    "mgda": Promise(h.MGDA(), ones_without_conflict=False, without_conflict_up_to=5),
    "imtlg": Promise(h.IMTLG(), ones_without_conflict=False, nonnegative=False),
    "upgrad": Promise(h.UPGrad(), without_conflict_up_to=5),
    "mean": Promise(h.Mean(), ones_without_conflict=False),
    "constant": Promise(
        h.Constant([0.5, 1.0, 2.0]),
        ones_without_conflict=False,
        symmetric=False,
        num_losses=(3,),
    ),
    "random": Promise(h.Random(3), ones_without_conflict=False, symmetric=False),
    "dualproj": Promise(h.DualProj(), without_conflict_up_to=5),
    "aligned_mtl": Promise(
        h.AlignedMTL(), ones_without_conflict=False, nonnegative=False
    ),
    "aligned_mtl_median": Promise(
        h.AlignedMTL("median"), ones_without_conflict=False, nonnegative=False
    ),
    "aligned_mtl_rmse": Promise(
        h.AlignedMTL("rmse"), ones_without_conflict=False, nonnegative=False
    ),
    "config": Promise(
        h.ConFIG(),
        ones_without_conflict=False,
        nonnegative=False,
        without_conflict_up_to=5,
    ),
    "nash_mtl": Promise(
        h.NashMTL(), ones_without_conflict=False, without_conflict_up_to=5
    ),
    "fairgrad_0.5": Promise(
        h.FairGrad(0.5), ones_without_conflict=False, without_conflict_up_to=5
    ),
    "fairgrad_2": Promise(
        h.FairGrad(2.0), ones_without_conflict=False, without_conflict_up_to=5
    ),
    "krum_2_of_5": Promise(
        h.Krum(num_byzantine=1, num_selected=2),
        ones_without_conflict=False,
        num_losses=(5,),
    ),
    "krum": Promise(h.Krum(), ones_without_conflict=False, num_losses=(3, 5)),
    # Those with a state, at their first step.
    "moving_gradvac": Promise(h.MovingGradVac(), without_conflict_up_to=2),
    "sdmgrad": Promise(h.SDMGrad(), ones_without_conflict=False),
    "modo": Promise(h.MoDo(), ones_without_conflict=False),
    "pcd": Promise(h.PCD(), ones_without_conflict=False, symmetric=False),
    "crmogm": Promise(h.CRMOGM(h.UPGrad()), without_conflict_up_to=5),
    "chain": Promise(
        h.Chain([h.Curriculum(-1.0), h.Realignment()]), without_conflict_up_to=2
    ),
}

# One of each class, for what takes long.
OF_EACH_CLASS = {
    type(promise.harmonizer).__name__: promise for promise in PROMISES.values()
}


def is_stateful(promise):
    return isinstance(promise.harmonizer, h.StatefulHarmonizer)


def is_stateless(promise):
    return not is_stateful(promise)


def every_class(which=lambda promise: True):
    """Parametrizes a test over one harmonizer of each class."""
    return pytest.mark.parametrize(
        "harmonizer",
        [
            pytest.param(promise.harmonizer, id=name)
            for name, promise in OF_EACH_CLASS.items()
            if which(promise)
        ],
    )


def every_method(which=lambda promise: True):
    """Parametrizes a test over the methods with a promise."""
    return pytest.mark.parametrize(
        "promise",
        [
            pytest.param(promise, id=name)
            for name, promise in PROMISES.items()
            if which(promise)
        ],
    )


def every_method_and(cases, which=lambda promise: True):
    """Parametrizes a test over methods, and the cases of sizes that they take."""
    return pytest.mark.parametrize(
        ("promise", "kind", "size"),
        [
            pytest.param(promise, kind, size, id=f"{name}-{kind}-{size}")
            for name, promise in PROMISES.items()
            for kind, size in cases
            if which(promise) and size in promise.num_losses
        ],
    )
