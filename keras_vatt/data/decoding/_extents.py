"""Clips of a part of a file, which may be shorter than a clip."""

import math

from keras_vatt.data._report import Problem
from keras_vatt.data.decoding._filled_clips import note_filled
from keras_vatt.data.decoding._frames import decode_crops
from keras_vatt.data.decoding._short_clips import lengthen
from keras_vatt.data.decoding._waveform import decode_samples

# Seconds that may be missing at the claimed end of a file: the last packet of some
# codecs has no duration, or no frame of its own.
_MISSING_SECONDS = 0.25


def decode_extent_frames(media, start, end, spec, crop_positions, short_clips):
    """Decodes frames of a part of a file, filled up to a clip if it is shorter.

    Args:
        media: `keras_vatt.data.Media`.
        start: float. Seconds after the start of the file.
        end: float. Seconds after the start of the file, no later than its end.
        spec: `keras_vatt.data.ClipSpec`.
        crop_positions: sequence of floats, see `decode_frames`.
        short_clips: str. `"repeat"`, `"pad"` or `"error"`, see `raw_frames`.

    Returns:
        NumPy array of uint8, shape `(crops, num_frames, frame_size, frame_size, 3)`.

    Raises:
        MediaError: If the file can't be decoded, has fewer frames than it claims, or
            is too short and `short_clips` is `"error"`.
    """
    expected = spec.num_frames
    if is_short(start, end, spec):
        check_not_refused(media, start, end, spec, short_clips)
        expected = math.ceil((end - start) * spec.frames_per_second - 1e-6)
        expected = max(1, expected)
    frames = decode_crops(media, start, spec, crop_positions)[:, :expected]
    last = min(end, start + spec.duration)
    check_found(media, frames.shape[1], expected, spec, start, last)
    filled = lengthen(frames.swapaxes(0, 1), spec.num_frames, short_clips)
    return filled.swapaxes(0, 1)


def check_found(media, found, expected, spec, start, end):
    """Raises an error if a file has fewer frames than it claims.

    Args:
        media: `keras_vatt.data.Media`.
        found: int. Number of frames.
        expected: int. Number of frames that it claims.
        spec: `keras_vatt.data.ClipSpec`.
        start: float. Start of the frames, in seconds.
        end: float. End of the frames, in seconds.

    Raises:
        MediaError: If there is no frame, or too many are missing.
    """
    missing = (expected - found) * spec.frame_period
    if not found or missing > max(_MISSING_SECONDS, spec.frame_period):
        wanted = f"{start:.2f} to {end:.2f} s"
        raise media.error(Problem.TOO_SHORT, f"has no frames for all of {wanted}")


def decode_extent_waveform(media, start, end, spec, short_clips):
    """Decodes audio of a part of a file, filled up to a clip if it is shorter.

    Args:
        media: `keras_vatt.data.Media`.
        start: float. Seconds after the start of the file.
        end: float. Seconds after the start of the file, no later than its end.
        spec: `keras_vatt.data.ClipSpec`.
        short_clips: str. `"repeat"`, `"pad"` or `"error"`, see `raw_waveform`.

    Returns:
        NumPy array of float32, shape `(audio_samples,)`.

    Raises:
        MediaError: If the file can't be decoded, has no audio, or is too short and
            `short_clips` is `"error"`.
    """
    num_samples = round((end - start) * spec.sampling_rate)
    if num_samples < spec.audio_samples and is_short(start, end, spec):
        check_not_refused(media, start, end, spec, short_clips)
    waveform, num_decoded = decode_samples(media, start, spec)
    if num_samples >= len(waveform):
        return waveform
    if not media.has_video and media.info().end <= end:
        # The number of samples is more exact than the length in the header.
        num_samples = num_decoded
    return lengthen(waveform[: max(1, num_samples)], len(waveform), short_clips)


def is_short(start, end, spec):
    """Returns whether a part of a file is shorter than a clip by over one frame."""
    return end - start + spec.frame_period + 1e-6 < spec.duration


def check_not_refused(media, start, end, spec, short_clips):
    """Raises a `MediaError` where short clips are refused."""
    reason = f"lasts {end - start:.2f} s, a clip {spec.duration:.2f} s"
    if short_clips == "error":
        raise media.error(Problem.TOO_SHORT, reason)
    note_filled(reason)
