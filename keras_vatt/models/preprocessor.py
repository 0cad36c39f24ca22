"""What lies between media and strings, and the arrays that VATT takes."""

import keras
import keras_nlp
import numpy as np

from keras_vatt.data.clip_spec import ClipSpec
from keras_vatt.models.backbone import VATTBackbone
from keras_vatt.models.tokenizer import VATTTokenizer


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATTPreprocessor(keras_nlp.models.Preprocessor):
    """Strings to word ids, sounds and videos into their shapes; saved with a preset.

    It also says what the clips are that a model was trained on.

    Args:
        tokenizer: `keras_vatt.VATTTokenizer`. Defaults to `None`: text can't be
            preprocessed.
        num_frames: int. Frames of a clip. Defaults to `32`.
        frames_per_second: float. How many frames show one second. Defaults to
            `10.0`.
        frame_size: int. Height and width in pixels. Defaults to `224`.
        sampling_rate: int. Samples of the waveform per second, in hertz. Defaults to
            `48_000`.
        audio_samples: int. Samples of a waveform. Defaults to `None`, those of the
            same seconds.
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

    def __init__(
        self,
        tokenizer=None,
        num_frames=32,
        frames_per_second=10.0,
        frame_size=224,
        sampling_rate=48_000,
        audio_samples=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.tokenizer = tokenizer
        self.clip_spec = ClipSpec(
            num_frames, frames_per_second, frame_size, sampling_rate, audio_samples
        )

    def __call__(self, inputs):
        # It runs on NumPy alone, in threads that load data.
        return self.call(inputs)

    def call(self, inputs):
        """Arrays of a batch.

        Args:
            inputs: dict of any of `"video"`, an array of shape
                `(clips, frames, height, width, 3)`; `"audio"`, an array of shape
                `(clips, samples)` or `(clips, samples, 1)`; `"text"`, a string, a
                list of strings, or for each clip a list of as many candidates.

        Returns:
            Dict of arrays as `keras_vatt.VATT` takes them.

        Raises:
            ValueError: if an input has another rank, or there is text and no
                tokenizer.
        """
        return {name: getattr(self, f"_{name}")(x) for name, x in inputs.items()}

    def get_config(self):
        config = super().get_config()
        config["tokenizer"] = keras.saving.serialize_keras_object(self.tokenizer)
        return config | self.clip_spec.get_config()

    def _video(self, frames):
        return _with_rank("video", np.asarray(frames), 5)

    def _audio(self, samples):
        samples = np.asarray(samples, np.float32)
        if samples.ndim == 2:
            samples = samples[..., np.newaxis]
        return _with_rank("audio", samples, 3)

    def _text(self, captions):
        if self.tokenizer is None:
            raise ValueError(
                "This preset has no vocabulary: give word ids, or make the "
                "preprocessor with a `tokenizer`."
            )
        captions = [captions] if isinstance(captions, str) else captions
        return self.tokenizer(captions)


def _with_rank(name, array, rank):
    if array.ndim != rank:
        raise ValueError(
            f"'{name}' must have {rank} axes. Received: shape {array.shape}"
        )
    return array
