"""A clip as it is stored in shards, and how the input of a model is cut from it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data.decoding._extents import (
    decode_extent_frames,
    decode_extent_waveform,
)
from keras_vatt.data.decoding._file_errors import MediaError, any_error_of
from keras_vatt.data.decoding._media import open_media
from keras_vatt.data.decoding._raw_arrays import (
    check_peak,
    frames_by_number,
    waveforms_of_array,
)
from keras_vatt.data.decoding._short_clips import lengthen
from keras_vatt.data.decoding._waveform import is_silent
from keras_vatt.data.decoding._windows import window_starts
from keras_vatt.data.shards._jpegs import JpegDecoder

# Sampling rates, in hertz, of audio that is resampled.
_LEAST_RATE, _LARGEST_RATE = 1_000, 1_000_000


@dataclasses.dataclass(frozen=True)
class Cut:
    """The part of a stored clip that a model gets.

    Args:
        spec: `keras_vatt.data.ClipSpec`.
        position: float in `[0, 1]`. Position in time, between the start (0) and the end
            (1) of the stored clip. Defaults to `0.5`, the middle.
        crop_position: float in `[0, 1]`. Position along the longer side of the frames.
            Defaults to `0.5`, the center.
        short_clips: str. `"repeat"`, `"pad"` or `"error"`, see
            `keras_vatt.data.ClipSource`. Defaults to `"repeat"`.
    """

    spec: ClipSpec
    position: float = 0.5
    crop_position: float = 0.5
    short_clips: str = "repeat"


@dataclasses.dataclass(frozen=True, eq=False)
class StoredFrames:
    """Frames as JPEG images, with a waveform: the layout of DMVR.

    Args:
        images: Tuple of `bytes`, a JPEG file per frame.
        frames_per_second: float.
        waveform: NumPy array of float32, shape `(samples,)`, in `[-1, 1]`, or `None`.
        sampling_rate: int, in hertz.
    """

    images: tuple[bytes, ...]
    frames_per_second: float
    waveform: np.ndarray | None
    sampling_rate: int

    def decode(self, cut: Cut) -> tuple[np.ndarray, np.ndarray | None]:
        """Decodes the frames and the waveform of a cut.

        Both are cut at the same time.

        Args:
            cut: `Cut`.

        Returns:
            Tuple of a NumPy array of uint8, shape `(num_frames, size, size, 3)`, and of
            an array of float32, shape `(audio_samples,)`, or `None` without audio.

        Raises:
            ValueError: If there are no frames, or too few and `short_clips` is
                `"error"`.
            av.FFmpegError: If an image is damaged.
        """
        if not self.images:
            raise ValueError("it has no frames")
        decoder = JpegDecoder()
        frames = frames_by_number(
            lambda number: decoder(self.images[number]),
            len(self.images),
            self.frames_per_second,
            cut.spec,
            1,
            (cut.crop_position,),
            cut.short_clips,
            cut.position,
        )[0]
        return frames, self._waveform(cut)

    def _waveform(self, cut):
        if self.waveform is None or not self.waveform.size:
            return None
        rate = self.sampling_rate
        if not _LEAST_RATE <= rate <= _LARGEST_RATE:
            raise ValueError(f"its audio has the sampling rate {rate} Hz")
        duration = len(self.images) / self.frames_per_second
        start = window_starts(0.0, duration, cut.spec.duration, 1, cut.position)[0]
        samples = self._samples_from(start, cut)
        if rate == cut.spec.sampling_rate:
            return lengthen(samples, cut.spec.audio_samples, cut.short_clips)
        # At the beginning of what is left.
        return waveforms_of_array((samples, rate), cut.spec, 1, cut.short_clips, 0.0)[0]

    def _samples_from(self, start, cut):
        """Returns the samples of a cut, or all if there are fewer."""
        seconds = cut.spec.audio_samples / cut.spec.sampling_rate
        count = math.ceil(seconds * self.sampling_rate)
        # Audio that ends a little before the video is cut at its end.
        first = round(start * self.sampling_rate)
        first = max(0, min(first, len(self.waveform) - count))
        samples = np.asarray(self.waveform[first : first + count], np.float32)
        if not np.isfinite(samples).all():
            raise ValueError("its waveform has samples that are not finite")
        check_peak(np.abs(samples).max(), "Its waveform")
        return np.clip(samples, -1.0, 1.0)


@dataclasses.dataclass(frozen=True, eq=False)
class StoredFile:
    """A media file, or one of video and one of audio.

    Args:
        content: `bytes` of a file with video.
        audio: `bytes` of a file with audio. Defaults to `None`, for the audio of the
            file with video.
    """

    content: bytes
    audio: bytes | None = None

    def decode(self, cut: Cut) -> tuple[np.ndarray, np.ndarray | None]:
        """Decodes the frames and the waveform of a cut, see `StoredFrames.decode`.

        Raises:
            MediaError: If the file can't be decoded.
        """
        spec = cut.spec
        with open_media(self.content) as media:
            info = media.info()
            span = (info.start, info.end)
            start = window_starts(*span, spec.duration, 1, cut.position)[0]
            extent = (media, start, info.end, spec)
            crops = (cut.crop_position,)
            frames = decode_extent_frames(*extent, crops, cut.short_clips)[0]
            if self.audio is None:
                has_audio, rule = media.has_audio, cut.short_clips
                waveform = decode_extent_waveform(*extent, rule) if has_audio else None
                return frames, waveform
        with open_media(self.audio) as media:
            # At the same time, or at the end of audio that is shorter.
            start = max(0.0, min(start, media.info().end - spec.duration))
            extent = (media, start, media.info().end, spec)
            return frames, decode_extent_waveform(*extent, cut.short_clips)


@dataclasses.dataclass(frozen=True, eq=False)
class StoredClip:
    """A record of a shard: a clip of at least a few seconds, and what is known of it.

    Args:
        media: `StoredFrames` or `StoredFile`.
        captions: Tuple of str, that of the clip first. Defaults to `()`.
        name: str. The file that the clip is from. Defaults to `""`, unknown.
        start: float. Start in that file, in seconds. Defaults to `0.0`.
        end: float. End in that file, in seconds. Defaults to `None`, unknown.
        labels: Tuple of str, names of classes. Defaults to `()`.
    """

    media: StoredFrames | StoredFile
    captions: tuple[str, ...] = ()
    name: str = ""
    start: float = 0.0
    end: float | None = None
    labels: tuple[str, ...] = ()

    def decode(self, cut: Cut, where: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Decodes the frames and the waveform of a cut.

        Args:
            cut: `Cut`.
            where: str. The record, for messages.

        Returns:
            Tuple of the frames and of the waveform, which is `None` if there is no
            audio or only silence; see `StoredFrames.decode`.

        Raises:
            MediaError: If the clip can't be decoded, or is too short and `short_clips`
                is `"error"`.
        """
        try:
            with any_error_of(where):
                frames, waveform = self.media.decode(cut)
        except MediaError as error:
            raise MediaError(where, error.problem, error.reason) from error
        if waveform is not None and is_silent(waveform):
            waveform = None
        return frames, waveform
