"""Sampled gradients, and the way from them to weights."""

import numpy as np
from keras import ops

KINDS = ["independent", "agreeing", "conflicting", "scaled", "parallel", "opposite"]
WELL_CONDITIONED = ["independent", "agreeing", "conflicting", "scaled"]
SIZES = [2, 3, 5]
# Every kind at one size, and every size for the kind that asks most of a method.
CASES = [(kind, 3) for kind in KINDS[1:]] + [("conflicting", 2), ("conflicting", 5)]
WELL_CONDITIONED_CASES = [case for case in CASES if case[0] in WELL_CONDITIONED]
DIMENSION = 16


def sample_gradients(kind, size, seed=0):
    """`size` float64 gradients, one a row."""
    rng = np.random.default_rng([seed, size])
    gradients = rng.normal(size=(size, DIMENSION))
    alternating = np.where(np.arange(size) % 2, -1.0, 1.0)[:, None]
    common = rng.normal(size=DIMENSION)
    if kind == "agreeing":
        return np.abs(gradients)
    if kind == "conflicting":
        return gradients - 0.9 * gradients.mean(axis=0)
    if kind == "scaled":
        return gradients * 10.0 ** rng.uniform(-3, 3, size=(size, 1))
    if kind == "parallel":
        return common + 0.01 * gradients
    if kind == "opposite":
        return alternating * (common + 0.01 * gradients)
    return gradients


def gram_of(gradients):
    return (gradients @ gradients.T).astype("float32")


def weights_of(harmonizer, gradients, step=0):
    """The weights as float64, of an update that must be applied."""
    weights, apply = harmonizer(gram_of(gradients), step)[:2]
    assert bool(apply)
    return ops.convert_to_numpy(weights).astype("float64")


def assert_same_update(weights, expected, gradients, tolerance=1e-5):
    """Equal updates, up to `tolerance` of the lengths that were summed.

    Weights of nearly dependent gradients may differ where their sum does not.
    """
    lengths = np.abs(expected) * np.linalg.norm(gradients, axis=1)
    difference = np.linalg.norm((weights - expected) @ gradients)
    assert difference <= tolerance * lengths.sum(), (weights, expected)


def tolerance_of(kind):
    """What the float32 Gram matrix of such gradients leaves of an exact solution."""
    return 1e-5 if kind in WELL_CONDITIONED else 5e-3
