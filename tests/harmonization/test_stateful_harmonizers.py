"""Harmonizers with a state over the steps."""

import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h
from tests.harmonization._inputs import gram_of, sample_gradients
from tests.harmonization._properties import every_class, is_stateful, is_stateless

HARMONIZERS = [
    h.MovingGradVac(0.4),
    h.SDMGrad(num_iterations=3),
    h.MoDo(),
    h.PCD(0.3, 0.8),
    h.CRMOGM(h.UPGrad()),
    h.CRMOGM(h.MoDo(), alpha=0.5),
]
every_stateful = pytest.mark.parametrize(
    "harmonizer", HARMONIZERS, ids=lambda h: type(h).__name__
)
every_symmetric = pytest.mark.parametrize(
    "harmonizer",
    [harmonizer for harmonizer in HARMONIZERS if not isinstance(harmonizer, h.PCD)],
    ids=lambda h: type(h).__name__,
)


def _sequence(size=3, steps=4):
    return [sample_gradients("conflicting", size, seed) for seed in range(steps)]


def _run(harmonizer, sequence, state=None):
    """The weights of each step, and the state after the last."""
    all_weights = []
    for step, gradients in enumerate(sequence):
        weights, apply, state = harmonizer(gram_of(gradients), step, state)
        assert bool(apply)
        all_weights.append(ops.convert_to_numpy(weights))
    return np.array(all_weights), _arrays(state)


def _arrays(state):
    return {name: ops.convert_to_numpy(value) for name, value in state.items()}


def _assert_same_state(state, expected):
    assert set(state) == set(expected)
    for name, value in _arrays(state).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


@every_stateful
def test_the_next_state_has_names_shapes_and_dtypes_of_the_initial_one(harmonizer):
    initial = harmonizer.initial_state(3)
    assert all(type(value) is np.ndarray for value in initial.values())
    _, state = _run(harmonizer, _sequence(steps=1))
    assert list(state) == list(initial)
    for name, value in initial.items():
        assert value.dtype == state[name].dtype == "float32", name
        assert value.shape == state[name].shape, name


@every_stateful
def test_the_state_changes_the_weights_and_the_initial_one_resets_them(harmonizer):
    first, *others = _sequence()
    fresh, _ = _run(harmonizer, [first])
    _, state = _run(harmonizer, others)
    later, _ = _run(harmonizer, [first], state)
    assert np.abs(later - fresh).max() > 1e-3
    again, _ = _run(harmonizer, [first], harmonizer.initial_state(3))
    np.testing.assert_array_equal(again, fresh)


@every_stateful
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("after", [0, 2])
def test_a_number_that_is_not_finite_leaves_the_state(harmonizer, value, after):
    state = harmonizer.initial_state(3)
    if after:
        _, state = _run(harmonizer, _sequence(steps=after))
    gram = gram_of(_sequence()[-1])
    gram[0, 2] = gram[2, 0] = value
    weights, apply, new_state = harmonizer(gram, after, state)
    assert not bool(apply)
    np.testing.assert_array_equal(ops.convert_to_numpy(weights), np.ones(3))
    _assert_same_state(new_state, state)


class Overflowing(h.StatefulHarmonizer):
    """Weights and state that are what they are told."""

    def __init__(self, weights, state):
        self.weights, self.state = weights, state

    def initial_state(self, num_losses):
        return {"a": np.zeros((), "float32"), "b": np.ones(2, "float32")}

    def harmonize(self, gram, step, state):
        weights = ops.convert_to_tensor(self.weights, "float32")
        state = {
            "a": state["a"] + 1.0,
            "b": ops.convert_to_tensor(self.state, "float32"),
        }
        return weights, True, state


@pytest.mark.parametrize(
    ("weights", "state", "apply"),
    [([1.0, np.inf], [2.0, 2.0], False), ([2.0, 2.0], [2.0, np.nan], True)],
)
def test_weights_or_a_state_that_are_not_finite_leave_the_whole_state(
    weights, state, apply
):
    _, applied, new_state = Overflowing(weights, state)(np.eye(2))
    assert bool(applied) == apply
    _assert_same_state(new_state, {"a": 0.0, "b": [1.0, 1.0]})
    _, _, new_state = Overflowing([1.0, 1.0], [2.0, 3.0])(np.eye(2))
    _assert_same_state(new_state, {"a": 1.0, "b": [2.0, 3.0]})


@every_symmetric
def test_reordering_the_losses_reorders_the_weights_of_all_steps(harmonizer):
    order = [2, 0, 1]
    weights, _ = _run(harmonizer, _sequence())
    reordered, _ = _run(harmonizer, [gradients[order] for gradients in _sequence()])
    np.testing.assert_allclose(reordered, weights[:, order], rtol=1e-4, atol=1e-6)


@every_stateful
def test_scaling_the_gradients_of_all_steps_leaves_the_weights(harmonizer):
    weights, _ = _run(harmonizer, _sequence())
    scaled, _ = _run(harmonizer, [1e-5 * gradients for gradients in _sequence()])
    np.testing.assert_allclose(scaled, weights, rtol=1e-4, atol=1e-6)


@every_stateful
def test_a_zero_gradient_leaves_the_state_of_its_loss(harmonizer):
    sequence = _sequence()
    _, before = _run(harmonizer, sequence[:2])
    sequence[2][1] = 0
    _, after = _run(harmonizer, [sequence[2]], before)
    for name, value in after.items():
        np.testing.assert_array_equal(value[1], before[name][1], err_msg=name)
    assert any(np.any(value != before[name]) for name, value in after.items())


@every_stateful
def test_a_loss_that_is_always_zero_takes_no_part(harmonizer):
    expected, _ = _run(harmonizer, _sequence())
    weights, _ = _run(harmonizer, [np.insert(g, 2, 0.0, axis=0) for g in _sequence()])
    np.testing.assert_array_equal(weights[:, 2], 1)
    np.testing.assert_allclose(weights[:, [0, 1, 3]], expected, rtol=1e-4, atol=1e-6)


@every_stateful
def test_a_batch_of_matrices_is_refused(harmonizer):
    with pytest.raises(ValueError, match=r"one Gram matrix .* shape \(2, 3, 3\)"):
        harmonizer(np.stack([np.eye(3)] * 2))


@every_stateful
def test_a_state_with_other_names_is_refused(harmonizer):
    with pytest.raises(ValueError, match="must have the names .*'other'"):
        harmonizer(np.eye(3), 0, {"other": np.zeros(3)})


@every_class(is_stateless)
def test_the_others_have_an_empty_state(harmonizer):
    assert harmonizer.initial_state(3) == {}


@every_class(is_stateful)
def test_every_class_with_a_state_is_tested_here(harmonizer):
    assert type(harmonizer) in {type(tested) for tested in HARMONIZERS}


def test_the_base_class_says_what_to_implement():
    with pytest.raises(NotImplementedError, match=r"`harmonize\(gram, step, state\)`"):
        h.StatefulHarmonizer()(np.eye(2))
