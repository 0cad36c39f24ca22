"""What lies between media and strings, and the arrays that VATT takes."""

import dataclasses
import functools

import keras
import keras_nlp

from keras_vatt.data.decoding._images import is_raw_images, raw_images
from keras_vatt.data.decoding._short_clips import check_short_clips
from keras_vatt.inference._batch_dtypes import as_batch
from keras_vatt.models._backbone import VATTBackbone
from keras_vatt.models._converters import VATTAudioConverter, VATTVideoConverter
from keras_vatt.models._presets import PartFromPreset
from keras_vatt.models._tokenizer import VATTTokenizer


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATTPreprocessor(PartFromPreset, keras_nlp.models.Preprocessor):
    """Raw video, sound and text to a model's input; saved with a preset.

    It also says what the clips are that a model was trained on.

    Args:
        tokenizer: `keras_vatt.VATTTokenizer`. Defaults to `None`: text can't be
            preprocessed.
        video_converter: `keras_vatt.VATTVideoConverter`. Defaults to `None`, one with
            its defaults.
        audio_converter: `keras_vatt.VATTAudioConverter`. Defaults to `None`, one with
            its defaults.
        **kwargs: `name`.

    Example:
    ```python
    tokenizer = keras_vatt.VATTTokenizer.from_captions(["a red star"])
    preprocessor = keras_vatt.VATTPreprocessor(tokenizer)
    preprocessor({"text": ["a star"]})["text"].shape  # (1, 16)
    preprocessor.clip_spec.duration  # 3.2 seconds
    ```
    """

    backbone_cls = VATTBackbone
    tokenizer_cls = VATTTokenizer
    video_converter_cls = VATTVideoConverter
    audio_converter_cls = VATTAudioConverter

    def __init__(
        self, tokenizer=None, video_converter=None, audio_converter=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.tokenizer = tokenizer
        self.video_converter = video_converter or VATTVideoConverter()
        self.audio_converter = audio_converter or VATTAudioConverter()

    @classmethod
    def from_clip_spec(cls, spec, tokenizer=None):
        """A preprocessor whose clips are those of a data pipeline.

        Args:
            spec: `keras_vatt.data.ClipSpec`.
            tokenizer: `keras_vatt.VATTTokenizer`. Defaults to `None`.

        Returns:
            `VATTPreprocessor`.
        """
        return cls(
            tokenizer,
            VATTVideoConverter(
                spec.num_frames, spec.frames_per_second, spec.frame_size
            ),
            VATTAudioConverter(spec.sampling_rate, spec.audio_samples),
        )

    @property
    def clip_spec(self):
        """What a clip is: a `keras_vatt.data.ClipSpec`."""
        audio = self.audio_converter.clip_spec
        return dataclasses.replace(
            self.video_converter.clip_spec,
            sampling_rate=audio.sampling_rate,
            audio_samples=audio.audio_samples,
        )

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
            inputs: dict of any of `"video"` and `"audio"`, each a path, a
                `keras_vatt.data.MediaSegment`, bytes, a tuple of an array and its
                rate, a list of these, or a batch (see `VATTVideoConverter` and
                `VATTAudioConverter`); and `"text"`, a string, a list of strings, or
                for each clip a list of as many candidates; and `"image"`, see
                `VATTImageClassifier`.
            num_windows: int. Windows of each raw video and sound, spread evenly in
                time from its start to its end; `1` is its middle. Text is not
                repeated. Defaults to `1`.
            num_crops: int. Crops of each window of a video, spread evenly along the
                longer side of the picture; `1` is its centre. Defaults to `1`.
            short_clips: string. Rule for raw video and audio shorter than the model's
                clips: `"repeat"`, `"pad"` or `"error"`; see `VATTVideoConverter.call`.
                Defaults to `"repeat"`.
            position: float in [0, 1]. Position of the only window of each raw video
                and audio, from its start to its end. Defaults to `None`, the middle.

        Returns:
            Dict of arrays as `keras_vatt.VATT` takes them. The first axis of video is
            `clips * num_windows * num_crops`, that of audio `clips * num_windows`: the
            windows of a clip are adjacent, and so are the crops of a window.

        Raises:
            ValueError: if an input is of another form, there is text and no
                vocabulary, several windows of a batch are asked for, or `short_clips`
                is unknown.
            keras_vatt.data.MediaError: if a file can't be used.
        """
        check_short_clips(short_clips)
        timing = {
            "num_windows": num_windows,
            "short_clips": short_clips,
            "position": position,
        }
        converters = {
            "video": functools.partial(
                self.video_converter, num_crops=num_crops, **timing
            ),
            "audio": functools.partial(self.audio_converter, **timing),
            "text": self._words,
            "image": functools.partial(self._images, num_crops=num_crops),
        }
        unknown = set(inputs) - set(converters)
        if unknown:
            raise ValueError(
                f"A preprocessor takes {list(converters)}. Received: {sorted(unknown)}"
            )
        return {name: converters[name](given) for name, given in inputs.items()}

    def _images(self, images, num_crops):
        size = self.clip_spec.frame_size
        if not is_raw_images(images, size):
            return as_batch("image", images)
        return raw_images(images, size, num_crops)

    def _words(self, captions):
        if self.tokenizer is None or self.tokenizer.vocabulary is None:
            raise ValueError(
                "This preset has no vocabulary: give word ids, or set the tokenizer's "
                "by `model.preprocessor.tokenizer = keras_vatt.VATTTokenizer(file)`."
            )
        captions = [captions] if isinstance(captions, str) else captions
        return self.tokenizer(captions)
