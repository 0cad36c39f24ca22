"""The state of a harmonizer lasts over steps, epochs, files and checkpoints."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization
from keras_vatt.training import MultiTaskModel, RunCheckpoint
from tests.training.steps import flat, train, values_of
from tests.training.toy import ToyModel

STATEFUL = {
    "moving-gradvac": lambda: harmonization.MovingGradVac(),
    "sdmgrad": lambda: harmonization.SDMGrad(),
    "crmogm": lambda: harmonization.CRMOGM(harmonization.UPGrad(), 0.5),
}


def batches(count):
    rng = np.random.default_rng(0)
    return [
        {name: rng.normal(size=(4, 3)).astype("float32") for name in ToyModel.names}
        for _ in range(count)
    ]


def toy(harmonizer, **settings):
    model = ToyModel(shared=True)
    model.compile(keras.optimizers.SGD(1.0), harmonizer, **settings)
    return model


def state_of(model):
    return {
        name: ops.convert_to_numpy(value)
        for name, value in model.harmonizer_state.current().items()
    }


def assert_equal_states(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_allclose(value, second[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("make", STATEFUL.values(), ids=STATEFUL)
def test_steps_are_those_of_the_harmonizer_with_its_state(make):
    harmonizer, model, state = make(), toy(make()), None
    expected = np.ones(3)
    for step, batch in enumerate(batches(4)):
        # Each loss is linear: its gradient is the mean of its inputs, divided by 3.
        gradients = np.stack([batch[name].mean(axis=0) / 3 for name in ToyModel.names])
        gram = gradients @ gradients.T
        weights, _, state = harmonizer(gram.astype("float32"), step, state)
        expected = expected - ops.convert_to_numpy(weights) @ gradients
        train(model, batch)
        np.testing.assert_allclose(
            flat(values_of(model.trainable_variables)), expected, rtol=1e-4, atol=1e-5
        )
    assert_equal_states(
        state_of(model), {name: ops.convert_to_numpy(x) for name, x in state.items()}
    )


@pytest.mark.parametrize("make", STATEFUL.values(), ids=STATEFUL)
def test_step_that_is_not_finite_leaves_the_state(make):
    model = toy(make())
    first, second = batches(2)
    train(model, first)
    before = state_of(model)
    second["first"][0] = np.nan
    with pytest.warns(UserWarning, match="NaN"):
        train(model, second)
    assert_equal_states(state_of(model), before)


def multi_task_model(harmonizer):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    x = keras.layers.Dense(3)(inputs)
    outputs = {name: keras.layers.Dense(1, name=name)(x) for name in ("a", "b")}
    model = MultiTaskModel(inputs, outputs)
    model.compile("sgd", "mse", metrics={"a": "mae"}, harmonizer=harmonizer)
    return model


def multi_task_data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 3)).astype("float32")
    return x, {name: rng.normal(size=(16, 1)).astype("float32") for name in ("a", "b")}


@pytest.mark.parametrize("make", STATEFUL.values(), ids=STATEFUL)
def test_saved_model_resumes_with_its_state(make, tmp_path):
    model = multi_task_model(make())
    x, y = multi_task_data()
    model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    with_weights = multi_task_model(make())
    model.save_weights(tmp_path / "model.weights.h5")
    with_weights.load_weights(tmp_path / "model.weights.h5")
    assert any(np.any(value) for value in state_of(model).values())
    for other in (again, with_weights):
        assert_equal_states(state_of(other), state_of(model))
    for each in (model, again):
        each.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    np.testing.assert_allclose(
        flat(values_of(again.weights)), flat(values_of(model.weights)), atol=1e-6
    )


def test_checkpoint_restores_the_state(tmp_path):
    make = STATEFUL["crmogm"]
    x, y = multi_task_data()
    model = multi_task_model(make())
    checkpoint = RunCheckpoint(tmp_path / "checkpoints", every_steps=1)
    model.fit(x, y, batch_size=4, verbose=0, shuffle=False, callbacks=[checkpoint])
    again = multi_task_model(make())
    RunCheckpoint(tmp_path / "checkpoints", every_steps=1).restore(again)
    assert_equal_states(state_of(again), state_of(model))
    assert int(again.num_steps) == 4


def test_compile_starts_with_a_new_state():
    model = toy(STATEFUL["crmogm"]())
    initial = state_of(model)
    train(model, *batches(2))
    model.compile("sgd", STATEFUL["crmogm"]())
    assert_equal_states(state_of(model), initial)


def test_weights_saved_with_another_harmonizer_load(tmp_path):
    model = multi_task_model(STATEFUL["crmogm"]())
    model.fit(*multi_task_data(), verbose=0)
    model.save_weights(tmp_path / "model.weights.h5")
    for harmonizer in ("sum", STATEFUL["sdmgrad"]()):
        again = multi_task_model(harmonizer)
        initial = state_of(again)
        again.load_weights(tmp_path / "model.weights.h5")
        assert_equal_states(state_of(again), initial)
        np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize("settings", [{"num_groups": 2}, {"compare": "features"}])
def test_state_needs_one_gram_matrix_per_step(settings):
    with pytest.raises(ValueError, match="one Gram matrix"):
        toy(STATEFUL["crmogm"](), **settings)
