"""A file of decoded clips: records of one size, which are mapped into memory.

A record is the frames of a clip as uint8, then its waveform as int16, little-endian.
Records are not compressed: frames of videos are noisy and hardly shrink, and it would
take several times longer to read them.
"""

import math
import mmap
import os
import pathlib

import google_crc32c
import numpy as np

from keras_vatt.data._clip import Clip
from keras_vatt.data._clip_spec import ClipSpec

_FULL_SCALE = 32767


def pack(clip: Clip, spec: ClipSpec) -> bytes:
    """Returns the record of a clip; its waveform is rounded to 16 bits."""
    waveform = np.zeros(spec.audio_samples) if clip.waveform is None else clip.waveform
    samples = np.round(waveform * _FULL_SCALE).astype("<i2")
    return clip.frames.tobytes() + samples.tobytes()


def checksum(record: bytes | np.ndarray) -> int:
    """Returns the CRC-32C of a record, for which processors have an instruction."""
    return google_crc32c.value(record)


class ClipRecords:
    """The records in a file.

    Reading a record checks it and copies only its waveform: its frames are a view of
    the file.

    Args:
        path: string or path of the file.
        spec: `ClipSpec` of the clips.
        checksums: list of ints, the `checksum` of each record.

    Raises:
        OSError: If the file can't be opened.
        ValueError: If the file does not have the size of these records.
    """

    def __init__(
        self, path: str | os.PathLike[str], spec: ClipSpec, checksums: list[int]
    ) -> None:
        self._path = pathlib.Path(path)
        self._spec = spec
        self._checksums = checksums
        self._frames_size = math.prod(spec.video_shape)
        self._size = self._frames_size + 2 * spec.audio_samples
        with self._path.open("rb") as file:
            size, expected = os.fstat(file.fileno()).st_size, len(self) * self._size
            if size != expected:
                raise ValueError(f"it has {size} bytes instead of {expected}")
            if size:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            else:  # An empty file can't be mapped.
                self._map = b""

    def __len__(self) -> int:
        return len(self._checksums)

    def __reduce__(self):
        # A mapped file can't be pickled, but opened again.
        return type(self), (self._path, self._spec, self._checksums)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the frames and the waveform of a clip.

        Raises:
            IndexError: If there is no such clip.
            ValueError: If the record is damaged.
        """
        index = range(len(self))[index]
        # Reading a mapped page behind the end of the file would kill the process.
        if self._map.size() < len(self) * self._size:
            raise ValueError("it was shortened after it was opened")
        record = np.frombuffer(self._map, np.uint8, self._size, index * self._size)
        if checksum(record) != self._checksums[index]:
            raise ValueError("a clip has another checksum than when it was written")
        frames = record[: self._frames_size].reshape(self._spec.video_shape)
        samples = record[self._frames_size :].view("<i2")
        return frames, samples / np.float32(_FULL_SCALE)
