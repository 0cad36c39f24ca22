"""Batch normalization with an accurate variance."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt._keras_internals import BatchNormalizationByMoments


@keras.saving.register_keras_serializable(package="keras_vatt")
class StableBatchNormalization(BatchNormalizationByMoments):
    """`keras.layers.BatchNormalization`, accurate for small variances.

    Keras computes the variance as the mean of the squares minus the square of the
    mean. If the samples of a batch are almost equal, like the features of a
    contrastive model may be, this difference is mostly rounding error, and the
    division by the standard deviation amplifies it. This layer computes the moments
    from centered inputs. The result and its gradients are mathematically the same.

    In a `keras_vatt.training.HarmonizedModel`, the layer gets the whole batch on each
    replica. In a custom training loop with TensorFlow replicas, pass
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
