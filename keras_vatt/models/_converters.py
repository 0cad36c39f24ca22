"""From media files and raw arrays to the arrays that VATT takes."""

import keras
import keras_nlp
import numpy as np

from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data.decoding._raw_clips import is_raw, raw_frames, raw_waveform
from keras_vatt.data.decoding._short_clips import check_short_clips
from keras_vatt.inference._batch_dtypes import as_batch
from keras_vatt.inference._batch_values import check_batch
from keras_vatt.models._backbone import VATTBackbone
from keras_vatt.models._presets import PartFromPreset


class _VATTConverter(PartFromPreset):
    backbone_cls = VATTBackbone

    def __call__(
        self, inputs, num_windows=1, num_crops=1, short_clips="repeat", position=None
    ):
        # It runs on NumPy alone, in threads that load data.
        return self.call(inputs, num_windows, num_crops, short_clips, position)

    def call(
        self, inputs, num_windows=1, num_crops=1, short_clips="repeat", position=None
    ):
        """Arrays of a batch.

        Args:
            inputs: one clip, a list of clips, or the array of a batch; see the class.
            num_windows: int. Windows of each raw clip, spread evenly in time from its
                start to its end; `1` is its middle. Defaults to `1`.
            num_crops: int. Crops of each window of a video, spread evenly along the
                longer side of the picture; `1` is its centre. Sound has none.
                Defaults to `1`.
            short_clips: string. Rule for raw clips that are shorter than the model's:
                `"repeat"` starts them over from their beginning, as VATT's training
                data does, `"pad"` appends black frames or silence, `"error"` refuses
                them. Defaults to `"repeat"`.
            position: float in [0, 1]. Position of the only window of each raw clip,
                from its start to its end. Defaults to `None`, the middle.

        Returns:
            NumPy array whose first axis is `clips * num_windows * num_crops`: the
            windows of a clip are adjacent, and so are the crops of a window.

        Raises:
            ValueError: if an array has another rank, several windows of a batch are
                asked for, or `short_clips` is unknown.
            keras_vatt.data.MediaError: if a file can't be used.
        """
        check_short_clips(short_clips)
        if not is_raw(inputs):
            if num_windows != 1 or num_crops != 1:
                raise ValueError(
                    "Windows and crops are taken of raw clips (files, or arrays with "
                    "their rates), and a batch of arrays was given. Received: "
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
class VATTVideoConverter(_VATTConverter, keras_nlp.layers.VideoConverter):
    """Video files and arrays to frames by time, of one size.

    A clip is the path of a file, a `keras_vatt.data.MediaSegment`, the bytes of a
    file, a tuple of an array and its rate in frames per second, or an entry of Hugging
    Face `datasets`: a dict with `"bytes"` or `"path"`, or with `"array"` and `"fps"`.
    An array is one of uint8 RGB frames, `(frames, height, width, 3)` or
    `(frames, 3, height, width)`, of any framework. Of what is longer than a clip the
    middle is taken, or several windows; what is shorter is repeated. An array of rank 5
    is a batch that is passed on as it is, uint8 or float in [-1, 1].

    Args:
        num_frames: int. Frames of a clip. Defaults to `32`.
        frames_per_second: float. How many of them show one second. Defaults to
            `10.0`.
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

    def __init__(self, num_frames=32, frames_per_second=10.0, frame_size=224, **kwargs):
        super().__init__(image_size=(frame_size, frame_size), **kwargs)
        self.clip_spec = ClipSpec(num_frames, frames_per_second, frame_size)

    def get_config(self):
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
class VATTAudioConverter(_VATTConverter, keras_nlp.layers.AudioConverter):
    """Sound files and arrays, of any rate and channels, to mono waveforms.

    A clip is the path of a file (of audio or video), a `keras_vatt.data.MediaSegment`,
    the bytes of a file, a tuple of an array and its rate in hertz, or an entry of
    Hugging Face `datasets`: a dict with `"array"` and `"sampling_rate"`, or with
    `"bytes"` or `"path"`.

    An array is `(samples,)`, `(samples, channels)` or `(channels, samples)`, of any
    framework; the axis with at most 32 entries is that of channels, which are averaged.
    Integers of 8, 16 and 32 bits have the scale of their dtype, unsigned ones around
    its middle; floats lie in [-1, 1], and what is larger than 2 is refused.

    Of what is longer than a clip the middle is taken, or several windows; what is
    shorter is repeated. An array `(clips, samples)` or `(clips, samples, 1)` is a batch
    at the model's own rate, float in [-1, 1], which is passed on.

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

    def __init__(self, sampling_rate=48_000, audio_samples=153_600, **kwargs):
        super().__init__(**kwargs)
        self.clip_spec = ClipSpec(
            sampling_rate=sampling_rate, audio_samples=audio_samples
        )

    def get_config(self):
        spec = self.clip_spec
        return super().get_config() | {
            "sampling_rate": spec.sampling_rate,
            "audio_samples": spec.audio_samples,
        }

    def _windows(self, clip, num_windows, num_crops, short_clips, position):
        if num_crops != 1:
            raise ValueError(
                f"Sound has no crops, only windows. Received: num_crops={num_crops}"
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
            f"'{name}' must have {rank} axes as a batch. Received: shape "
            f"{array.shape}. A single raw clip is given as a tuple of its array and "
            "its rate."
        )
    check_batch(name, array)
    return array
