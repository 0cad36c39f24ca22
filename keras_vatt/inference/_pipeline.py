"""The batch-embedding pipeline: decode ahead, pad, encode, store, resume.

Search, `keras-vatt evaluate`, mteb and the `encode` and `extract_features` of lists of
files all run `embed`. They differ in three small parts, which they pass to it:

- a decoder: from an item, such as a segment of a file, to `DecodedItem`;
- an encoder: from a modality and a batch of it to named outputs;
- a store: holds the outputs of the items that are done, in memory or on disk.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Protocol

import numpy as np
import tqdm

from keras_vatt.data._report import Finding
from keras_vatt.data.decoding._decode_ahead import decode_ahead
from keras_vatt.data.decoding._file_errors import check_on_error
from keras_vatt.data.decoding._media import MediaError

# From a modality, and a batch of it, to arrays by name with a row per example.
Encoder = Callable[[str, np.ndarray], dict[str, np.ndarray]]
# The outputs of one item: arrays by modality and name.
Outputs = dict[str, dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class DecodedItem:
    """The decoded arrays of an item.

    Args:
        arrays: dict from modality to an array of shape `(rows, ...)`. Rows are windows
            and crops. All items have the same number of rows of a modality, but an
            item may lack some modalities, or all.
        findings: tuple of `keras_vatt.data.Finding`, such as of a clip that was
            repeated because it is short. The store keeps them.
    """

    arrays: dict[str, np.ndarray]
    findings: tuple[Finding, ...] = ()


class Store(Protocol):
    """A container of the outputs of items."""

    def __contains__(self, item: Hashable) -> bool:
        """Returns whether an item is done and must not be computed again."""

    def add(
        self, item: Hashable, outputs: Outputs, findings: tuple[Finding, ...]
    ) -> None:
        """Adds the outputs of an item: arrays of shape `(rows, ...)`.

        The outputs lack the modalities that the item lacks. Items come in order.
        """

    def flush(self) -> None:
        """Writes what is not on disk yet. Also called after an error."""


def embed(
    items: Iterable[Hashable],
    decode: Callable[[Hashable], DecodedItem],
    encode: Encoder,
    store: Store,
    batch_size: int = 32,
    num_workers: int | None = None,
    on_error: str = "skip",
    progress: bool = False,
    description: str | None = None,
    unit: str = "clip",
) -> list[Finding]:
    """Encodes items in batches of one size, and adds their outputs to a store.

    Worker threads decode about one batch ahead. The last batch is padded, since
    another shape would be compiled again. Items that the store has are skipped, which
    resumes an interrupted run.

    Args:
        items: iterable of hashable items. Duplicates are encoded once.
        decode: function from an item to its `DecodedItem`; called in threads. It raises
            `keras_vatt.data.MediaError` if the file can't be used.
        encode: function from a modality and an array of shape `(examples, ...)`, always
            the same for a modality, to a dict from name to array of shape
            `(examples, ...)`. Called in this thread.
        store: `Store`.
        batch_size: int. Number of items per batch. An encoder gets as many examples
            times the rows of an item. Defaults to `32`.
        num_workers: int. Number of threads that decode. Defaults to `None`, the number
            of processors.
        on_error: string. With `"skip"`, a `MediaError` becomes a finding, and the item
            is not added to the store. With `"raise"`, it is raised. Defaults to
            `"skip"`.
        progress: bool. Whether to show a progress bar. Defaults to `False`.
        description: string. Text before the progress bar. Defaults to `None`.
        unit: string. Name of an item in the progress bar. Defaults to `"clip"`.

    Returns:
        List of the `Finding` of each item that was skipped.

    Raises:
        keras_vatt.data.MediaError: for the first item that can't be decoded, with
            `on_error="raise"`.
        ValueError: if `on_error` is unknown.
    """
    check_on_error(on_error)
    items = list(dict.fromkeys(items))
    missing = [item for item in items if item not in store]
    findings = []
    with tqdm.tqdm(
        total=len(items),
        initial=len(items) - len(missing),
        desc=description,
        unit=unit,
        disable=not progress,
    ) as bar:

        def skip(error):
            if on_error == "raise":
                raise error
            findings.append(Finding(error.problem, error.path, error.reason))
            bar.update()

        decoded = decode_ahead(missing, decode, num_workers, lookahead=batch_size)
        try:
            for batch in _batches(_usable(decoded, skip), batch_size):
                arrays = [decoded_item.arrays for _, decoded_item in batch]
                outputs = _encoded(arrays, encode, batch_size)
                for (item, decoded_item), rows in zip(batch, outputs, strict=True):
                    store.add(item, rows, decoded_item.findings)
                bar.update(len(batch))
        finally:
            decoded.close()
            store.flush()
    return findings


def _usable(decoded, skip):
    """Yields pairs of items and their `DecodedItem`, without those that fail."""
    for item, future in decoded:
        try:
            result = future.result()
        except MediaError as error:
            skip(error)
            continue
        yield item, result


def _batches(items: Iterable, size: int) -> Iterator[list]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _encoded(arrays, encode, batch_size):
    """Encodes a batch of items.

    Args:
        arrays: list of the arrays of each item, by modality.
        encode: see `embed`.
        batch_size: int. Number of items that the batch is padded to.

    Returns:
        List of the outputs of each item, see `Store.add`.
    """
    outputs = [{} for _ in arrays]
    for modality in dict.fromkeys(m for given in arrays for m in given):
        numbers = [n for n, given in enumerate(arrays) if modality in given]
        examples = [arrays[number][modality] for number in numbers]
        encoded = encode(modality, _padded(examples, batch_size))
        by_item = {
            name: np.reshape(values, (batch_size, -1, *values.shape[1:]))
            for name, values in encoded.items()
        }
        for place, number in enumerate(numbers):
            # Copies, so that a store does not keep whole batches alive.
            outputs[number][modality] = {
                name: values[place].copy() for name, values in by_item.items()
            }
    return outputs


def _padded(examples, batch_size):
    """Concatenates the examples of items, with the last item repeated as padding."""
    padding = [examples[-1]] * (batch_size - len(examples))
    return np.concatenate(examples + padding)
