"""The losses of a `MultiTaskModel`, as sums of one term for each sample."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt._keras_internals import (
    TargetResolver,
    get_keras_mask,
    output_structure,
    set_keras_mask,
    weighted_loss_values,
)
from keras_vatt.training._branches import BranchLoss

# The one branch of a `MultiTaskModel`.
MODEL_BRANCH = "model"
_MASK = "_mask"


class OutputLosses:
    """The losses that Keras' `compile` has given to the outputs of a functional model.

    Outputs are named by their place among the flattened outputs of the model.

    Args:
        model: a compiled functional `keras.Model`.
    """

    def __init__(self, model: keras.Model) -> None:
        structure = output_structure(model)
        names = [str(place) for place in range(len(keras.tree.flatten(structure)))]
        self._names = keras.tree.pack_sequence_as(structure, names)
        self._resolver = TargetResolver(model)
        found = self._resolver.resolve(self._names, self._names, None)
        records = self._resolver.records
        self._losses = {}
        for record, (_, output, _) in zip(records, found, strict=True):
            weight = 1.0 if record.loss_weights is None else float(record.loss_weights)
            name = _unused(f"{record.name}_loss", self._losses)
            self._losses[name] = (record.loss, weight, output)

    def branch_losses(self, needs_terms: bool) -> list[BranchLoss]:
        """Returns one `BranchLoss` per loss.

        Args:
            needs_terms: bool. Whether the terms of samples are weighted one by one.
        """
        return [
            BranchLoss(
                name,
                (MODEL_BRANCH,),
                weight,
                _per_sample(name, loss, output, needs_terms),
                outputs=(output,),
            )
            for name, (loss, weight, output) in self._losses.items()
        ]

    def targets_of(self, y: Any, sample_weight: Any) -> dict[str, tuple]:
        """Returns the targets and weights of each loss, a dict of pairs.

        Raises:
            ValueError: if the structure of `y` or `sample_weight` doesn't fit.
        """
        found = self._resolver.resolve(y, self._names, sample_weight)
        return {
            name: (targets, weights)
            for name, (targets, _, weights) in zip(self._losses, found, strict=True)
        }

    def packed(self, outputs: dict[str, Any]) -> Any:
        """Returns outputs in the model's own structure, from a dict by name."""
        return keras.tree.map_structure(
            lambda name: _with_mask(outputs, name), self._names
        )


def named_outputs(outputs: Any) -> dict[str, Any]:
    """Returns a dict from name to output, and to float masks of outputs with a mask.

    Args:
        outputs: what the model returns, a nest of tensors.
    """
    named = {str(place): x for place, x in enumerate(keras.tree.flatten(outputs))}
    masks = {name: get_keras_mask(x) for name, x in named.items()}
    given = {name: mask for name, mask in masks.items() if mask is not None}
    # Floats, so that a backward pass may return them; they have no gradient.
    floats = {name + _MASK: ops.cast(mask, "float32") for name, mask in given.items()}
    return named | floats


def _per_sample(name, loss, output, needs_terms):
    """Returns the function `per_sample` of a `BranchLoss`."""

    def per_sample(outputs, loss_inputs):
        y, sample_weight = loss_inputs["targets"][name]
        y_pred = _with_mask(outputs[MODEL_BRANCH], output)
        count = ops.shape(y_pred)[0]
        if not _has_standard_call(loss):
            _check_terms(name, needs_terms, (), y_pred)
            return _repeated(loss(y, y_pred, sample_weight), count)
        values, divisor = weighted_loss_values(loss, y, y_pred, sample_weight)
        values = ops.cast(values, "float32")
        factor = ops.divide_no_nan(1.0, ops.cast(divisor, "float32"))
        if len(values.shape) and values.shape[0] == y_pred.shape[0]:
            rows = ops.reshape(values, (count, -1))
            return ops.sum(rows, axis=-1) * (factor * ops.cast(count, "float32"))
        _check_terms(name, needs_terms, values.shape, y_pred)
        return _repeated(ops.sum(values) * factor, count)

    return per_sample


def _has_standard_call(loss):
    is_loss = isinstance(loss, keras.losses.Loss)
    return is_loss and type(loss).__call__ is keras.losses.Loss.__call__


def _with_mask(outputs, name):
    y_pred, mask = outputs[name], outputs.get(name + _MASK)
    if mask is not None:
        set_keras_mask(y_pred, ops.cast(mask, "bool"))
    return y_pred


def _repeated(value, count):
    """Returns terms whose mean is a value that can't be divided among the samples."""
    value = ops.cast(value, "float32")
    if len(value.shape):
        raise ValueError(
            "A loss must be one number per batch after its reduction. Received: a loss "
            f"of shape {tuple(value.shape)}. Leave its `reduction` at its default."
        )
    return ops.broadcast_to(value, (count,))


def _check_terms(name, needs_terms, shape, y_pred):
    if needs_terms:
        raise ValueError(
            "`num_groups` and `compare='features'` need losses with one value per "
            f"sample, of shape (batch_size, ...). Received: '{name}' with values of "
            f"shape {tuple(shape)} for an output of shape {tuple(y_pred.shape)}"
        )


def _unused(name, names):
    """Returns the name, with a number if it is taken."""
    if name not in names:
        return name
    number = 1
    while f"{name}_{number}" in names:
        number += 1
    return f"{name}_{number}"
