"""The batch-embedding pipeline on a cluster: batches are encoded on its nodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable

import tqdm

from keras_vatt._ray import run_on_cluster
from keras_vatt.data._report import Finding
from keras_vatt.inference._pipeline import DecodedItem, Encoder, Outputs, Store, embed

# Makes the decoder and the encoder of `embed` in a worker.
MakeWorker = Callable[[], tuple[Callable[[Hashable], DecodedItem], Encoder]]


def embed_on_cluster(
    items: Iterable[Hashable],
    make_worker: MakeWorker,
    store: Store,
    batch_size: int = 32,
    on_error: str = "skip",
    progress: bool = False,
    unit: str = "clip",
    address: str | None = None,
) -> list[Finding]:
    """Encodes items on a cluster with Ray Data, and adds their outputs to a store.

    Batches are those of `embed`, and come back in order, so that the store gets the
    same. It is written here, by one process. A batch whose worker is killed is encoded
    again elsewhere.

    Args:
        items: iterable of hashable items that can be pickled. Duplicates are encoded
            once.
        make_worker: function without arguments, which can be pickled. It is called in
            each worker, and returns the `decode` and `encode` of `embed`.
        store: `Store`. Its items are skipped.
        batch_size: int. Defaults to `32`.
        on_error: string, see `embed`. Defaults to `"skip"`.
        progress: bool. Whether to show a progress bar. Defaults to `False`.
        unit: string. Name of an item in the progress bar. Defaults to `"clip"`.
        address: string. Address of the cluster, see `run_on_cluster`. Defaults to
            `None`, one on this machine.

    Returns:
        List of the `Finding` of each item that was skipped.

    Raises:
        keras_vatt.data.MediaError: for the first item that can't be decoded, with
            `on_error="raise"`.
        ClusterError: if Ray is not installed or the cluster fails.
    """
    items = list(dict.fromkeys(items))
    missing = [item for item in items if item not in store]
    batches = [
        missing[start : start + batch_size]
        for start in range(0, len(missing), batch_size)
    ]
    factory = _BatchWorkers(make_worker, batch_size, on_error)
    findings = []
    bar = tqdm.tqdm(
        total=len(items),
        initial=len(items) - len(missing),
        unit=unit,
        disable=not progress,
    )
    try:
        with bar:
            results = run_on_cluster(factory, batches, address, keeps_workers=True)
            for batch, (outputs, skipped) in zip(batches, results, strict=True):
                for output in outputs:
                    store.add(*output)
                findings += skipped
                bar.update(len(batch))
    finally:
        store.flush()
    return findings


@dataclasses.dataclass(frozen=True)
class _BatchWorkers:
    """Makes the function that encodes a batch in a worker."""

    make_worker: MakeWorker
    batch_size: int
    on_error: str

    def __call__(self):
        decode, encode = self.make_worker()

        def encode_batch(batch):
            collected = _Collected()
            skipped = embed(
                batch,
                decode,
                encode,
                collected,
                batch_size=self.batch_size,
                on_error=self.on_error,
            )
            return collected.outputs, skipped

        return encode_batch


class _Collected:
    """A store that keeps the outputs of one batch."""

    def __init__(self):
        self.outputs: list[tuple[Hashable, Outputs, tuple[Finding, ...]]] = []

    def __contains__(self, item):
        return False

    def add(self, item, outputs, findings):
        self.outputs.append((item, outputs, findings))

    def flush(self):
        pass
