"""The training step on several TensorFlow replicas is that on one.

Four logical devices of the CPU stand for four accelerators.
"""

import contextlib
import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h
from keras_vatt.training import RunCheckpoint
from tests.distribution.device_steps import BATCH_SIZE, batch_with, four_replicas
from tests.distribution.device_steps import assert_same_step as assert_step
from tests.distribution.device_steps import spread_model as make_spread_model
from tests.training.steps import values_of

if keras.config.backend() != "tensorflow":
    pytest.skip("tf.distribute is TensorFlow's", allow_module_level=True)

import tensorflow as tf

CASES = {
    "plain": {},
    "realign": {"form": "agnostic", "harmonizer": "realign"},
    "skip": {"harmonizer": h.Curriculum(1.0)},
    "micro-batches": {"harmonizer": "realign", "num_micro_batches": 2},
    "4 groups": {"harmonizer": "realign", "num_groups": 4},
    "8 groups": {"harmonizer": "realign", "num_groups": 8},
    "8 groups, some skipped": {
        "harmonizer": h.Chain([h.Curriculum(0.0), h.Realignment()]),
        "num_groups": 8,
    },
    "2 groups by anchors": {
        "harmonizer": "realign",
        "num_groups": 2,
        "group_by": "anchors",
    },
    "per clip, some skipped": {
        "harmonizer": h.Chain([h.Curriculum(-0.3), h.Realignment()]),
        "num_groups": "per_clip",
        "compare": "features",
    },
}


def mirrored(num_replicas):
    return contextlib.nullcontext() if num_replicas == 1 else four_replicas().scope()


def fit_on(scope, *batches, **arguments):
    """Logs of one epoch of steps on batches, and all variables after it."""
    with scope:
        model = spread_model(**arguments)
        logs = fit(model, *batches)
    return logs, values_of([*model.variables, *model.optimizer.variables])


def fit(model, *batches, callbacks=None):
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(batches),
        output_signature={
            name: tf.TensorSpec((None, *rows.shape[1:]), rows.dtype)
            for name, rows in batches[0].items()
        },
    )
    history = model.fit(dataset, verbose=0, callbacks=callbacks).history
    return {name: values[-1] for name, values in history.items()}


assert_same_step = functools.partial(assert_step, log_tolerance=1e-5)
spread_model = functools.partial(make_spread_model, run_eagerly=False)


@pytest.mark.parametrize("case", CASES)
def test_step_is_the_same_on_four_replicas(case):
    expected = fit_on(mirrored(1), batch_with(), **CASES[case])
    skip_rate = expected[0].get("skip_rate", 0)
    assert skip_rate == (case == "skip") or ("some" in case and 0 < skip_rate < 1)
    assert_same_step(fit_on(mirrored(4), batch_with(), **CASES[case]), expected)


def test_steps_with_and_without_conflict_are_the_same_on_four_replicas():
    batches = [batch_with(seed) for seed in range(4)]
    expected = fit_on(mirrored(1), *batches, harmonizer="realign")
    assert 0 < expected[0]["conflict_rate"] < 1
    assert_same_step(fit_on(mirrored(4), *batches, harmonizer="realign"), expected)


@pytest.mark.parametrize("optimizer", ["adamw", "loss scale"])
def test_optimizers_take_the_same_steps_on_four_replicas(optimizer):
    def make():
        if optimizer == "adamw":
            return keras.optimizers.AdamW(1e-2, weight_decay=0.1, epsilon=1e-3)
        clipping = keras.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.5)
        return keras.optimizers.LossScaleOptimizer(clipping, initial_scale=8.0)

    batches = batch_with(0), batch_with(1)
    expected = fit_on(mirrored(1), *batches, optimizer=make(), harmonizer="realign")
    with mirrored(4):
        on_four = make()
    actual = fit_on(mirrored(4), *batches, optimizer=on_four, harmonizer="realign")
    assert_same_step(actual, expected)


def test_uneven_batch_gives_the_step_of_one_device():
    batch = batch_with(size=10)
    expected = fit_on(mirrored(1), batch, harmonizer="realign")
    assert_same_step(fit_on(mirrored(4), batch, harmonizer="realign"), expected)


def test_non_finite_gradient_on_one_replica_skips_the_step_on_all():
    with mirrored(4):
        model = spread_model(harmonizer="realign")
        before = values_of([*model.trainable_variables, *model.optimizer.variables])
        logs = fit(model, batch_with(poison=True))
        after = values_of([*model.trainable_variables, *model.optimizer.variables])
    assert logs["nonfinite_rate"] == 1
    assert ops.convert_to_numpy(model.num_steps) == 1
    for first, second in zip(before, after, strict=True):
        np.testing.assert_array_equal(first, second)


def test_run_on_four_replicas_goes_on_on_one(tmp_path):
    with mirrored(4):
        model = spread_model(harmonizer="realign")
        checkpoint = RunCheckpoint(tmp_path)
        fit(model, batch_with(0), batch_with(1), callbacks=[checkpoint])
    restored = spread_model(harmonizer="realign")
    assert RunCheckpoint(tmp_path).restore(restored) == 2
    for variables in ("variables", "metrics_variables"):
        for first, second in zip(
            values_of(getattr(model, variables)),
            values_of(getattr(restored, variables)),
            strict=True,
        ):
            np.testing.assert_array_equal(second, first)


def test_groups_fewer_than_replicas_are_refused():
    with mirrored(4):
        model = spread_model(harmonizer="realign", num_groups=2)
        with pytest.raises(ValueError, match="num_groups=2 with 4"):
            fit(model, batch_with())


def test_a_loop_over_the_clips_is_refused():
    with mirrored(4):
        model = spread_model(harmonizer="curriculum", num_groups="per_clip")
        with pytest.raises(ValueError, match="needs `compare='features'`"):
            fit(model, batch_with())


def test_model_that_is_compiled_outside_of_the_scope_is_refused():
    with mirrored(4):
        model = spread_model(harmonizer="realign")
    model.compile("adam", harmonizer="realign")
    with pytest.raises(ValueError, match=r"inside `with strategy.scope\(\):`"):
        fit(model, batch_with())


@pytest.mark.parametrize(
    ("arguments", "optimizer_arguments"),
    [
        ({"steps_per_execution": 2}, {}),
        ({"jit_compile": True}, {}),
        ({}, {"gradient_accumulation_steps": 2}),
        ({}, {"use_ema": True, "ema_overwrite_frequency": 1}),
    ],
)
def test_settings_that_fail_under_a_strategy_are_refused(
    arguments, optimizer_arguments
):
    with mirrored(4):
        optimizer = keras.optimizers.Adam(**optimizer_arguments)
        model = spread_model(optimizer=optimizer, harmonizer="realign", **arguments)
        refused = list({**arguments, **optimizer_arguments})[-1]
        with pytest.raises(ValueError, match=refused):
            fit(model, batch_with(), batch_with(1))


def test_validation_losses_are_those_of_the_whole_batch():
    logs = []
    for num_replicas in (1, 4):
        with mirrored(num_replicas):
            model = spread_model(harmonizer="realign")
            dataset = tf.data.Dataset.from_tensor_slices(batch_with()).batch(BATCH_SIZE)
            logs.append(model.evaluate(dataset, verbose=0, return_dict=True))
    assert logs[1] == pytest.approx(logs[0], rel=1e-5)
