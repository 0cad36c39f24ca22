"""The losses of the classifiers are those of the original implementation."""

import keras
import numpy as np
import pytest

from keras_vatt.losses import BalancedBinaryCrossentropy, SoftmaxCrossentropy
from tests.golden_files import golden_arrays

VIDEO = ("vit_classifier", "vit_agnostic_classifier")
AUDIO = ("wat_classifier", "wat_agnostic_classifier")


def golden(folder):
    arrays = golden_arrays(f"{folder}/inference.npz")
    return arrays["in.one_hot"], arrays["out.logits"], arrays["loss.model_loss"]


@pytest.mark.parametrize("folder", VIDEO)
def test_softmax_crossentropy_is_the_loss_of_vit(folder):
    smoothed, logits, expected = golden(folder)
    unsmoothed = SoftmaxCrossentropy(label_smoothing=0.0)
    np.testing.assert_allclose(float(unsmoothed(smoothed, logits)), expected, atol=1e-5)
    # The golden labels are smoothed by a tenth, as those of VATT's fine-tuning.
    loss, classes = SoftmaxCrossentropy(), smoothed.argmax(axis=1)
    one_hot = np.eye(logits.shape[1])[classes]
    for labels in (classes, classes[:, None], one_hot, classes.astype("float32")):
        np.testing.assert_allclose(float(loss(labels, logits)), expected, atol=1e-5)


@pytest.mark.parametrize("folder", AUDIO)
def test_balanced_binary_crossentropy_is_the_loss_of_wat(folder):
    labels, logits, expected = golden(folder)
    loss = BalancedBinaryCrossentropy()
    np.testing.assert_allclose(float(loss(labels, logits)), expected, atol=1e-5)


def test_clips_without_labels_share_the_weight_of_one_label():
    labels = np.array([[1, 0], [0, 0], [0, 0]], "float32")
    logits = np.zeros((3, 2), "float32")
    loss = BalancedBinaryCrossentropy(reduction=None)
    expected = np.array([1, 0.5, 0.5]) * 2 * np.log(2)
    actual = keras.ops.convert_to_numpy(loss(labels, logits))
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_weight_of_mixed_labels_is_the_mean_over_the_labels_of_a_clip():
    # The first class occurs 2 times and the second 0.5 times, counted in fractions.
    labels = np.array([[1, 0], [0.75, 0.5], [0.25, 0]], "float32")
    loss = BalancedBinaryCrossentropy(reduction=None)
    weights = np.array([1 / 2, (0.75 / 2 + 1) / 1.25, 1 / 2])
    actual = keras.ops.convert_to_numpy(loss(labels, np.zeros((3, 2), "float32")))
    np.testing.assert_allclose(actual, weights * 2 * np.log(2), rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_each_class_is_the_logarithm_of_its_probability(smoothing):
    logits = np.random.default_rng(0).normal(size=(4, 4)).astype("float32")
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -(1 - smoothing) * np.diag(logs) - smoothing * logs.mean(axis=1)
    loss = SoftmaxCrossentropy(smoothing, reduction=None)
    for classes in (np.arange(4), np.arange(4.0)[:, None], np.eye(4)):
        actual = keras.ops.convert_to_numpy(loss(classes, logits))
        np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_large_logits_neither_overflow_nor_vanish():
    labels = np.array([[1.0, 0.0]], "float32")
    loss = BalancedBinaryCrossentropy()
    logits = np.array([[-1e4, 1e4]], "float32")
    np.testing.assert_allclose(float(loss(labels, logits)), 2e4)
    logits = np.array([[80.0, -10.0]], "float32")
    np.testing.assert_allclose(float(loss(labels, logits)), 4.54e-5, rtol=1e-3)


@pytest.mark.parametrize("label", [-1, 3])
def test_a_class_out_of_range_makes_the_loss_nan(label):
    logits = np.zeros((2, 3), "float32")
    assert np.isnan(float(SoftmaxCrossentropy()(np.array([0, label]), logits)))


def test_labels_of_another_shape_are_refused():
    logits = np.zeros((2, 3), "float32")
    with pytest.raises(ValueError, match="labels of shape"):
        SoftmaxCrossentropy()(np.zeros((2, 4)), logits)
    with pytest.raises(ValueError, match="shape of the logits"):
        BalancedBinaryCrossentropy()(np.zeros((2, 4)), logits)
    with pytest.raises(ValueError, match="label_smoothing"):
        SoftmaxCrossentropy(label_smoothing=1.0)


@pytest.mark.parametrize(
    "loss",
    [SoftmaxCrossentropy(0.2, name="mine"), BalancedBinaryCrossentropy(name="mine")],
)
def test_a_loss_comes_back_from_its_config(loss):
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(loss)
    assert again.name == "mine"
    assert again.get_config() == loss.get_config()
