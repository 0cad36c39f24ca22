"""Checks of the data that a `HarmonizedModel` is given, before it trains on them."""

import numbers
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vatt.training._finite import named_clips, nonfinite_clips
from keras_vatt.training._function_checks import described

_NUMBERS = numbers.Number | np.bool_


def refuse_targets(y=None, sample_weight=None, class_weight=None):
    """Refuses targets and weights, which Keras' loops take and these models can't use.

    Args:
        y: the targets that were given.
        sample_weight: the weights that were given.
        class_weight: the weights that were given.

    Raises:
        ValueError: if one of them is not `None`.
    """
    given = {"y": y, "sample_weight": sample_weight, "class_weight": class_weight}
    given = [f"`{name}`" for name, value in given.items() if value is not None]
    if given:
        raise ValueError(
            "The losses of this model compare the modalities of a batch with each "
            "other: there are no targets, and the masks in the batch say which samples "
            f"count. Received: {', '.join(given)}"
        )


def check_targets(loss, y):
    """Refuses a dict of targets that lacks those of a loss.

    Args:
        loss: the losses, as `keras.Model.compile` takes them.
        y: the targets, as `keras.Model.fit` takes them.

    Raises:
        ValueError: if targets are missing.
    """
    if not (isinstance(loss, Mapping) and isinstance(y, Mapping)):
        return
    missing = [name for name in loss if loss[name] is not None and name not in y]
    if missing:
        raise ValueError(
            f"The targets of these losses are missing: {missing}. "
            f"Received: targets with the names {list(y)}"
        )


def check_batch_sizes(data, batch_size, compiled):
    """Refuses a batch that can't be cut into equal parts, before training begins.

    It looks at arrays, and at datasets that tell the size of their batches. A
    batch of other data that has the wrong size stops the training when it comes.

    Args:
        data: the data, as `keras.Model.fit` takes them.
        batch_size: int or `None`, Keras' default.
        compiled: dict of the arguments of `compile` that cut a batch, by name.

    Raises:
        ValueError: if a batch has the wrong size, or arrays differ in length.
    """
    _check_lengths(data)
    sizes = _batch_sizes(data, batch_size)
    for name, parts in compiled.items():
        wrong = [size for size in sizes if size % parts]
        if wrong:
            raise ValueError(
                f"The size of each batch must be a multiple of `{name}`, that of the "
                f"last one too. Received: {name}={parts} and a batch of {wrong[0]}. "
                "Choose another `batch_size`, or leave out the clips of the last batch."
            )


def warn_of_nonfinite(data):
    """Warns of clips in arrays that hold a NaN or an infinity, by their numbers.

    The steps that meet them are skipped and counted.

    Args:
        data: the data, as `keras.Model.fit` takes them.
    """
    for name, array in _arrays(data).items():
        clips = nonfinite_clips(keras.ops.convert_to_numpy(array))
        if clips:
            warnings.warn(
                f"'{name}' has a NaN or an infinity in {named_clips(clips)}. Steps "
                "with these clips are skipped, and counted as `nonfinite_rate`.",
                stacklevel=4,
            )


def _check_lengths(data):
    lengths = {name: len(array) for name, array in _arrays(data).items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            "All arrays must have the same number of samples along the first axis. "
            f"Received: {lengths}"
        )


def _batch_sizes(data, batch_size):
    """Returns the set of the sizes of batches that are known beforehand."""
    arrays = _arrays(data)
    if arrays:
        count = min(len(array) for array in arrays.values())
        batch_size = min(batch_size or 32, count) or 1
        return {batch_size, count % batch_size or batch_size}
    if hasattr(data, "element_spec"):
        spec = keras.tree.flatten(data.element_spec)
        return {size for entry in spec for size in entry.shape[:1] if size is not None}
    return set()


def _arrays(data):
    """The arrays among the entries of a batch, a dict that may be empty."""
    if not isinstance(data, dict):
        return {}
    return {
        name: value
        for name, value in data.items()
        if (isinstance(value, np.ndarray) or keras.ops.is_tensor(value)) and value.ndim
    }


def checked_batch(batch: Any) -> dict[str, Any]:
    """Returns a batch with tensors in place of arrays and lists of numbers.

    Tensors of the dtype float64 are cast to `keras.config.floatx()`, as in `fit`.

    Args:
        batch: dict from name to array; entries may be `None`.

    Raises:
        TypeError: if the batch is not a dict.
        ValueError: if it is empty, an entry has no samples, or entries differ in their
            number of samples.
    """
    if not isinstance(batch, Mapping):
        raise TypeError(
            "A batch must be a dict from the names of its entries to arrays, such as "
            f"{{'video': video, 'labels': labels}}. Received: {described(batch)}"
        )
    batch = {name: _as_tensor(entry) for name, entry in batch.items()}
    given = {name: entry for name, entry in batch.items() if entry is not None}
    if not given:
        raise ValueError(f"A batch must not be empty. Received: entries={list(batch)}")
    shapes = {
        name: () if isinstance(entry, _NUMBERS) else tuple(entry.shape)
        for name, entry in given.items()
        if isinstance(entry, _NUMBERS) or ops.is_tensor(entry)
    }
    counts = {shape[:1] for shape in shapes.values()} - {(None,)}
    if () in counts or len(counts) > 1:
        raise ValueError(
            "All entries of a batch must have the same number of samples along the "
            f"first axis. Received: entries with the shapes {shapes}"
        )
    return batch


def with_arrays(data: Any) -> Any:
    """Returns data with arrays in place of lists of numbers.

    Args:
        data: dict from name to array or list; other data are returned as they are.
    """
    if not isinstance(data, Mapping):
        return data
    return {name: _as_array(entry) for name, entry in data.items()}


def _as_tensor(entry):
    """Returns a tensor from an array or list of numbers; other entries as they are."""
    if ops.is_tensor(entry):
        dtype = keras.backend.standardize_dtype(entry.dtype)
    else:
        entry = _as_array(entry)
        if not isinstance(entry, np.ndarray) or entry.dtype.kind not in "biuf":
            return entry
        dtype = entry.dtype.name
        entry = ops.convert_to_tensor(entry)
    return ops.cast(entry, keras.config.floatx()) if dtype == "float64" else entry


def _as_array(entry):
    """Returns an array from a nested list of Python numbers."""
    first = entry
    while isinstance(first, list | tuple) and first:
        first = first[0]
    is_list = isinstance(entry, list | tuple) and isinstance(first, _NUMBERS)
    return np.asarray(entry) if is_list else entry
