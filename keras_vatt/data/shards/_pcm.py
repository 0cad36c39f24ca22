"""Audio of 16 bits, as which all formats of shards store waveforms."""

import numpy as np

_FULL_SCALE = 32768


def quantized(waveform: np.ndarray) -> np.ndarray:
    """Rounds samples in `[-1, 1]` to 16-bit integers."""
    samples = np.round(np.asarray(waveform, np.float32) * _FULL_SCALE)
    return np.clip(samples, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)


def dequantized(samples: np.ndarray) -> np.ndarray:
    """Returns the float32 samples in `[-1, 1]` of 16-bit integers."""
    return samples.astype(np.float32) / _FULL_SCALE
