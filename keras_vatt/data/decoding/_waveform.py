"""Decodes audio of a media file by time to a mono waveform."""

import itertools
import math

import numpy as np

from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data._report import Problem
from keras_vatt.data.decoding._filters import MAX_JITTER, resample
from keras_vatt.data.decoding._media import Media, MediaSource, open_media

# Seconds decoded before the clip: after a seek, codecs with overlapping blocks (AAC,
# Opus, MP3) and the filter of the resampler need some audio to settle.
_PREROLL = 0.5
# Seconds decoded after the clip: for the filter of the resampler, and because time
# stamps may run late by `MAX_JITTER`.
_POSTROLL = 0.05 + MAX_JITTER
# Latest start of a clip, in seconds, for which a file with inexact time stamps is
# decoded from its start.
_LINEAR_SECONDS = 60.0
# FFmpeg stamps the short blocks of Vorbis up to 10 ms late, and after a seek in Ogg the
# pages instead of the blocks. In raw AC-3, its rounding errors add up.
_INEXACT_CODECS = frozenset({"vorbis"})
_INEXACT_FORMATS = frozenset({"ac3", "eac3", "ogg"})
# Seconds of time stamps from which the first sample of a file is estimated.
_STAMPED_SECONDS = 1.0
# -80 dB of full scale.
_SILENCE = 1e-4


def decode_waveform(
    source: MediaSource | Media, start: float, spec: ClipSpec
) -> np.ndarray:
    """Decodes the audio of one clip.

    Sample `i` is the one at `start + i / spec.sampling_rate` seconds, rounded to the
    nearest sample since the start of the file, so that equal audio gives equal
    waveforms in every container. Channels are averaged, after FFmpeg has mixed more
    than two of them down to stereo. The waveform is zero before the audio of the file
    starts, in gaps, and after it ends.

    Args:
        source: str or path of a file, its `bytes`, a binary file object, or an open
            `keras_vatt.data.Media`.
        start: float. Start of the clip, in seconds after the start of the file.
        spec: `keras_vatt.data.ClipSpec`.

    Returns:
        NumPy array of float32, shape `(audio_samples,)`, in `[-1, 1]`.

    Raises:
        MediaError: If the file has no audio stream, if that has no samples, or if it is
            damaged.

    Example:
    ```python
    from keras_vatt.data import ClipSpec, decode_waveform, make_demo_corpus

    corpus = make_demo_corpus("demo", train_clips=2, test_clips=2, progress=False)
    decode_waveform(corpus / "train" / "000000.mp4", 0.1, ClipSpec()).shape  # (153600,)
    ```
    """
    with open_media(source) as media:
        return decode_samples(media, start, spec)[0]


def decode_samples(media, start, spec):
    """Decodes the audio of one clip, and finds its end.

    Args:
        media: `keras_vatt.data.Media`.
        start: float. Start of the clip, in seconds after the start of the file.
        spec: `keras_vatt.data.ClipSpec`.

    Returns:
        Tuple of the waveform, see `decode_waveform`, and of an int, the number of its
        samples up to the end of the file.

    Raises:
        MediaError: See `decode_waveform`.
    """
    rate = spec.sampling_rate
    waveform = np.zeros(spec.audio_samples, np.float32)
    first, end = round(start * rate), 0
    seek = _decoding_start(media, start)
    until = max(start + waveform.size / rate + _POSTROLL, _STAMPED_SECONDS)
    with media.translated_errors():
        frames = list(_frames_between(media, seek, until))
        if not frames:
            _check_has_samples(media)
        for _, group in itertools.groupby(frames, _format_of):
            group = list(group)
            positions = _positions(group, media, is_sought=seek > -math.inf)
            offset, samples = resample(group, positions, rate)
            end = max(end, _place(samples, waveform, offset - first))
    if not np.isfinite(waveform).all():
        raise media.error(Problem.CORRUPT, "has samples that are not finite")
    return np.clip(waveform, -1.0, 1.0), end


