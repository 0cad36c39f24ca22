"""The masked CRC-32C checksums of LevelDB and TensorFlow."""

from __future__ import annotations

import google_crc32c
import numpy as np

_MASK_DELTA = 0xA282EAD8
_CHUNK = 2**20


def masked_checksum(content: bytes | np.ndarray) -> int:
    """Computes the masked CRC-32C of some bytes.

    Args:
        content: bytes, or one-dimensional NumPy array of dtype uint8.

    Returns:
        int, the CRC-32C, rotated by 15 bits and shifted by a constant. LevelDB masks
        checksums because the CRC of bytes that contain CRCs detects fewer errors.
    """
    checksum = 0
    for start in range(0, len(content), _CHUNK):
        # The library accepts only `bytes`. Chunks keep the copy small.
        checksum = google_crc32c.extend(
            checksum, bytes(content[start : start + _CHUNK])
        )
    rotated = (checksum >> 15) | (checksum << 17)
    return (rotated + _MASK_DELTA) & 0xFFFFFFFF
