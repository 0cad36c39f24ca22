"""Each option of Keras' `compile` and optimizers works with the harmonized step."""

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt import harmonization as h
from tests.models.tiny import tiny_batch, tiny_vatt
from tests.training.steps import flat, model_with, train, update_of, values_of

BACKEND = keras.config.backend()
HARMONIZERS = pytest.mark.parametrize(
    "harmonizer", [pytest.param(None, marks=pytest.mark.once), "realign"]
)
BATCHES = [tiny_batch(seed=seed) for seed in range(4)]
RATE = 0.1
MODEL = tiny_vatt("flat")


def sgd(**options):
    return keras.optimizers.SGD(RATE, **options)


def weights_after_fit(optimizer="sgd", **compile_arguments):
    """Flat weights after one epoch of `fit` over the batches, unshuffled."""
    model = model_with(optimizer, **compile_arguments)
    merged = {name: np.concatenate([b[name] for b in BATCHES]) for name in BATCHES[0]}
    model.fit(merged, batch_size=8, shuffle=False, verbose=0)
    return flat(values_of(model.trainable_variables))


@HARMONIZERS
@pytest.mark.parametrize(
    "options",
    [
        {"run_eagerly": True},
        {"steps_per_execution": 2},
        {"jit_compile": False},
        {"jit_compile": True},
    ],
    ids=str,
)
def test_how_steps_run_does_not_change_what_they_do(harmonizer, options):
    if BACKEND == "torch" and "steps_per_execution" in options:
        with pytest.raises(ValueError, match="must be 1 with the PyTorch backend"):
            weights_after_fit(harmonizer=harmonizer, **options)
        return
    if BACKEND == "torch" and options.get("jit_compile"):
        pytest.skip("torch.compile needs a C++ compiler, which a user may not have")
    options = {"run_eagerly": False} | options
    expected = weights_after_fit(harmonizer=harmonizer, run_eagerly=BACKEND != "jax")
    actual = weights_after_fit(harmonizer=harmonizer, **options)
    # Compilers round differently, and four steps amplify it; another step would be
    # as far away as the steps went.
    start = flat(values_of(model_with().trainable_variables))
    assert np.linalg.norm(actual - expected) < 0.02 * np.linalg.norm(expected - start)


def applied_gradients(harmonizer):
    """The combined gradient of the first batch, one array a variable, and weights."""
    model = model_with(keras.optimizers.SGD(1.0), harmonizer=harmonizer)
    weights = values_of(model.trainable_variables)
    gradient = update_of(model, BATCHES[0])
    cuts = np.cumsum([weight.size for weight in weights])[:-1]
    return np.split(gradient, cuts), [w.reshape(-1).astype("float64") for w in weights]


def weights_after_step(optimizer, harmonizer, num_steps=1):
    model = model_with(optimizer, harmonizer=harmonizer)
    train(model, *BATCHES[:num_steps])
    return values_of(model.trainable_variables)


def assert_weights(actual, expected):
    np.testing.assert_allclose(flat(actual), flat(expected), rtol=1e-4, atol=1e-5)


@HARMONIZERS
def test_clipnorm_clips_the_combined_gradient_of_each_variable(harmonizer):
    gradients, weights = applied_gradients(harmonizer)
    expected = [
        w - RATE * g * min(1, 0.01 / max(np.linalg.norm(g), 1e-30))
        for w, g in zip(weights, gradients, strict=True)
    ]
    assert_weights(weights_after_step(sgd(clipnorm=0.01), harmonizer), expected)


@HARMONIZERS
def test_global_clipnorm_clips_the_combined_gradient(harmonizer):
    gradients, weights = applied_gradients(harmonizer)
    factor = min(1, 0.5 / np.linalg.norm(np.concatenate(gradients)))
    assert factor < 1
    expected = [w - RATE * factor * g for w, g in zip(weights, gradients, strict=True)]
    assert_weights(weights_after_step(sgd(global_clipnorm=0.5), harmonizer), expected)


