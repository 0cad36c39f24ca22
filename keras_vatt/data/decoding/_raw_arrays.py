"""Clips out of arrays: frames and audio with their rates, of any framework."""

import math
import numbers

import av
import numpy as np

from keras_vatt.data.decoding._filled_clips import note_filled
from keras_vatt.data.decoding._frames import FrameResizer
from keras_vatt.data.decoding._short_clips import lengthen
from keras_vatt.data.decoding._windows import window_starts

# Of full scale. Resampling and lossy codecs overshoot it a little.
LARGEST_PEAK = 2.0
# The longer of two axes is never that of channels.
_MOST_CHANNELS = 32
# Rounding of `frame number / rate`, in frames.
_TOLERANCE = 1e-6


def frames_of_array(source, spec, num_windows, crops, short_clips, position=None):
    """Computes the clips of a video that is given as an array.

    Args:
        source: Tuple of a uint8 array `(frames, height, width, 3)` or
            `(frames, 3, height, width)`, of NumPy or of another framework, and its
            rate in frames per second.
        spec: `keras_vatt.data.ClipSpec`.
        num_windows: int, see `window_starts`.
        crops: Sequence of floats, see `crop_positions`.
        short_clips: str, see `lengthen`; or `"error"`.
        position: float in `[0, 1]` or `None`, see `window_starts`.

    Returns:
        NumPy array of uint8, shape
        `(num_windows * crops, num_frames, frame_size, frame_size, 3)`.

    Raises:
        ValueError: If the array is not an RGB video of uint8, the rate is impossible,
            or the video is shorter than a clip and `short_clips` is `"error"`.
    """
    frames, rate = checked_array(source, "video")
    frames = _channels_last(frames)
    duration = len(frames) / rate
    # As for files, the last frame may stand for one period more.
    is_short = duration + spec.frame_period < spec.duration
    if is_short:
        reason = (
            f"A raw video of {len(frames)} frames at {rate:g} per second lasts "
            f"{duration:.2f} s, a clip {spec.duration:.2f} s"
        )
        _refuse_or_note(reason, short_clips)
    present = max(1, math.ceil(duration * spec.frames_per_second - _TOLERANCE))
    present = present if is_short else spec.num_frames
    starts = window_starts(0.0, duration, spec.duration, num_windows, position)
    times = starts[:, np.newaxis] + np.arange(present) * spec.frame_period
    # The frame that is shown at each time; a rounding error must not miss its start.
    shown = np.floor(times * rate + _TOLERANCE).astype(int)
    shown = np.minimum(shown, len(frames) - 1)
    windows = _cropped(frames, shown, spec.frame_size, crops)
    clips = windows.reshape(-1, *windows.shape[2:])
    return np.stack([lengthen(clip, spec.num_frames, short_clips) for clip in clips])


