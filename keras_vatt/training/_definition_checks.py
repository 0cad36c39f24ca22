"""Checks of what a subclass of `HarmonizedModel` defines, when it is compiled."""

from __future__ import annotations

import contextlib
import inspect
import numbers
from collections.abc import Collection, Mapping
from typing import Any

from keras_vatt._keras_internals import all_layers, builds_weights
from keras_vatt.training._branches import Branch, BranchLoss
from keras_vatt.training._function_checks import described


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
            f"Received: {described(branches)}"
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
            f"`keras_vatt.training.BranchLoss`es. Received: {described(losses)}"
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
