"""Checks of the values of batches, before they reach a model."""

import sys
import warnings

import keras
import numpy as np

from keras_vatt.data.decoding._raw_arrays import as_numpy, check_peak
from keras_vatt.inference._batch_dtypes import check_channels, check_dtype, dtype_name

# Frames lie in [-1, 1], except for overshoots of interpolation and augmentation.
_LARGEST_PIXEL = 1.5
# The largest value of 32-bit integers.
_LARGEST_SCALE = 2.0**32


def check_batch(kind, batch, vocabulary_size=None):
    """Raises an error for a batch that the model would misinterpret.

    Args:
        kind: string. `"video"`, `"image"`, `"audio"` or `"text"`.
        batch: array or concrete tensor.
        vocabulary_size: int. Number of word ids, for text.

    Raises:
        ValueError: if `kind` does not have its dtype, channels or values.
    """
    check_dtype(kind, batch.dtype)
    check_channels(kind, tuple(batch.shape))
    check_values(kind, batch, vocabulary_size)


def check_values(kind, batch, vocabulary_size=None):
    """Raises an error for unknown word ids, and for floats outside of [-1, 1].

    Frames without a negative value may have the scale [0, 1], and raise a warning.

    Args:
        kind: see `check_batch`.
        batch: array or concrete tensor with a dtype of `kind`.
        vocabulary_size: see `check_batch`.

    Raises:
        ValueError: if the model would misinterpret the values.
    """
    is_uint8 = dtype_name(batch.dtype) == "uint8"
    if 0 in batch.shape or (is_uint8 and kind != "text"):
        return
    low, high = _extremes(batch)
    if kind == "text":
        _check_word_ids(int(low), int(high), vocabulary_size)
    elif not max(-low, high) <= _LARGEST_SCALE:
        return  # A damaged clip or NaN, not another scale: see `check_finite`.
    elif kind == "audio":
        check_peak(max(-low, high), "A batch of audio")
    else:
        _check_pixels(kind, low, high)


def is_concrete(tensor):
    """Returns whether a tensor has values, as outside of a compiled program.

    Args:
        tensor: array, tensor of any framework, or `keras.KerasTensor`.

    Returns:
        bool.
    """
    if isinstance(tensor, np.ndarray):
        return True
    if isinstance(tensor, keras.KerasTensor):
        return False
    return _CONCRETE[keras.config.backend()](tensor)


def _of_jax(tensor):
    return not isinstance(tensor, sys.modules["jax"].core.Tracer)


def _of_tensorflow(tensor):
    return hasattr(tensor, "numpy")


def _of_torch(tensor):
    torch = sys.modules["torch"]
    is_traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    # Exporting uses subclasses, such as `FakeTensor`.
    is_plain = type(tensor) in (torch.Tensor, torch.nn.Parameter)
    return is_plain and not tensor.is_meta and not is_traced


_CONCRETE = {"jax": _of_jax, "tensorflow": _of_tensorflow, "torch": _of_torch}


def _extremes(batch):
    """Computes the smallest and the largest value, on the device of the batch."""
    batch = batch if hasattr(batch, "min") else as_numpy(batch)
    return float(batch.min()), float(batch.max())


def _check_word_ids(low, high, vocabulary_size):
    wrong = low if low < 0 else high
    if low < 0 or high >= vocabulary_size:
        raise ValueError(
            f"The model has word ids from 0 to {vocabulary_size - 1}: its vocabulary "
            f"has {vocabulary_size} words. Received: the word id {wrong}. Tokenize "
            "with the vocabulary that the model was trained with, and pad with 0."
        )


def _check_pixels(kind, low, high):
    if max(-low, high) > _LARGEST_PIXEL:
        raise ValueError(
            f"A batch of {kind} of floats must lie in [-1, 1]. Received: values from "
            f"{low:g} to {high:g}. Pass values in [0, 255] as uint8, or scale them by "
            "`x / 127.5 - 1`."
        )
    if low >= 0 and high > 0:
        warnings.warn(
            f"A batch of {kind} of floats must lie in [-1, 1], and this one has no "
            "negative value. If it lies in [0, 1], scale it by `x * 2 - 1`.",
            stacklevel=2,
        )
