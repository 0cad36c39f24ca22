"""Converts arrays with their rates, of any framework, to clips."""

import math
import numbers

import av
import numpy as np

from keras_vatt.data.decoding._filled_clips import note_filled
from keras_vatt.data.decoding._frames import FrameResizer
from keras_vatt.data.decoding._short_clips import lengthen
from keras_vatt.data.decoding._windows import window_starts

# Largest accepted sample: resampling and lossy codecs overshoot 1 a little.
LARGEST_PEAK = 2.0
# An axis with more entries is not that of the channels.
_MOST_CHANNELS = 32
# Tolerance of rounding errors of `frame number / rate`, in frames.
_TOLERANCE = 1e-6


def frames_of_array(source, spec, num_windows, crops, short_clips, position=None):
    """Computes clips of a video that is given as an array.

    Args:
        source: Tuple of a uint8 array `(frames, height, width, 3)` or
            `(frames, 3, height, width)`, of NumPy or of another framework, and its
            rate in frames per second.
        spec: `keras_vatt.data.ClipSpec`.
        num_windows: int. See `window_starts`.
        crops: Sequence of floats. See `crop_positions`.
        short_clips: str. See `lengthen`; or `"error"`.
        position: float in `[0, 1]` or `None`. See `window_starts`.

    Returns:
        NumPy array of uint8, shape
        `(num_windows * crops, num_frames, frame_size, frame_size, 3)`.

    Raises:
        ValueError: If the array is not an RGB video of uint8, the rate is invalid, or
            the video is shorter than a clip and `short_clips` is `"error"`.
    """
    frames, rate = checked_array(source, "video")
    frames = _channels_last(frames)

    def frame_at(number):
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(frames[number]), "rgb24")

    return frames_by_number(
        frame_at, len(frames), rate, spec, num_windows, crops, short_clips, position
    )


def frames_by_number(
    frame_at, count, rate, spec, num_windows, crops, short_clips, position=None
):
    """Computes clips of a video whose frames are given by their numbers.

    Args:
        frame_at: Function from the number of a frame to an `av.VideoFrame`. It is
            called only for the frames that are needed, in order.
        count: int. Number of frames.
        rate: float. Frames per second.
        spec: `keras_vatt.data.ClipSpec`.
        num_windows: int. See `window_starts`.
        crops: Sequence of floats. See `crop_positions`.
        short_clips: str. See `lengthen`; or `"error"`.
        position: float in `[0, 1]` or `None`. See `window_starts`.

    Returns:
        NumPy array, see `frames_of_array`.

    Raises:
        ValueError: If the video is shorter than a clip and `short_clips` is `"error"`.
    """
    duration = count / rate
    # As for files, the last frame may last for one more period.
    is_short = duration + spec.frame_period < spec.duration
    if is_short:
        reason = (
            f"A raw video of {count} frames at {rate:g} per second lasts "
            f"{duration:.2f} s, a clip {spec.duration:.2f} s"
        )
        _refuse_or_note(reason, short_clips)
    present = max(1, math.ceil(duration * spec.frames_per_second - _TOLERANCE))
    present = present if is_short else spec.num_frames
    starts = window_starts(0.0, duration, spec.duration, num_windows, position)
    times = starts[:, np.newaxis] + np.arange(present) * spec.frame_period
    # The frame that is shown at each time; the tolerance absorbs rounding errors.
    shown = np.floor(times * rate + _TOLERANCE).astype(int)
    shown = np.minimum(shown, count - 1)
    clips = _cropped(frame_at, shown, spec.frame_size, crops)
    if present == spec.num_frames:
        return clips
    return np.stack([lengthen(clip, spec.num_frames, short_clips) for clip in clips])


