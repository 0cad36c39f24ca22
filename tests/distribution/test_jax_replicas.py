"""The training step on several JAX devices is that on one.

Eight virtual devices of the CPU stand for the chips of a pod.
"""

import contextlib
import functools

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt import harmonization as h
from keras_vatt.training.backends import jax_replicas
from tests.distribution.device_steps import assert_same_step as assert_step
from tests.distribution.device_steps import batch_with, spread_model
from tests.training.steps import model_with, train, values_of

if keras.config.backend() != "jax":
    pytest.skip("keras.distribution is JAX's", allow_module_level=True)

import jax

GLOBAL_CASES = {
    "plain": {},
    "realign": {"harmonizer": "realign"},
    "skip": {"harmonizer": h.Curriculum(1.0)},
    "micro-batches": {"harmonizer": "realign", "num_micro_batches": 2},
}
GROUP_CASES = {
    "2 groups": {"num_groups": 2},
    "8 groups": {"num_groups": 8},
    "16 groups": {"num_groups": 16},
    "2 groups by anchors": {"num_groups": 2, "group_by": "anchors"},
    "per clip": {"num_groups": "per_clip", "compare": "features"},
}
GROUPED = {"harmonizer": h.Chain([h.Curriculum(-0.3), h.Realignment()])}


def data_parallel(num_devices):
    if num_devices == 1:
        return contextlib.nullcontext()
    devices = keras.distribution.list_devices("cpu")[:num_devices]
    return keras.distribution.DataParallel(devices=devices).scope()


def steps_on(distribution, batches, **arguments):
    """Logs of a step from the same start on each batch, and all variables after it."""
    with distribution:
        model = spread_model(**arguments)
        variables = [*model.variables, *model.optimizer.variables]
        start, results = values_of(variables), []
        for batch in batches:
            # One compiled step serves all batches.
            for variable, value in zip(variables, start, strict=True):
                variable.assign(value)
            results.append((train(model, batch), values_of(variables)))
        return results


def step_on(distribution, batch, **arguments):
    """Logs of a step, and all variables after it."""
    (result,) = steps_on(distribution, [batch], **arguments)
    return result


@functools.cache
def global_steps_on_one_device(case):
    return steps_on(data_parallel(1), global_batches(), **GLOBAL_CASES[case])


@functools.cache
def group_step_on_one_device(case):
    return step_on(data_parallel(1), batch_with(), **GROUPED, **GROUP_CASES[case])


@functools.cache
def conflict_seeds():
    """Seeds of a batch with a conflict, and of one without."""
    model, found = spread_model(harmonizer="sum"), {}
    model.optimizer.learning_rate = 0.0
    for seed in range(40):
        logs = train(model, batch_with(seed))
        found.setdefault(bool(logs["conflict_rate"]), seed)
        if len(found) == 2:
            return found
    raise AssertionError("No batch with a conflict, or none without.")


def global_batches():
    """A batch whose gradients conflict, and one whose gradients do not."""
    seeds = conflict_seeds()
    return [batch_with(seeds[True]), batch_with(seeds[False])]


assert_same_step = functools.partial(assert_step, log_tolerance=2e-6)


@pytest.mark.parametrize(
    ("case", "num_devices"),
    [("plain", 4), ("realign", 2), ("realign", 8), ("skip", 8), ("micro-batches", 4)],
)
def test_global_step_is_the_same_on_any_number_of_devices(case, num_devices):
    expected = global_steps_on_one_device(case)
    for (logs, _), conflict in zip(expected, [True, False], strict=True):
        assert logs.get("conflict_rate", conflict) == conflict
        assert logs.get("skip_rate", 0) == (case == "skip")
    distribution = data_parallel(num_devices)
    actual = steps_on(distribution, global_batches(), **GLOBAL_CASES[case])
    for step, step_on_one_device in zip(actual, expected, strict=True):
        assert_same_step(step, step_on_one_device)


@pytest.mark.parametrize("case", ["realign", "micro-batches"])
def test_global_step_with_whole_gradients_as_on_tpus(monkeypatch, case):
    class WholeGradients(jax_replicas.MeshReplicas):
        def __init__(self, *arguments, shards_gradients):
            assert shards_gradients, "As on the CPU, which has reduce-scatter."
            super().__init__(*arguments, shards_gradients=False)

    monkeypatch.setattr(jax_replicas, "MeshReplicas", WholeGradients)
    batch, _ = global_batches()
    expected, _ = global_steps_on_one_device(case)
    assert_same_step(step_on(data_parallel(4), batch, **GLOBAL_CASES[case]), expected)


