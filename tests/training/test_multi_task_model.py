"""A `MultiTaskModel` trains as `keras.Model` does, and harmonizes the gradients."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization
from keras_vatt.training import MultiTaskModel
from tests.training.steps import values_of

BACKEND = keras.config.backend()
SAMPLES = 8


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


def images(count=SAMPLES):
    return np.random.default_rng(0).random((count, 6), "float32")


def targets(count=SAMPLES):
    digits = np.random.default_rng(1).integers(4, size=count)
    return {"odd": (digits % 2)[:, None], "digit": digits}


def sample_weights(count=SAMPLES):
    rng = np.random.default_rng(2)
    return {name: rng.random(count).astype("float32") for name in ("odd", "digit")}


def losses(reduction="sum_over_batch_size"):
    return {
        "digit": keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction=reduction
        ),
        "odd": keras.losses.BinaryCrossentropy(from_logits=True, reduction=reduction),
    }


class AddsLoss(keras.layers.Layer):
    def call(self, x):
        self.add_loss(0.1 * ops.mean(ops.square(x)))
        return x


def outputs_of(inputs, regularized=False):
    l2 = keras.regularizers.L2(0.1) if regularized else None
    x = keras.layers.Dense(
        5, activation="tanh", kernel_regularizer=l2, activity_regularizer=l2
    )(inputs)
    if regularized:
        x = AddsLoss()(x)
    digit = keras.layers.Dense(4, name="digit", kernel_regularizer=l2)(x)
    return {"odd": keras.layers.Dense(1, name="odd")(x), "digit": digit}


def model_of(cls, structure=dict, **arguments):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6,))
    outputs = outputs_of(inputs, **arguments)
    return cls(inputs, outputs if structure is dict else list(outputs.values()))


def compiled(cls=MultiTaskModel, model=None, **arguments):
    model = model or model_of(cls)
    arguments.setdefault("loss", losses())
    arguments.setdefault("optimizer", keras.optimizers.SGD(0.5))
    model.compile(run_eagerly=BACKEND == "tensorflow", **arguments)
    return model


def weights_after_fit(model, x, y, **arguments):
    history = model.fit(x, y, verbose=0, shuffle=False, **arguments).history
    return history, np.concatenate([v.ravel() for v in values_of(model.weights)])


def assert_trains_like_keras(make, x, y, compile_args, settings, **fit_args):
    """Compares two epochs of `keras.Model` and of `MultiTaskModel`."""
    ran = {}
    for cls, own in ((keras.Model, {}), (MultiTaskModel, settings)):
        model = compiled(model=make(cls), **compile_args, **own)
        ran[cls] = weights_after_fit(model, x, y, epochs=2, **fit_args)
    (expected_logs, expected), (logs, weights) = ran[keras.Model], ran[MultiTaskModel]
    np.testing.assert_allclose(weights, expected, atol=2e-5)
    assert expected_logs.keys() <= logs.keys()
    for name, values in expected_logs.items():
        np.testing.assert_allclose(logs[name], values, rtol=1e-4, atol=1e-5)


SETTINGS = {
    "plain": {},
    "sum": {"harmonizer": "sum"},
    "sum-groups": {"harmonizer": "sum", "num_groups": 2},
    "sum-anchors": {"harmonizer": "sum", "num_groups": 2, "group_by": "anchors"},
    "sum-features": {
        "harmonizer": "sum",
        "compare": "features",
        "num_groups": "per_clip",
    },
    "never-skips": {"harmonizer": harmonization.Curriculum(-1.0), "num_groups": 2},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("regularized", [False, True])
def test_plain_sum_trains_like_keras(settings, regularized):
    x, y = images(), targets()
    assert_trains_like_keras(
        lambda cls: model_of(cls, regularized=regularized),
        x,
        y,
        {
            "loss_weights": {"digit": 0.5, "odd": 2.0},
            "metrics": {"digit": "accuracy"},
            "weighted_metrics": {"odd": "mse"},
        },
        settings,
        sample_weight=sample_weights(),
        validation_data=(x, y),
        batch_size=4,
    )


@pytest.mark.skipif(BACKEND == "tensorflow", reason="Keras weighs batches equally")
def test_logs_weigh_the_batches_by_their_sizes():
    assert_trains_like_keras(
        lambda cls: model_of(cls, regularized=True),
        images(),
        targets(),
        {},
        {"harmonizer": "sum"},
        batch_size=5,
    )


@pytest.mark.parametrize("settings", ["plain", "sum-groups"])
@pytest.mark.parametrize("reduction", ["sum", "mean", "mean_with_sample_weight"])
def test_reductions_are_those_of_keras(reduction, settings):
    assert_trains_like_keras(
        model_of,
        images(),
        targets(),
        {"loss": losses(reduction)},
        SETTINGS[settings],
        sample_weight=sample_weights(),
    )


def squared_error(y_true, y_pred):
    return ops.square(y_pred - ops.cast(y_true, y_pred.dtype))


def three_outputs(cls):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6,))
    outputs = outputs_of(inputs)
    extra = keras.layers.Dense(2, name="extra")(outputs["digit"])
    return cls(inputs, {"extra": extra, **outputs})


@pytest.mark.parametrize("extra", ["absent", "given"])
def test_outputs_without_a_loss_are_those_of_keras(extra):
    y, loss = targets(), losses()
    if extra == "given":
        y["extra"] = np.zeros((SAMPLES, 2), "float32")
        loss["extra"] = None
    arguments = {"validation_data": (images(), y)}
    assert_trains_like_keras(
        three_outputs, images(), y, {"loss": loss}, {"harmonizer": "sum"}, **arguments
    )


STRUCTURES = {
    "list of losses": (list(losses().values())[::-1], list),
    "dict for a list of outputs": (losses(), dict),
    "one loss for all": ("mse", list),
    "a function": ({"digit": losses()["digit"], "odd": squared_error}, dict),
    "two losses of an output": (["mse", losses()["digit"]], list),
}


@pytest.mark.parametrize(("loss", "kind"), STRUCTURES.values(), ids=STRUCTURES)
def test_losses_and_targets_of_any_structure_are_those_of_keras(loss, kind):
    y = targets()
    if loss == "mse":
        y["digit"] = np.eye(4)[y["digit"]]
    y = y if kind is dict else [y["odd"], y["digit"]]
    assert_trains_like_keras(
        lambda cls: model_of(cls, structure=list),
        images(),
        y,
        {"loss": loss},
        {"harmonizer": "sum"},
    )


def masked_model(cls):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((5,), dtype="int32")
    x = keras.layers.Embedding(7, 4, mask_zero=True)(inputs)
    x = keras.layers.LSTM(3, return_sequences=True)(x)
    outputs = {name: keras.layers.Dense(3, name=name)(x) for name in ("tag", "part")}
    return cls(inputs, outputs)


@pytest.mark.parametrize("settings", ["plain", "sum", "sum-groups"])
def test_masks_of_outputs_reach_the_losses(settings):
    rng = np.random.default_rng(0)
    x = rng.integers(7, size=(SAMPLES, 5))
    y = {name: rng.integers(3, size=(SAMPLES, 5)) for name in ("tag", "part")}

    def loss(ignored=None):
        return keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, ignore_class=ignored
        )

    assert_trains_like_keras(
        masked_model,
        x,
        y,
        {"loss": {"tag": loss(), "part": loss(ignored=1)}},
        SETTINGS[settings],
    )


def test_masks_of_outputs_reach_the_metrics_of_training():
    rng = np.random.default_rng(0)
    x = rng.integers(7, size=(SAMPLES, 5))
    y = {name: rng.integers(3, size=(SAMPLES, 5)) for name in ("tag", "part")}
    model = masked_model(MultiTaskModel)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.SGD(0.0), loss, metrics={"tag": "accuracy"}, harmonizer="sum"
    )
    history, _ = weights_after_fit(model, x, y)
    right = np.argmax(model.predict(x, verbose=0)["tag"], axis=-1) == y["tag"]
    np.testing.assert_allclose(history["tag_accuracy"], [right[x != 0].mean()])


def test_class_weights_of_a_single_output_are_those_of_keras():
    def make(cls):
        keras.utils.set_random_seed(3)
        inputs = keras.Input((6,))
        return cls(inputs, keras.layers.Dense(4, name="digit")(inputs))

    assert_trains_like_keras(
        make,
        images(),
        targets()["digit"],
        {"loss": losses()["digit"]},
        {},
        class_weight={0: 1.0, 1: 3.0, 2: 0.5, 3: 1.0},
    )


def gradient_of(names, sample_weight=None):
    """Returns the gradient of some of the losses, from `keras.Model` and SGD."""
    model = model_of(keras.Model)
    weights = {name: float(name in names) for name in ("digit", "odd")}
    compiled(
        model=model,
        loss_weights=weights,
        optimizer=keras.optimizers.SGD(1.0),
    )
    before = np.concatenate([v.ravel() for v in values_of(model.trainable_variables)])
    weight = None if sample_weight is None else dict.fromkeys(weights, sample_weight)
    model.fit(images(), targets(), sample_weight=weight, epochs=1, verbose=0)
    after = np.concatenate([v.ravel() for v in values_of(model.trainable_variables)])
    return (before - after).astype("float64")


def update_of(**settings):
    model = compiled(optimizer=keras.optimizers.SGD(1.0), **settings)
    before = np.concatenate([v.ravel() for v in values_of(model.trainable_variables)])
    history = model.fit(images(), targets(), shuffle=False, verbose=0).history
    after = np.concatenate([v.ravel() for v in values_of(model.trainable_variables)])
    return before - after, {name: values[-1] for name, values in history.items()}


def realigned(digit, odd):
    """Algorithm 1, in float64."""
    product = digit @ odd
    if product >= 0:
        return digit + odd
    return digit - product / (odd @ odd) * odd + odd - product / (digit @ digit) * digit


@pytest.mark.parametrize("num_groups", [1, 2, 4])
@pytest.mark.parametrize("group_by", ["samples", "anchors"])
def test_update_is_that_of_independent_gradients(num_groups, group_by):
    expected = 0.0
    for own in np.split(np.eye(SAMPLES), num_groups):
        weight = own.sum(axis=0).astype("float32")
        pair = [gradient_of([name], weight) for name in ("digit", "odd")]
        expected = expected + realigned(*pair)
    update, _ = update_of(
        harmonizer="realign", num_groups=num_groups, group_by=group_by
    )
    np.testing.assert_allclose(update, expected, atol=1e-5)


def test_logs_of_the_gradients_are_those_of_independent_gradients():
    digit, odd = gradient_of(["digit"]), gradient_of(["odd"])
    _, logs = update_of(harmonizer="realign")
    norms = np.linalg.norm(digit), np.linalg.norm(odd)
    cosine = digit @ odd / np.prod(norms)
    np.testing.assert_allclose(logs["digit_gradient_norm"], norms[0], rtol=1e-4)
    np.testing.assert_allclose(logs["odd_gradient_norm"], norms[1], rtol=1e-4)
    np.testing.assert_allclose(logs["gradient_cosine"], cosine, atol=1e-5)
    assert logs["conflict_rate"] == float(cosine < 0)


def linear_model():
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(2, use_bias=False, name="shared")(inputs)
    outputs = {
        name: keras.layers.Dense(1, use_bias=False, name=name)(shared)
        for name in ("a", "b")
    }
    return MultiTaskModel(inputs, outputs)


def test_features_are_compared_sample_by_sample():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 3)).astype("float32")
    y = {name: rng.normal(size=(6, 1)).astype("float32") for name in ("a", "b")}
    model = linear_model()
    before = {v.path.split("/")[-2]: v.numpy() for v in model.trainable_variables}
    model.compile(
        keras.optimizers.SGD(1.0),
        loss="mse",
        harmonizer="realign",
        compare="features",
        num_groups="per_clip",
    )
    model.train_on_batch(x, y)
    after = {v.path.split("/")[-2]: v.numpy() for v in model.trainable_variables}

    features = x @ before["shared"]
    slopes = {n: 2 * (features @ before[n] - y[n]) / len(x) for n in y}
    cotangents = {n: slopes[n] * before[n].T for n in y}
    products = np.sum(cotangents["a"] * cotangents["b"], axis=-1)
    conflicts = np.minimum(products, 0)
    assert 0 < np.sum(conflicts < 0) < len(x)
    weights = {n: 1 - conflicts / np.sum(cotangents[n] ** 2, axis=-1) for n in y}
    rows = sum(weights[n][:, None] * cotangents[n] for n in y)
    np.testing.assert_allclose(
        before["shared"] - after["shared"], x.T @ rows, atol=1e-5
    )
    for n in y:
        head = features.T @ (weights[n][:, None] * slopes[n])
        np.testing.assert_allclose(before[n] - after[n], head, atol=1e-5)


class CountsPasses(keras.layers.Layer):
    """Counts how often the forward and the backward pass visit it."""

    def __init__(self):
        super().__init__()
        self.num_forward = self.num_backward = 0

    def call(self, x):
        if isinstance(x, keras.KerasTensor) or BACKEND == "jax":
            return x
        self.num_forward += 1
        return _COUNTED[BACKEND](self, x)

    def compute_output_shape(self, shape):
        return shape


def _counted_by_torch(counter, x):
    x = x * 1.0

    def count(gradient):
        counter.num_backward += 1

    if x.requires_grad:
        x.register_hook(count)
    return x


def _counted_by_tensorflow(counter, x):
    import tensorflow as tf

    @tf.custom_gradient
    def counted(x):
        def gradient(upstream):
            counter.num_backward += 1
            return upstream

        return tf.identity(x), gradient

    return counted(x)


_COUNTED = {"torch": _counted_by_torch, "tensorflow": _counted_by_tensorflow}


@pytest.mark.skipif(BACKEND == "jax", reason="JAX traces the backward pass; see below")
def test_each_layer_is_visited_once_for_each_loss_that_depends_on_it():
    inputs = keras.Input((6,))
    counters = {name: CountsPasses() for name in ("shared", "a", "b")}
    x = counters["shared"](keras.layers.Dense(4)(inputs))
    outputs = {
        name: keras.layers.Dense(1, name=name)(counters[name](x)) for name in ("a", "b")
    }
    model = MultiTaskModel(inputs, outputs)
    model.compile("sgd", loss="mse", harmonizer="upgrad", run_eagerly=True)
    y = {name: np.ones((SAMPLES, 1), "float32") for name in ("a", "b")}
    model.train_on_batch(images(), y)  # Keras builds metrics and losses once.
    for counter in counters.values():
        counter.num_forward = counter.num_backward = 0
    model.train_on_batch(images(), y)
    assert [c.num_forward for c in counters.values()] == [1, 1, 1]
    assert [c.num_backward for c in counters.values()] == [2, 1, 1]


@pytest.mark.skipif(BACKEND != "jax", reason="XLA's cost analysis is JAX's")
def test_layers_of_one_loss_cost_one_backward_pass_in_a_program_of_xla():
    import jax

    def flops(**settings):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((8,))
        x = keras.layers.Dense(8)(inputs)
        outputs = {}
        for name in ("a", "b", "c"):
            own = keras.layers.Dense(256, activation="relu")(x)
            own = keras.layers.Dense(256, activation="relu")(own)
            outputs[name] = keras.layers.Dense(1, name=name)(own)
        model = MultiTaskModel(inputs, outputs)
        model.compile("sgd", loss="mse", **settings)
        state = tuple(
            [v.value for v in variables]
            for variables in (
                model.trainable_variables,
                model.non_trainable_variables,
                model.optimizer.variables,
                model.metrics_variables,
            )
        )
        data = (np.ones((64, 8)), {name: np.ones((64, 1)) for name in outputs})
        step = jax.jit(model.train_step).lower(state, data).compile()
        return step.cost_analysis()["flops"]

    assert flops(harmonizer="sum") < 1.15 * flops()


def test_a_step_that_is_not_finite_is_skipped_and_counted():
    def fit(x, batches):
        model = compiled(harmonizer="upgrad")
        y = {name: values[:batches] for name, values in targets().items()}
        return weights_after_fit(model, x[:batches], y, batch_size=4)

    x = images()
    x[5] = np.nan
    history, weights = fit(x, 8)
    clean_history, expected = fit(images(), 4)
    np.testing.assert_array_equal(weights, expected)
    assert history["nonfinite_rate"] == history["skip_rate"] == [0.5]
    assert history["loss"] == clean_history["loss"]


def test_loss_scale_cancels_under_mixed_precision():
    def update(scale):
        keras.utils.set_random_seed(3)
        inputs = keras.Input((6,))
        model = MultiTaskModel(inputs, outputs_of(inputs, regularized=True))
        optimizer = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(1.0), initial_scale=scale
        )
        compiled(model=model, optimizer=optimizer, harmonizer="realign")
        model.train_on_batch(images(), targets())
        return np.concatenate([v.ravel() for v in values_of(model.trainable_variables)])

    np.testing.assert_allclose(update(1.0), update(1024.0), atol=1e-5)


def test_micro_batches_give_the_step_of_the_whole_batch():
    (expected, _), (update, _) = (
        update_of(harmonizer="upgrad", num_micro_batches=parts) for parts in (1, 4)
    )
    np.testing.assert_allclose(update, expected, atol=1e-6)


def test_saved_model_trains_on(tmp_path):
    settings = {"harmonizer": "realign", "num_groups": 2, "compare": "features"}
    model = compiled(optimizer="adam", metrics={"digit": "accuracy"}, **settings)
    model.fit(images(), targets(), verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(again, MultiTaskModel)
    assert isinstance(again.harmonizer, harmonization.Realignment)
    assert (again.num_groups, again.compare) == (2, "features")
    assert int(again.num_steps) == 1
    logs, weights = weights_after_fit(model, images(), targets())
    own_logs, own_weights = weights_after_fit(again, images(), targets())
    np.testing.assert_allclose(own_weights, weights, atol=1e-6)
    for name, values in logs.items():
        np.testing.assert_allclose(own_logs[name], values, rtol=1e-5)


def test_evaluation_and_prediction_are_those_of_keras():
    model, keras_model = compiled(harmonizer="upgrad"), compiled(keras.Model)
    keras_model.set_weights(model.get_weights())
    x, y = images(), targets()
    ours = model.evaluate(x, y, verbose=0, return_dict=True)
    theirs = keras_model.evaluate(x, y, verbose=0, return_dict=True)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-5)
    for name, value in keras_model.predict(x, verbose=0).items():
        np.testing.assert_array_equal(model.predict(x, verbose=0)[name], value)


def test_a_model_without_a_loss_is_refused():
    with pytest.raises(ValueError, match="needs a loss for its outputs"):
        model_of(MultiTaskModel).compile("sgd", harmonizer="upgrad")


def test_weights_of_unknown_losses_are_refused():
    with pytest.raises(ValueError, match="names of `loss`"):
        compiled(loss_weights={"digit": 1.0, "old": 2.0})


def test_a_harmonizer_needs_two_losses():
    model = model_of(MultiTaskModel)
    with pytest.raises(ValueError, match="at least two losses"):
        model.compile("sgd", {"digit": losses()["digit"]}, harmonizer="upgrad")
    with pytest.raises(ValueError, match="call `compile"):
        model.train_on_batch(images(), targets())


def test_a_loss_of_the_whole_batch_can_not_be_cut_into_groups():
    def whole(y_true, y_pred):
        return ops.mean(ops.square(y_pred))

    loss = {"digit": losses()["digit"], "odd": whole}
    compiled(loss=loss, harmonizer="upgrad").train_on_batch(images(), targets())
    model = compiled(loss=loss, harmonizer="upgrad", num_groups=2)
    with pytest.raises(ValueError, match="one value per sample"):
        model.train_on_batch(images(), targets())


def test_a_loss_without_reduction_is_refused():
    model = compiled(loss=losses(reduction=None) | {"odd": Unreduced()})
    with pytest.raises(ValueError, match="one number per batch"):
        model.train_on_batch(images(), targets())


class Unreduced(keras.losses.Loss):
    def __call__(self, y_true, y_pred, sample_weight=None):
        return ops.square(y_pred)[:, 0]


def test_losses_without_shared_layers_have_no_features():
    inputs = keras.Input((6,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("a", "b")}
    model = MultiTaskModel(inputs, outputs)
    with pytest.raises(ValueError, match="Here there are none"):
        model.compile("sgd", "mse", harmonizer="upgrad", compare="features")
    model.compile("sgd", "mse", harmonizer="upgrad")


def test_features_that_are_not_all_a_head_reads_are_refused():
    inputs = {"x": keras.Input((6,), name="x"), "age": keras.Input((1,), name="age")}
    shared = keras.layers.Dense(3)(inputs["x"])
    both = keras.layers.Concatenate()([shared, inputs["age"]])
    outputs = {
        "a": keras.layers.Dense(1, name="a")(shared),
        "b": keras.layers.Dense(1, name="b")(both),
    }
    model = MultiTaskModel(inputs, outputs)
    with pytest.raises(ValueError, match="read an input of the model"):
        model.compile("sgd", "mse", harmonizer="upgrad", compare="features")


def test_batch_normalization_in_micro_batches_is_refused():
    inputs = keras.Input((6,))
    x = keras.layers.BatchNormalization(name="statistics")(inputs)
    outputs = {name: keras.layers.Dense(1, name=name)(x) for name in ("a", "b")}
    model = MultiTaskModel(inputs, outputs)
    y = {name: np.ones((SAMPLES, 1), "float32") for name in ("a", "b")}
    model.compile("sgd", "mse", harmonizer="upgrad")
    model.train_on_batch(images(), y)
    model.compile("sgd", "mse", harmonizer="upgrad", num_micro_batches=2)
    with pytest.raises(ValueError, match="statistics"):
        model.train_on_batch(images(), y)


def test_frozen_layers_leave_nothing_shared_to_compare():
    model = model_of(MultiTaskModel)
    model.layers[1].trainable = False
    compiled(model=model, harmonizer="upgrad", harmonized_variables="shared")
    with pytest.raises(ValueError, match="no variable that all losses depend on"):
        model.fit(images(), targets(), verbose=0)


def test_layer_that_assigns_a_trained_weight_is_refused():
    inputs = keras.Input((6,))
    x = keras.layers.SpectralNormalization(keras.layers.Dense(4))(inputs)
    outputs = {name: keras.layers.Dense(1, name=name)(x) for name in ("a", "b")}
    model = MultiTaskModel(inputs, outputs)
    model.compile("sgd", "mse", harmonizer="sum")
    y = {name: np.ones((SAMPLES, 1), "float32") for name in outputs}
    with pytest.raises(ValueError, match="SpectralNormalization"):
        model.fit(images(), y, verbose=0)


class OwnLoss(MultiTaskModel):
    def compute_loss(self, *args, **kwargs):
        return 2 * super().compute_loss(*args, **kwargs)


def test_loss_that_training_would_not_call_is_refused():
    with pytest.raises(ValueError, match="does not call `compute_loss`"):
        compiled(model=model_of(OwnLoss))


def test_missing_targets_are_named():
    with pytest.raises(ValueError, match=r"missing: \['odd'\]"):
        compiled().fit(images(), {"digit": targets()["digit"]}, verbose=0)


def test_batches_that_can_not_be_cut_are_refused_before_training():
    model = compiled(harmonizer="upgrad", num_groups=4)
    with pytest.raises(ValueError, match="multiple of `num_groups`"):
        model.fit(images(), targets(), batch_size=6, verbose=0)
    assert int(model.num_steps) == 0


def test_names_are_those_of_the_numbers_of_a_batch():
    model = compiled(harmonizer="upgrad", metrics={"digit": "accuracy"})
    numbers = model.train_on_batch(images(), targets())
    logs = model.train_on_batch(images(), targets(), return_dict=True)
    assert set(model.metrics_names) - {"compile_metrics"} <= set(logs)
    assert len(numbers) == len(logs)


def test_weights_that_were_frozen_after_compile_are_refused():
    model = compiled(harmonizer="upgrad")
    model.layers[1].trainable = False
    with pytest.raises(ValueError, match="call `compile` again"):
        model.fit(images(), targets(), verbose=0)
    compiled(model=model, harmonizer="upgrad").fit(images(), targets(), verbose=0)
