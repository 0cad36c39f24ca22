"""Synthetic speech by espeak-ng, the same on every run."""

import dataclasses
import json
import pathlib
import struct
import subprocess
import sys

import numpy as np

_PROCESS = pathlib.Path(__file__).with_name("_espeak.py")


@dataclasses.dataclass(frozen=True)
class Utterance:
    """Something to say, and how.

    Args:
        text: str, English.
        voice: str, a voice of espeak-ng, such as `"en-us"` or, with a variant,
            `"en-us+f2"`. Defaults to `"en-us"`.
        rate: int, words per minute. Defaults to `175`.
        pitch: int, from 0 to 99. Defaults to `50`.
    """

    text: str
    voice: str = "en-us"
    rate: int = 175
    pitch: int = 50


def synthesize_speech(utterances):
    """Speak utterances with espeak-ng.

    The sound of an utterance depends on the list up to it, and on nothing else: the
    speech synthesizer runs in a process of its own.

    Args:
        utterances: List of `Utterance`.

    Returns:
        Tuple of a list of NumPy arrays of float32, shape `(samples,)`, in `[-1, 1]`,
        and of the sampling rate in hertz, an int.

    Raises:
        ImportError: If espeak-ng is not installed.
        RuntimeError: If espeak-ng can't speak an utterance.

    Example:
    ```python
    from keras_vatt.data import Utterance, synthesize_speech

    waveforms, sampling_rate = synthesize_speech([Utterance("red circle")])
    ```
    """
    library, data = _espeak_paths()
    rows = [dataclasses.asdict(utterance) for utterance in utterances]
    request = {"library": library, "data": data, "utterances": rows}
    process = subprocess.run(
        # Isolated and without site packages: it needs none, and starts faster.
        [sys.executable, "-I", "-S", str(_PROCESS)],
        input=json.dumps(request).encode(),
        capture_output=True,
        check=False,
    )
    if process.returncode:
        message = process.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"The speech synthesizer failed: {message}")
    return _waveforms_in(process.stdout)


def _espeak_paths():
    try:
        import espeakng_loader
    except ImportError as error:
        raise ImportError(
            "Speech needs espeak-ng, which is not installed: "
            'pip install "keras-vatt[demo]"'
        ) from error
    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()


def _waveforms_in(output):
    (rate,) = struct.unpack_from("=i", output)
    waveforms, offset = [], 4
    while offset < len(output):
        (count,) = struct.unpack_from("=i", output, offset)
        samples = np.frombuffer(output, np.int16, count, offset + 4)
        waveforms.append(samples.astype(np.float32) / 32768)
        offset += 4 + 2 * count
    return waveforms, rate
