"""Options of probes, their windows, and their independence of the test set."""

import keras
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keras_vatt.evaluation import linear_probe
from keras_vatt.evaluation._bottleneck_probe import _ShuffledBatches, bottleneck_probe


def _features(num_clips=60, num_classes=3, dim=6, distance=3.0, seed=0, windows=None):
    generator = np.random.default_rng(seed)
    labels = np.arange(num_clips) % num_classes
    centres = distance * np.eye(dim)[labels]
    if windows is None:
        return centres + generator.normal(size=(num_clips, dim)), labels
    noise = generator.normal(size=(num_clips, windows, dim))
    return centres[:, None] + noise, labels


SETTINGS = {
    "logistic_regression": {"regularization": 1.0},
    "vatt": {"epochs": 40, "batch_size": 20},
    "svm": {},
}


@pytest.mark.parametrize("method", SETTINGS)
def test_separate_classes_are_told_apart(method):
    train, train_labels = _features(distance=6.0)
    test, test_labels = _features(distance=6.0, seed=1, windows=4)
    result = linear_probe(
        train, train_labels, test, test_labels, method, **SETTINGS[method]
    )
    assert result.method == method
    assert result.probabilities.shape == (60, 3)
    assert result.metrics.top_1 > 0.95
    assert result.metrics.num_examples == 60


@pytest.mark.parametrize("method", ["logistic_regression", "vatt"])
def test_probabilities_are_averaged_over_windows(method):
    train, labels = _features()
    windows, _ = _features(seed=1, windows=2)
    settings = {"method": method} | SETTINGS[method]
    together = linear_probe(train, labels, windows, labels, **settings)
    apart = [
        linear_probe(train, labels, windows[:, w], labels, **settings).probabilities
        for w in range(2)
    ]
    expected = np.mean(apart, axis=0)
    np.testing.assert_allclose(together.probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(together.probabilities.sum(axis=1), 1, atol=1e-5)


def test_features_are_standardized_by_the_train_set():
    train, labels = _features()
    train *= [1, 10, 100, 1, 1, 0.1]
    test, _ = _features(seed=1)
    result = linear_probe(train, labels, test, labels, regularization=0.5)

    mean, deviation = train.mean(axis=0), train.std(axis=0)
    expected = _logistic_regression(
        (train - mean) / deviation, labels, (test - mean) / deviation, 0.5
    )
    np.testing.assert_allclose(result.probabilities, expected, atol=5e-3)


def _logistic_regression(train, labels, test, regularization):
    """Probabilities at the minimum of the penalized loss in float64."""

    def logits(weights, features):
        kernel, bias = weights[:-3].reshape(-1, 3), weights[-3:]
        return features @ kernel + bias

    def loss(weights):
        logs = log_softmax(logits(weights, train), axis=1)
        likelihood = logs[np.arange(len(labels)), labels].sum()
        return (weights[:-3] ** 2).sum() / 2 - regularization * likelihood

    weights = minimize(loss, np.zeros(3 * train.shape[1] + 3), tol=1e-10).x
    return np.exp(log_softmax(logits(weights, test), axis=1))


def test_the_regularization_is_chosen_without_the_test_set():
    train, labels = _features(distance=1.0)
    test, test_labels = _features(distance=1.0, seed=1)
    result = linear_probe(train, labels, test, test_labels)
    other = linear_probe(train, labels, test[::-1], np.zeros(60, int))
    assert result.regularization == other.regularization
    np.testing.assert_allclose(result.probabilities, other.probabilities[::-1])
    given = linear_probe(
        train, labels, test, test_labels, regularization=result.regularization
    )
    np.testing.assert_allclose(result.probabilities, given.probabilities)


def test_the_regularization_has_the_best_cross_validated_accuracy():
    train, labels = _features(num_clips=40, num_classes=2, distance=1.0)
    result = linear_probe(train, labels, train, labels, seed=3)
    folds = StratifiedKFold(5, shuffle=True, random_state=3)
    accuracies = {}
    for power in range(-5, 3):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=10.0**power))
        accuracies[10.0**power] = cross_val_score(model, train, labels, cv=folds).mean()
    assert len(set(accuracies.values())) > 1
    assert result.regularization == max(accuracies, key=accuracies.get)


def test_the_authors_probe_is_built_as_they_do():
    model = bottleneck_probe(num_classes=7, seed=1)
    model.build((None, 12))
    bottleneck, dropout, head = model.layers
    assert bottleneck.units == 128
    assert bottleneck.activation is keras.activations.linear
    for layer in (bottleneck, head):
        assert isinstance(layer.kernel_initializer, keras.initializers.GlorotNormal)
    assert dropout.rate == 0.9
    assert head.units == 7
    assert head.activation is keras.activations.softmax
    assert float(head.kernel_regularizer.l2) == pytest.approx(0.1)
    assert head.bias_regularizer is None
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    assert float(model.optimizer.learning_rate) == pytest.approx(5e-4)


def test_each_epoch_has_every_clip_once_in_another_order():
    batches = _ShuffledBatches(np.arange(10), np.arange(10), 4, epochs=3, seed=1)
    assert [len(batches[index][0]) for index in range(9)] == [4, 4, 2] * 3
    epochs = [
        np.concatenate([batches[index][1] for index in range(start, start + 3)])
        for start in (0, 3, 6)
    ]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_penalty_is_in_the_loss():
    model = bottleneck_probe(num_classes=3, seed=1)
    features, labels = _features()
    features = features.astype("float32")
    loss = model.evaluate(features, labels, verbose=0)
    hidden, bias, kernel, head_bias = model.get_weights()
    logits = (features @ hidden + bias) @ kernel + head_bias
    logs = log_softmax(logits, axis=1)
    expected = -logs[np.arange(60), labels].mean() + 0.1 * (kernel**2).sum()
    assert loss == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("method", SETTINGS)
