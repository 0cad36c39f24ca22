"""Algorithm 2 and its thresholds."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h
from tests.harmonization._inputs import gram_of, sample_gradients


def _gram(cosine):
    return np.array([[4.0, 2.0 * cosine], [2.0 * cosine, 1.0]], "f4")


def _applies(curriculum, gram, step=0):
    return bool(curriculum(gram, step)[1])


@pytest.mark.parametrize("threshold", [-0.5, 0.0, 0.25])
def test_the_cosine_must_be_greater_than_the_threshold(threshold):
    curriculum = h.Curriculum(threshold)
    assert _applies(curriculum, _gram(threshold + 1e-3))
    assert not _applies(curriculum, _gram(threshold))
    assert not _applies(curriculum, _gram(threshold - 1e-3))


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_the_smallest_cosine_of_all_pairs_counts(size, seed):
    gradients = sample_gradients("independent", size, seed)
    units = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    smallest = (units @ units.T).min()
    gram = gram_of(gradients)
    assert _applies(h.Curriculum(smallest - 1e-4), gram)
    assert not _applies(h.Curriculum(smallest + 1e-4), gram)


@pytest.mark.parametrize("apply", [True, False])
def test_weights_are_ones_applied_or_not(apply):
    weights, applied = h.Curriculum(-0.9 if apply else 0.9)(_gram(0.0))
    assert bool(applied) == apply
    np.testing.assert_array_equal(ops.convert_to_numpy(weights), [1.0, 1.0])


@pytest.mark.parametrize(("threshold", "apply"), [(-0.01, True), (0.0, False)])
@pytest.mark.parametrize("gram", [np.diag([1.0, 0.0]), np.zeros((3, 3))])
def test_the_cosine_is_zero_where_no_two_gradients_can_be_compared(
    threshold, apply, gram
):
    assert _applies(h.Curriculum(threshold), gram) == apply


def test_the_cosine_of_a_zero_gradient_does_not_count_beside_others():
    gram = np.zeros((3, 3))
    gram[:2, :2] = _gram(0.5)
    assert _applies(h.Curriculum(0.4), gram)


@pytest.mark.parametrize("as_tensor", [False, True])
def test_the_threshold_is_read_at_the_step(as_tensor):
    curriculum = h.Curriculum(h.LinearThreshold(-0.3, 0.0, steps=100))
    steps = [0, 40, 60, 100, 10_000]
    if as_tensor:
        steps = [ops.convert_to_tensor(step, "int32") for step in steps]
    applied = [_applies(curriculum, _gram(-0.15), step) for step in steps]
    assert applied == [True, True, False, False, False]


def test_any_keras_schedule_is_a_threshold():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([10], [-1.0, 1.0])
    curriculum = h.Curriculum(schedule)
    assert _applies(curriculum, _gram(0.0), 10)
    assert not _applies(curriculum, _gram(0.0), 11)


def test_any_function_of_the_step_is_a_threshold():
    curriculum = h.Curriculum(lambda step: step / 10)
    assert _applies(curriculum, _gram(0.5), 4)
    assert not _applies(curriculum, _gram(0.5), 5)


def test_a_float_that_is_no_cosine_is_refused():
    with pytest.raises(ValueError, match="threshold=1.5"):
        h.Curriculum(1.5)


def test_a_single_loss_is_refused():
    with pytest.raises(ValueError, match="at least two losses"):
        h.Curriculum()(np.eye(1))


def test_the_default_threshold_is_our_reading_of_the_paper():
    assert h.Curriculum().threshold.get_config() == {
        "start": -0.3,
        "end": 0.0,
        "steps": 500_000,
    }


def _read(threshold, step):
    return float(ops.convert_to_numpy(threshold(step)))


@pytest.mark.parametrize(("start", "end"), [(-0.3, 0.0), (0.2, -0.7)])
def test_a_linear_threshold_goes_from_start_to_end(start, end):
    threshold = h.LinearThreshold(start, end, steps=1000)
    steps = [0, 1, 137, 500, 999, 1000]
    expected = np.interp(steps, [0, 1000], [start, end])
    values = [_read(threshold, step) for step in steps]
    np.testing.assert_allclose(values, expected, atol=1e-6)


@pytest.mark.parametrize("step", [500_000, 500_001, 2**31 - 1])
def test_a_linear_threshold_stays_exactly_at_its_end(step):
    assert _read(h.LinearThreshold(-0.3, 0.1), step) == np.float32(0.1)
    assert _read(h.LinearThreshold(-0.3, 0.0), step) == 0


def test_a_linear_threshold_takes_integer_tensors():
    threshold = h.LinearThreshold(-0.4, 0.0, steps=100)
    value = threshold(ops.convert_to_tensor(50, "int32"))
    assert ops.dtype(value) == "float32"
    np.testing.assert_allclose(ops.convert_to_numpy(value), -0.2, rtol=1e-6)


@pytest.mark.parametrize(
    "arguments", [{"start": -1.1}, {"end": 1.1}, {"end": np.nan}, {"steps": 0}]
)
def test_a_linear_threshold_refuses_what_is_no_cosine_or_no_step(arguments):
    with pytest.raises(ValueError, match=f"Received: {next(iter(arguments))}="):
        h.LinearThreshold(**arguments)
