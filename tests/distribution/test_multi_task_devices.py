"""A `MultiTaskModel` takes the same step on several devices as on one."""

import keras
import numpy as np
import pytest

from keras_vatt import harmonization
from keras_vatt.training import MultiTaskModel
from tests.distribution.device_steps import four_replicas
from tests.training.steps import flat, values_of

BACKEND = keras.config.backend()
if BACKEND == "torch":
    pytest.skip("PyTorch trains on one device", allow_module_level=True)

SAMPLES = 16
SETTINGS = {
    "plain": {},
    "no weights": {"weighted": False, "harmonizer": "sum"},
    "whole batch": {"harmonizer": "upgrad"},
    "state": {"harmonizer": harmonization.CRMOGM(harmonization.UPGrad())},
    "4 groups": {"harmonizer": "realign", "num_groups": 4},
    "skipped groups": {"harmonizer": harmonization.Curriculum(0.0), "num_groups": 4},
    "features": {
        "harmonizer": "realign",
        "num_groups": "per_clip",
        "compare": "features",
    },
}


def four_devices():
    if BACKEND == "jax":
        devices = keras.distribution.list_devices("cpu")[:4]
        return keras.distribution.DataParallel(devices=devices).scope()
    return four_replicas().scope()


def make_model(normalized=False):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    l2 = keras.regularizers.L2(0.1)
    x = keras.layers.Dense(4, activation="tanh", kernel_regularizer=l2)(inputs)
    if normalized:
        x = keras.layers.BatchNormalization(name="statistics")(x)
    outputs = {
        "digit": keras.layers.Dense(3, name="digit")(x),
        "size": keras.layers.Dense(1, name="size")(x),
    }
    return MultiTaskModel(inputs, outputs)


def data():
    rng = np.random.default_rng(0)
    x = rng.random((SAMPLES, 6)).astype("float32")
    y = {
        "digit": rng.integers(3, size=SAMPLES),
        "size": rng.random((SAMPLES, 1)).astype("float32"),
    }
    weights = {name: rng.random(SAMPLES).astype("float32") for name in y}
    return x, y, weights


def fit(model, weighted=True, **settings):
    model.compile(
        keras.optimizers.SGD(0.5),
        loss={
            "digit": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "size": "mse",
        },
        metrics={"digit": "accuracy"},
        **settings,
    )
    x, y, weights = data()
    arguments = {"batch_size": SAMPLES, "shuffle": False, "verbose": 0}
    weights = weights if weighted else None
    history = model.fit(x, y, sample_weight=weights, epochs=2, **arguments).history
    logs = {name: values[-1] for name, values in history.items()}
    return logs, flat(values_of(model.weights))


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_step_on_four_devices_is_that_on_one(settings):
    expected_logs, expected = fit(make_model(), **settings)
    with four_devices():
        logs, weights = fit(make_model(), **settings)
    np.testing.assert_allclose(weights, expected, atol=1e-5)
    assert logs == pytest.approx(expected_logs, rel=1e-4, abs=1e-5, nan_ok=True)


def test_batch_normalization_on_several_devices_is_refused():
    with four_devices():
        model = make_model(normalized=True)
        with pytest.raises(ValueError, match="statistics"):
            fit(model, harmonizer="upgrad")