@HARMONIZERS
def test_weight_decay_is_not_part_of_the_gradients(harmonizer):
    gradients, weights = applied_gradients(harmonizer)
    expected = [
        w * (1 - RATE * 0.2) - RATE * g for w, g in zip(weights, gradients, strict=True)
    ]
    assert_weights(weights_after_step(sgd(weight_decay=0.2), harmonizer), expected)


@HARMONIZERS
def test_moving_average_of_the_weights(harmonizer):
    model = model_with(sgd(use_ema=True, ema_momentum=0.75), harmonizer=harmonizer)
    history = [flat(values_of(model.trainable_variables))]
    for batch in BATCHES[:2]:
        train(model, batch)
        history.append(flat(values_of(model.trainable_variables)))
    # Keras starts the average with the first weights that a step gives.
    expected = 0.75 * history[1] + 0.25 * history[2]
    averages = model.optimizer._model_variables_moving_average
    np.testing.assert_allclose(flat(values_of(averages)), expected, atol=1e-5)


@HARMONIZERS
def test_accumulated_gradients_are_the_mean_of_harmonized_ones(harmonizer):
    start = flat(values_of(model_with(harmonizer=harmonizer).trainable_variables))
    still = model_with(keras.optimizers.SGD(0.0), harmonizer=harmonizer)
    assert flat(values_of(still.trainable_variables)).tolist() == start.tolist()
    # Batch norm normalizes with the batch, so no step depends on the one before.
    gradients = []
    for batch in BATCHES[:2]:
        model = model_with(keras.optimizers.SGD(1.0), harmonizer=harmonizer)
        gradients.append(update_of(model, batch))
    expected = start - RATE * (gradients[0] + gradients[1]) / 2
    optimizer = sgd(gradient_accumulation_steps=2)
    model = model_with(optimizer, harmonizer=harmonizer)
    train(model, BATCHES[0])
    np.testing.assert_array_equal(flat(values_of(model.trainable_variables)), start)
    train(model, BATCHES[1])
    actual = flat(values_of(model.trainable_variables))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_a_skipped_step_is_not_accumulated():
    model = model_with(sgd(gradient_accumulation_steps=2), harmonizer=h.Curriculum(1.0))
    before = values_of(model.optimizer.variables)
    train(model, *BATCHES[:2])
    for old, new in zip(before, values_of(model.optimizer.variables), strict=True):
        np.testing.assert_array_equal(old, new)


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="metrics"):
        model_with(metrics=["accuracy"])


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "symmetric_nce"},
        {"loss": keras.losses.MeanSquaredError()},
        {"loss_weights": {"video_audio": np.nan}},
        {"loss_weights": {"video_audio": np.inf}},
        {"loss_weights": {"video_audio": -1.0}},
        {"loss_weights": {"video_audio": "1"}},
        {"loss_weights": {"audio_video": 1.0}},
        {"loss_weights": [1.0, 1.0]},
    ],
    ids=lambda options: "-".join(options),
)
def test_losses_and_weights_that_have_no_meaning_are_refused(options):
    with pytest.raises(ValueError, match="`loss"):
        MODEL.compile(**options)


@pytest.mark.parametrize(
    "make",
    [
        lambda: h.CAGrad(c=np.nan),
        lambda: h.CAGrad(c=np.inf),
        lambda: h.GradVac(target=np.nan),
        lambda: h.Curriculum(np.nan),
        lambda: h.LinearThreshold(np.nan, 0.0),
        lambda: h.LinearThreshold(steps=np.nan),
        lambda: keras_vatt.training.warmup_cosine(peak=np.nan),
        lambda: keras_vatt.training.warmup_cosine(end=np.nan),
        lambda: keras_vatt.training.FineTuningSGD(backbone_clipnorm=np.nan),
        lambda: keras_vatt.training.Mixup(alpha=np.nan),
        lambda: keras_vatt.layers.DropToken(10, keep_rate=np.nan),
        lambda: keras_vatt.layers.SeededDropout(np.nan),
        lambda: keras_vatt.losses.SoftmaxCrossentropy(label_smoothing=np.nan),
    ],
)
def test_options_that_are_no_numbers_are_refused(make):
    with pytest.raises(ValueError, match="nan|inf|NaN"):
        make()