def waveforms_of_array(source, spec, num_windows, short_clips, position=None):
    """Computes the waveforms of audio that is given as an array.

    The channels are averaged: an array doesn't say which speakers they are for. The
    axis of channels is the one with at most 32 entries.

    Args:
        source: Tuple of an array `(samples,)`, `(samples, channels)` or
            `(channels, samples)`, of NumPy or of another framework, and its rate in
            hertz. Integers have the range of their dtype, unsigned ones around its
            middle; floats lie in [-1, 1].
        spec: `keras_vatt.data.ClipSpec`.
        num_windows: int, see `window_starts`.
        short_clips: str, see `lengthen`; or `"error"`.
        position: float in `[0, 1]` or `None`, see `window_starts`.

    Returns:
        NumPy array of float32, shape `(num_windows, audio_samples)`, in `[-1, 1]`.

    Raises:
        ValueError: If the axis of channels can't be told, samples are not finite or of
            an unknown scale, the rate is impossible, or the audio is shorter than a
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
    """Returns what any framework holds as a NumPy array.

    Args:
        array: NumPy array, nested lists of numbers, or a tensor of JAX, TensorFlow or
            PyTorch, on any device and with or without gradients.

    Returns:
        NumPy array in the byte order of this machine.

    Raises:
        ValueError: If it makes no array.
    """
    try:
        if hasattr(array, "detach"):  # PyTorch's.
            array = array.detach().cpu()
            is_bfloat16 = str(array.dtype) == "torch.bfloat16"  # Unknown to NumPy.
            array = (array.float() if is_bfloat16 else array).numpy()
        array = np.asarray(array)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"{type(array).__name__} that makes none ({error})") from error
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def checked_array(source, name):
    """Returns the array and the rate of a raw clip.

    Args:
        source: Tuple of an array and its rate.
        name: str, `"video"` or `"audio"`, for the error.

    Returns:
        Tuple of a NumPy array with at least one entry, and a float.

    Raises:
        ValueError: If the tuple is not such a pair.
    """
    if len(source) != 2:
        raise ValueError(
            f"A raw {name} is a path, a segment, bytes, or a tuple of an array and "
            f"its rate. Received a tuple of {len(source)} entries"
        )
    array, rate = source
    if _is_number(array) and not _is_number(rate):
        raise ValueError(
            f"A raw {name} is a tuple of an array first and its rate second. Received: "
            f"{array!r:.100} first (`scipy.io.wavfile.read` returns the rate first)"
        )
    if not _is_number(rate):
        raise ValueError(
            f"The rate of a raw {name} is a number. Received: {type(rate).__name__} "
            f"{rate!r:.100}"
        )
    rate = float(rate)
    if not 0 < rate < math.inf:
        raise ValueError(f"The rate of a raw {name} must be positive, not {rate}.")
    try:
        array = as_numpy(array)
    except ValueError as error:
        raise ValueError(f"A raw {name} is one array. Received: {error}") from error
    if not array.size:
        raise ValueError(f"A raw {name} is empty. Received: shape {array.shape}")
    return array, rate


def _is_number(value):
    if isinstance(value, bool | np.bool_):
        return False
    return isinstance(value, numbers.Real) or getattr(value, "shape", None) == ()


def _channels_last(frames):
    if frames.dtype != np.uint8:
        raise ValueError(
            "A raw video has frames of uint8 in [0, 255]. Received: "
            f"{frames.dtype}. Convert integers in [0, 255] by `.astype('uint8')`; "
            "scale floats in [0, 1] by 255 first."
        )
    is_rgb = [frames.ndim == 4 and frames.shape[axis] == 3 for axis in (1, -1)]
    if is_rgb == [False, True]:
        return frames
    if is_rgb == [True, False]:
        return frames.transpose(0, 2, 3, 1)
    raise ValueError(
        "A raw video is a uint8 array of shape (frames, height, width, 3) or "
        f"(frames, 3, height, width). Received: shape {frames.shape}"
    )


def _cropped(frames, shown, size, crops):
    """Images of the frames `shown`, `(windows, crops, frames, size, size, 3)`."""
    resizer = FrameResizer(1.0, size)
    chosen, places = np.unique(shown, return_inverse=True)
    images = [
        resizer.crops(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(frames[index]), "rgb24"),
            crops,
        )
        for index in chosen
    ]
    return np.stack(images)[places.reshape(shown.shape)].swapaxes(1, 2)


def _samples_first(samples):
    """Audio of any layout as `(samples, channels)`."""
    if samples.ndim == 1:
        return samples[:, np.newaxis]
    if samples.ndim != 2:
        raise ValueError(
            "A raw audio clip is an array of shape (samples,), (samples, channels) or "
            f"(channels, samples). Received: shape {samples.shape}. Several clips are "
            "given as a list of tuples."
        )
    if 1 in samples.shape:
        return samples.reshape(-1, 1)
    may_be_channels = [size <= _MOST_CHANNELS for size in samples.shape]
    if may_be_channels == [False, True]:
        return samples
    if may_be_channels == [True, False]:
        return samples.T
    raise ValueError(
        f"It can't be told which axis of a raw audio clip of shape {samples.shape} is "
        f"that of channels: exactly one has at most {_MOST_CHANNELS} entries. Average "
        "the channels first, and give an array of shape (samples,)."
    )


def _scaled(samples):
    """Samples of any real dtype as float64 in [-1, 1]."""
    dtype = samples.dtype
    if dtype.kind in "iu":
        _check_integers(samples)
        full_scale = 2.0 ** (8 * dtype.itemsize - 1)
        # As in WAV files of 8 bits, silence is the middle of unsigned integers.
        middle = full_scale if dtype.kind == "u" else 0.0
        return (samples - middle) / full_scale
    # NumPy counts bfloat16 as no float.
    if dtype.kind != "f" and dtype.name != "bfloat16":
        raise ValueError(
            f"A raw audio clip has float or integer samples. Received: {dtype}"
        )
    samples = samples.astype(np.float64)
    if not np.isfinite(samples).all():
        raise ValueError("A raw audio clip has samples that are not finite.")
    check_peak(np.abs(samples).max(), "A raw audio clip")
    return samples


def check_peak(peak, name):
    """Refuses audio whose samples are of another scale than [-1, 1].

    Args:
        peak: float. The largest absolute value.
        name: str. What has it, at the beginning of a sentence.

    Raises:
        ValueError: If the peak is beyond what resampling and lossy codecs overshoot.
    """
    if peak > LARGEST_PEAK:
        raise ValueError(
            f"{name} of floats lies in [-1, 1]. Received: samples as large as "
            f"{peak:g}. Divide samples in the range of 16-bit integers by 32768, and "
            "others by the largest value that they can have."
        )


def _check_integers(samples):
    if samples.dtype.itemsize == 8:
        raise ValueError(
            f"The full scale of {samples.dtype} samples can't be told. Convert 16-bit "
            "values by `.astype('int16')`, or divide by their full scale."
        )
    if samples.dtype != np.int32:
        return
    # Audio of 16 or 24 bits that fills 32 bits has zeros in the lowest 8.
    peak = max(int(samples.max()), -int(samples.min()))
    if 0 < peak <= 2**15 and (samples & 255).any():
        raise ValueError(
            "int32 samples have a full scale of 2**31. Received: none beyond "
            f"{peak}, as of 16 bits. Convert 16-bit values by `.astype('int16')`."
        )


def _resampled(mono, rate, target):
    if rate == target:
        return mono
    if rate != int(rate):
        raise ValueError(f"The rate of audio is a whole number of hertz, not {rate}.")
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
            f"A raw audio clip of {len(mono)} samples at {rate:g} Hz is shorter than "
            f"one sample at {target} Hz."
        )
    return np.concatenate(samples)
