"""A VATT small enough to train in a test."""

import numpy as np

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


def tiny_backbone(form="agnostic", **overrides):
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
