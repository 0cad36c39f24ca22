"""Losses of the classifiers that VATT is fine-tuned as."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_vatt")
class SoftmaxCrossentropy(keras.losses.Loss):
    """Cross-entropy with one class per clip and label smoothing.

    Label smoothing gives the true class the probability
    `1 - label_smoothing + label_smoothing / num_classes`, and each other class
    `label_smoothing / num_classes`. The original code trains its `ViT` classifiers with
    this loss.

    Args:
        label_smoothing: float in [0, 1). Defaults to `0.1`.
        name: string. Defaults to `"softmax_crossentropy"`.
        **kwargs: `reduction` and `dtype` of `keras.losses.Loss`.

    Call arguments:
        y_true: integers of shape `(clips,)` or `(clips, 1)`, the classes; or floats of
            shape `(clips, num_classes)`, one-hot or mixed. A class out of range makes
            the loss NaN.
        y_pred: float tensor of logits, `(clips, num_classes)`.

    Example:
    ```python
    loss = keras_vatt.losses.SoftmaxCrossentropy(label_smoothing=0.0)
    float(loss(np.array([0, 1]), np.zeros((2, 2), "float32")))  # log(2)
    ```
    """

    def __init__(
        self,
        label_smoothing: float = 0.1,
        name: str = "softmax_crossentropy",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                "`label_smoothing` must be in [0, 1). "
                f"Received: label_smoothing={label_smoothing}"
            )
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels = one_hot_labels(y_true, y_pred)
        return keras.losses.categorical_crossentropy(
            labels, y_pred, from_logits=True, label_smoothing=self.label_smoothing
        )

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="keras_vatt")
class BalancedBinaryCrossentropy(keras.losses.Loss):
    """Binary cross-entropy with several classes per clip, balanced by frequency.

    The binary cross-entropies of a clip are summed over the classes and multiplied by
    the weight of the clip: the mean of 1/n over its labels, where n is the number of
    clips in the batch with that label. The weights of all clips without a label add up
    to 1. The original code trains its `WaT` classifiers on AudioSet with this loss, but
    does not support clips without a label.

    Args:
        name: string. Defaults to `"balanced_binary_crossentropy"`.
        **kwargs: `reduction` and `dtype` of `keras.losses.Loss`.

    Call arguments:
        y_true: float tensor of shape `(clips, num_classes)`, 1 for each label of a
            clip and 0 elsewhere, or mixed.
        y_pred: float tensor of logits, `(clips, num_classes)`.

    Example:
    ```python
    loss = keras_vatt.losses.BalancedBinaryCrossentropy()
    float(loss(np.eye(2), np.zeros((2, 2), "float32")))  # 2 log(2)
    ```
    """

    def __init__(
        self, name: str = "balanced_binary_crossentropy", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if tuple(y_true.shape[1:]) != tuple(y_pred.shape[1:]):
            raise ValueError(
                "With several classes per clip, `y_true` must have the shape of the "
                "logits, with 1 for each label of a clip. Received: "
                f"y_true.shape={tuple(y_true.shape)} for logits of shape "
                f"{tuple(y_pred.shape)}"
            )
        # The numerically stable form of the cross-entropy from logits.
        entropies = (
            ops.relu(y_pred) - y_pred * y_true + ops.log1p(ops.exp(-ops.abs(y_pred)))
        )
        return _balanced_weights(y_true) * ops.sum(entropies, axis=-1)


def one_hot_labels(y_true: Any, y_pred: Any) -> Any:
    """Converts classes or one-hot labels to class probabilities.

    Args:
        y_true: `(clips,)` or `(clips, 1)`, classes; or `(clips, num_classes)`.
        y_pred: `(clips, num_classes)`.

    Returns:
        Float tensor of shape `(clips, num_classes)`; NaN for classes out of range.
    """
    num_classes = y_pred.shape[-1]
    if len(y_true.shape) == 2 and y_true.shape[-1] == num_classes:
        return ops.cast(y_true, y_pred.dtype)
    if len(y_true.shape) > 1 and y_true.shape[-1] != 1:
        raise ValueError(
            f"Labels must be one class or {num_classes} probabilities per clip. "
            f"Received: labels of shape {tuple(y_true.shape)}"
        )
    classes = ops.reshape(y_true, (-1, 1))
    known = ops.logical_and(classes >= 0, classes < num_classes)
    # PyTorch's `one_hot` raises an error for classes out of range.
    indices = ops.clip(ops.cast(classes[:, 0], "int32"), 0, num_classes - 1)
    one_hot = ops.one_hot(indices, num_classes, dtype=y_pred.dtype)
    return ops.where(known, one_hot, float("nan"))


def _balanced_weights(labels):
    """Returns the weight of each clip; see `BalancedBinaryCrossentropy`."""
    count = ops.sum(labels, axis=-1)
    has_none = ops.cast(count <= 0, labels.dtype)
    occurrences = ops.sum(labels, axis=0)
    fractions = labels / ops.where(occurrences > 0, occurrences, 1.0)
    weights = ops.sum(fractions, axis=-1) / ops.where(count > 0, count, 1.0)
    return weights + has_none / ops.maximum(ops.sum(has_none), 1.0)