def test_the_same_seed_gives_the_same_probe(method):
    train, labels = _features(distance=1.0)
    settings = {"method": method} | SETTINGS[method]
    results = []
    for _ in range(2):
        np.random.random()  # noqa: NPY002 - the global generator has no part in it.
        results.append(linear_probe(train, labels, train, labels, **settings))
    first, second = (result.probabilities for result in results)
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_another_seed_gives_another_bottleneck():
    train, labels = _features(distance=1.0)
    settings = {"method": "vatt", "epochs": 2}
    first, second = (
        linear_probe(train, labels, train, labels, seed=seed, **settings).probabilities
        for seed in (1, 2)
    )
    assert np.abs(first - second).max() > 1e-3


def test_a_probe_leaves_the_global_generator_alone():
    train, labels = _features()
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    linear_probe(train, labels, train, labels, method="vatt", epochs=1)
    assert np.random.random() == expected  # noqa: NPY002


@pytest.mark.parametrize("method", ["logistic_regression", "svm"])
def test_classes_that_were_not_trained_are_not_found(method):
    train, labels = _features()
    labels = np.array([0, 1, 3])[labels]
    test_labels = np.where(labels == 0, 2, labels)
    settings = {"method": method, "regularization": 1.0, "num_classes": 5}
    result = linear_probe(train, labels, train, test_labels, **settings)
    assert result.probabilities.shape == (60, 5)
    best = result.probabilities.argmax(axis=1)
    assert set(best) == {0, 1, 3}
    assert result.metrics.num_classes_without_positives == 2


def test_two_classes_have_margins_of_both_signs():
    train, labels = _features(num_classes=2, distance=6.0)
    result = linear_probe(train, labels, train, labels, method="svm")
    margins = result.probabilities
    assert result.regularization == 6e-5
    np.testing.assert_allclose(margins[:, 0], -margins[:, 1])
    assert result.metrics.top_1 > 0.95


def test_rare_classes_are_no_trouble():
    train, labels = _features(num_clips=21, distance=1.0)
    labels[0] = 3
    result = linear_probe(train, labels, train, labels)
    assert result.probabilities.shape == (21, 4)


def _several_labels(seed, num_clips=40):
    """Two classes that go by a feature each, and one that no clip has."""
    generator = np.random.default_rng(seed)
    labels = (generator.random((num_clips, 3)) < 0.4).astype(int)
    labels[:, 2] = 0
    features = 4 * labels + generator.normal(size=(num_clips, 3))
    return features, labels


def test_several_labels_per_clip_have_a_regression_each():
    train, train_labels = _several_labels(0)
    test, test_labels = _several_labels(1)
    settings = {"multi_label": True, "regularization": 1.0}
    result = linear_probe(train, train_labels, test, test_labels, **settings)
    assert result.metrics.num_classes_without_positives == 1
    assert result.metrics.mean_average_precision > 0.9

    mean, deviation = train.mean(axis=0), train.std(axis=0)
    alone = LogisticRegression().fit((train - mean) / deviation, train_labels[:, 0])
    expected = alone.predict_proba((test - mean) / deviation)[:, 1]
    np.testing.assert_allclose(result.probabilities[:, 0], expected, atol=1e-6)


def test_the_regularization_of_several_labels_is_chosen():
    train, labels = _several_labels(0)
    windows = np.stack([train, train], axis=1)
    result = linear_probe(train, labels, windows, labels, multi_label=True)
    assert result.probabilities.shape == (40, 3)
    assert 1e-5 <= result.regularization <= 100


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "knn"}, "must be one of"),
        ({"method": "vatt", "regularization": 1.0}, "fixed penalty"),
        ({"train_features": np.zeros((4, 2, 3))}, "train_features.*shape"),
        ({"test_features": np.zeros((4, 0, 3))}, "test_features.*windows"),
        ({"test_features": np.zeros((4, 2))}, "the same size"),
        ({"train_features": np.full((4, 3), np.nan)}, "finite"),
        ({"train_labels": [0, 1, 0]}, "4 ints"),
        ({"train_labels": [0.0, 1.0, 0.0, 1.0]}, "4 ints"),
        ({"train_labels": [0, 1, 0, -1]}, "negative"),
        ({"train_labels": [1, 1, 1, 1]}, "two classes"),
        ({"train_labels": [0, 1, 2, 3]}, "Cross-validation"),
        ({"num_classes": 1}, "at least 2"),
        ({"multi_label": True}, "multi_hot"),
        ({"multi_label": True, "method": "vatt"}, "needs `method"),
        ({"multi_label": True, "train_labels": np.eye(4)}, "test_labels.*multi_hot"),
        ({"multi_label": True, "train_labels": np.eye(3)}, "each of 4 clips"),
        ({"epochs": 0}, "`epochs`"),
        ({"batch_size": 0}, "`batch_size`"),
    ],
)
def test_what_cannot_be_probed_is_refused(changes, message):
    given = {
        "train_features": np.eye(4)[:, :3],
        "train_labels": [0, 1, 0, 1],
        "test_features": np.eye(4)[:, :3],
        "test_labels": [0, 1, 0, 1],
    }
    with pytest.raises(ValueError, match=message):
        linear_probe(**given | changes)


def test_train_and_test_labels_have_the_same_classes():
    features, labels = np.eye(4), np.eye(4, dtype=int)
    with pytest.raises(ValueError, match="agree on the number of classes"):
        linear_probe(features, labels, features, labels[:, :3], multi_label=True)
