"""Encodes the raw clips of a list, in order."""

from __future__ import annotations

import numpy as np

from keras_vatt.inference._clip_reader import ClipReader
from keras_vatt.inference._pipeline import DecodedItem, Encoder, embed


def encode_clips(
    reader: ClipReader, kind: str, encode: Encoder, batch_size: int
) -> dict[str, np.ndarray]:
    """Encodes the clips of a list by the batch-embedding pipeline.

    Args:
        reader: `ClipReader` of the clips.
        kind: string. `"video"`, `"audio"`, `"image"` or `"text"`.
        encode: encoder, see `embed`.
        batch_size: int. Number of clips per batch.

    Returns:
        Dict from the names of the outputs to arrays of shape `(clips, rows, ...)`, with
        NaN for clips that were skipped.

    Raises:
        keras_vatt.data.MediaError: if no clip can be used, or one can't and the reader
            raises errors.
    """
    outputs = _OutputArrays(len(reader))
    embed(
        range(len(reader)),
        lambda number: DecodedItem({kind: reader.read(number)}),
        encode,
        outputs,
        # A single clip needs no padding.
        batch_size=max(1, min(batch_size, len(reader))),
        on_error=reader.on_error,
    )
    if not outputs.arrays:
        raise reader.first_error
    return outputs.arrays


class _OutputArrays:
    """A store that writes the outputs of clips to one array per output."""

    def __init__(self, num_clips):
        self._num_clips = num_clips
        self.arrays = {}

    def __contains__(self, number):
        return False

    def add(self, number, outputs, findings):
        (values_by_name,) = outputs.values()
        for name, values in values_by_name.items():
            if name not in self.arrays:
                shape = (self._num_clips, *values.shape)
                self.arrays[name] = np.full(shape, np.nan, values.dtype)
            self.arrays[name][number] = values

    def flush(self):
        pass
