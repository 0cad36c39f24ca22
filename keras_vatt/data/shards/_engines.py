"""Engines that write shards: threads of this process, or Ray."""

from __future__ import annotations

import concurrent.futures
import os
import threading
from collections.abc import Callable, Iterator, Sequence

from keras_vatt.data.shards._shard_work import ShardResult, ShardWork, write_shard

ENGINES = ("local", "ray")


def write_with_threads(
    works: Sequence[ShardWork], num_workers: int | None, progress: Callable[[], None]
) -> Iterator[ShardResult]:
    """Writes shards in threads, as decoding releases the interpreter lock.

    Args:
        works: Sequence of `ShardWork`.
        num_workers: int. Number of shards that are written at the same time. `None`
            for the number of processors.
        progress: Function that is called after each job.

    Yields:
        `ShardResult`, in any order.
    """
    pool = concurrent.futures.ThreadPoolExecutor(num_workers or os.cpu_count())
    is_over = threading.Event()

    def progress_or_end():
        if is_over.is_set():
            raise concurrent.futures.CancelledError
        progress()

    try:
        futures = [pool.submit(write_shard, work, progress_or_end) for work in works]
        for future in concurrent.futures.as_completed(futures):
            yield future.result()
    finally:
        # After an error or an interrupt, nobody needs the shards that are not complete.
        is_over.set()
        pool.shutdown(cancel_futures=True)


def write_with_ray(
    works: Sequence[ShardWork], address: str | None, progress: Callable[[], None]
) -> Iterator[ShardResult]:
    """Writes shards on a cluster with Ray Data.

    Args:
        works: Sequence of `ShardWork`. All nodes must see their files and the folder of
            the dataset.
        address: str. Address of the cluster. `None` for a local one.
        progress: Function that is called after each job.

    Yields:
        `ShardResult`, in any order.
    """
    from keras_vatt._ray import run_on_cluster

    sizes = {work.name: len(work.jobs) for work in works}
    for result in run_on_cluster(write_shard, works, address):
        for _ in range(sizes[result.entry.name]):
            progress()
        yield result
