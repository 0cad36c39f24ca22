"""Checks of the dtypes of batches, before numbers of another scale reach a model."""

import numpy as np

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


def as_batch(kind, given):
    """Returns the array of a batch whose dtype means what the model takes it for.

    Args:
        kind: string, `"video"`, `"image"`, `"audio"` or `"text"`.
        given: array, or nested lists of numbers.

    Returns:
        NumPy array.

    Raises:
        ValueError: if it makes no array, or one of a dtype that `kind` doesn't have.
    """
    try:
        array = np.asarray(given)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"A batch of {kind} is one array: all its clips have the same shape. "
            f"Received: {type(given).__name__} that makes none ({error})"
        ) from error
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
    name = getattr(dtype, "name", None) or str(dtype).rpartition(".")[2]
    allowed, meaning, advice = _DTYPES[kind]
    if name not in allowed:
        raise ValueError(
            f"A batch of {kind} is {meaning}. Received: an array of {name}. {advice}"
        )


def has_numbers(given):
    """Whether something is an array whose dtype can be checked.

    Args:
        given: anything that Keras' loops take: arrays, datasets, tensors.

    Returns:
        bool.
    """
    return hasattr(given, "dtype") and hasattr(given, "shape")
