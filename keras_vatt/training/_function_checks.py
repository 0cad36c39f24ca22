"""Checks of what the functions of a `HarmonizedModel` read and return.

They look at names, shapes and dtypes, so that a compiled step pays for them once, while
it is traced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import keras
from keras import ops, tree

from keras_vatt.training._branches import Branch, BranchLoss


def checked_branches(
    branches: Mapping[str, Branch],
    losses: Collection[BranchLoss],
    batch: Mapping[str, Any],
) -> dict[str, Branch]:
    """Returns branches whose functions check what they read and return.

    `encode` gets the entries that `inputs` names and no others.

    Args:
        branches: dict from name to `Branch`.
        losses: collection of `BranchLoss`.
        batch: dict of tensors, the batch or this replica's slice of it.
    """
    checked, entries = {}, _given_names(batch)
    for name, branch in branches.items():
        needed = [loss for loss in losses if loss.outputs and name in loss.branches]
        encode = functools.partial(_encode, name, branch, entries)
        embed = branch.embed and functools.partial(_embed, name, branch, needed)
        if embed is None and needed:
            encode = functools.partial(_encode_outputs, encode, name, needed)
        checked[name] = dataclasses.replace(branch, encode=encode, embed=embed)
    return checked


def checked_losses(
    losses: Collection[BranchLoss],
    loss_inputs: Collection[str],
    batch: Mapping[str, Any],
    num_samples: Any,
) -> list[BranchLoss]:
    """Returns losses whose functions check what they read and return.

    `per_sample` gets the outputs of the branches that the loss names and no others.

    Args:
        losses: collection of `BranchLoss`.
        loss_inputs: collection of strings, `HarmonizedModel.loss_inputs`.
        batch: dict of tensors, the batch or this replica's slice of it.
        num_samples: int or int scalar, the number of samples of the whole batch.
    """
    used = {name for loss in losses for name in loss.branches}
    context = (loss_inputs, _given_names(batch), used, num_samples)
    return [
        dataclasses.replace(
            loss,
            per_sample=functools.partial(_per_sample, loss, *context),
            is_valid=loss.is_valid and functools.partial(_is_valid, loss, *context),
        )
        for loss in losses
    ]


def described(value: Any) -> str:
    """Returns the type of a value, and those of its elements, for a message."""
    if value is None:
        return "None"
    if ops.is_tensor(value):
        return f"a tensor of shape {tuple(value.shape)}"
    kind = type(value).__name__
    if not isinstance(value, list | tuple | dict):
        return f"an object of type {kind}"
    elements = value.values() if isinstance(value, dict) else value
    return (
        f"a {kind} with elements of type {sorted({type(x).__name__ for x in elements})}"
    )


def _encode(name, branch, entries, batch, training):
    inputs = {
        entry: batch[entry] for entry in branch.inputs if batch.get(entry) is not None
    }
    named = {"inputs": branch.inputs}
    with _entries_explained(f"Branch '{name}'", inputs, entries, named):
        features = branch.encode(inputs, training=training)
    counts = {
        x.shape[0] for x in tree.flatten(inputs) if ops.is_tensor(x) and len(x.shape)
    }
    num_samples = counts.pop() if len(counts) == 1 else None
    for leaf in _float_tensors(f"`encode` of branch '{name}'", features):
        shape = tuple(leaf.shape)
        count = shape[0] if shape else 0
        wrong = count is not None and num_samples and (not shape or count % num_samples)
        if wrong:
            raise ValueError(
                f"`encode` of branch '{name}' must return features whose first axis "
                "has the same number of rows for each sample. Received: features of "
                f"shape {shape} for {num_samples} samples"
            )
    return features


def _encode_outputs(encode, name, losses, batch, training):
    outputs = encode(batch, training=training)
    _check_outputs(name, losses, outputs)
    return outputs


def _embed(name, branch, losses, features, training):
    outputs = branch.embed(features, training=training)
    _float_tensors(f"`embed` of branch '{name}'", outputs)
    _check_outputs(name, losses, outputs)
    return outputs


def _check_outputs(name, losses, outputs):
    for loss in losses:
        names = list(outputs) if isinstance(outputs, Mapping) else None
        if names is None or not set(loss.outputs) <= set(names):
            received = f"outputs {names}" if names else described(outputs)
            raise ValueError(
                f"Loss '{loss.name}' needs the outputs {list(loss.outputs)} of branch "
                f"'{name}', a dict with these names. Received: {received}"
            )


def _float_tensors(what, nest, returns="float tensors, or a nest of them"):
    """Returns the leaves of a nest of tensors, and refuses other leaves."""
    leaves = tree.flatten(nest)
    for leaf in leaves:
        if not ops.is_tensor(leaf):
            received = described(leaf)
        elif "float" not in keras.backend.standardize_dtype(leaf.dtype):
            received = (
                f"a tensor of dtype {keras.backend.standardize_dtype(leaf.dtype)}"
            )
        else:
            continue
        raise TypeError(
            f"{what} must return {returns}, computed by `keras.ops` and layers, so "
            f"that there is a gradient. Received: {received}"
        )
    return leaves


def _per_sample(loss, loss_inputs, entries, branches, num_samples, outputs, batch):
    what = f"`per_sample` of loss '{loss.name}'"
    outputs = {name: outputs[name] for name in loss.branches}
    named = {"branches": loss.branches, "loss_inputs": loss_inputs}
    given = [*outputs, *batch]
    with _entries_explained(f"Loss '{loss.name}'", given, entries, named, branches):
        terms = loss.per_sample(outputs, batch)
    (terms,) = _float_tensors(what, [terms], "a float tensor")
    _check_values(what, terms, num_samples)
    dtype = "float64" if keras.config.floatx() == "float64" else "float32"
    # Lower precision, as of a mixed policy, would not go with the loss scale.
    return ops.cast(terms, dtype)


def _is_valid(loss, loss_inputs, entries, branches, num_samples, batch):
    named = {"loss_inputs": loss_inputs}
    with _entries_explained(f"Loss '{loss.name}'", batch, entries, named):
        mask = loss.is_valid(batch)
    if mask is None:
        return None
    mask = ops.convert_to_tensor(mask)
    _check_values(f"`is_valid` of loss '{loss.name}'", mask, num_samples)
    return mask


def _check_values(what, values, num_samples):
    shape = tuple(values.shape)
    count = num_samples if isinstance(num_samples, int) else None
    differs = len(shape) == 1 and None not in (count, shape[0]) and shape[0] != count
    if len(shape) != 1 or differs:
        size = "batch_size" if count is None else f"batch_size={count}"
        raise ValueError(
            f"{what} must return one value per sample, of shape ({size},), without the "
            f"mean over the batch. Received: shape {shape}"
        )


@contextlib.contextmanager
def _entries_explained(who, given, entries, named, outputs=()) -> Iterator[None]:
    """Explains a `KeyError` of a function that reads entries of the batch.

    Args:
        who: string, who reads them.
        given: collection of strings, all that the function could read.
        entries: collection of strings, the entries that the batch has.
        named: dict from the attributes that name what it gets to these names. The last
            attribute names entries of the batch.
        outputs: collection of strings, branches whose outputs it may have asked for.
    """
    try:
        yield
    except KeyError as error:
        name = error.args[0] if error.args else None
        if name in given:
            raise
        *_, named_entries = named.values()
        received = ", ".join(f"{key}={tuple(names)}" for key, names in named.items())
        if name in named_entries:
            raise ValueError(
                f"{who} reads '{name}', which the batch does not have: add it to the "
                f"data. Received: a batch with the entries {list(entries)}"
            ) from error
        if name in (*entries, *outputs):
            keys = " or ".join(f"`{key}`" for key in named)
            raise ValueError(
                f"{who} reads '{name}', which it does not name: add it to {keys}. "
                f"Received: {received}"
            ) from error
        # It may be a key of another dict of the function.
        error.add_note(f"{who} can read {sorted(given)}, which it names: {received}")
        raise


def _given_names(batch):
    return [name for name, entry in batch.items() if entry is not None]