def _decoding_start(media, start):
    """Returns the time to decode from, in seconds; `-inf` is the start of the file."""
    start -= _PREROLL
    if start > _LINEAR_SECONDS or _has_exact_stamps(media):
        return start
    return -math.inf


def _has_exact_stamps(media):
    stream = media.audio
    return (
        stream.time_base * stream.sample_rate <= 1
        and stream.codec_context.name not in _INEXACT_CODECS
        and not media.formats & _INEXACT_FORMATS
    )


def _frames_between(media, start, end):
    def end_of(frame):
        return media.time_of(frame) + frame.samples / frame.sample_rate

    frames = media.decode(media.audio, start)
    if _has_exact_stamps(media):  # Some formats are always read from their start.
        frames = itertools.dropwhile(lambda frame: end_of(frame) <= start, frames)
    return itertools.takewhile(lambda frame: media.time_of(frame) < end, frames)


def _format_of(frame):
    return frame.sample_rate, frame.format.name, frame.layout.name


def _positions(frames, media, is_sought):
    """Returns the index of the first sample of each frame in the file.

    Like FFmpeg, this assumes that frames follow each other without gaps unless a time
    stamp is off by more than `MAX_JITTER`.
    """
    rate = frames[0].sample_rate
    elapsed = np.cumsum([0, *[frame.samples for frame in frames[:-1]]])
    stamps = np.array([media.time_of(frame) * rate for frame in frames])
    starts = stamps - elapsed
    is_late = np.abs(starts - starts[0]) > MAX_JITTER * rate
    count = int(is_late.argmax()) if is_late.any() else len(frames)
    start = _start_of_run(starts[:count], elapsed[:count], media, rate, is_sought)
    stamps[:count] = start + elapsed[:count]
    return np.rint(stamps).astype(np.int64)


def _start_of_run(starts, elapsed, media, rate, is_sought):
    """Estimates the start of a run of frames from the time stamps of all of them.

    Containers round time stamps, for example to milliseconds. Many of them together
    give the start much more precisely.
    """
    if is_sought:
        starts = starts - _late_start(media) * rate
    else:
        starts = starts[elapsed < _STAMPED_SECONDS * rate]
        if 0 <= starts[0] <= _latest_start(media) * rate:
            return 0
    zero = -media.clock_of(0.0) * rate
    rounding = max(0.5, float(media.audio.time_base) * rate / 2)
    earliest, latest = starts.max() - rounding, starts.min() + rounding
    if earliest > latest:  # They differ by more than rounding.
        return np.median(starts) if is_sought else starts[0]
    # Audio that begins near 0 begins at 0 exactly.
    return zero if earliest <= zero <= latest else (earliest + latest) / 2


def _latest_start(media):
    """Returns the latest time, in seconds, of a first sample that counts as time zero.

    The first packet of some codecs (Vorbis, WMA) has no samples of its own.
    """
    return 0.0 if media.has_video else MAX_JITTER


def _late_start(media):
    """Returns the delay of time stamps in seconds, see `_latest_start`."""
    if media.has_video or _has_exact_stamps(media):
        return 0.0
    first = next(media.decode(media.audio, -math.inf), None)
    late = 0.0 if first is None else media.time_of(first)
    return late if 0 <= late <= _latest_start(media) else 0.0


def _check_has_samples(media):
    if next(media.decode(media.audio, -math.inf), None) is None:
        raise media.error(Problem.NO_AUDIO, "has an audio stream without samples")


def is_silent(waveform):
    """Returns whether audio is silent: all samples are below -80 dB of full scale.

    Args:
        waveform: NumPy array of float in [-1, 1], any shape.

    Returns:
        bool.
    """
    return bool(np.abs(waveform).max(initial=0.0) < _SILENCE)


def _place(samples, waveform, first):
    """Writes samples into the waveform from index `first`; returns the end index."""
    samples = samples[max(0, -first) :]
    first = max(0, first)
    count = min(len(samples), len(waveform) - first)
    if count <= 0:
        return 0
    waveform[first : first + count] = samples[:count]
    return first + count
