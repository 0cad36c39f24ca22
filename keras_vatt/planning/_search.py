"""The largest batch that fits, by few compilations."""

import dataclasses

# Batches of the two first compilations, in units. One clip a device would measure
# mostly what does not grow with the batch.
_SMALL = (2, 4)


@dataclasses.dataclass(frozen=True)
class Search:
    """What a search has found.

    Attributes:
        units: int, the largest batch that was seen to fit, in units; 0 if none did.
        tried: dict from units to the bytes that a device needs, `None` where the
            program did not fit.
    """

    units: int
    tried: dict


def largest_fitting(measure, limit):
    """Finds the largest batch that fits into a device.

    Memory is close to linear in the batch: two small batches give the line, the line
    a guess. The guess is tried, then a batch one step larger if it fits, a step being
    a sixteenth of it; if it doesn't, smaller ones by steps that double.

    Args:
        measure: function from units to bytes, or `None` where they don't fit.
        limit: float, bytes that a device has.

    Returns:
        `Search`.
    """
    tried = {}

    def fits(units):
        if units not in tried:
            tried[units] = measure(units)
        return tried[units] is not None

    small, larger = _SMALL
    if not fits(small):
        fits(1)
    elif fits(larger):
        guess = _guess(tried, limit)
        step = max(1, guess // 16)
        if fits(guess):
            fits(guess + step)
        while guess > larger and not fits(guess):
            guess, step = guess - step, 2 * step
    else:
        fits(small + 1)
    return Search(max((u for u, n in tried.items() if n is not None), default=0), tried)


def _guess(tried, limit):
    small, larger = _SMALL
    slope = (tried[larger] - tried[small]) / (larger - small)
    if slope <= 0:
        return 2 * larger
    units = int((limit - tried[larger]) / slope) + larger
    return max(units, larger + 1)
