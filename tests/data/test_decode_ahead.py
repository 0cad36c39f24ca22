"""Items are decoded ahead in threads, and come in order."""

import threading

import pytest

from keras_vatt.data.decoding._decode_ahead import decode_ahead


def test_items_come_in_order():
    decoded = decode_ahead(range(20), lambda number: number * 10, num_workers=3)
    pairs = [(item, future.result()) for item, future in decoded]
    assert pairs == [(number, number * 10) for number in range(20)]


@pytest.mark.parametrize(("lookahead", "started"), [(0, 5), (8, 9)])
def test_no_more_than_the_lookahead_is_decoded(lookahead, started):
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    decoded = decode_ahead(items(), str, num_workers=2, lookahead=lookahead)
    next(decoded)
    assert len(taken) == started
    decoded.close()


def test_waiting_items_are_cancelled_when_nobody_needs_them():
    release, started = threading.Event(), []

    def decode(number):
        started.append(number)
        release.wait(10)
        return number

    decoded = decode_ahead(range(100), decode, num_workers=1, lookahead=50)
    first = next(decoded)
    release.set()
    assert first[1].result() == 0
    decoded.close()
    assert len(started) < 100
