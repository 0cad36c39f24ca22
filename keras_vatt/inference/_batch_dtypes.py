"""Checks of dtypes and axes of batches, before other numbers reach a model."""

import numpy as np

from keras_vatt.data.decoding._raw_arrays import as_numpy

_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
_FRAMES = (
    _FLOATS | {"uint8"},
    "float in [-1, 1] or uint8 in [0, 255]",
    "Scale other integers first.",
)
# Of each kind of input: the dtypes, what they mean, and what to do with others.
_DTYPES = {
    "video": _FRAMES,
    "image": _FRAMES,
    "audio": (
        _FLOATS,
        "float in [-1, 1]",
        "Divide integers by the largest of their dtype, or give a tuple of the samples "
        "and their rate, which does it.",
    ),
    "text": (
        frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
        "integer word ids",
        "Strings go through a preprocessor with a vocabulary.",
    ),
}
# Axes of a batch, the channels last, and how many channels there are.
_AXES = {
    "video": ("clips", "frames", "height", "width", "3"),
    "image": ("images", "height", "width", "3"),
    "audio": ("clips", "samples", "1"),
}
_CHANNELS = {"video": 3, "image": 3, "audio": 1}
_ADVICE = {
    "video": "Frames are RGB.",
    "image": "Images are RGB.",
    "audio": "Average the channels, or give a list of tuples of the samples and their "
    "rate, which does it.",
}


def as_batch(kind, given):
    """Returns the array of a batch whose dtype means what the model takes it for.

    Args:
        kind: string, `"video"`, `"image"`, `"audio"` or `"text"`.
        given: array or tensor of any framework, or nested lists of numbers.

    Returns:
        NumPy array.

    Raises:
        ValueError: if it makes no array, or one of a dtype that `kind` doesn't have.
    """
    try:
        array = as_numpy(given)
    except ValueError as error:
        raise ValueError(
            f"A batch of {kind} is one array: all its clips have the same shape. "
            f"Received: {error}"
        ) from error
    if array.ndim == 0 and array.dtype != object:
        raise ValueError(
            f"A batch of {kind} is an array with an axis of clips. Received: "
            f"{type(given).__name__} {given!r:.100}"
        )
    if isinstance(given, list) and array.dtype == np.float64:
        array = array.astype(np.float32)  # Python has no other floats.
    check_dtype(kind, array.dtype)
    return array


def check_dtype(kind, dtype):
    """Refuses a dtype that the model would take for something else.

    Args:
        kind: see `as_batch`.
        dtype: dtype of NumPy or of a backend.

    Raises:
        ValueError: if `kind` doesn't have it.
    """
    name = dtype_name(dtype)
    allowed, meaning, advice = _DTYPES[kind]
    if name not in allowed:
        raise ValueError(
            f"A batch of {kind} is {meaning}. Received: an array of {name}. {advice}"
        )


def check_channels(kind, shape):
    """Refuses a batch whose channels are not on the last axis.

    Args:
        kind: see `as_batch`.
        shape: tuple of ints, `None` for unknown ones.

    Raises:
        ValueError: if video or images are not RGB, or audio is not mono, there.
    """
    channels = _CHANNELS.get(kind)
    if channels is None or len(shape) != len(_AXES[kind]):
        return
    if shape[-1] in (channels, None):
        return
    # Where layouts with the channels first have them: before or after the time.
    found = [axis for axis in range(1, len(shape) - 2) if shape[axis] == channels]
    found = found or ([1] if kind == "audio" and shape[1] == 1 else [])
    advice = (
        f"Move the channels to the end: `np.moveaxis(batch, {found[0]}, -1)`."
        if found
        else _ADVICE[kind]
    )
    raise ValueError(
        f"A batch of {kind} has the shape ({', '.join(_AXES[kind])}). Received: shape "
        f"{tuple(shape)}. {advice}"
    )


def dtype_name(dtype):
    """Returns the name of a dtype of NumPy or of a backend, such as `"float32"`."""
    return getattr(dtype, "name", None) or str(dtype).rpartition(".")[2]


def has_numbers(given):
    """Whether something is an array whose dtype can be checked.

    Args:
        given: anything that Keras' loops take: arrays, datasets, tensors.

    Returns:
        bool.
    """
    return hasattr(given, "dtype") and hasattr(given, "shape")
