"""Means over the splits of a dataset."""

import numpy as np
import pytest

from keras_vatt.evaluation import classification_metrics, mean_over_splits

pytestmark = pytest.mark.once


def _splits():
    generator = np.random.default_rng(0)
    for num_clips in (20, 40):
        labels = np.arange(num_clips) % 4
        yield classification_metrics(generator.random((num_clips, 5)), labels)


def test_every_split_has_the_same_weight():
    first, second = _splits()
    mean = mean_over_splits([first, second])
    assert mean.top_1 == pytest.approx((first.top_1 + second.top_1) / 2)
    assert mean.top_5 == 1
    for name in ("mean_average_precision", "roc_auc", "d_prime"):
        expected = (getattr(first, name) + getattr(second, name)) / 2
        assert getattr(mean, name) == pytest.approx(expected)
    assert mean.num_examples == 60
    assert mean.num_classes_without_positives == 1


def test_one_split_is_itself():
    (first, _) = _splits()
    assert mean_over_splits([first]) == first


def test_splits_that_differ_are_refused():
    first, _ = _splits()
    other = classification_metrics(np.eye(3), [0, 1, 2])
    with pytest.raises(ValueError, match=r"\(3, \(1, 5\)\)"):
        mean_over_splits([first, other])
    with pytest.raises(ValueError, match="at least one split"):
        mean_over_splits([])
