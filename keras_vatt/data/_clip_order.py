"""The random order of clips in training, computed for each position alone."""

from __future__ import annotations

import numpy as np
from grain.experimental import index_shuffle

# Rounds of the cipher that permutes the indices: Grain's default.
_ROUNDS = 4


def shuffled_pass(
    count: int, position: int, batch_size: int, seed: int
) -> tuple[int, int]:
    """Returns the clip at a position of a training run.

    The run consists of passes over all clips, each in another random order. The
    remainder of a pass that does not fill a batch is dropped.

    Args:
        count: int. Number of clips.
        position: int. Number of clips of the run before this one.
        batch_size: int. `1` drops nothing.
        seed: int.

    Returns:
        Tuple of two ints: the pass, and the index of the clip.
    """
    epoch, place = divmod(position, count // batch_size * batch_size)
    return epoch, shuffled(place, count, (seed, epoch))


def shuffled(place: int, count: int, seed: tuple[int, ...]) -> int:
    """Returns the index at a place of a random permutation of `range(count)`.

    Unlike a list of all indices, it takes no memory.
    """
    if count == 1:
        return 0
    key = int(np.random.SeedSequence(seed).generate_state(1)[0])
    return index_shuffle(place, max_index=count - 1, seed=key, rounds=_ROUNDS)
