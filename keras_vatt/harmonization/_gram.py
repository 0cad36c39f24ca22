"""The Gram matrix of the gradients of several losses, and functions of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops


def gradient_gram(gradients: Sequence[Sequence[Any]]) -> Any:
    """Computes the inner products of the gradients of K losses over all variables.

    Each gradient is the concatenation of its tensors over the variables; that
    vector is never formed. Products are computed and summed in float32, independent of
    the dtype of the tensors. If a loss does not depend on a variable (`None`),
    the gradient is zero. Sparse gradients (`tf.IndexedSlices`) are
    converted to dense tensors first, which adds up rows with the same index.

    Args:
        gradients: list of K lists, one per loss: the tensor of each variable, in
            the same order and of the same shape for every loss, or `None`.

    Returns:
        float32 tensor of shape `(K, K)`, exactly symmetric.

    Raises:
        ValueError: if there is no loss, the lists differ in length, or two
            gradients of one variable differ in shape.

    Example:
    ```python
    from keras import ops
    from keras_vatt import harmonization

    video_audio = [ops.array([3.0, 4.0]), None]
    video_text = [ops.array([1.0, 0.0]), ops.array([2.0])]
    harmonization.gradient_gram([video_audio, video_text])  # [[25, 3], [3, 5]]
    ```
    """
    zero = ops.zeros((), dtype="float32")
    products = [
        [sum((x for x in own if x is not None), start=zero) for own in row]
        for row in _products_of_variables(gradients)
    ]
    return symmetric_matrix(products)


def variable_grams(gradients: Sequence[Sequence[Any]]) -> Any:
    """Computes the Gram matrix of each variable; their sum is `gradient_gram`.

    Args:
        gradients: list of K lists, as for `gradient_gram`, of at least one variable.

    Returns:
        float32 tensor of shape `(variables, K, K)`.
    """
    zero = ops.zeros((), dtype="float32")
    # One stack for each pair of losses, not for each variable: eagerly, the time of a
    # small model is that of the number of operations.
    products = [
        [own and ops.stack([zero if x is None else x for x in own]) for own in row]
        for row in _products_of_variables(gradients)
    ]
    return symmetric_matrix(products)


def combine_gradients(gradients: Sequence[Sequence[Any]], weights: Any) -> list[Any]:
    """Computes the weighted sum of the gradients of K losses for each variable.

    A non-finite gradient makes the sum non-finite even with weight 0 (0 times NaN
    is NaN): skip such a step, as the flag of a `Harmonizer` requires.

    Args:
        gradients: list of K lists, as for `gradient_gram`.
        weights: K floats, such as a harmonizer returns.

    Returns:
        List with one dense tensor per variable, summed in float32 and returned in
        the dtype of its gradients; `None` for a variable that no loss depends on.

    Raises:
        ValueError: if there is no loss, the lists differ in length, the number
            of weights is not K, or two gradients of one variable differ in
            shape.

    Example:
    ```python
    from keras import ops
    from keras_vatt import harmonization

    video_audio = [ops.array([3.0, 4.0]), None]
    video_text = [ops.array([1.0, 0.0]), ops.array([2.0])]
    harmonization.combine_gradients([video_audio, video_text], [1.0, 0.5])
    # [[3.5, 4.0], [1.0]]
    ```
    """
    size = _num_losses(gradients)
    weights = ops.cast(weights, "float32")
    if tuple(weights.shape) != (size,):
        raise ValueError(
            f"`weights` must hold one number for each of the {size} losses. "
            f"Received: weights of shape {tuple(weights.shape)}"
        )
    weights = ops.unstack(weights, size)
    return [
        _weighted_sum(per_loss, weights) for per_loss in zip(*gradients, strict=True)
    ]


def gradient_norms(gram: Any) -> Any:
    """Computes the norms of the K gradients.

    Args:
        gram: tensor of shape `(..., K, K)`: Gram matrices as from `gradient_gram`.

    Returns:
        float32 tensor of shape `(..., K)`.

    Example:
    ```python
    from keras_vatt import harmonization

    harmonization.gradient_norms([[25.0, 3.0], [3.0, 4.0]])  # [5, 2]
    ```
    """
    return ops.sqrt(squared_norms(ops.cast(gram, "float32")))


def relative_norms(gram: Any) -> Any:
    """Computes the norms of the K gradients, divided by the largest one.

    Args:
        gram: float32 tensor of shape `(..., K, K)`.

    Returns:
        float32 tensor of shape `(..., K)`; zeros if all gradients are zero.
    """
    norms = gradient_norms(gram)
    return ops.divide_no_nan(norms, ops.max(norms, axis=-1, keepdims=True))


def cosine_matrix(gram: Any) -> Any:
    """Computes the cosines of the angles between the K gradients.

    Args:
        gram: tensor of shape `(..., K, K)`: Gram matrices as from `gradient_gram`.

    Returns:
        float32 tensor of shape `(..., K, K)`, within `[-1, 1]`: 1 on the diagonal,
        and 0 in the whole row and column of a gradient whose norm is zero.

    Example:
    ```python
    from keras_vatt import harmonization

    harmonization.cosine_matrix([[25.0, 5.0], [5.0, 4.0]])  # [[1, 0.5], [0.5, 1]]
    ```
    """
    gram = ops.cast(gram, "float32")
    norms = gradient_norms(gram)
    # Two divisions, because the product of the norms could overflow or underflow.
    cosines = ops.divide_no_nan(gram, norms[..., :, None])
    cosines = ops.clip(ops.divide_no_nan(cosines, norms[..., None, :]), -1.0, 1.0)
    ones = ops.cast(norms > 0, "float32")[..., :, None]
    return ops.where(ops.eye(gram.shape[-1], dtype="bool"), ones, cosines)


def smallest_cosine(gram: Any) -> Any:
    """Computes the smallest cosine over all pairs of non-zero gradients.

    Args:
        gram: tensor of shape `(..., K, K)`: Gram matrices as from `gradient_gram`.

    Returns:
        float32 tensor of shape `(...)`, a scalar for one Gram matrix; 0 if there are
        no two non-zero gradients.

    Example:
    ```python
    from keras_vatt import harmonization

    harmonization.smallest_cosine([[1.0, -0.5], [-0.5, 1.0]])  # -0.5
    ```
    """
    gram = ops.cast(gram, "float32")
    present = squared_norms(gram) > 0
    pairs = ops.logical_and(present[..., :, None], present[..., None, :])
    pairs = ops.logical_and(
        pairs, ops.logical_not(ops.eye(gram.shape[-1], dtype="bool"))
    )
    smallest = ops.min(ops.where(pairs, cosine_matrix(gram), 1.0), axis=(-2, -1))
    return ops.where(ops.any(pairs, axis=(-2, -1)), smallest, 0.0)


def symmetric_matrix(upper: list[list[Any]]) -> Any:
    """Stacks tensors of shape `(...)` to matrices of shape `(..., K, K)`.

    Args:
        upper: list of K lists of K tensors. Those below the diagonal are not used.
    """
    size = len(upper)
    rows = [
        ops.stack([upper[min(i, j)][max(i, j)] for j in range(size)], axis=-1)
        for i in range(size)
    ]
    return ops.stack(rows, axis=-2)


def squared_norms(gram: Any) -> Any:
    """Returns the diagonal of `(..., K, K)` Gram matrices, of shape `(..., K)`."""
    return ops.diagonal(gram, axis1=-2, axis2=-1)


def _num_losses(gradients):
    lengths = [len(per_variable) for per_variable in gradients]
    if len(set(lengths)) != 1:
        raise ValueError(
            "`gradients` must hold at least one list, all of the same length: one "
            "list per loss, one tensor or `None` per variable. "
            f"Received: {len(lengths)} lists of lengths {lengths}"
        )
    return len(lengths)


def _products_of_variables(gradients):
    """Returns the products of losses i and j at `[i][j]`, a list over the variables.

    They are `None` if one of the losses does not depend on the variable. The lists
    below the diagonal are empty.
    """
    size = _num_losses(gradients)
    products = [[[] for _ in range(size)] for _ in range(size)]
    for per_loss in zip(*gradients, strict=True):
        per_loss = [_dense_float32(gradient) for gradient in per_loss]
        _check_same_shape([x for x in per_loss if x is not None])
        for i, first in enumerate(per_loss):
            for j, second in enumerate(per_loss[i:], start=i):
                both = first is not None and second is not None
                products[i][j].append(_inner_product(first, second) if both else None)
    return products


def _dense_float32(gradient):
    if gradient is None:
        return None
    if hasattr(gradient, "dense_shape"):  # tf.IndexedSlices
        rows = ops.cast(gradient.values, "float32")
        return ops.segment_sum(rows, gradient.indices, gradient.shape[0])
    return ops.cast(gradient, "float32")


def _inner_product(first, second):
    # Not a dot product: accelerators may round its float32 inputs to bfloat16.
    return ops.sum(first * second)


def _weighted_sum(per_loss, weights):
    reached = [gradient for gradient in per_loss if gradient is not None]
    if not reached:
        return None
    terms = [
        weight * _dense_float32(gradient)
        for weight, gradient in zip(weights, per_loss, strict=True)
        if gradient is not None
    ]
    _check_same_shape(terms)
    return ops.cast(sum(terms[1:], start=terms[0]), reached[0].dtype)


def _check_same_shape(tensors):
    shapes = [tuple(tensor.shape) for tensor in tensors]
    if len(set(shapes)) > 1:
        raise ValueError(
            "The gradients of one variable must have the same shape for every "
            f"loss. Received: shapes {shapes}"
        )
