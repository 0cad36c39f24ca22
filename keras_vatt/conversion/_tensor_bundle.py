"""Reads the files of TensorFlow checkpoints without TensorFlow.

A checkpoint has an index, `PREFIX.index`, and shards with the bytes of its tensors,
`PREFIX.data-00000-of-00001` and so on.
"""

from __future__ import annotations

import os
import pathlib

import numpy as np

from keras_vatt.conversion._bundle_index import DamagedIndexError, read_index
from keras_vatt.conversion._errors import DamagedCheckpointError
from keras_vatt.conversion._masked_checksum import masked_checksum
from keras_vatt.conversion._sorted_table import DamagedTableError


class TensorBundle:
    """The files of a TensorFlow checkpoint.

    The constructor reads and checks the index; `read` reads a tensor.

    Args:
        prefix: string or path. The checkpoint's files without `.index` and
            `.data-00000-of-00001`.

    Attributes:
        tensors: dict from name to `StoredTensor`, sorted by name.

    Raises:
        DamagedCheckpointError: if the index is damaged, or a shard is missing or too
            short.

    Example:
    ```python
    bundle = TensorBundle("vatt/ckpt-500000")
    values = {name: bundle.read(name) for name in bundle.tensors}
    ```
    """

    def __init__(self, prefix: str | os.PathLike) -> None:
        self._prefix = str(prefix)
        try:
            self.tensors = read_index(self._prefix)
        except (DamagedTableError, DamagedIndexError) as error:
            name = pathlib.Path(f"{self._prefix}.index").name
            raise DamagedCheckpointError(prefix, f"{name!r} {error}") from error
        except OSError as error:
            raise DamagedCheckpointError(prefix, str(error)) from error

    def read(self, name: str) -> np.ndarray:
        """Reads a tensor.

        Args:
            name: string, a key of `tensors`.

        Returns:
            NumPy array.

        Raises:
            DamagedCheckpointError: if its bytes are damaged, or if it is partitioned
                or not numeric, which is not supported.
        """
        tensor = self.tensors[name]
        if not tensor.is_array:
            form = "in partitions" if tensor.is_partitioned else f"as {tensor.dtype}"
            raise DamagedCheckpointError(
                self._prefix,
                f"tensor {name} is stored {form}, which is not supported",
            )
        try:
            content = np.fromfile(
                tensor.path, np.uint8, tensor.size, offset=tensor.offset
            )
        except OSError as error:
            raise DamagedCheckpointError(self._prefix, str(error)) from error
        if masked_checksum(content) != tensor.checksum:
            raise DamagedCheckpointError(
                self._prefix,
                f"{tensor.path.name!r} has a tensor with a wrong checksum: {name}",
            )
        return content.view(tensor.dtype).reshape(tensor.shape)
