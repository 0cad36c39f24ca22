"""The visits that PCGrad and GradVac share."""

from keras import ops

from keras_vatt.harmonization._gram import cosine_matrix, gradient_norms


def adjust_in_turn(gram, adjust):
    """Lets each gradient visit the others, and sums the adjusted gradients.

    Each gradient visits the original others in the order of their cosines with
    it, the smallest first, and adds some multiple of each to itself.

    Args:
        gram: float32 tensor of shape `(K, K)`; the rows of zero gradients are
            zero.
        adjust: function `(product, norm) -> amount` on tensors of shape `(K,)`:
            the inner product of each adjusted gradient so far with the unit
            vector along the gradient that it visits, and its norm; how much of
            that unit vector to add.

    Returns:
        float32 tensor of shape `(K,)`: the weights of the original gradients in
        the sum of the adjusted ones.
    """
    size = gram.shape[0]
    norms = gradient_norms(gram)
    cosines = cosine_matrix(gram)
    # Larger than any cosine: a gradient's turn to visit itself comes last.
    visits = ops.argsort(cosines + 2.0 * ops.eye(size, dtype="float32"), axis=1)
    # Row i holds adjusted gradient i in terms of the original unit vectors.
    adjusted = norms[:, None] * ops.eye(size, dtype="float32")
    for turn in range(size - 1):
        visited = ops.one_hot(visits[:, turn], size, dtype="float32")
        products = ops.sum(adjusted[:, :, None] * cosines, axis=1)
        squared_norm = ops.sum(adjusted * products, axis=1)
        amount = adjust(
            ops.sum(visited * products, axis=1),
            ops.sqrt(ops.maximum(squared_norm, 0.0)),
        )
        adjusted = adjusted + amount[:, None] * visited
    return ops.divide_no_nan(ops.sum(adjusted, axis=0), norms)
