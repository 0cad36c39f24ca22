"""Checks of what a subclass of `HarmonizedModel` defines, and of its batches.

`compile` checks the definition. The first batch shows the rest: what the functions of
the subclass read and return. These checks look at names, shapes and dtypes, so that a
compiled step pays for them once, while it is traced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import numbers
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from keras_vatt._keras_internals import all_layers, builds_weights
from keras_vatt.training._branches import Branch, BranchLoss

_NUMBERS = numbers.Number | np.bool_


def checked_definition(model: Any) -> list[BranchLoss]:
    """Returns the losses of a model, after a check of all that its class defines.

    Args:
        model: the `HarmonizedModel`.

    Raises:
        RuntimeError: if `__init__` has not called that of the base class.
        TypeError: if a definition has the wrong type.
        ValueError: if names do not fit together, or a layer is not built.
    """
    if not hasattr(model, "step_counter"):
        raise RuntimeError(
            f"`{type(model).__name__}.__init__` must call `super().__init__()` first, "
            "before it sets an attribute."
        )
    branches, losses = model.branches(), model.branch_losses()
    _check_names("`loss_inputs`", model.loss_inputs)
    _check_branches(branches)
    _check_losses(losses, branches)
    _check_layers(model)
    return losses


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
            f"{{'video': video, 'labels': labels}}. Received: {_described(batch)}"
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


def undefined_method(model: Any, name: str, returns: str) -> NotImplementedError:
    """Returns the error of a method that a subclass must define.

    Args:
        model: instance of the subclass.
        name: string, the name of the method.
        returns: string, what the method returns.
    """
    return NotImplementedError(
        f"`{type(model).__name__}` must define the method `{name}`, which returns "
        f"{returns}."
    )


def _check_branches(branches):
    is_dict = isinstance(branches, Mapping)
    if not is_dict or not all(isinstance(b, Branch) for b in branches.values()):
        raise TypeError(
            "`branches` must return a dict from names to "
            "`keras_vatt.training.Branch`es. "
            f"Received: {_described(branches)}"
        )
    for name, branch in branches.items():
        where = f"of branch '{name}'"
        _check_names(f"`inputs` {where}", branch.inputs)
        _check_function(f"`encode` {where}", branch.encode, "(batch, training)", True)
        if branch.embed is not None:
            args = "(features, training)"
            _check_function(f"`embed` {where}", branch.embed, args, True)


def _check_losses(losses, branches):
    is_list = isinstance(losses, list | tuple)
    if not is_list or not all(isinstance(loss, BranchLoss) for loss in losses):
        raise TypeError(
            "`branch_losses` must return a list of "
            f"`keras_vatt.training.BranchLoss`es. Received: {_described(losses)}"
        )
    if not losses:
        raise ValueError("`branch_losses` must return at least one loss. Received: []")
    names = [loss.name for loss in losses]
    # Logs of gradients leave out the suffix.
    short_names = {str(name).removesuffix("_loss") for name in names}
    is_named = all(isinstance(name, str) for name in names)
    if len(short_names) < len(names) or not is_named:
        raise ValueError(
            "Each loss must have a name of its own, a string, also without the suffix "
            f"'_loss'. Received: losses with the names {names}"
        )
    taken = {"loss", "nonfinite_rate", "skip_rate", "conflict_rate", "gradient_cosine"}
    if taken.intersection(names):
        raise ValueError(
            f"The names {sorted(taken)} are those of other metrics: choose other names "
            f"for the losses. Received: {names}"
        )
    for loss in losses:
        _check_loss(loss, branches)


def _check_loss(loss, branches):
    where = f"of loss '{loss.name}'"
    _check_names(f"`branches` {where}", loss.branches)
    if loss.outputs is not None:
        _check_names(f"`outputs` {where}", loss.outputs)
    unknown = [name for name in loss.branches if name not in branches]
    if unknown or not loss.branches:
        raise ValueError(
            f"`branches` {where} must name branches that `branches()` returns, at "
            f"least one of {list(branches)}. Received: branches={loss.branches!r}"
        )
    if not isinstance(loss.weight, numbers.Real):
        raise TypeError(
            f"The weight {where} must be a number. Received: weight={loss.weight!r}"
        )
    _check_function(f"`per_sample` {where}", loss.per_sample, "(outputs, batch)")
    if loss.is_valid is not None:
        _check_function(f"`is_valid` {where}", loss.is_valid, "(batch)")


def _check_names(what, names):
    if isinstance(names, str) or not isinstance(names, Collection):
        raise TypeError(
            f"{what} must be a tuple of strings, such as ('video',). "
            f"Received: {names!r}"
        )


def _check_function(what, function, signature, has_training=False):
    """Refuses what can't be called with the arguments of a signature."""
    args = [None] * (1 + signature.count(",") - has_training)
    kwargs = {"training": True} if has_training else {}
    fits = callable(function)
    with contextlib.suppress(ValueError):  # Some functions have no signature.
        try:
            fits = fits and inspect.signature(function).bind(*args, **kwargs)
        except TypeError:
            fits = False
    if not fits:
        raise TypeError(
            f"{what} must be a function with the arguments `{signature}`. "
            f"Received: {function!r}"
        )


def _check_layers(model):
    unbuilt = [layer for layer in all_layers(model, False) if builds_weights(layer)]
    if unbuilt:
        names = ", ".join(f"'{x.name}' ({type(x).__name__})" for x in unbuilt)
        raise ValueError(
            "All layers must be built before `compile`, which gives their weights to "
            "the optimizer. Build them in `__init__`, as in "
            "`self.dense.build((None, 16))`, or call them on an example once. "
            f"Received: unbuilt layers {names}"
        )
    if not model.weights:
        raise ValueError(
            "This model has no weights. Assign its layers to attributes in `__init__`, "
            "as in `self.dense = keras.layers.Dense(8)`, and build them before "
            f"`compile`. Received: a `{type(model).__name__}` without weights"
        )


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
            received = f"outputs {names}" if names else _described(outputs)
            raise ValueError(
                f"Loss '{loss.name}' needs the outputs {list(loss.outputs)} of branch "
                f"'{name}', a dict with these names. Received: {received}"
            )


def _float_tensors(what, nest, returns="float tensors, or a nest of them"):
    """Returns the leaves of a nest of tensors, and refuses other leaves."""
    leaves = tree.flatten(nest)
    for leaf in leaves:
        if not ops.is_tensor(leaf):
            received = _described(leaf)
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


def _described(value: Any) -> str:
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