def waveforms_of_array(source, spec, num_windows, short_clips, position=None):
    """Computes waveforms of audio that is given as an array.

    The channels are averaged, since an array has no channel layout. The axis of the
    channels is the one with at most 32 entries.

    Args:
        source: Tuple of an array `(samples,)`, `(samples, channels)` or
            `(channels, samples)`, of NumPy or of another framework, and its rate in
            hertz. The full scale of integers is the range of their dtype, and silence
            is its middle; floats lie in [-1, 1].
        spec: `keras_vatt.data.ClipSpec`.
        num_windows: int. See `window_starts`.
        short_clips: str. See `lengthen`; or `"error"`.
        position: float in `[0, 1]` or `None`. See `window_starts`.

    Returns:
        NumPy array of float32, shape `(num_windows, audio_samples)`, in `[-1, 1]`.

    Raises:
        ValueError: If the axis of the channels is ambiguous, samples are not finite or
            of an unknown scale, the rate is invalid, or the audio is shorter than a
            clip and `short_clips` is `"error"`.
    """
    samples, rate = checked_array(source, "audio")
    channels = _scaled(_samples_first(samples))
    mono = channels.mean(axis=1).astype(np.float32)
    mono = np.clip(_resampled(mono, rate, spec.sampling_rate), -1.0, 1.0)
    count = spec.audio_samples
    if len(mono) < count:
        reason = (
            f"A raw audio clip of {len(samples)} samples at {rate:g} Hz lasts "
            f"{len(samples) / rate:.2f} s, a clip {count / spec.sampling_rate:.2f} s"
        )
        _refuse_or_note(reason, short_clips)
    starts = window_starts(0, len(mono), count, num_windows, position).astype(int)
    return np.stack([lengthen(mono[start:], count, short_clips) for start in starts])


def _refuse_or_note(reason, short_clips):
    if short_clips == "error":
        raise ValueError(f"{reason}.")
    note_filled(reason)


def as_numpy(array):
    """Converts an array of any framework to a NumPy array.

    Args:
        array: NumPy array, nested lists of numbers, or a tensor of JAX, TensorFlow or
            PyTorch, on any device and with or without gradients.

    Returns:
        NumPy array in the byte order of this machine.

    Raises:
        ValueError: If it can't be converted.
    """
    try:
        if hasattr(array, "detach"):  # A tensor of PyTorch.
            array = array.detach().cpu()
            is_bfloat16 = str(array.dtype) == "torch.bfloat16"  # Unknown to NumPy.
            array = (array.float() if is_bfloat16 else array).numpy()
        array = np.asarray(array)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = f"a {type(array).__name__} that can't be converted ({error})"
        raise ValueError(reason) from error
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def checked_array(source, name):
    """Returns the array and the rate of a raw clip.

    Args:
        source: Tuple of an array and its rate.
        name: str. `"video"` or `"audio"`, for the message.

    Returns:
        Tuple of a NumPy array with at least one entry, and of a float.

    Raises:
        ValueError: If the tuple is not such a pair.
    """
    if len(source) != 2:
        raise ValueError(
            f"A raw {name} must be a path, a segment, bytes, or a tuple of an array "
            f"and its rate. Received: a tuple of {len(source)} entries"
        )
    array, rate = source
    if _is_number(array) and not _is_number(rate):
        raise ValueError(
            f"A raw {name} must be a tuple of the array first and the rate second. "
            f"Received: {array!r:.100} first (`scipy.io.wavfile.read` returns the rate "
            "first)"
        )
    if not _is_number(rate):
        raise ValueError(
            f"The rate of a raw {name} must be a number. Received: "
            f"{type(rate).__name__} {rate!r:.100}"
        )
    rate = float(rate)
    if not 0 < rate < math.inf:
        raise ValueError(f"The rate of a raw {name} must be positive. Received: {rate}")
    try:
        array = as_numpy(array)
    except ValueError as error:
        raise ValueError(
            f"A raw {name} must be one array. Received: {error}"
        ) from error
    if not array.size:
        raise ValueError(f"A raw {name} must not be empty. Received: {array.shape}")
    return array, rate


def _is_number(value):
    if isinstance(value, bool | np.bool_):
        return False
    return isinstance(value, numbers.Real) or getattr(value, "shape", None) == ()


def _channels_last(frames):
    if frames.dtype != np.uint8:
        raise ValueError(
            "A raw video must have frames of uint8 in [0, 255]. Received: "
            f"{frames.dtype}. Convert integers in [0, 255] with `.astype('uint8')`; "
            "multiply floats in [0, 1] by 255 first."
        )
    is_rgb = [frames.ndim == 4 and frames.shape[axis] == 3 for axis in (1, -1)]
    if is_rgb == [False, True]:
        return frames
    if is_rgb == [True, False]:
        return frames.transpose(0, 2, 3, 1)
    raise ValueError(
        "A raw video must be a uint8 array of shape (frames, height, width, 3) or "
        f"(frames, 3, height, width). Received: shape {frames.shape}"
    )


