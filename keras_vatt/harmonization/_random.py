"""Random weights."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._gram import squared_norms
from keras_vatt.harmonization._harmonizer import Harmonizer


@keras.saving.register_keras_serializable(package="keras_vatt")
class Random(Harmonizer):
    """Draws random weights at every step.

    Random loss weighting of "Reasonable Effectiveness of Random Weighting: A Litmus
    Test for Multi-Task Learning" (https://arxiv.org/abs/2111.10603): the softmax of
    normal variables. A method should do better than this baseline. The paper's weights,
    and TorchJD's, sum to one; here they have mean one, K times theirs.

    The weights are a pure function of the seed, the step and the position of the loss:
    the same on every backend and device, and after a restart. All matrices of a batch
    get the same ones.

    Args:
        seed: int in `[0, 2**31)`. Defaults to `0`.

    Raises:
        ValueError: if `seed` is out of range.

    Example:
    ```python
    from keras import ops
    from keras_vatt import harmonization

    weights, apply = harmonization.Random(seed=1)(ops.eye(2), step=3)
    ops.sum(weights)  # 2
    ```
    """

    may_skip = False

    def __init__(self, seed: int = 0) -> None:
        if not 0 <= seed < 2**31:
            raise ValueError(f"`seed` must be in [0, 2**31). Received: seed={seed}")
        self.seed = seed

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        size = gram.shape[-1]
        exponentials = ops.exp(_normal(self.seed, step, size))
        # Cosines and norms don't matter, but a zero gradient takes no part.
        present = ops.cast(squared_norms(gram) > 0, "float32")
        drawn = present * exponentials
        count = ops.sum(present, axis=-1, keepdims=True)
        total = ops.sum(drawn, axis=-1, keepdims=True)
        return ops.divide_no_nan(count * drawn, total), True

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


def _normal(seed, step, size):
    # A counter-based generator. `keras.random` would need a seed as a Python number on
    # PyTorch, and draws different numbers on each backend.
    bits = _int32(0x3C6EF372)  # 0 would stay 0
    for counter in (seed, step, ops.arange(2 * size, dtype="int32")):
        bits = _hashed(ops.bitwise_xor(bits, ops.cast(counter, "int32")))
    # The upper 24 bits, as a number between 0 and 1 that is neither.
    uniform = (ops.cast(_shifted(bits, 8), "float32") + 0.5) / 2.0**24
    radius = ops.sqrt(-2.0 * ops.log(uniform[:size]))
    return radius * ops.cos(2.0 * math.pi * uniform[size:])


def _hashed(bits):
    # Invertible mixing of 32 bits by shifts and odd factors; int32 products wrap.
    for shift, factor in [(16, 0x7FEB352D), (15, 0x846CA68B - 2**32)]:
        bits = ops.bitwise_xor(bits, _shifted(bits, shift)) * _int32(factor)
    return ops.bitwise_xor(bits, _shifted(bits, 16))


def _shifted(bits, shift):
    # Without the copies of the sign that a shift of int32 leaves.
    mask = _int32(2 ** (32 - shift) - 1)
    return ops.bitwise_and(ops.right_shift(bits, _int32(shift)), mask)


def _int32(number):
    # The dtype of a Python number may depend on Keras' default dtype.
    return ops.convert_to_tensor(number, "int32")
