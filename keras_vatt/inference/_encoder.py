"""Encoders for the batch-embedding pipeline."""

from __future__ import annotations

import keras
import numpy as np

from keras_vatt.inference._pooled_encoder import EncoderCache

# The tower of a model that takes a modality.
TOWERS = {"video": "video", "audio": "audio", "image": "video"}


class VATTEncoder:
    """Computes pooled features, and the embeddings of a bridge head, of batches.

    The compiled programs are reused for the next batch of the same modality.

    Args:
        backbone: a VATT backbone.
        bridge_head: `keras_vatt.layers.FactorizedBridgeHead` or `JointBridgeHead`.
            Defaults to `None`, only the pooled features.
    """

    def __init__(self, backbone, bridge_head=None):
        self._backbone = backbone
        self._bridge_head = bridge_head
        self._cache = EncoderCache()

    def __call__(self, modality: str, batch: np.ndarray) -> dict[str, np.ndarray]:
        """Encodes a batch.

        Args:
            modality: string. `"video"`, `"audio"`, `"image"` or `"text"`.
            batch: array, see `pooled_features`.

        Returns:
            Dict from name to float32 array of shape `(examples, dim)`, see
            `PooledEncoder`.
        """
        encoder = self._cache.get(self._backbone, modality, self._bridge_head)
        return as_arrays(encoder.predict_on_batch(batch))


class LogitsEncoder:
    """Computes the logits of a classifier, as the output `"logits"`.

    Args:
        classifier: `keras.Model` whose output is a tensor of shape
            `(examples, classes)`.
    """

    def __init__(self, classifier: keras.Model):
        self._classifier = classifier

    def __call__(self, modality: str, batch: np.ndarray) -> dict[str, np.ndarray]:
        """Encodes a batch; see `VATTEncoder`."""
        return as_arrays({"logits": self._classifier.predict_on_batch(batch)})


def as_arrays(outputs):
    """Converts the outputs of a model to float32 NumPy arrays."""
    return {name: np.asarray(values, np.float32) for name, values in outputs.items()}
