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
    "chain": Promise(
        h.Chain([h.Curriculum(-1.0), h.Realignment()]), without_conflict_up_to=2
    ),
}

# One of each class, for what takes long.
HARMONIZERS = {
    type(promise.harmonizer).__name__: promise.harmonizer
    for promise in PROMISES.values()
}
every_class = pytest.mark.parametrize(
    "harmonizer", HARMONIZERS.values(), ids=HARMONIZERS.keys()
)


def every_method(which=lambda promise: True):
    """Parametrises a test over the methods with a promise."""
    return pytest.mark.parametrize(
        "promise",
        [
            pytest.param(promise, id=name)
            for name, promise in PROMISES.items()
            if which(promise)
        ],
    )