def _cropped(frame_at, shown, size, crops):
    """Crops the frames `shown` to `(windows * crops, frames, size, size, 3)`."""
    resizer = FrameResizer(1.0, size)
    windows, present = shown.shape
    clips = np.empty((windows, len(crops), present, size, size, 3), np.uint8)
    for number in np.unique(shown).tolist():
        images = resizer.crops(frame_at(number), crops)
        for window, place in np.argwhere(shown == number):
            clips[window, :, place] = images
    return clips.reshape(-1, *clips.shape[2:])


def _samples_first(samples):
    """Returns audio of any layout as `(samples, channels)`."""
    if samples.ndim == 1:
        return samples[:, np.newaxis]
    if samples.ndim != 2:
        raise ValueError(
            "A raw audio clip must be an array of shape (samples,), "
            "(samples, channels) or (channels, samples). Received: shape "
            f"{samples.shape}. Pass several clips as a list of tuples."
        )
    if 1 in samples.shape:
        return samples.reshape(-1, 1)
    may_be_channels = [size <= _MOST_CHANNELS for size in samples.shape]
    if may_be_channels == [False, True]:
        return samples
    if may_be_channels == [True, False]:
        return samples.T
    raise ValueError(
        "The axis of the channels of a raw audio clip must be the only one with at "
        f"most {_MOST_CHANNELS} entries. Received: shape {samples.shape}. Average the "
        "channels first, and pass an array of shape (samples,)."
    )


def _scaled(samples):
    """Converts samples of any real dtype to float64 in [-1, 1]."""
    dtype = samples.dtype
    if dtype.kind in "iu":
        _check_integers(samples)
        full_scale = 2.0 ** (8 * dtype.itemsize - 1)
        # As in 8-bit WAV files, silence is the middle of unsigned integers.
        middle = full_scale if dtype.kind == "u" else 0.0
        return (samples - middle) / full_scale
    # The dtype kind of bfloat16 is not "f".
    if dtype.kind != "f" and dtype.name != "bfloat16":
        raise ValueError(
            f"A raw audio clip must have float or integer samples. Received: {dtype}"
        )
    samples = samples.astype(np.float64)
    if not np.isfinite(samples).all():
        raise ValueError("A raw audio clip must have finite samples.")
    check_peak(np.abs(samples).max(), "A raw audio clip")
    return samples


def check_peak(peak, name):
    """Raises a `ValueError` if audio has another scale than [-1, 1].

    Args:
        peak: float. Largest absolute value of the samples.
        name: str. Name of the audio, at the beginning of a sentence.

    Raises:
        ValueError: If the peak is larger than resampling and lossy codecs can cause.
    """
    if peak > LARGEST_PEAK:
        raise ValueError(
            f"{name} of floats must lie in [-1, 1]. Received: samples as large as "
            f"{peak:g}. Divide samples in the range of 16-bit integers by 32768, and "
            "others by their full scale."
        )


def _check_integers(samples):
    if samples.dtype.itemsize == 8:
        raise ValueError(
            f"The full scale of {samples.dtype} samples is unknown. Convert 16-bit "
            "values with `.astype('int16')`, or divide by their full scale."
        )
    if samples.dtype != np.int32:
        return
    # Audio of 16 or 24 bits that was scaled to 32 bits has zeros in the lowest 8.
    peak = max(int(samples.max()), -int(samples.min()))
    if 0 < peak <= 2**15 and (samples & 255).any():
        raise ValueError(
            "int32 samples must have a full scale of 2**31. Received: a peak of "
            f"{peak}, as of 16 bits. Convert 16-bit values with `.astype('int16')`."
        )


def _resampled(mono, rate, target):
    if rate == target:
        return mono
    if rate != int(rate):
        raise ValueError(f"The rate of audio must be an integer. Received: {rate} Hz")
    try:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=target)
        frame = av.AudioFrame.from_ndarray(mono[np.newaxis], "flt", "mono")
        frame.sample_rate = int(rate)
        blocks = resampler.resample(frame) + resampler.resample(None)
    except (av.FFmpegError, OverflowError, MemoryError) as error:
        raise ValueError(
            f"Audio at {rate:g} Hz can't be resampled to {target} Hz: {error}"
        ) from error
    samples = [block.to_ndarray().ravel() for block in blocks]
    if not sum(map(len, samples)):
        raise ValueError(
            f"A raw audio clip must last at least one sample at {target} Hz. Received: "
            f"{len(mono)} samples at {rate:g} Hz"
        )
    return np.concatenate(samples)
