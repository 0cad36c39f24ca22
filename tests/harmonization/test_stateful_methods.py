"""MovingGradVac, SDMGrad, MoDo, PCD and CRMOGM."""

import numpy as np
import pytest
from keras import ops
from scipy.optimize import minimize

from keras_vatt import harmonization as h
from keras_vatt.harmonization._moving_average import unbiased_rate
from keras_vatt.harmonization._simplex import project_onto_simplex
from tests.harmonization._inputs import (
    gram_of,
    sample_gradients,
    weights_of,
)


def _after(harmonizer, gradients, steps, state=None):
    for step in range(steps):
        weights, _, state = harmonizer(gram_of(gradients), step, state)
    return ops.convert_to_numpy(weights).astype("float64"), state


def test_targets_reach_the_cosines_of_gradients_that_agree():
    gradients = sample_gradients("agreeing", 3)
    _, state = _after(h.MovingGradVac(0.5), gradients, 30)
    units = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    expected = units @ units.T - np.eye(3)
    targets = ops.convert_to_numpy(state["targets"])
    np.testing.assert_allclose(targets, expected, atol=1e-5)


def test_gradvac_with_targets_that_stay_is_gradvac_with_that_target():
    gradients = sample_gradients("conflicting", 3)
    state = {"targets": np.full((3, 3), 0.4)}
    weights, _ = _after(h.MovingGradVac(0.0), gradients, 1, state)
    expected = weights_of(h.GradVac(0.4), gradients)
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("harmonizer", "tolerance"),
    [(h.MoDo(0.1, rho=0.0), 1e-2), (h.SDMGrad(lambda_=0.0), 1e-3)],
    ids=["modo", "sdmgrad"],
)
@pytest.mark.parametrize("kind", ["independent", "conflicting", "agreeing"])
def test_on_one_matrix_the_weights_approach_those_of_mgda(harmonizer, tolerance, kind):
    gradients = sample_gradients(kind, 3)
    weights, _ = _after(harmonizer, gradients, 100)
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-5)
    expected = weights_of(h.MGDA(), gradients)
    np.testing.assert_allclose(weights, expected, atol=tolerance)


def test_sdmgrad_approaches_the_mean_the_more_it_attracts():
    gradients = sample_gradients("conflicting", 3)
    distances = [
        np.abs(weights_of(h.SDMGrad(lambda_), gradients) - 1 / 3).max()
        for lambda_ in (0.0, 1.0, 10.0, 1e4)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_points_are_projected_onto_the_simplex(seed):
    point = np.random.default_rng(seed).normal(size=5) * [3, 1, 1, 1, 0.1]
    present = np.arange(5) != 2
    projected = project_onto_simplex(
        ops.convert_to_tensor(point, "float32"), ops.convert_to_tensor(present)
    )
    expected = minimize(
        lambda x: ((x - point)[present] ** 2).sum(),
        np.where(present, 0.25, 0),
        bounds=[(0, float(keep)) for keep in present],
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1},
        options={"ftol": 1e-14},
    ).x
    np.testing.assert_allclose(ops.convert_to_numpy(projected), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["independent", "conflicting", "agreeing"])
@pytest.mark.parametrize("tau", [0.0, 0.3])
def test_pcd_improves_every_loss_by_its_fraction(kind, tau):
    gradients = sample_gradients(kind, 3)
    weights, _ = _after(h.PCD(tau), gradients, 1)
    update = weights @ gradients
    norms = np.linalg.norm(gradients, axis=1)
    np.testing.assert_allclose(np.linalg.norm(update), norms[0], rtol=1e-5)
    # At the first step all averages are those of the gradients, so `d` has this scale.
    direction = update / norms[0] * weights[0] ** -1
    assert (gradients[1:] @ direction >= (tau - 1e-4) * norms[1:]).all()


