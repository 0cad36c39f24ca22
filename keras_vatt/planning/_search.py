"""Finds the largest batch that fits, in few compilations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

# Batches of the first two compilations, in units. A smaller batch would measure mostly
# the memory that does not grow with the batch.
_SMALL = (2, 4)


@dataclasses.dataclass(frozen=True)
class Search:
    """The result of a search.

    A unit is the smallest possible batch; see `Planner.unit`.

    Attributes:
        units: int, the largest batch that fits, in units; 0 if none of those tried
            does.
        tried: dict from units to the bytes needed per device, or `None` if the batch
            did not fit.
    """

    units: int
    tried: dict[int, float | None]


def largest_fitting(measure: Callable[[int], float | None], limit: float) -> Search:
    """Finds the largest batch that fits into the memory of a device.

    Memory is almost linear in the batch size, so the search extrapolates from two
    small batches to a guess. If the guess fits, the search tries one more batch, a
    sixteenth larger. Otherwise it decreases the batch, by a sixteenth of the guess
    first and by twice the previous step then, until a batch fits.

    Args:
        measure: function that maps units to bytes, or to `None` if the batch does not
            fit.
        limit: float, bytes of memory of a device.

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
