"""Audio of a media file by time: a mono waveform whose samples have known times."""

import itertools
import math

import numpy as np

from keras_vatt.data._report import Problem
from keras_vatt.data.decoding._filters import MAX_JITTER, resample
from keras_vatt.data.decoding._media import open_media

# Seconds decoded before the clip: after a seek, a codec that overlaps its blocks
# (AAC, Opus, MP3) and the filter of the resampler need some audio to settle.
_PREROLL = 0.5
# Seconds decoded after the clip, for the filter of the resampler, and since time stamps
# may run late by `MAX_JITTER`.
_POSTROLL = 0.05 + MAX_JITTER
# Seconds up to which a file is decoded from its start where its time stamps don't tell
# at which sample a block begins.
_LINEAR_SECONDS = 60.0
# FFmpeg stamps the short blocks of Vorbis up to 10 ms late, and what follows a seek in
# Ogg by the page, not by the block. In raw AC-3, its rounding errors add up.
_INEXACT_CODECS = frozenset({"vorbis"})
_INEXACT_FORMATS = frozenset({"ac3", "eac3", "ogg"})
# Seconds of time stamps that tell together at which sample a file begins.
_STAMPED_SECONDS = 1.0
# Of full scale: -80 dB.
_SILENCE = 1e-4


def decode_waveform(source, start, spec):
    """Decodes the audio of one clip.

    Sample `i` is the one at `start + i / spec.sampling_rate` seconds, rounded to the
    nearest sample since the start of the file, so that equal audio gives equal
    waveforms in every container. Channels are averaged, after FFmpeg has mixed more
    than two of them down to stereo. Where a file has no audio, before it starts or
    after it ends, the waveform is zero.

    Args:
        source: str or path of a file, its `bytes`, a binary file object, or an open
            `keras_vatt.data.Media`.
        start: float, seconds after the start of the file.
        spec: `keras_vatt.data.ClipSpec`.

    Returns:
        NumPy array of float32, shape `(audio_samples,)`, in `[-1, 1]`.

    Raises:
        MediaError: If the file has no audio stream or no sample in it, or if its audio
            is damaged.

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
    """Decodes the audio of one clip, and tells where it ends.

    Args:
        media: `keras_vatt.data.Media`.
        start: float, seconds after the start of the file.
        spec: `keras_vatt.data.ClipSpec`.

    Returns:
        Tuple of the waveform, see `decode_waveform`, and of an int, the number of
        samples until the last that the file has.

    Raises:
        MediaError: see `decode_waveform`.
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
    """Returns from when to decode, in seconds; `-inf` is the start of the file."""
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
    """Returns at which sample of the file each frame begins.

    As FFmpeg does, frames are taken to follow each other unless a time stamp is off by
    more than `MAX_JITTER`.
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
    """Returns where a run begins, by what the stamp of each of its frames says of it.

    Containers round stamps, such as to milliseconds. Many of them together tell the
    start much more precisely.
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
    if earliest > latest:  # They are off by more than rounding.
        return np.median(starts) if is_sought else starts[0]
    # Audio that begins at 0 does so exactly.
    return zero if earliest <= zero <= latest else (earliest + latest) / 2


def _latest_start(media):
    """Returns up to when, in seconds, a first sample counts as that of time zero.

    The first packet of some codecs (Vorbis, WMA) has no samples of its own.
    """
    return 0.0 if media.has_video else MAX_JITTER


def _late_start(media):
    """Returns by how many seconds time stamps run late, see `_latest_start`."""
    if media.has_video or _has_exact_stamps(media):
        return 0.0
    first = next(media.decode(media.audio, -math.inf), None)
    late = 0.0 if first is None else media.time_of(first)
    return late if 0 <= late <= _latest_start(media) else 0.0


def _check_has_samples(media):
    if next(media.decode(media.audio, -math.inf), None) is None:
        raise media.error(Problem.NO_AUDIO, "has an audio stream without samples")


def is_silent(waveform):
    """Returns whether audio counts as silence: all of it is below -80 dB of full scale.

    Args:
        waveform: NumPy array of float in [-1, 1], any shape.

    Returns:
        bool.
    """
    return bool(np.abs(waveform).max(initial=0.0) < _SILENCE)


def _place(samples, waveform, first):
    """Writes samples into the waveform, the first of them at index `first`.

    Returns the index of the end of what was written.
    """
    samples = samples[max(0, -first) :]
    first = max(0, first)
    count = min(len(samples), len(waveform) - first)
    if count <= 0:
        return 0
    waveform[first : first + count] = samples[:count]
    return first + count
