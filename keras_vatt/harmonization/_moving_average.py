"""Moving averages of the state over the steps."""

import math

from keras import ops


def unbiased_rate(decay, count):
    """Computes the weight of the newest value in an average without initial bias.

    With `average += rate * (value - average)`, the average is that of Adam: the moving
    average divided by `1 - decay**count`.

    Args:
        decay: float in `[0, 1)`.
        count: float32 tensor. Number of values, with the newest.

    Returns:
        float32 tensor of the same shape: 1 for the first value.
    """
    if decay == 0:
        return ops.ones_like(count)
    # `1 - decay**count` would lose half its digits where `decay` is close to 1.
    newest, total = -math.expm1(math.log(decay)), -ops.expm1(math.log(decay) * count)
    return ops.divide_no_nan(newest, total)


def check_decay(name, value):
    """Raises a `ValueError` unless `value` lies in `[0, 1)`."""
    if not 0.0 <= value < 1.0:
        raise ValueError(f"`{name}` must be in [0, 1). Received: {name}={value}")
