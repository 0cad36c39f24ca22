"""One clip of whatever a user has: a file, its bytes, or an array with its rate."""

import av
import numpy as np

from keras_vatt.data.frames import FrameResizer, decode_frames
from keras_vatt.data.media import open_media
from keras_vatt.data.waveform import decode_waveform, to_mono


def raw_frames(source, spec):
    """Frames of one clip, out of the middle of a video.

    Args:
        source: str or path of a file, its `bytes`, a binary file object, or a tuple of
            a uint8 array `(frames, height, width, 3)` and its frames per second.
        spec: `keras_vatt.data.ClipSpec`.

    Returns:
        NumPy array of uint8, shape `(num_frames, frame_size, frame_size, 3)`.

    Raises:
        MediaError: see `decode_frames`.
        ValueError: if an array has another rank or dtype, an impossible rate, or
            lasts less than a clip.
    """
    if isinstance(source, tuple):
        return _frames_of_array(*_checked(source, "video"), spec)
    with open_media(source) as media:
        info = media.info()
        start = middle_start(info.start, info.end, spec.duration)
        return decode_frames(media, start, spec)


def raw_waveform(source, spec):
    """Waveform of one clip, out of the middle of a sound.

    Args:
        source: str or path of a file of sound or video, its `bytes`, a binary file
            object, or a tuple of an array `(samples,)` or `(samples, channels)` and
            its rate in hertz.
        spec: `keras_vatt.data.ClipSpec`.

    Returns:
        NumPy array of float32, shape `(audio_samples,)`, in `[-1, 1]`.

    Raises:
        MediaError: see `decode_waveform`.
        ValueError: if an array has another rank, no samples, samples that are not
            finite, or an impossible rate.
    """
    if isinstance(source, tuple):
        return _waveform_of_array(*_checked(source, "audio"), spec)
    with open_media(source) as media:
        info = media.info()
        seconds = spec.audio_samples / spec.sampling_rate
        start = middle_start(info.start, info.end, seconds)
        return decode_waveform(media, start, spec)


def is_raw(given):
    """Whether an input is raw: files, strings, or clips with their rates.

    Args:
        given: anything. What is not raw is an array, or a list that makes one.

    Returns:
        bool.
    """
    while isinstance(given, list) and given:
        given = given[0]
    if isinstance(given, np.ndarray):
        return given.dtype.kind in "SUO"  # Of strings or of paths.
    is_file = hasattr(given, "__fspath__") or hasattr(given, "read")
    return is_file or isinstance(given, str | bytes | tuple)


def middle_start(start, end, duration):
    """Where a clip of so many seconds starts that lies in the middle of a file."""
    return max(start, (start + end - duration) / 2)


def _frames_of_array(frames, rate, spec):
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise ValueError(
            "A raw video is a uint8 array of shape (frames, height, width, 3). "
            f"Received: {frames.dtype} of shape {frames.shape}"
        )
    duration = len(frames) / rate
    # As for files, the last frame may stand for one period more.
    if duration + spec.frame_period < spec.duration or not frames.size:
        raise ValueError(
            f"A raw video of {len(frames)} frames at {rate:g} per second lasts "
            f"{duration:.2f} s, a clip {spec.duration:.2f} s."
        )
    start = middle_start(0.0, duration, spec.duration)
    times = start + np.arange(spec.num_frames) * spec.frame_period
    # The frame that is shown at each time; a rounding error must not miss its start.
    shown = np.floor(times * rate + 1e-6).astype(int)
    resizer = FrameResizer(1.0, spec.frame_size, crop_position=0.5)
    return np.stack(
        [
            resizer(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24"))
            for frame in frames[np.minimum(shown, len(frames) - 1)]
        ]
    )


def _waveform_of_array(samples, rate, spec):
    if samples.ndim not in (1, 2) or not samples.size:
        raise ValueError(
            "A raw sound is an array of shape (samples,) or (samples, channels). "
            f"Received: shape {samples.shape}"
        )
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / (np.iinfo(samples.dtype).max + 1)
    if not np.isfinite(samples).all():
        raise ValueError("A raw sound has samples that are not finite.")
    mono = samples.astype(np.float32)
    mono = mono.mean(axis=1) if mono.ndim == 2 else mono
    mono = _resampled(mono, rate, spec.sampling_rate)
    first = max(0, (len(mono) - spec.audio_samples) // 2)
    mono = np.clip(mono[first : first + spec.audio_samples], -1.0, 1.0)
    return np.pad(mono, (0, spec.audio_samples - len(mono)))


def _resampled(mono, rate, target):
    if rate == target:
        return mono
    if rate != int(rate):
        raise ValueError(f"The rate of a sound is a whole number of hertz, not {rate}.")
    frame = av.AudioFrame.from_ndarray(mono[np.newaxis], "fltp", "mono")
    frame.sample_rate = int(rate)
    return to_mono([frame], target)


def _checked(source, name):
    if len(source) != 2 or not np.isscalar(source[1]) or not source[1] > 0:
        raise ValueError(
            f"A raw {name} is a path, bytes, or a tuple of an array and its rate. "
            f"Received a tuple of {len(source)} entries"
        )
    return np.asarray(source[0]), float(source[1])
