"""The optimizer, loss and metrics that a classifier is compiled with by default."""

from typing import Any, Self

import keras
from keras import ops

from keras_vatt.losses._classification import (
    BalancedBinaryCrossentropy,
    SoftmaxCrossentropy,
    one_hot_labels,
)

# Adam's learning rate scales with the inverse of the width (Yang et al., arXiv
# 2203.03466). The constant was chosen by `benchmarks/spoken_language.py` on the tiny
# preset.
_RATE_TIMES_WIDTH = 0.1
_MAX_RATE = 1e-3


def default_optimizer(feature_dim):
    """Returns the optimizer of `compile(optimizer="auto")`: Adam at a constant rate.

    VATT's recipe (`keras_vatt.training.fine_tuning_optimizer`) is made for 100,000
    steps. In some hundred steps it reaches a much lower accuracy.

    Args:
        feature_dim: int, the width of the features that the head takes.

    Returns:
        `keras.optimizers.Adam`.
    """
    return keras.optimizers.Adam(min(_MAX_RATE, _RATE_TIMES_WIDTH / feature_dim))


def default_loss(multi_label):
    """Returns the loss of `compile(loss="auto")`."""
    return BalancedBinaryCrossentropy() if multi_label else SoftmaxCrossentropy()


def default_metrics(multi_label, num_classes):
    """Returns the metrics of `compile(metrics="auto")`."""
    if not multi_label:
        return [TopKAccuracy(1), TopKAccuracy(5)]
    return [
        keras.metrics.AUC(
            curve=curve,
            multi_label=True,
            num_labels=num_classes,
            from_logits=True,
            name=name,
        )
        for curve, name in (("ROC", "auc"), ("PR", "pr_auc"))
    ]


@keras.saving.register_keras_serializable(package="keras_vatt")
class TopKAccuracy(keras.metrics.MeanMetricWrapper):
    """Fraction of clips whose class is among the `k` with the highest logits.

    Args:
        k: int. Defaults to `1`.
        name: string. Defaults to `None`, `"top_<k>"`.
        dtype: see `keras.metrics.Metric`.

    Call arguments:
        y_true: classes of shape `(clips,)` or `(clips, 1)`, or one-hot labels.
        y_pred: `(clips, num_classes)`, logits or probabilities.
    """

    def __init__(self, k: int = 1, name: str | None = None, dtype: Any = None):
        super().__init__(_is_in_top_k, name=name or f"top_{k}", dtype=dtype, k=k)
        self.k = k
        self._direction = "up"

    def get_config(self) -> dict[str, Any]:
        return {"k": self.k, "name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


def _is_in_top_k(y_true, y_pred, k):
    y_pred = ops.cast(y_pred, "float32")
    classes = ops.argmax(one_hot_labels(ops.cast(y_true, "float32"), y_pred), axis=-1)
    k = min(k, y_pred.shape[-1])
    return ops.cast(ops.in_top_k(ops.cast(classes, "int32"), y_pred, k), "float32")
