"""Decoding of items in worker threads, ahead of their use."""

from __future__ import annotations

import collections
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures


def decode_ahead(
    items: Iterable,
    decode: Callable,
    num_workers: int | None = None,
    lookahead: int = 0,
) -> Iterator[tuple]:
    """Decodes items in worker threads and yields them in order.

    Decoding releases the interpreter lock, so threads are enough. The number of items
    that are decoded ahead is bounded, since decoded clips are large.

    Args:
        items: iterable of the items.
        decode: function from an item to its decoded form.
        num_workers: int. Number of threads. Defaults to `None`, the number of
            processors.
        lookahead: int. Number of items to decode ahead, if that is more than twice the
            number of threads. Defaults to `0`.

    Yields:
        Tuples of an item and the `concurrent.futures.Future` of its decoded form.
    """
    num_workers = num_workers or os.cpu_count() or 1
    lookahead = max(lookahead, 2 * num_workers)
    waiting = collections.deque()
    pool = futures.ThreadPoolExecutor(num_workers)
    try:
        for item in items:
            waiting.append((item, pool.submit(decode, item)))
            if len(waiting) > lookahead:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        # After an error, nobody needs the items that wait.
        pool.shutdown(cancel_futures=True)
