"""Audio of 16 bits, as which all formats of shards store waveforms."""

import io
import wave

import numpy as np

_FULL_SCALE = 32768


def quantized(waveform: np.ndarray) -> np.ndarray:
    """Rounds samples in `[-1, 1]` to 16-bit integers."""
    samples = np.round(np.asarray(waveform, np.float32) * _FULL_SCALE)
    return np.clip(samples, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)


def dequantized(samples: np.ndarray) -> np.ndarray:
    """Returns the float32 samples in `[-1, 1]` of 16-bit integers."""
    return samples.astype(np.float32) / _FULL_SCALE


def to_wav(waveform: np.ndarray, sampling_rate: int) -> bytes:
    """Returns a mono WAV file of samples in `[-1, 1]`."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(sampling_rate)
        writer.writeframes(quantized(waveform).astype("<i2").tobytes())
    return file.getvalue()


def from_wav(audio: bytes) -> tuple[np.ndarray, int]:
    """Reads a file that `to_wav` wrote.

    Returns:
        Tuple of the samples and the sampling rate.

    Raises:
        ValueError: If it is not a WAV file, or has other samples.
    """
    try:
        with wave.open(io.BytesIO(audio)) as reader:
            if (reader.getnchannels(), reader.getsampwidth()) != (1, 2):
                raise ValueError("its audio is not mono with 16 bits")
            samples = np.frombuffer(reader.readframes(reader.getnframes()), "<i2")
            return dequantized(samples), reader.getframerate()
    except (wave.Error, EOFError) as error:
        raise ValueError(f"its audio is not a WAV file ({error})") from error
