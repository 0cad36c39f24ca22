"""Classification metrics against the original's numbers, scikit-learn, torchmetrics."""

import warnings

import numpy as np
import pytest
import sklearn.metrics
import torch
import torchmetrics.functional.classification as torchmetrics
from scipy.special import softmax
from scipy.stats import norm

from keras_vatt.evaluation import classification_metrics, multi_hot, top_k_hits
from tests.golden_files import golden_arrays

pytestmark = pytest.mark.once


def _multi_label_case(seed=0, num_clips=50, num_classes=7, num_empty=2):
    generator = np.random.default_rng(seed)
    # Few distinct scores, so that there are ties.
    scores = generator.integers(0, 20, (num_clips, num_classes)) / 20
    labels = (generator.random((num_clips, num_classes)) < 0.2).astype(int)
    labels[0], labels[1] = 1, 0
    labels[:, :num_empty] = 0
    return scores, labels


def test_multi_label_metrics_are_the_originals():
    golden = golden_arrays("measures.npz")
    metrics = classification_metrics(
        golden["in.scores"], golden["in.multilabel"], multi_label=True
    )
    assert metrics.mean_average_precision == pytest.approx(golden["multilabel/mAP"])
    assert metrics.roc_auc == pytest.approx(golden["multilabel/AUC"])
    assert metrics.d_prime == pytest.approx(golden["multilabel/d-prime"])


def test_accuracies_are_the_originals():
    golden = golden_arrays("measures.npz")
    metrics = classification_metrics(golden["in.logits"], golden["in.label"][:, 0])
    assert metrics.top_1 == pytest.approx(float(golden["accuracy/top1"]))
    assert metrics.top_5 == pytest.approx(float(golden["accuracy/top5"]))


@pytest.mark.parametrize("seed", range(3))
def test_single_label_metrics_agree_with_scikit_learn(seed):
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(60) % 8)
    scores = softmax(generator.normal(size=(60, 8)), axis=1)
    metrics = classification_metrics(scores, labels, top_k=(1, 3))

    for k in (1, 3):
        accuracy = sklearn.metrics.top_k_accuracy_score(labels, scores, k=k)
        assert metrics.top_k[k] == pytest.approx(accuracy)
    area = sklearn.metrics.roc_auc_score(labels, scores, multi_class="ovr")
    assert metrics.roc_auc == pytest.approx(area)
    precision = sklearn.metrics.average_precision_score(labels, scores)
    assert metrics.mean_average_precision == pytest.approx(precision)


@pytest.mark.parametrize("seed", range(3))
def test_classes_without_positives_are_excluded_and_counted(seed):
    scores, labels = _multi_label_case(seed)
    metrics = classification_metrics(scores, labels, multi_label=True)
    present = classification_metrics(scores[:, 2:], labels[:, 2:], multi_label=True)
    assert metrics.num_classes == 7
    assert metrics.num_classes_without_positives == 2
    assert metrics.mean_average_precision == present.mean_average_precision
    assert metrics.roc_auc == present.roc_auc
    assert metrics.d_prime == present.d_prime


@pytest.mark.parametrize("seed", range(3))
def test_multi_label_metrics_agree_with_torchmetrics(seed):
    scores, labels = _multi_label_case(seed)
    metrics = classification_metrics(scores, labels, multi_label=True)

    arguments = (torch.tensor(scores), torch.tensor(labels), 7)
    with warnings.catch_warnings():
        # It gives classes without positives an average precision and an area of 0.
        warnings.simplefilter("ignore")
        precisions = torchmetrics.multilabel_average_precision(*arguments, average=None)
        areas = torchmetrics.multilabel_auroc(*arguments, average=None)
    precisions, areas = precisions[2:].double().numpy(), areas[2:].double().numpy()
    assert metrics.mean_average_precision == pytest.approx(precisions.mean(), abs=1e-6)
    assert metrics.roc_auc == pytest.approx(areas.mean(), abs=1e-6)
    d_prime = np.sqrt(2) * norm.ppf(areas).mean()
    assert metrics.d_prime == pytest.approx(d_prime, abs=1e-5)


