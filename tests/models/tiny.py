"""A VATT small enough to train in a test."""

import keras
import numpy as np
from keras import ops

import keras_vatt

SIZES = {
    "hidden_dim": 16,
    "intermediate_dim": 32,
    "num_layers": 1,
    "num_heads": 2,
    "head_dim": 8,
}
INPUTS = {
    "video_patch_size": (2, 4, 4),
    "audio_patch_size": 16,
    "video_positions": (2, 2, 2),
    "audio_positions": 6,
    "vocabulary_size": 20,
    "word_embedding_dim": 8,
}
NO_RANDOMNESS = {"dropout": 0.0, "token_keep_rate": 1.0}


class FlatStem(keras.layers.Layer):
    """A Dense layer on the first patch of a clip, or on the counts of its words."""

    patch_size = (1,)

    def __init__(self, input_dim, units, dropout, **kwargs):
        super().__init__(**kwargs)
        self.input_dim = input_dim
        self.dense = keras.layers.Dense(units, dtype=self.dtype_policy, name="dense")
        self.dropout = keras_vatt.layers.SeededDropout(dropout, dtype=self.dtype_policy)

    def build(self, input_shape=None):
        self.dense.build((None, self.input_dim))
        self.built = True

    def grid(self, shape):
        return (1,)

    def call(self, inputs, training=None):
        if keras.backend.is_int_dtype(inputs.dtype):
            words = ops.one_hot(inputs, self.input_dim, dtype=self.compute_dtype)
            values = ops.mean(words, axis=1)
        else:
            values = ops.reshape(inputs, (ops.shape(inputs)[0], -1))
            values = values[:, : self.input_dim]
        return self.dropout(self.dense(values), training=training)


@keras.saving.register_keras_serializable("tests")
class FlatBackbone(keras_vatt.VATTBackbone):
    """A backbone without transformers, whose features are one vector for each clip.

    Its training step compiles in a third of the time: for tests of the training loop,
    to which the model inside does not matter.
    """

    input_dims = {"video": 24, "audio": 16}
    features_dim = 16

    def _build_stems(self):
        for modality in self.modalities:
            stem = FlatStem(
                self.input_dims.get(modality, self.vocabulary_size),
                self.features_dim,
                self.dropout,
                dtype=self.dtype_policy,
                name=f"{modality}_stem",
            )
            stem.build()
            setattr(self, stem.name, stem)

    def _build_encoders(self):
        pass

    @property
    def feature_dims(self):
        return dict.fromkeys(self.modalities, self.features_dim)

    def modality_layers(self, modality):
        return {"stem": getattr(self, f"{modality}_stem")}

    def encode_modality(self, modality, inputs, training=None, pooled_only=False):
        stem = getattr(self, f"{modality}_stem")
        training = training and self._is_trainable(modality)
        inputs = self._prepared(modality, inputs, stem)
        return {"features_pooled": stem(inputs, training=training)}


def tiny_backbone(form="agnostic", **overrides):
    if form == "flat":
        backbone = FlatBackbone(**INPUTS | overrides)
        backbone.build()
        return backbone
    if form == "agnostic":
        config = SIZES | INPUTS | {"projection_dim": 16, "text_positions": 5}
        return keras_vatt.VATTAgnosticBackbone(**config | overrides)
    encoders = {f"{m}_encoder": SIZES for m in ("video", "audio", "text")}
    return keras_vatt.VATTSpecificBackbone(**encoders | INPUTS | overrides)


def tiny_vatt(form="agnostic", bridge_head=None, **overrides):
    backbone = tiny_backbone(form, **overrides)
    bridge_head = bridge_head or keras_vatt.layers.FactorizedBridgeHead(
        12, 8, dtype=backbone.dtype_policy, name="bridge_head"
    )
    return keras_vatt.VATT(backbone, bridge_head=bridge_head)


def tiny_batch(batch_size=8, candidates=2, seed=0):
    random = np.random.default_rng(seed)
    text = random.integers(1, 20, (batch_size, candidates, 5)).astype("int32")
    text[:, :, 3:] = 0
    return {
        "video": random.uniform(-1, 1, (batch_size, 4, 8, 8, 3)).astype("float32"),
        "audio": random.uniform(-1, 1, (batch_size, 96, 1)).astype("float32"),
        "text": text,
    }
