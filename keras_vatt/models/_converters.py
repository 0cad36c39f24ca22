"""Converts media files and raw arrays to the arrays that VATT takes."""

from typing import Any

import keras
import numpy as np

from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data.decoding._raw_clips import is_raw, raw_frames, raw_waveform
from keras_vatt.data.decoding._short_clips import check_short_clips
from keras_vatt.inference._batch_dtypes import as_batch
from keras_vatt.inference._batch_values import check_batch
from keras_vatt.models._backbone import VATTBackbone
from keras_vatt.models._keras_hub import AudioConverter, VideoConverter
from keras_vatt.models._preset_parts import PartFromPreset


class _VATTConverter(PartFromPreset):
    backbone_cls = VATTBackbone

    def __call__(
        self,
        inputs: Any,
        num_windows: int = 1,
        num_crops: int = 1,
        short_clips: str = "repeat",
        position: float | None = None,
    ) -> np.ndarray:
        # Not that of Keras: converters run on NumPy arrays in data-loading threads.
        return self.call(inputs, num_windows, num_crops, short_clips, position)

    def call(
        self,
        inputs: Any,
        num_windows: int = 1,
        num_crops: int = 1,
        short_clips: str = "repeat",
        position: float | None = None,
    ) -> np.ndarray:
        """Converts clips to the array of a batch.

        Args:
            inputs: one clip, a list of clips, or the array of a batch; see the class.
            num_windows: int. Number of windows per raw clip, evenly spaced from its
                start to its end; `1` is the middle. Defaults to `1`.
            num_crops: int. Number of crops per window of video, evenly spaced along
                the longer side of the frame; `1` is the center. Audio has no crops.
                Defaults to `1`.
            short_clips: string. Rule for raw clips that are shorter than the model's:
                `"repeat"` repeats them from their start, as in VATT's training,
                `"pad"` appends black frames or silence, `"error"` refuses them.
                Defaults to `"repeat"`.
            position: float in [0, 1]. Position of the only window of each raw clip,
                from its start to its end. Defaults to `None`, the middle.

        Returns:
            NumPy array whose first axis has the size `clips * num_windows * num_crops`.
            The windows of a clip are adjacent, and so are the crops of a window.

        Raises:
            ValueError: if an array has another rank, several windows of a batch are
                requested, or `short_clips` is unknown.
            keras_vatt.data.MediaError: if a file can't be used.
        """
        check_short_clips(short_clips)
        if not is_raw(inputs):
            if num_windows != 1 or num_crops != 1:
                raise ValueError(
                    "Windows and crops require raw clips (files, or arrays with "
                    "their rates), not the array of a batch. Received: "
                    f"num_windows={num_windows}, num_crops={num_crops}"
                )
            return self._batch(inputs)
        clips = inputs if isinstance(inputs, list | np.ndarray) else [inputs]
        windows = []
        for number, clip in enumerate(clips):
            try:
                windows.append(
                    self._windows(clip, num_windows, num_crops, short_clips, position)
                )
            except ValueError as error:
                if len(clips) == 1:
                    raise
                raise ValueError(f"Clip {number}: {error}") from error
        return np.concatenate(windows)


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATTVideoConverter(_VATTConverter, VideoConverter):
    """Converts video files and arrays to frames of one size and rate.

    A clip is the path of a file, a `keras_vatt.data.MediaSegment`, the bytes of a file,
    a tuple of an array and its rate in frames per second, or an example of Hugging Face
    `datasets`: a dict with `"bytes"` or `"path"`, or with `"array"` and `"fps"`.
    An array holds uint8 RGB frames of shape `(frames, height, width, 3)` or
    `(frames, 3, height, width)`, from any framework. Clips that are longer than the
    model's give the middle, or several windows; shorter ones are repeated.

    An array of rank 5, uint8 or float in [-1, 1], is a batch and stays as it is.

    Args:
        num_frames: int. Frames of a clip. Defaults to `32`.
        frames_per_second: float. Rate of the frames. Defaults to `10.0`.
        frame_size: int. Height and width in pixels. Defaults to `224`.
        **kwargs: `name`.

    Example:
    ```python
    converter = keras_vatt.VATTVideoConverter(num_frames=8, frame_size=64)
    frames = np.zeros((50, 120, 160, 3), "uint8")
    converter((frames, 25.0)).shape  # (1, 8, 64, 64, 3)
    converter((frames, 25.0), num_windows=4, num_crops=3).shape[0]  # 12
    ```
    """

    def __init__(
        self,
        num_frames: int = 32,
        frames_per_second: float = 10.0,
        frame_size: int = 224,
        **kwargs,
    ):
        super().__init__(image_size=(frame_size, frame_size), **kwargs)
        self.clip_spec = ClipSpec(num_frames, frames_per_second, frame_size)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for name in ("image_size", "scale", "offset"):
            config.pop(name)
        spec = self.clip_spec.get_config()
        names = ("num_frames", "frames_per_second", "frame_size")
        return config | {name: spec[name] for name in names}

    def _windows(self, clip, num_windows, num_crops, short_clips, position):
        return raw_frames(
            clip, self.clip_spec, num_windows, num_crops, short_clips, position
        )

    def _batch(self, frames):
        return _with_rank("video", as_batch("video", frames), 5)


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATTAudioConverter(_VATTConverter, AudioConverter):
    """Converts audio files and arrays, of any rate and channels, to mono waveforms.

    A clip is the path of a file (of audio or video), a `keras_vatt.data.MediaSegment`,
    the bytes of a file, a tuple of an array and its rate in hertz, or an example of
    Hugging Face `datasets`: a dict with `"array"` and `"sampling_rate"`, or with
    `"bytes"` or `"path"`.

    An array has the shape `(samples,)`, `(samples, channels)` or
    `(channels, samples)`, from any framework. The axis with at most 32 entries is that
    of the channels, which are averaged. Integers of 8, 16 and 32 bits have the full
    scale of their dtype, with unsigned ones centered on its middle. Floats are in
    [-1, 1]; values above 2 are refused.

    Clips that are longer than the model's give the middle, or several windows; shorter
    ones are repeated. An array of shape `(clips, samples)` or `(clips, samples, 1)`,
    float in [-1, 1] at the model's rate, is a batch and stays as it is.

    Args:
        sampling_rate: int. Samples per second, in hertz. Defaults to `48_000`.
        audio_samples: int. Samples of a waveform. Defaults to `153_600`, 3.2 seconds.
        **kwargs: `name`.

    Example:
    ```python
    converter = keras_vatt.VATTAudioConverter(16_000, 16_000)
    stereo = np.zeros((44_100, 2), "float32")
    converter((stereo, 44_100)).shape  # (1, 16000, 1)
    converter({"array": stereo.T, "sampling_rate": 44_100}).shape  # (1, 16000, 1)
    ```
    """

    def __init__(
        self, sampling_rate: int = 48_000, audio_samples: int = 153_600, **kwargs
    ):
        super().__init__(**kwargs)
        self.clip_spec = ClipSpec(
            sampling_rate=sampling_rate, audio_samples=audio_samples
        )

    def get_config(self) -> dict[str, Any]:
        spec = self.clip_spec
        return super().get_config() | {
            "sampling_rate": spec.sampling_rate,
            "audio_samples": spec.audio_samples,
        }

    def _windows(self, clip, num_windows, num_crops, short_clips, position):
        if num_crops != 1:
            raise ValueError(
                "`num_crops` is not supported for audio, only `num_windows`. "
                f"Received: num_crops={num_crops}"
            )
        waveforms = raw_waveform(
            clip, self.clip_spec, num_windows, short_clips, position
        )
        return waveforms[..., np.newaxis]

    def _batch(self, samples):
        samples = as_batch("audio", samples).astype(np.float32, copy=False)
        if samples.ndim == 2:
            samples = samples[..., np.newaxis]
        return _with_rank("audio", samples, 3)


def _with_rank(name, array, rank):
    if array.ndim != rank:
        raise ValueError(
            f"A batch of '{name}' must have {rank} axes. Received: shape "
            f"{array.shape}. Pass a single raw clip as a tuple (array, rate)."
        )
    check_batch(name, array)
    return array