def test_a_class_of_all_clips_is_excluded_and_counted():
    scores = np.random.default_rng(0).random((6, 2))
    labels = np.stack([np.ones(6, int), [0, 1, 0, 1, 0, 1]], axis=1)
    metrics = classification_metrics(scores, labels, multi_label=True)
    area = sklearn.metrics.roc_auc_score(labels[:, 1], scores[:, 1])
    assert metrics.num_classes_without_negatives == 1
    assert metrics.roc_auc == pytest.approx(area)


def test_without_any_class_to_rank_the_averages_are_nan():
    metrics = classification_metrics([[0.9, 0.1]], [0])
    assert metrics.top_1 == 1
    assert np.isnan(
        [metrics.mean_average_precision, metrics.roc_auc, metrics.d_prime]
    ).all()


def test_a_perfect_class_has_a_finite_d_prime_and_is_counted():
    labels = np.array([[0, 1], [0, 0], [1, 1], [1, 0]])
    scores = np.array([[0.1, 0.8], [0.2, 0.7], [0.8, 0.6], [0.9, 0.5]])
    metrics = classification_metrics(scores, labels, multi_label=True)
    # 2 positives x 2 negatives are 4 pairs: half a pair is an eighth.
    expected = np.sqrt(2) * (norm.ppf(1 - 1 / 8) + norm.ppf(3 / 4)) / 2
    assert metrics.roc_auc == pytest.approx((1 + 3 / 4) / 2)
    assert metrics.d_prime == pytest.approx(expected)
    assert metrics.num_classes_with_clipped_d_prime == 1


def test_equal_scores_are_at_chance():
    labels = np.arange(40) % 10
    metrics = classification_metrics(np.zeros((40, 10)), labels)
    assert metrics.top_1 == pytest.approx(0.1)
    assert metrics.top_5 == pytest.approx(0.5)
    assert metrics.roc_auc == pytest.approx(0.5)


def test_hits_are_the_mean_over_all_orders_of_ties():
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 3, (20, 6)).astype(float)
    labels = generator.integers(0, 6, 20)
    drawn = np.zeros(20)
    for _ in range(4000):
        # Of equal scores a random one comes first.
        order = np.lexsort((generator.random((20, 6)), -scores), axis=1)
        drawn += (order[:, :2] == labels[:, None]).any(axis=1)
    np.testing.assert_allclose(top_k_hits(scores, labels, 2), drawn / 4000, atol=0.04)


def test_more_places_than_classes_are_always_enough():
    metrics = classification_metrics(np.eye(3), [1, 2, 0])
    assert metrics.top_1 == 0
    assert metrics.top_5 == 1


def test_labels_become_rows():
    rows = multi_hot([(0, 2), (), [1]], num_classes=3)
    np.testing.assert_array_equal(rows, [[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    with pytest.raises(ValueError, match="from 0 to 2"):
        multi_hot([(3,)], num_classes=3)


@pytest.mark.parametrize(
    ("scores", "labels", "multi_label", "message"),
    [
        ([[0.1, np.nan], [0.5, 0.5]], [0, 1], False, "first for clip 0"),
        ([[0.1, 0.9], [np.inf, 0.5]], [0, 1], False, "first for clip 1"),
        ([0.1, 0.9], [0, 1], False, "must have shape"),
        (np.zeros((0, 3)), [], False, "must have shape"),
        ([[0.1, 0.9]], [2], False, "from 0 to 1"),
        ([[0.1, 0.9]], [-1], False, "from 0 to 1"),
        ([[0.1, 0.9]], [0, 1], False, "must be 1 ints"),
        ([[0.1, 0.9]], [[0, 1]], False, "multi_label=True"),
        ([[0.1, 0.9]], [0.0], False, "float64"),
        ([[0.1, 0.9]], [1], True, "multi_hot"),
        ([[0.1, 0.9]], [[0, 2]], True, "0s and 1s"),
    ],
)
def test_what_cannot_be_measured_is_refused(scores, labels, multi_label, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics(scores, labels, multi_label)


def test_the_first_place_is_the_least():
    with pytest.raises(ValueError, match="at least 1"):
        classification_metrics(np.eye(2), [0, 1], top_k=(0,))
