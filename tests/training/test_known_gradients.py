"""Steps and logs of gradients that are known by heart, in every way to compute them."""

import keras
import numpy as np
import pytest

from keras_vatt import harmonization as h
from tests.training.steps import train, values_of
from tests.training.toy import ToyModel

BACKEND = keras.config.backend()
# Gradient of each sample: the input divided by the width of the model.
INPUTS = {
    "first": np.array([[3, 0, 0], [0, 3, 0], [3, 3, 0], [3, 0, 3]], "float32"),
    "second": np.array([[0, 0, 6], [0, -6, 0], [-3, 3, 0], [6, 0, 0]], "float32"),
}
WAYS = [
    {},
    {"harmonizer": "sum"},
    {"harmonizer": "sum", "num_groups": 2},
    {"harmonizer": "sum", "num_groups": 4, "group_by": "anchors"},
    {"num_micro_batches": 2},
    {"harmonizer": "sum", "num_groups": 2, "num_micro_batches": 4},
]
EVERY_WAY = pytest.mark.parametrize(
    "way", WAYS, ids=lambda way: "-".join(map(str, way.values())) or "plain"
)


def compiled(optimizer=None, shared=False, **arguments):
    model = ToyModel(shared)
    optimizer = optimizer or keras.optimizers.SGD(1.0)
    model.compile(optimizer, run_eagerly=BACKEND == "tensorflow", **arguments)
    return model


def updates_of(model):
    """Weights are ones, and the learning rate is one."""
    return {name: 1 - values_of([model.kernels[name]])[0] for name in ToyModel.names}


def assert_update_is_the_gradient(model):
    for name, update in updates_of(model).items():
        np.testing.assert_allclose(update, INPUTS[name].mean(axis=0) / 3, rtol=1e-6)


@EVERY_WAY
def test_update_is_the_gradient_of_the_total(way):
    model = compiled(**way)
    logs = train(model, INPUTS)
    assert_update_is_the_gradient(model)
    losses = {name: INPUTS[name].mean() for name in ToyModel.names}
    assert logs["first_loss"] == pytest.approx(losses["first"])
    assert logs["second_loss"] == pytest.approx(losses["second"])
    assert logs["loss"] == pytest.approx(sum(losses.values()))
    assert logs["nonfinite_rate"] == 0


@EVERY_WAY
def test_loss_scale_changes_neither_update_nor_logs(way):
    plain, inner = compiled(**way), keras.optimizers.SGD(1.0)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=1024.0)
    scaled = compiled(optimizer, **way)
    assert train(scaled, INPUTS) == pytest.approx(train(plain, INPUTS), rel=1e-5)
    assert_update_is_the_gradient(scaled)
    assert int(inner.iterations) == 1
    assert float(optimizer.dynamic_scale) == 1024


@EVERY_WAY
def test_nonfinite_gradient_halves_the_loss_scale_and_changes_no_weight(way):
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(1.0), initial_scale=1024.0
    )
    model = compiled(optimizer, **way)
    broken = INPUTS | {"second": INPUTS["second"] * np.float32(1e38)}
    logs = train(model, broken)
    assert logs["nonfinite_rate"] == 1
    assert float(optimizer.dynamic_scale) == 512
    for update in updates_of(model).values():
        np.testing.assert_array_equal(update, 0)


def gradients_of_groups(num_groups):
    """For each group an array with a row for the gradient of each loss."""
    per_loss = [
        rows.reshape(num_groups, -1, 3).sum(axis=1) / 4 / 3 for rows in INPUTS.values()
    ]
    return np.stack(per_loss, axis=1)


def cosine(gradients):
    first, second = gradients
    return first @ second / np.linalg.norm(first) / np.linalg.norm(second)


GROUPED = pytest.mark.parametrize("group_by", ["samples", "anchors"])
NUM_GROUPS = pytest.mark.parametrize("num_groups", [1, 2, 4])


@GROUPED
@NUM_GROUPS
def test_logs_are_means_over_the_groups(group_by, num_groups):
    arguments = {"num_groups": num_groups, "group_by": group_by}
    model = compiled(shared=True, harmonizer="sum", **arguments)
    logs = train(model, INPUTS)
    groups = gradients_of_groups(num_groups)
    norms = np.linalg.norm(groups, axis=2).mean(axis=0)
    cosines = np.array([cosine(group) for group in groups])
    assert logs["first_gradient_norm"] == pytest.approx(norms[0])
    assert logs["second_gradient_norm"] == pytest.approx(norms[1])
    assert logs["gradient_cosine"] == pytest.approx(cosines.mean(), abs=1e-6)
    assert logs["conflict_rate"] == (cosines < 0).mean()
    assert logs["skip_rate"] == 0


@GROUPED
@NUM_GROUPS
def test_groups_below_the_threshold_are_skipped_and_counted(group_by, num_groups):
    arguments = {"num_groups": num_groups, "group_by": group_by}
    model = compiled(shared=True, harmonizer=h.Curriculum(0.1), **arguments)
    logs = train(model, INPUTS)
    groups = gradients_of_groups(num_groups)
    applied = np.array([cosine(group) > 0.1 for group in groups])
    assert logs["skip_rate"] == 1 - applied.mean()
    (update, _) = updates_of(model).values()
    expected = groups[applied].sum(axis=(0, 1))
    np.testing.assert_allclose(update, expected, rtol=1e-5, atol=1e-7)
