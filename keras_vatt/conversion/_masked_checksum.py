"""Checksums as LevelDB and TensorFlow store them: CRC-32C, masked."""

import google_crc32c

_MASK_DELTA = 0xA282EAD8
_CHUNK = 2**20


def masked_checksum(content):
    """Computes the checksum of some bytes.

    Args:
        content: bytes, or one-dimensional NumPy array of dtype uint8.

    Returns:
        int, the masked CRC-32C: rotated by 15 bits, so that the checksum of bytes that
        contain their own checksum is as good as any.
    """
    checksum = 0
    for start in range(0, len(content), _CHUNK):
        # The library takes read-only bytes alone: a copy, kept small.
        checksum = google_crc32c.extend(
            checksum, bytes(content[start : start + _CHUNK])
        )
    rotated = (checksum >> 15) | (checksum << 17)
    return (rotated + _MASK_DELTA) & 0xFFFFFFFF
