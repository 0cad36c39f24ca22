"""The averages of the weights are evaluated and saved; training has the weights."""

import itertools

import keras
import numpy as np
import pytest

from keras_vatt._keras_internals import averaged_weights
from keras_vatt.pretraining import PretrainSettings
from keras_vatt.pretraining._devices import DeviceScope
from keras_vatt.pretraining._evaluated_model import EvaluatedModel
from keras_vatt.pretraining._run import compile_model
from tests.models.tiny import tiny_batch, tiny_vatt
from tests.training.steps import values_of

STEPS = 4


class Weights(keras.callbacks.Callback):
    """Collects the weights after each step, and those to evaluate."""

    def __init__(self):
        super().__init__()
        self.evaluated = EvaluatedModel(DeviceScope())
        self.trained, self.averages = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.trained.append(values_of(self.model.trainable_weights))
        model = self.evaluated.update(self.model)
        self.averages.append(values_of(model.trainable_weights))


def model_of_run(momentum, **changes):
    settings = {"data": "demo", "output": "run", "ema_momentum": momentum} | changes
    model = tiny_vatt("flat", dropout=0.1)
    compile_model(model, PretrainSettings(**settings), STEPS)
    return model


def fit(model):
    weights = Weights()
    batches = ((tiny_batch(seed=step),) for step in itertools.count())
    model.fit(batches, steps_per_epoch=STEPS, callbacks=[weights], verbose=0)
    return weights


def test_averages_follow_the_formula():
    model = model_of_run(0.75, learning_rate=1e-2, harmonizer="realign")
    weights = fit(model)
    expected = [np.float64(value) for value in weights.trained[0]]
    for step in range(1, STEPS):
        expected = [
            0.75 * average + 0.25 * np.float64(value)
            for average, value in zip(expected, weights.trained[step], strict=True)
        ]
        for actual, value in zip(weights.averages[step], expected, strict=True):
            np.testing.assert_allclose(actual, value, rtol=1e-5, atol=1e-6)
    # They differ, or this would hold without averages, too.
    assert np.abs(weights.trained[-1][0] - weights.averages[-1][0]).max() > 1e-4
    np.testing.assert_array_equal(
        values_of(model.trainable_weights)[0], weights.trained[-1][0]
    )


def test_training_continues_with_the_weights_themselves():
    keras.utils.set_random_seed(1)
    plain = fit(model_of_run(None))
    keras.utils.set_random_seed(1)
    averaged = fit(model_of_run(0.75))
    for step, other in zip(plain.trained, averaged.trained, strict=True):
        for weight, expected in zip(step, other, strict=True):
            np.testing.assert_array_equal(weight, expected)


def test_without_an_applied_step_the_averages_are_the_weights():
    changes = {"threshold_start": 1.0, "threshold_end": 1.0}
    model = model_of_run(0.75, harmonizer="curriculum", **changes)
    before = values_of(model.trainable_weights)
    weights = fit(model)
    for actual, expected in zip(weights.averages[-1], before, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.once
def test_the_weights_of_frozen_layers_are_evaluated_too():
    model = tiny_vatt("specific")
    for layer in model.backbone.modality_layers("audio").values():
        layer.trainable = False
    settings = {"data": "demo", "output": "run", "ema_momentum": 0.5}
    compile_model(model, PretrainSettings(**settings), STEPS)
    evaluated = EvaluatedModel(DeviceScope()).update(model)
    assert evaluated is not model
    for weight, expected in zip(evaluated.weights, model.weights, strict=True):
        assert weight.path.split("/")[-2:] == expected.path.split("/")[-2:]
        np.testing.assert_array_equal(*values_of([weight, expected]))


def test_an_interrupt_of_the_first_step_is_raised_as_it_is(monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    model = model_of_run(0.75)
    before = values_of(model.trainable_weights)
    monkeypatch.setattr(model, "train_function", interrupt)
    monkeypatch.setattr(model, "make_train_function", lambda: None)
    with pytest.raises(KeyboardInterrupt):
        fit(model)
    for actual, expected in zip(
        values_of(model.trainable_weights), before, strict=True
    ):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.once
def test_the_optimizer_of_float16_has_averages_too():
    model = tiny_vatt("flat", dtype="mixed_float16")
    settings = {"data": "demo", "output": "run", "ema_momentum": 0.5}
    compile_model(model, PretrainSettings(**settings, dtype="mixed_float16"), STEPS)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    pairs = averaged_weights(model.optimizer)
    assert len(pairs) == len(model.trainable_weights)
