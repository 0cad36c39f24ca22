"""Fine-tuning clips the backbone's gradients together and leaves the head's alone."""

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt.training import FineTuningSGD, fine_tuning_optimizer
from tests.golden_files import golden_arrays
from tests.models.tiny import tiny_backbone

RATE, MOMENTUM, LIMIT = 0.1, 0.9, 0.1
BATCHES = 4


def batches():
    random = np.random.default_rng(0)
    return [
        (random.normal(size=(8, 3)), random.normal(size=(8, 2))) for _ in range(BATCHES)
    ]


def linear_model(optimizer, **compile_arguments):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, use_bias=False, name="first"),
            keras.layers.Dense(4, use_bias=False, name="second"),
            keras.layers.Dense(2, use_bias=False, name="classifier"),
        ]
    )
    random = np.random.default_rng(1)
    model.set_weights([0.5 * random.normal(size=w.shape) for w in model.weights])
    model.compile(optimizer=optimizer, loss="mse", **compile_arguments)
    return model


def gradients_by_hand(weights, x, y):
    """Of the mean squared error of `x @ first @ second @ classifier`, in float64."""
    first, second, head = weights
    a = x @ first
    b = a @ second
    error = 2 * (b @ head - y) / y.size
    to_b = error @ head.T
    return [x.T @ (to_b @ second.T), a.T @ to_b, b.T @ error]


def weights_by_hand(weights, rate=lambda step: RATE):
    weights = [w.astype("float64") for w in weights]
    velocities = [np.zeros_like(w) for w in weights]
    was_clipped = []
    for step, (x, y) in enumerate(batches()):
        grads = gradients_by_hand(weights, x, y)
        norm = np.sqrt(sum(np.sum(g**2) for g in grads[:2]))
        was_clipped.append(norm > LIMIT)
        grads[:2] = [g * min(1, LIMIT / norm) for g in grads[:2]]
        for i, grad in enumerate(grads):
            velocities[i] = MOMENTUM * velocities[i] - rate(step) * grad
            weights[i] = weights[i] + velocities[i]
    assert any(was_clipped)
    return weights


def assert_weights(model, expected, rtol=2e-4):
    for actual, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=rtol, atol=1e-5)


@pytest.mark.parametrize("eager", [False, True])
def test_steps_are_those_of_the_formula(eager):
    optimizer = FineTuningSGD(RATE, backbone_clipnorm=LIMIT)
    model = linear_model(optimizer, run_eagerly=eager)
    expected = weights_by_hand(model.get_weights())
    for x, y in batches():
        model.train_on_batch(x, y)
    assert_weights(model, expected)


def test_the_schedule_is_followed():
    optimizer = fine_tuning_optimizer(
        0.1, total_steps=4, warmup_steps=2, backbone_clipnorm=LIMIT
    )
    model = linear_model(optimizer)
    expected = weights_by_hand(
        model.get_weights(), rate=lambda step: (0.0, 0.05, 0.1, 0.05)[step]
    )
    for x, y in batches():
        model.train_on_batch(x, y)
    assert_weights(model, expected)


def test_gradients_small_enough_are_left_alone():
    model = linear_model(FineTuningSGD(RATE, backbone_clipnorm=1e3))
    plain = linear_model(keras.optimizers.SGD(RATE, MOMENTUM))
    for x, y in batches():
        model.train_on_batch(x, y)
        plain.train_on_batch(x, y)
    assert_weights(model, plain.get_weights())


@pytest.mark.parametrize("scaling", ["wrapped", "factor"])
@pytest.mark.parametrize("given", ["with variables", "without"])
def test_scaled_gradients_are_clipped_by_their_true_size(scaling, given):
    scale = 1024.0
    optimizer = inner = FineTuningSGD(RATE, backbone_clipnorm=LIMIT)
    if scaling == "wrapped":
        if keras.config.backend() == "jax":
            pytest.skip("Keras' LossScaleOptimizer has no stateful `apply` on JAX")
        optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=scale)
    else:
        inner.loss_scale_factor = scale
    model = linear_model("sgd")
    expected = weights_by_hand(model.get_weights())
    variables = model.trainable_variables
    optimizer.build(variables)
    for x, y in batches():
        by_hand = gradients_by_hand(model.get_weights(), x, y)
        grads = [keras.ops.convert_to_tensor(scale * g, "float32") for g in by_hand]
        optimizer.apply(grads, variables if given == "with variables" else None)
    assert_weights(model, expected)


