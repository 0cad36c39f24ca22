"""Pairwise adjustment of gradients in sequence, for PCGrad and GradVac."""

from keras import ops

from keras_vatt.harmonization._gram import cosine_matrix, gradient_norms


def adjust_in_turn(gram, adjust):
    """Adjusts each gradient by the others in turn, and sums the results.

    A multiple of each original gradient is added to every other one, in the order of
    their cosines, the smallest first.

    Args:
        gram: float32 tensor of shape `(..., K, K)`; the rows of zero gradients are
            zero.
        adjust: function `(product, norm, other) -> amount`. `product` and `norm`, of
            shape `(..., K)`: the inner product of each gradient, as adjusted so far,
            with the unit vector along the other gradient, and its norm. `other`, of
            shape `(..., K, K)`: which gradient that is, one-hot. The amount is the
            multiple of that unit vector to add, of shape `(..., K)`.

    Returns:
        float32 tensor of shape `(..., K)`: the weights of the original gradients in
        the sum of the adjusted ones.
    """
    size = gram.shape[-1]
    norms = gradient_norms(gram)
    cosines = cosine_matrix(gram)
    # Larger than any cosine: each gradient itself is sorted to the end.
    order = ops.argsort(cosines + 2.0 * ops.eye(size, dtype="float32"), axis=-1)
    # Row i holds adjusted gradient i in terms of the original unit vectors.
    adjusted = norms[..., :, None] * ops.eye(size, dtype="float32")
    for turn in range(size - 1):
        other = ops.one_hot(order[..., turn], size, dtype="float32")
        products = ops.sum(adjusted[..., None] * cosines[..., None, :, :], axis=-2)
        squared_norm = ops.sum(adjusted * products, axis=-1)
        amount = adjust(
            ops.sum(other * products, axis=-1),
            ops.sqrt(ops.maximum(squared_norm, 0.0)),
            other,
        )
        adjusted = adjusted + amount[..., None] * other
    return ops.divide_no_nan(ops.sum(adjusted, axis=-2), norms)
