"""Models with all that an evaluation needs of a clip, and no more."""

import keras
import numpy as np


class ClipEncoder(keras.Model):
    """Pooled features of one modality, or their embeddings.

    Args:
        backbone: a VATT backbone.
        modality: string.
        bridge_head: whose embeddings are given. Defaults to `None`: the features.

    Call arguments:
        inputs: the input of the modality.

    Returns:
        Dict from name to tensor of shape `(rows, dim)`: `"features_pooled"`, or
        `"to_video"`, `"to_audio"`, `"to_text"`.
    """

    def __init__(self, backbone, modality, bridge_head=None):
        super().__init__()
        self.backbone = backbone
        self.modality = modality
        self.bridge_head = bridge_head
        self.built = True

    def call(self, inputs):
        features = self.backbone.encode_modality(
            self.modality, inputs, training=False, pooled_only=True
        )
        pooled = features["features_pooled"]
        if self.bridge_head is None:
            return {"features_pooled": pooled}
        return self.bridge_head({self.modality: pooled}, training=False)[self.modality]

    def encode(self, inputs):
        """The outputs as NumPy arrays of float32."""
        outputs = self.predict_on_batch(inputs)
        return {name: np.asarray(rows, np.float32) for name, rows in outputs.items()}


class LogitEncoder:
    """The logits of a classifier.

    Args:
        classifier: `keras_vatt.VATTVideoClassifier` or another.
    """

    def __init__(self, classifier):
        self.classifier = classifier

    def encode(self, inputs):
        """Dict from `"logits"` to an array of shape `(rows, num_classes)`."""
        logits = self.classifier.predict_on_batch(inputs)
        return {"logits": np.asarray(logits, np.float32)}