def test_a_wrapped_optimizer_trains_a_compiled_model():
    optimizer = keras.optimizers.LossScaleOptimizer(
        FineTuningSGD(RATE, backbone_clipnorm=LIMIT), initial_scale=256.0
    )
    model = linear_model(optimizer)
    expected = weights_by_hand(model.get_weights())
    for x, y in batches():
        model.train_on_batch(x, y)
    assert_weights(model, expected)


def test_a_model_saved_in_between_goes_on_as_if_never_saved(tmp_path):
    optimizer = fine_tuning_optimizer(0.1, total_steps=4, backbone_clipnorm=LIMIT)
    whole, half = (
        linear_model(type(optimizer).from_config(optimizer.get_config()))
        for _ in range(2)
    )
    for x, y in batches():
        whole.train_on_batch(x, y)
    for x, y in batches()[:2]:
        half.train_on_batch(x, y)
    half.save(tmp_path / "half.keras")
    again = keras.saving.load_model(tmp_path / "half.keras")
    assert type(again.optimizer) is FineTuningSGD
    assert again.optimizer.get_config() == half.optimizer.get_config()
    for x, y in batches()[2:]:
        again.train_on_batch(x, y)
    assert_weights(again, whole.get_weights(), rtol=1e-6)


@pytest.mark.parametrize("form", ["agnostic", "specific"])
def test_of_a_vatt_classifier_all_but_the_last_layer_is_backbone(form):
    backbone = tiny_backbone(form, modalities=("audio",))
    model = keras_vatt.VATTAudioClassifier(backbone, num_classes=3)
    optimizer = FineTuningSGD(1.0, momentum=0.0)
    variables = model.trainable_variables
    before = [keras.ops.convert_to_numpy(v) for v in variables]
    optimizer.build(variables)
    optimizer.apply([keras.ops.ones(v.shape) for v in variables])
    changes = {
        v.path: old - keras.ops.convert_to_numpy(v)
        for v, old in zip(variables, before, strict=True)
    }
    head = {path: c for path, c in changes.items() if "/classifier/" in path}
    assert len(head) == 2
    for change in head.values():
        np.testing.assert_allclose(change, 1.0, rtol=1e-5)
    others = [c for path, c in changes.items() if path not in head]
    norm = np.sqrt(sum(np.sum(c.astype("float64") ** 2) for c in others))
    assert norm == pytest.approx(0.75, rel=1e-3)


def test_variables_without_a_gradient_do_not_count():
    model = linear_model("sgd")
    optimizer = FineTuningSGD(RATE, momentum=0.0, backbone_clipnorm=LIMIT)
    before = model.get_weights()
    optimizer.build(model.trainable_variables)
    first, second, head = (np.ones(w.shape, "float32") for w in before)
    with pytest.warns(UserWarning, match="second"):
        optimizer.apply([keras.ops.convert_to_tensor(first), None, head])
    expected = [before[0] - RATE * LIMIT / np.sqrt(12), before[1], before[2] - RATE]
    assert_weights(model, expected)


def test_the_learning_rate_is_the_original_one():
    numbers = golden_arrays("schedules.npz")
    rate = fine_tuning_optimizer()._learning_rate
    actual = [float(rate(int(step))) for step in numbers["finetune_steps"]]
    np.testing.assert_allclose(actual, numbers["finetune"], rtol=1e-4, atol=1e-8)


def test_a_shorter_training_warms_up_as_much_shorter():
    rate = fine_tuning_optimizer(total_steps=400)._learning_rate
    assert float(rate(5)) == pytest.approx(2.5e-3)
    assert float(rate(10)) == pytest.approx(5e-3)


@pytest.mark.parametrize(
    "arguments",
    [
        {"clipnorm": 1.0},
        {"global_clipnorm": 1.0},
        {"clipvalue": 1.0},
        {"gradient_accumulation_steps": 2},
        {"backbone_clipnorm": 0.0},
    ],
)
def test_what_would_clip_otherwise_is_refused(arguments):
    with pytest.raises(ValueError, match="backbone_clipnorm"):
        FineTuningSGD(**arguments)
    if arguments != {"backbone_clipnorm": 0.0}:
        FineTuningSGD(**arguments, backbone_clipnorm=None)
