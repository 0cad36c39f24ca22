"""Sound of a media file by time: a mono waveform whose samples have known times."""

import av
import numpy as np

from keras_vatt.data.media import open_media
from keras_vatt.data.report import Problem

# Seconds decoded before the clip: after a seek, a codec that overlaps its blocks
# (AAC, Opus, MP3) and the filter of the resampler need some sound to settle.
_PREROLL = 0.5
# Seconds decoded after the clip, for the filter of the resampler.
_POSTROLL = 0.05
# Seconds by which time stamps may jitter within continuous sound. Containers round
# them to milliseconds, and the shortest block of a common codec lasts 20 ms.
_JITTER = 0.005
# Of full scale: -80 dB.
_SILENCE = 1e-4


def decode_waveform(source, start, spec):
    """Decode the sound of one clip.

    Sample `i` is the sound at `start + i / spec.sampling_rate` seconds. The channels
    are averaged. Where a file has no sound, before it starts or after it ends, the
    waveform is zero.

    Args:
        source: str or path of a file, its `bytes`, a binary file object, or an open
            `keras_vatt.data.Media`.
        start: float, seconds after the start of the file.
        spec: `keras_vatt.data.ClipSpec`.

    Returns:
        NumPy array of float32, shape `(audio_samples,)`, in `[-1, 1]`.

    Raises:
        MediaError: If the file has no audio stream, or if its sound is damaged.

    Example:
    ```python
    from keras_vatt.data import ClipSpec, decode_waveform, make_demo_corpus

    corpus = make_demo_corpus("demo", train_clips=2, test_clips=2, progress=False)
    decode_waveform(corpus / "train" / "000000.mp4", 0.1, ClipSpec()).shape  # (153600,)
    ```
    """
    rate = spec.sampling_rate
    waveform = np.zeros(spec.audio_samples, np.float32)
    with open_media(source) as media:
        end = start + spec.audio_samples / rate + _POSTROLL
        for run in _continuous_runs(media, start - _PREROLL, end):
            first = round((_start_of(run, media) - start) * rate)
            with media.translated_errors():
                _place(to_mono(run, rate), waveform, first)
        if not np.isfinite(waveform).all():
            raise media.error(Problem.CORRUPT, "has samples that are not finite")
    return np.clip(waveform, -1.0, 1.0)


def _continuous_runs(media, start, end):
    """Yield lists of frames that follow each other without a gap."""
    run, expected = [], None
    for frame in media.decode(media.audio, start):
        time = media.time_of(frame)
        if time >= end:
            break
        if run and abs(time - expected) > _JITTER:
            yield run
            run = []
        run.append(frame)
        expected = time + frame.samples / frame.sample_rate
    if run:
        yield run


def _start_of(run, media):
    """Return when a run starts, by the time stamps of all of its frames.

    Their mean evens out what the container has rounded.
    """
    lengths = [frame.samples / frame.sample_rate for frame in run]
    elapsed = np.cumsum([0.0, *lengths[:-1]])
    return float(np.mean([media.time_of(frame) for frame in run] - elapsed))


def is_silent(waveform):
    """Whether sound counts as silence: every sample lies below -80 dB of full scale.

    Args:
        waveform: NumPy array of float in [-1, 1], any shape.

    Returns:
        bool.
    """
    return bool(np.abs(waveform).max(initial=0.0) < _SILENCE)


def to_mono(frames, rate):
    """Resample frames that follow each other, and average their channels.

    Args:
        frames: list of `av.AudioFrame`.
        rate: int, hertz.

    Returns:
        NumPy array of float32, shape `(samples,)`.
    """
    # The channels are averaged here: mixed by the resampler they may exceed 1.
    resampler = av.AudioResampler(format="fltp", rate=rate)
    blocks = [block for frame in frames for block in resampler.resample(frame)]
    blocks += resampler.resample(None)
    channels = np.concatenate([block.to_ndarray() for block in blocks], axis=1)
    return channels.mean(axis=0, dtype=np.float32)


def _place(samples, waveform, first):
    """Write samples into the waveform, the first of them at index `first`."""
    samples = samples[max(0, -first) :]
    first = max(0, first)
    count = min(len(samples), len(waveform) - first)
    if count > 0:
        waveform[first : first + count] = samples[:count]