def test_pcd_follows_the_first_loss_where_the_others_cannot_all_improve():
    gradients = np.array([[1.0, 2.0], [1.0, 0.0], [-1.0, 0.0]])
    weights, _ = _after(h.PCD(0.5), gradients, 1)
    np.testing.assert_allclose(weights, [1.0, 0.0, 0.0], atol=1e-6)


def test_pcd_without_the_first_gradient_has_no_update():
    weights, state = _after(h.PCD(), np.array([[0.0, 0.0], [1.0, 2.0]]), 1)
    np.testing.assert_array_equal(weights, [1.0, 0.0])
    np.testing.assert_array_equal(ops.convert_to_numpy(state["count"]), [0.0, 1.0])


def test_pcd_of_one_loss_is_its_gradient():
    weights, _ = _after(h.PCD(), sample_gradients("independent", 1), 2)
    np.testing.assert_allclose(weights, [1.0], rtol=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_the_average_of_equal_numbers_is_that_number_from_the_first(decay):
    average = 0.0
    for count in range(1, 20):
        counted = ops.convert_to_tensor(count, "float32")
        rate = float(ops.convert_to_numpy(unbiased_rate(decay, counted)))
        expected = (1 - decay) / (1 - decay**count)
        np.testing.assert_allclose(rate, expected, rtol=1e-6)
        average += rate * (3.0 - average)
        np.testing.assert_allclose(average, 3.0, rtol=1e-6)


def test_the_average_of_fixed_weights_is_those_weights():
    weights, state = _after(h.CRMOGM(h.Constant([2.0, 0.5])), np.eye(2), 3)
    np.testing.assert_allclose(weights, [2.0, 0.5], rtol=1e-6)
    np.testing.assert_array_equal(ops.convert_to_numpy(state["count"]), [3.0, 3.0])


def test_a_skipped_step_leaves_the_average():
    smooth = h.CRMOGM(h.Chain([h.Curriculum(-0.5), h.Realignment()]))
    assert smooth.may_skip
    assert not h.CRMOGM(h.MGDA()).may_skip
    _, _, state = smooth([[1.0, -0.3], [-0.3, 1.0]])
    _, apply, after = smooth([[1.0, -0.8], [-0.8, 1.0]], 1, state)
    assert not bool(apply)
    for name, value in state.items():
        expected = ops.convert_to_numpy(value)
        np.testing.assert_array_equal(ops.convert_to_numpy(after[name]), expected)


def test_the_average_reads_its_schedule_at_the_step():
    smooth = h.CRMOGM(h.MGDA(), alpha=h.LinearThreshold(0.0, 1.0, steps=2))
    _, _, state = smooth([[1.0, 0.0], [0.0, 3.0]])  # [0.75, 0.25]
    for step, expected in [(0, 0.5), (1, 0.625), (2, 0.75)]:
        weights, _, _ = smooth(np.eye(2), step, state)
        first = ops.convert_to_numpy(weights)[0]
        np.testing.assert_allclose(first, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: h.MovingGradVac(1.5), "beta=1.5"),
        (lambda: h.MovingGradVac(-0.5), "beta=-0.5"),
        (lambda: h.SDMGrad(-1.0), "lambda_=-1.0"),
        (lambda: h.SDMGrad(learning_rate=0.0), "learning_rate=0.0"),
        (lambda: h.SDMGrad(momentum=1.0), "momentum=1.0"),
        (lambda: h.SDMGrad(num_iterations=0), "num_iterations=0"),
        (lambda: h.MoDo(gamma=0.0), "gamma=0.0"),
        (lambda: h.MoDo(rho=-1.0), "rho=-1.0"),
        (lambda: h.PCD(tau=1.5), "tau=1.5"),
        (lambda: h.PCD(beta=1.0), "beta=1.0"),
        (lambda: h.CRMOGM(h.Sum(), alpha=1.5), "alpha=1.5"),
        (lambda: h.CRMOGM("mgda"), "Received: 'mgda'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arguments_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
