"""Checks of the dtypes and the axes of batches, before they reach a model."""

import numpy as np

from keras_vatt.data.decoding._raw_arrays import as_numpy

_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
_FRAMES = (
    _FLOATS | {"uint8"},
    "float in [-1, 1] or uint8 in [0, 255]",
    "Scale other integers first.",
)
# By kind of input: the dtypes, their meaning, and advice about other dtypes.
_DTYPES = {
    "video": _FRAMES,
    "image": _FRAMES,
    "audio": (
        _FLOATS,
        "float in [-1, 1]",
        "Divide integers by the maximum of their dtype, or pass a tuple of the samples "
        "and their rate, which is scaled.",
    ),
    "text": (
        frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
        "integer word ids",
        "Strings need a preprocessor with a vocabulary.",
    ),
}
# Axes of a batch, channels last, and the number of channels.
_AXES = {
    "video": ("clips", "frames", "height", "width", "3"),
    "image": ("images", "height", "width", "3"),
    "audio": ("clips", "samples", "1"),
}
_CHANNELS = {"video": 3, "image": 3, "audio": 1}
_ADVICE = {
    "video": "Frames are RGB.",
    "image": "Images are RGB.",
    "audio": "Average the channels, or pass a list of tuples of the samples and their "
    "rate, which are averaged.",
}


def as_batch(kind, given):
    """Converts a batch to a NumPy array, and checks its dtype.

    Args:
        kind: string. `"video"`, `"image"`, `"audio"` or `"text"`.
        given: array or tensor of any framework, or nested lists of numbers.

    Returns:
        NumPy array.

    Raises:
        ValueError: if it can't be converted, or `kind` does not have its dtype.
    """
    try:
        array = as_numpy(given)
    except ValueError as error:
        raise ValueError(
            f"A batch of {kind} must be one array, with clips of the same shape. "
            f"Received: {error}"
        ) from error
    if array.ndim == 0 and array.dtype != object:
        raise ValueError(
            f"A batch of {kind} must be an array with an axis of clips. Received: "
            f"{type(given).__name__} {given!r:.100}"
        )
    if isinstance(given, list) and array.dtype == np.float64:
        array = array.astype(np.float32)  # Python floats are 64-bit.
    check_dtype(kind, array.dtype)
    return array


def check_dtype(kind, dtype):
    """Raises an error for a dtype that the model would misinterpret.

    Args:
        kind: see `as_batch`.
        dtype: dtype of NumPy or of a backend.

    Raises:
        ValueError: if `kind` does not have it.
    """
    name = dtype_name(dtype)
    allowed, meaning, advice = _DTYPES[kind]
    if name not in allowed:
        raise ValueError(
            f"A batch of {kind} must be {meaning}. Received: an array of {name}. "
            f"{advice}"
        )


def check_channels(kind, shape):
    """Raises an error if the channels of a batch are not on the last axis.

    Args:
        kind: see `as_batch`.
        shape: tuple of ints, `None` for unknown ones.

    Raises:
        ValueError: if the last axis is not RGB (video, images) or mono (audio).
    """
    channels = _CHANNELS.get(kind)
    if channels is None or len(shape) != len(_AXES[kind]):
        return
    if shape[-1] in (channels, None):
        return
    # In layouts with the channels first, they are before or after the time.
    found = [axis for axis in range(1, len(shape) - 2) if shape[axis] == channels]
    found = found or ([1] if kind == "audio" and shape[1] == 1 else [])
    advice = (
        f"Move the channels to the end: `np.moveaxis(batch, {found[0]}, -1)`."
        if found
        else _ADVICE[kind]
    )
    raise ValueError(
        f"A batch of {kind} must have shape ({', '.join(_AXES[kind])}). Received: "
        f"shape {tuple(shape)}. {advice}"
    )


def dtype_name(dtype):
    """Returns the name of a dtype of NumPy or of a backend, such as `"float32"`."""
    return getattr(dtype, "name", None) or str(dtype).rpartition(".")[2]


def has_numbers(given):
    """Returns whether an input is an array whose dtype can be checked.

    Args:
        given: any input of Keras' loops: array, dataset, tensor.

    Returns:
        bool.
    """
    return hasattr(given, "dtype") and hasattr(given, "shape")
