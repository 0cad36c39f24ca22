"""The learning rate is the papers', at every step."""

import keras
import numpy as np
import pytest

from keras_vatt.training import warmup_cosine
from keras_vatt.training._schedules import warn_of_a_long_schedule


def expected_rate(step, peak, end, warmup_steps, total_steps):
    if step < warmup_steps:
        return peak * step / warmup_steps
    progress = min((step - warmup_steps) / (total_steps - warmup_steps), 1.0)
    return end + (peak - end) * (1 + np.cos(np.pi * progress)) / 2


@pytest.mark.parametrize(
    "settings",
    [(1e-4, 5e-5, 10_000, 500_000), (5e-3, 0.0, 2_500, 100_000), (1, 0, 0, 9)],
)
def test_rate_is_linear_then_half_a_cosine_then_constant(settings):
    schedule = warmup_cosine(*settings)
    total = settings[-1]
    for step in {
        0,
        1,
        total // 100,
        total // 3,
        total - 1,
        total,
        total + 1,
        2 * total,
    }:
        rate = float(keras.ops.convert_to_numpy(schedule(step)))
        expected = expected_rate(step, *settings)
        assert rate == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_the_schedule_comes_back_from_its_config():
    schedule = warmup_cosine(1e-3, 1e-4, 10, 100)
    config = keras.saving.serialize_keras_object(schedule)
    again = keras.saving.deserialize_keras_object(config)
    assert float(again(50)) == float(schedule(50))


def test_a_warmup_that_never_ends_is_refused():
    with pytest.raises(ValueError, match="warmup_steps"):
        warmup_cosine(1e-3, 1e-4, 100, 100)


@pytest.mark.parametrize("warmup_steps", [0, 5])
def test_a_schedule_keeps_the_name_it_was_given(warmup_steps):
    schedule = warmup_cosine(1e-3, 0.0, warmup_steps, 10, name="mine")
    assert schedule.get_config()["name"] == "mine"


def about_schedules(recwarn):
    return [w for w in recwarn.list if "schedule" in str(w.message)]


def optimizer_with(total_steps):
    return keras.optimizers.SGD(warmup_cosine(1e-3, 0.0, 10, total_steps))


@pytest.mark.parametrize(
    "wrap",
    [lambda optimizer: optimizer, keras.optimizers.LossScaleOptimizer],
    ids=["plain", "with loss scaling"],
)
def test_a_run_that_ends_early_in_its_schedule_is_warned_of(wrap):
    with pytest.warns(UserWarning, match=r"takes 1000 steps.*`total_steps=400`"):
        warn_of_a_long_schedule(wrap(optimizer_with(1_000)), 400)


def test_steps_of_earlier_runs_count_toward_the_schedule(recwarn):
    optimizer = optimizer_with(1_000)
    optimizer.iterations.assign(200)
    warn_of_a_long_schedule(optimizer, 300)
    assert not about_schedules(recwarn)


@pytest.mark.parametrize(
    ("optimizer", "steps"),
    [
        (lambda: optimizer_with(1_000), 500),
        (lambda: optimizer_with(1_000), None),
        (lambda: keras.optimizers.Adam(1e-3), 1),
        (
            lambda: keras.optimizers.SGD(
                keras.optimizers.schedules.InverseTimeDecay(1, 9, 1)
            ),
            1,
        ),
    ],
    ids=["half of the schedule", "unknown length", "constant", "another schedule"],
)
def test_other_runs_are_not_warned_of(optimizer, steps, recwarn):
    warn_of_a_long_schedule(optimizer(), steps)
    assert not about_schedules(recwarn)
