"""The order of clips is a permutation that needs no list."""

import numpy as np
import pytest

from keras_vatt.data._clip_order import shuffled, shuffled_pass

pytestmark = pytest.mark.once


@pytest.mark.parametrize("count", [1, 2, 3, 10, 1000, 1023])
def test_each_index_comes_once(count):
    order = [shuffled(place, count, (0, 1)) for place in range(count)]
    assert sorted(order) == list(range(count))


def test_the_order_looks_random():
    order = np.array([shuffled(place, 10_000, (3, 0)) for place in range(10_000)])
    # Neighbors are as far apart as in a random order, a third of the range on average.
    assert abs(np.abs(np.diff(order)).mean() / 10_000 - 1 / 3) < 0.01
    correlation = np.corrcoef(order, np.arange(10_000))[0, 1]
    assert abs(correlation) < 0.03
    other = np.array([shuffled(place, 10_000, (3, 1)) for place in range(10_000)])
    assert (order == other).mean() < 0.001


def test_a_pass_drops_what_fills_no_batch():
    found = [shuffled_pass(7, position, 3, seed=0) for position in range(12)]
    assert [epoch for epoch, _ in found] == [0] * 6 + [1] * 6
    assert len({index for _, index in found[:6]}) == 6


def test_a_hundred_million_clips_take_no_memory():
    found = {shuffled(place, 136_000_000, (0, 0)) for place in range(100)}
    assert len(found) == 100
    assert max(found) > 100_000_000
