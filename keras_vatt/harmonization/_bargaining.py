"""Solves the equations of FairGrad, and of Nash-MTL, by Newton's method."""

from keras import ops

from keras_vatt.harmonization._gram import cosine_matrix, gradient_norms
from keras_vatt.harmonization._nonnegative import inverses, product, regularized

_NUM_STEPS = 16
_LARGEST_DECREASE = 4.0  # of the logarithm of a weight in one step
# From the full step to smaller and larger ones.
_LENGTHS = [1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 1e-3, 2.0, 4.0]


def fair_weights(gram, power):
    """Computes the positive `w` with `gram w = w^(-power)`, scaled to mean 1.

    They minimize `w' gram w / 2` minus the integrals of `w_i^(-power)`, which is
    convex, and each step of Newton's method goes to about the minimum on its path. The
    equation is homogeneous: any multiple of the Gram matrix gives the same weights.

    Args:
        gram: float32 tensor of shape `(..., K, K)`; the rows of zero gradients are
            zero.
        power: positive float.

    Returns:
        float32 tensor of shape `(..., K)`, 0 for zero gradients.
    """
    norms = gradient_norms(gram)
    present = norms > 0
    norms = ops.divide_no_nan(norms, ops.max(norms, axis=-1, keepdims=True))
    norms = ops.where(present, norms, 1.0)
    identity = ops.eye(gram.shape[-1], dtype="float32")
    cosines = regularized(cosine_matrix(gram))
    # A zero gradient has an equation of its own.
    cosines = ops.where(present[..., None], cosines, identity)

    # The solution for orthogonal gradients.
    weights = norms ** (-2.0 / (1.0 + power))
    power = ops.convert_to_tensor(power, "float32")
    start = weights, norms, cosines, power
    weights, *_ = ops.fori_loop(0, _NUM_STEPS, _newton_step, start)
    weights = ops.where(present, weights, 0.0)
    count = ops.sum(ops.cast(present, "float32"), axis=-1, keepdims=True)
    total = ops.sum(weights, axis=-1, keepdims=True)
    return ops.divide_no_nan(count * weights, total)


def _newton_step(_, state):
    # The constants are in the state because JAX, when run eagerly, compiles a loop once
    # for each function of its body.
    weights, norms, cosines, power = state
    # In relative terms: the unknown is the change divided by the weights, and all terms
    # are of the size of `utility`.
    coordinates = weights * norms
    scaled = coordinates[..., :, None] * cosines * coordinates[..., None, :]
    utility = weights ** (1.0 - power)
    gradient = ops.sum(scaled, axis=-1) - utility
    # The Hessian, with a diagonal of 1.
    diagonal = ops.diagonal(scaled, axis1=-2, axis2=-1) + power * utility
    root = ops.sqrt(diagonal)
    identity = ops.eye(weights.shape[-1], dtype="float32")
    hessian = scaled / root[..., :, None] / root[..., None, :]
    hessian = hessian + identity * (power * utility / diagonal)[..., None]
    change = -product(inverses(hessian), gradient / root) / root
    change = ops.maximum(change, -_LARGEST_DECREASE)

    # Of steps of several lengths, the one with the smallest derivative along its path
    # is the nearest to the minimum. Straight paths keep the cancellation of opposite
    # gradients. On the others, weights shrink exponentially and stay positive.
    lengths = ops.convert_to_tensor(_LENGTHS, "float32")
    steps = lengths[:, None] * change[..., None, :]
    straight = 1.0 + steps
    positive = ops.min(straight, axis=-1) > 0
    straight = ops.where(straight > 0, straight, 1.0)
    bent = ops.where(steps < 0, ops.exp(ops.minimum(steps, 0.0)), straight)
    factor = ops.concatenate([straight, bent], axis=-2)
    speed = ops.where(steps < 0, bent, 1.0)
    speed = ops.concatenate([ops.ones_like(speed), speed], axis=-2)
    slopes = product(scaled[..., None, :, :], factor)
    slopes = slopes - utility[..., None, :] * factor ** (-power)
    slopes = ops.abs(ops.sum(change[..., None, :] * speed * slopes, axis=-1))
    possible = ops.concatenate([positive, ops.ones_like(positive)], axis=-1)
    slopes = ops.where(possible, slopes, float("inf"))
    # Near the solution the slopes are rounding errors, and the full step is right.
    start = ops.abs(ops.sum(change * gradient, axis=-1, keepdims=True))
    size = ops.abs(change) * (utility + ops.abs(gradient))
    size = ops.sum(size, axis=-1, keepdims=True)
    is_full = slopes[..., :1] <= 0.1 * start + 1e-6 * size
    first = ops.one_hot(0, 2 * len(_LENGTHS), dtype="float32")
    best = ops.one_hot(ops.argmin(slopes, axis=-1), 2 * len(_LENGTHS), dtype="float32")
    chosen = ops.where(is_full, first, best)
    weights = weights * ops.sum(chosen[..., None] * factor, axis=-2)
    return weights, norms, cosines, power
