"""Devices on which a backend can't train are refused, with what to use instead."""

import keras
import pytest

from tests.models.tiny import tiny_vatt


class AnyDistribution:
    """Stands for a `keras.distribution.DataParallel`."""


@pytest.mark.skipif(keras.config.backend() == "jax", reason="JAX can")
def test_keras_distribution_is_refused_where_keras_has_none(monkeypatch):
    model = tiny_vatt()
    monkeypatch.setattr(keras.distribution, "distribution", AnyDistribution)
    with pytest.raises(ValueError, match="JAX backend"):
        model.compile()


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="a TF strategy")
def test_strategy_of_several_workers_is_refused(monkeypatch):
    import tensorflow as tf

    kind = tf.distribute.MultiWorkerMirroredStrategy
    model = tiny_vatt()
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: kind.__new__(kind))
    with pytest.raises(ValueError, match="issues/20585"):
        model.compile()


@pytest.mark.skipif(keras.config.backend() != "torch", reason="PyTorch processes")
def test_one_of_several_torch_processes_is_refused(monkeypatch):
    import torch

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(ValueError, match="on one device"):
        tiny_vatt().compile()
