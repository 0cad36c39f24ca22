"""Mixup mixes clips and labels by the same fractions, reproducibly for a seed."""

import numpy as np
import pytest
import scipy.stats

from keras_vatt.training import Mixup


def numbered_batch(size=6):
    """Clips that can be told from each other, with one-hot labels."""
    clips = np.eye(size, dtype="float32")[:, :, np.newaxis]
    return clips, np.eye(size, dtype="float32")


def test_clips_and_labels_are_mixed_by_the_same_shares():
    clips, labels = numbered_batch()
    mixed, mixed_labels = Mixup()(clips, labels, np.random.default_rng(0))
    assert mixed.shape == clips.shape
    assert mixed.dtype == mixed_labels.dtype == np.float32
    np.testing.assert_array_equal(mixed[..., 0], mixed_labels)
    np.testing.assert_allclose(mixed_labels.sum(axis=1), 1.0, rtol=1e-6)
    # At most two clips in each, the own one among them; each a partner once.
    assert ((mixed_labels > 0).sum(axis=1) <= 2).all()
    assert (np.diag(mixed_labels) > 0).all()
    np.testing.assert_array_equal((mixed_labels > 0).sum(axis=0) <= 2, True)


def test_labels_of_any_dtype_are_mixed_in_float32():
    clips, labels = numbered_batch()
    expected = Mixup()(clips, labels, np.random.default_rng(0))[1]
    for dtype in ("float64", "int32", "bool"):
        _, mixed = Mixup()(clips, labels.astype(dtype), np.random.default_rng(0))
        assert mixed.dtype == np.float32
        np.testing.assert_array_equal(mixed, expected)


@pytest.mark.parametrize("alpha", [0.5, 5.0])
def test_shares_are_drawn_from_a_beta_distribution(alpha):
    size = 4000
    labels = np.zeros((size, 2), "float32")
    labels[:, 0] = 1
    own = np.arange(size, dtype="float32")[:, np.newaxis] + 1
    _, mixed = Mixup(alpha)(own, np.hstack([own, labels]), np.random.default_rng(0))
    order = np.random.default_rng(0)
    order.beta(alpha, alpha, size)
    partner = order.permutation(size)
    apart = partner != np.arange(size)
    others = own[partner, 0]
    share = (mixed[:, 0] - others)[apart] / (own[:, 0] - others)[apart]
    _, p = scipy.stats.kstest(share, scipy.stats.beta(alpha, alpha).cdf)
    assert p > 0.01


@pytest.mark.parametrize("labels", [[0, 3, 3], np.eye(2)])
def test_labels_that_are_no_rows_of_the_clips_are_refused(labels):
    clips = np.ones((3, 2, 1), "float32")
    with pytest.raises(ValueError, match="labels of shape"):
        Mixup()(clips, labels, np.random.default_rng(0))


def test_frames_are_mixed_as_the_floats_that_they_stand_for():
    frames = np.array([[0, 255], [255, 0]], "uint8")
    mixed, _ = Mixup()(frames, np.eye(2), np.random.default_rng(0))
    assert np.abs(mixed).max() <= 1
    np.testing.assert_allclose(mixed.sum(axis=1), 0, atol=1e-6)


def test_smoothing_after_mixing_is_smoothing_before_it():
    clips, labels = numbered_batch()
    smooth = lambda rows: 0.9 * rows + 0.1 / rows.shape[1]  # noqa: E731
    before, after = (np.random.default_rng(3) for _ in range(2))
    _, smoothed_first = Mixup()(clips, smooth(labels), before)
    _, mixed_first = Mixup()(clips, labels, after)
    np.testing.assert_allclose(smooth(mixed_first), smoothed_first, rtol=1e-5)


def test_it_comes_back_from_its_config():
    mixup = Mixup(2.0)
    assert Mixup.from_config(mixup.get_config()) == mixup
    with pytest.raises(ValueError, match="alpha"):
        Mixup(0.0)
