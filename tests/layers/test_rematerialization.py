"""Rematerialized blocks keep only their inputs until the backward pass."""

import gc

import keras
import numpy as np
import pytest

from keras_vatt.layers import TransformerEncoder

BACKEND = keras.config.backend()
WIDTH = 16


def _encoder(rematerialize):
    encoder = TransformerEncoder(
        num_layers=12,
        num_heads=2,
        head_dim=8,
        intermediate_dim=4 * WIDTH,
        rematerialize=rematerialize,
    )
    encoder.build((None, 64, WIDTH))
    return encoder


@pytest.mark.skipif(BACKEND != "jax", reason="XLA plans the memory of a program")
def test_the_planned_memory_is_less_than_half():
    """On a CPU, XLA merges both runs of a block, unless an option prevents it."""
    import jax

    def planned_bytes(rematerialize):
        encoder = _encoder(rematerialize)

        def loss(x):
            return keras.ops.sum(encoder(x, training=True) ** 2)

        x = np.zeros((16, 64, WIDTH), "float32")
        lowered = jax.jit(jax.grad(loss)).lower(x)
        compiled = lowered.compile({"xla_disable_hlo_passes": "cse_barrier_expander"})
        return compiled.memory_analysis().temp_size_in_bytes

    assert planned_bytes(True) < planned_bytes(False) / 2


@pytest.mark.skipif(BACKEND != "torch", reason="PyTorch runs Python in both passes")
def test_recomputed_activations_need_no_garbage_collection():
    import torch

    encoder = _encoder(rematerialize=True)
    x = torch.ones((2, 64, WIDTH), requires_grad=True)

    def num_activations():
        tensors = (each for each in gc.get_objects() if isinstance(each, torch.Tensor))
        return sum(x.shape[:2] == tensor.shape[:2] for tensor in tensors)

    encoder(x, training=True).sum().backward()
    gc.collect()
    gc.disable()
    try:
        before = num_activations()
        encoder(x, training=True).sum().backward()
        assert num_activations() == before
    finally:
        gc.enable()
