"""Batch normalization with an accurate variance."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt._keras_internals import BatchNormalizationByMoments


@keras.saving.register_keras_serializable(package="keras_vatt")
class StableBatchNormalization(BatchNormalizationByMoments):
    """`keras.layers.BatchNormalization`, accurate for small variances.

    Keras takes the variance as mean of squares minus square of the mean. Where
    the samples of a batch differ little, as the features of a contrastive model
    may, the difference of two large numbers is mostly rounding error, which the
    division by the standard deviation then carries into the embeddings. Here
    the moments are computed from centered inputs: mathematically the same, with the
    same gradients. A `keras_vatt.training.HarmonizedModel` gives it the whole batch on
    every replica; in a training loop of your own on TensorFlow replicas pass
    `synchronized=True`.

    Args:
        **kwargs: the arguments of `keras.layers.BatchNormalization`.

    Example:
    ```python
    norm = keras_vatt.layers.StableBatchNormalization()
    norm(np.random.normal(size=(8, 4)), training=True).shape  # (8, 4)
    ```
    """

    def moments(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        mean, _ = super().moments(inputs, mask)
        center = ops.stop_gradient(mean)
        centered_mean, variance = super().moments(inputs - center, mask)
        return center + centered_mean, variance
