"""Splits a functional model where the paths of its losses part."""

from __future__ import annotations

from typing import Any

import keras

from keras_vatt._keras_internals import (
    Functional,
    get_keras_mask,
    input_structure,
    output_structure,
    producing_node,
)


def split_at_features(model: Any, outputs: list[str]) -> tuple[Any, Any]:
    """Returns the layers that several losses depend on, and the rest, as two models.

    The features are the tensors that the first model passes to the second one.

    Args:
        model: a functional `keras.Model`.
        outputs: list with the place of the output of each loss, as a string.

    Returns:
        Tuple of two functional models that use the layers of `model`: from its inputs
        to the list of features, and from that list to its outputs.

    Raises:
        ValueError: if no tensor is shared, or the model can't be split there.
    """
    flat = keras.tree.flatten(output_structure(model))
    reached = [_ancestors(flat[int(place)]) for place in outputs]
    counts = {}
    for nodes in reached:
        for node in nodes:
            counts[node] = counts.get(node, 0) + 1
    shared = {node for node, count in counts.items() if count > 1}
    features = _boundary(flat, shared)
    _check_features(features)
    trunk = Functional(input_structure(model), features, name="shared_layers")
    try:
        heads = Functional(features, output_structure(model), name="output_layers")
    except ValueError as error:
        raise ValueError(
            "`compare='features'` needs outputs that depend on the shared features "
            "alone. Here, layers of a single loss read an input of the model, too: use "
            "`compare='parameters'`."
        ) from error
    return trunk, heads


def _ancestors(tensor):
    """Returns the nodes of the graph that a tensor depends on."""
    found, waiting = set(), [producing_node(tensor)]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting.extend(producing_node(parent) for parent in node.input_tensors)
    return found


def _boundary(outputs, shared):
    """Returns the outputs of shared nodes that other nodes read, or the model returns.

    Args:
        outputs: list of symbolic tensors, the outputs of the model.
        shared: set of nodes.
    """
    read = list(outputs)
    for node in set().union(*map(_ancestors, outputs)) - shared:
        read.extend(node.input_tensors)
    boundary = {id(x): x for x in read if producing_node(x) in shared}
    return [x for x in boundary.values() if not producing_node(x).is_input]


def _check_features(features):
    if not features:
        raise ValueError(
            "`compare='features'` compares the losses at the tensors that several of "
            "them depend on. Here there are none: use `compare='parameters'`."
        )
    for x in features:
        if get_keras_mask(x) is not None:
            raise ValueError(
                "`compare='features'` does not support a mask at the features. "
                f"Received: '{x.name}' of shape {x.shape} with a mask; use "
                "`compare='parameters'`."
            )
        if "float" not in keras.backend.standardize_dtype(x.dtype):
            raise ValueError(
                "`compare='features'` needs features of a float dtype. Received: "
                f"'{x.name}' of dtype {x.dtype}"
            )
