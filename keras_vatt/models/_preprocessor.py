"""Converts media and strings to the arrays that VATT takes."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Self

import keras
import numpy as np

from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data.decoding._images import is_raw_images, raw_images
from keras_vatt.data.decoding._short_clips import check_short_clips
from keras_vatt.inference._batch_dtypes import as_batch
from keras_vatt.models._backbone import VATTBackbone
from keras_vatt.models._converters import VATTAudioConverter, VATTVideoConverter
from keras_vatt.models._keras_hub import Preprocessor
from keras_vatt.models._preset_parts import PartFromPreset
from keras_vatt.models._tokenizer import VATTTokenizer
from keras_vatt.models._vocabulary_tokenizer import (
    NO_VOCABULARY,
    VocabularyTokenizer,
)


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATTPreprocessor(PartFromPreset, Preprocessor):
    """Converts raw video, audio, images and text to a model's input.

    It is saved with a preset and holds the length, rate and size of the clips that the
    model was trained on.

    Args:
        tokenizer: `keras_vatt.VATTTokenizer` or `keras_vatt.VATTWordPieceTokenizer`.
            Defaults to `None`: text can't be preprocessed.
        video_converter: `keras_vatt.VATTVideoConverter`. Defaults to `None`, a
            converter with its defaults.
        audio_converter: `keras_vatt.VATTAudioConverter`. Defaults to `None`, a
            converter with its defaults.
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
        self,
        tokenizer: VocabularyTokenizer | None = None,
        video_converter: VATTVideoConverter | None = None,
        audio_converter: VATTAudioConverter | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.tokenizer = tokenizer
        self.video_converter = video_converter or VATTVideoConverter()
        self.audio_converter = audio_converter or VATTAudioConverter()

    @classmethod
    def from_clip_spec(
        cls, spec: ClipSpec, tokenizer: VocabularyTokenizer | None = None
    ) -> Self:
        """Makes a preprocessor with the clips of a data pipeline.

        Args:
            spec: `keras_vatt.data.ClipSpec`.
            tokenizer: see the class. Defaults to `None`.

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
    def clip_spec(self) -> ClipSpec:
        """The `keras_vatt.data.ClipSpec` of the clips: length, rates and frame size."""
        audio = self.audio_converter.clip_spec
        return dataclasses.replace(
            self.video_converter.clip_spec,
            sampling_rate=audio.sampling_rate,
            audio_samples=audio.audio_samples,
        )

    def __call__(
        self,
        inputs: Mapping[str, Any],
        num_windows: int = 1,
        num_crops: int = 1,
        short_clips: str = "repeat",
        position: float | None = None,
    ) -> dict[str, np.ndarray]:
        # Not that of Keras: it runs on NumPy arrays in data-loading threads.
        return self.call(inputs, num_windows, num_crops, short_clips, position)

    def call(
        self,
        inputs: Mapping[str, Any],
        num_windows: int = 1,
        num_crops: int = 1,
        short_clips: str = "repeat",
        position: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Converts raw inputs to the arrays of a batch.

        Args:
            inputs: dict with any of these keys. `"video"` and `"audio"`: a path, a
                `keras_vatt.data.MediaSegment`, bytes, a tuple of an array and its
                rate, a list of these, or the array of a batch; see
                `VATTVideoConverter` and `VATTAudioConverter`. `"text"`: a string, a
                list of strings, or for each clip a list of the same number of
                candidates. `"image"`: see `VATTImageClassifier`.
            num_windows: int. Number of windows per raw video and audio, evenly spaced
                from its start to its end; `1` is the middle. Text is not repeated.
                Defaults to `1`.
            num_crops: int. Number of crops per window of video, evenly spaced along
                the longer side of the frame; `1` is the center. Defaults to `1`.
            short_clips: string. Rule for raw video and audio shorter than the model's
                clips: `"repeat"`, `"pad"` or `"error"`; see `VATTVideoConverter.call`.
                Defaults to `"repeat"`.
            position: float in [0, 1]. Position of the only window of each raw video
                and audio, from its start to its end. Defaults to `None`, the middle.

        Returns:
            Dict of arrays for `keras_vatt.VATT`. The first axis of video has the size
            `clips * num_windows * num_crops`, that of audio `clips * num_windows`. The
            windows of a clip are adjacent, and so are the crops of a window.

        Raises:
            ValueError: if an input has another form, there is text but no vocabulary,
                several windows of a batch are requested, or `short_clips` is unknown.
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
                f"A preprocessor accepts only the keys {list(converters)}. "
                f"Received: {sorted(unknown)}"
            )
        return {name: converters[name](given) for name, given in inputs.items()}

    def _images(self, images, num_crops):
        size = self.clip_spec.frame_size
        if not is_raw_images(images, size):
            return as_batch("image", images)
        return raw_images(images, size, num_crops)

    def _words(self, captions):
        if self.tokenizer is None or self.tokenizer.vocabulary is None:
            raise ValueError(NO_VOCABULARY)
        captions = [captions] if isinstance(captions, str) else captions
        return self.tokenizer(captions)