@pytest.mark.parametrize(
    ("case", "num_devices"),
    [
        ("2 groups", 8),
        ("8 groups", 4),
        ("16 groups", 8),
        ("2 groups by anchors", 4),
        ("per clip", 2),
        ("per clip", 8),
    ],
)
def test_groups_depend_on_their_number_and_not_on_the_devices(case, num_devices):
    expected = group_step_on_one_device(case)
    assert expected[0]["skip_rate"] + expected[0]["conflict_rate"] > 0
    distribution = data_parallel(num_devices)
    assert_same_step(
        step_on(distribution, batch_with(), **GROUPED, **GROUP_CASES[case]), expected
    )


@pytest.mark.parametrize(
    "arguments",
    [{}, {"harmonizer": "realign"}, GROUPED | {"num_groups": 8}],
    ids=["plain", "realign", "groups"],
)
def test_non_finite_gradient_on_one_device_skips_the_step_on_all(arguments):
    with data_parallel(4):
        model = model_with("adam", **arguments)
        before = values_of([*model.trainable_variables, *model.optimizer.variables])
        logs = train(model, batch_with(poison=True))
        after = values_of([*model.trainable_variables, *model.optimizer.variables])
    assert logs["nonfinite_rate"] == 1
    for first, second in zip(before, after, strict=True):
        np.testing.assert_array_equal(first, second)


def test_groups_that_devices_can_not_share_are_refused():
    with data_parallel(4):
        model = model_with(harmonizer="realign", num_groups=6)
        with pytest.raises(ValueError, match="num_groups=6 with 4"):
            train(model, batch_with())


@pytest.mark.parametrize(
    ("form", "arguments"),
    [("agnostic", {"harmonizer": "realign"}), ("specific", {})],
    ids=["agnostic-realign", "specific-plain"],
)
def test_sharded_weights_give_the_step_of_one_device(form, arguments):
    expected = step_on(data_parallel(1), batch_with(), form=form, **arguments)
    mesh = keras.distribution.DeviceMesh(
        (4, 2), ("batch", "model"), keras.distribution.list_devices("cpu")
    )
    layout_map = keras_vatt.VATT.get_layout_map(mesh)
    sharded = keras.distribution.ModelParallel(
        layout_map=layout_map, batch_dim_name="batch"
    )
    assert_same_step(
        step_on(sharded.scope(), batch_with(), form=form, **arguments), expected
    )


def test_layout_map_cuts_every_matrix_of_the_encoders():
    mesh = keras.distribution.DeviceMesh(
        (4, 2), ("batch", "model"), keras.distribution.list_devices("cpu")
    )
    layout_map = keras_vatt.VATT.get_layout_map(mesh)
    with keras.distribution.ModelParallel(layout_map=layout_map).scope():
        model = model_with(form="agnostic")
    for variable in model.variables:
        matrix = "/encoder/block" in variable.path and len(variable.shape) == 2
        spec = variable.value.sharding.spec
        assert ("model" in spec) == (matrix or "model" in spec), variable.path
        if matrix:
            assert variable.value.addressable_shards[0].data.size * 2 == np.prod(
                variable.shape
            )


def test_layout_map_refuses_a_mesh_without_its_axis():
    mesh = keras.distribution.DeviceMesh(
        (8,), ("batch",), keras.distribution.list_devices("cpu")
    )
    with pytest.raises(ValueError, match="no axis 'model'"):
        keras_vatt.VATT.get_layout_map(mesh)


def test_devices_drop_other_values_and_stay_alike():
    with data_parallel(4):
        model = model_with(model_args={"token_keep_rate": 1.0}, harmonizer="realign")
        train(model, batch_with(), batch_with(1))
        for variable in model.variables:
            first, *others = [s.data for s in variable.value.addressable_shards]
            for other in others:
                np.testing.assert_array_equal(first, other)


def test_fit_evaluate_and_predict_run_under_a_distribution():
    with data_parallel(4):
        model = model_with(harmonizer="realign")
        batch = batch_with()
        history = model.fit(batch, batch_size=8, epochs=2, verbose=0)
        validation = model.evaluate(batch, batch_size=8, verbose=0, return_dict=True)
        embeddings = model.encode(text=batch["text"][:3])
    assert np.isfinite(history.history["loss"]).all()
    assert np.isfinite(validation["loss"])
    assert embeddings["text"]["to_video"].shape == (6, 8)
    assert jax.device_count() == 8
