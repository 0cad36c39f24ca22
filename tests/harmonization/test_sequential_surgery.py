"""PCGrad and GradVac."""

import itertools

import keras
import numpy as np
import pytest

from keras_vatt import harmonization as h
from tests.harmonization._inputs import (
    KINDS,
    SIZES,
    assert_same_update,
    sample_gradients,
    tolerance_of,
    weights_of,
)


def _adjust(own, other, target):
    """Raises the cosine of `own` with `other` to the target, on vectors."""
    norm, other_norm = np.linalg.norm(own), np.linalg.norm(other)
    cosine = np.clip(own @ other / (norm * other_norm), -1, 1)
    if cosine >= target:
        return 0.0
    sine, target_sine = np.sqrt(1 - cosine**2), np.sqrt(1 - target**2)
    return norm * (target * sine - cosine * target_sine) / (other_norm * target_sine)


def _row(gradients, i, order, target):
    """How much of each original gradient is in the adjusted gradient `i`."""
    coefficients = np.eye(len(gradients))[i]
    for j in order:
        own = coefficients @ gradients
        coefficients[j] += _adjust(own, gradients[j], target)
    return coefficients


def _most_conflicting_first(gradients, i):
    units = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    return [j for j in np.argsort(units @ units[i]) if j != i]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("target", [-0.3, 0.0, 0.4])
def test_each_gradient_visits_the_others_from_the_most_conflicting(kind, size, target):
    gradients = sample_gradients(kind, size)
    expected = sum(
        _row(gradients, i, _most_conflicting_first(gradients, i), target)
        for i in range(size)
    )
    weights = weights_of(h.GradVac(target), gradients)
    # A cosine close to 1 or -1 has lost half its digits where a sine is made of it.
    assert_same_update(weights, expected, gradients, tolerance_of(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_pcgrad_is_one_of_the_outcomes_that_the_paper_may_draw(kind):
    gradients = sample_gradients(kind, 3)
    rows = [
        [_row(gradients, i, order, 0.0) for order in itertools.permutations(others)]
        for i, others in enumerate([(1, 2), (0, 2), (0, 1)])
    ]
    outcomes = [sum(choice) for choice in itertools.product(*rows)]
    update = weights_of(h.PCGrad(), gradients) @ gradients
    distances = [np.linalg.norm(update - w @ gradients) for w in outcomes]
    assert min(distances) <= 1e-5 * np.linalg.norm(gradients, axis=1).sum()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_gradvac_with_target_zero_is_pcgrad(kind, size):
    gradients = sample_gradients(kind, size)
    np.testing.assert_allclose(
        weights_of(h.GradVac(0.0), gradients),
        weights_of(h.PCGrad(), gradients),
        rtol=1e-4,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_pcgrad_of_two_losses_is_realignment(kind):
    gradients = sample_gradients(kind, 2)
    np.testing.assert_allclose(
        weights_of(h.PCGrad(), gradients),
        weights_of(h.Realignment(), gradients),
        rtol=1e-5,
    )


def test_the_target_is_read_at_the_step():
    gradients = sample_gradients("independent", 2)
    schedule = keras.optimizers.schedules.PolynomialDecay(0.0, 10, 0.8)
    np.testing.assert_allclose(
        weights_of(h.GradVac(schedule), gradients, step=5),
        weights_of(h.GradVac(0.4), gradients),
        rtol=1e-5,
    )


@pytest.mark.parametrize("target", [-1.0, 1.0])
def test_the_extreme_targets_give_finite_weights(target):
    weights = weights_of(h.GradVac(target), sample_gradients("conflicting", 3))
    assert np.isfinite(weights).all()
    assert weights.min() >= 1


def test_a_target_that_is_no_cosine_is_refused():
    with pytest.raises(ValueError, match="target=-2"):
        h.GradVac(-2)
