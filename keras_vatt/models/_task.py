"""Base class of the VATT tasks."""

import contextlib
from typing import Any

import keras
import numpy as np

from keras_vatt._keras_internals import PREPROCESSOR_NAMES, set_untracked
from keras_vatt.data.decoding._images import is_raw_images, list_of_images
from keras_vatt.data.decoding._raw_clips import is_raw
from keras_vatt.data.decoding._short_clips import check_short_clips
from keras_vatt.inference._batch_dtypes import as_batch
from keras_vatt.inference._checked_inputs import ChecksInputs
from keras_vatt.inference._clip_lists import encode_clips
from keras_vatt.inference._clip_reader import ClipReader, log_skipped, report_of
from keras_vatt.inference._pooled_encoder import EncoderCache
from keras_vatt.inference._raw_batches import ClipBatches
from keras_vatt.models._backbone import VATTBackbone
from keras_vatt.models._clip_shapes import predicts_shape
from keras_vatt.models._keras_hub import Task
from keras_vatt.models._preset_task import TaskFromPreset
from keras_vatt.models._quantization import QuantizesBackbone
from keras_vatt.models._tower_export import ExportsTowers
from keras_vatt.training._finite import check_finite
from keras_vatt.training._kept_weights import KeepsWeights


class _PlainLoops:
    """Mixin with the loops of Keras, which replace those of KerasHub.

    KerasHub's loops map the preprocessor over the data. Here, batches are already
    decoded and tokenized, by pipelines that also make masks and candidates.
    """

    fit = keras.Model.fit
    evaluate = keras.Model.evaluate
    predict = keras.Model.predict
    train_on_batch = keras.Model.train_on_batch
    test_on_batch = keras.Model.test_on_batch
    predict_on_batch = keras.Model.predict_on_batch


class VATTTask(
    TaskFromPreset,
    QuantizesBackbone,
    ExportsTowers,
    KeepsWeights,
    ChecksInputs,
    _PlainLoops,
    Task,
):
    """A VATT backbone with a head, which takes decoded batches or raw clips.

    Attributes:
        clip_report: `keras_vatt.data.CorpusReport` of the latest call on raw clips:
            how many were used, which were skipped and why, and which were repeated or
            padded because they are short. `None` before the first call.
    """

    backbone_cls = VATTBackbone
    clip_report = None

    def __setattr__(self, name, value):
        if name in PREPROCESSOR_NAMES:
            # KerasHub's property and its private attribute. Keras would refuse to track
            # a new layer in a built model, and a preprocessor has no weights.
            set_untracked(self, name, value)
            return
        super().__setattr__(name, value)

    def extract_features(
        self,
        kind: str,
        inputs: Any,
        output: str = "features_pooled",
        num_windows: int = 1,
        num_crops: int = 1,
        batch_size: int = 32,
        short_clips: str = "repeat",
        on_error: str = "skip",
    ) -> np.ndarray:
        """Computes one vector per window of a clip, in inference mode.

        Raw clips are decoded batch by batch. VATT's linear probes train on one window
        per clip and test on 4 (see `keras_vatt.evaluation`).

        Args:
            kind: string. `"video"`, `"audio"`, `"image"` (computed by the video
                encoder) or `"text"`.
            inputs: a raw clip, image or string or a list of them; or the array of a
                batch. See `keras_vatt.VATTPreprocessor`.
            output: string. `"features_pooled"` of the backbone; or an embedding of a
                `keras_vatt.VATT`: `"to_audio"` or `"to_text"` of video and images,
                `"to_video"` of audio and text. Defaults to `"features_pooled"`.
            num_windows: int. Number of windows per raw clip. Defaults to `1`, the
                middle.
            num_crops: int. Number of crops per window of video, or per image. Defaults
                to `1`, the center.
            batch_size: int. Number of windows per batch. Defaults to `32`.
            short_clips: string. Rule for raw video and audio shorter than the model's
                clips: `"repeat"`, `"pad"` or `"error"`; see `VATTVideoConverter.call`.
                Defaults to `"repeat"`.
            on_error: string. `"skip"` logs a file that can't be used, adds it to
                `clip_report` and continues; `"raise"` raises its error. Defaults to
                `"skip"`.

        Returns:
            float32 NumPy array of shape `(clips, num_windows * num_crops, dim)`, NaN
            for clips that were skipped.

        Raises:
            ValueError: if the model has no such modality or output, or the input has
                no windows or crops.
            keras_vatt.data.MediaError: if no clip can be used, or with
                `on_error="raise"` if any clip can't be used.

        Example:
        ```python
        model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
        clip = np.zeros(48_000, "float32"), 16_000
        model.extract_features("audio", [clip], num_windows=4).shape  # (1, 4, 128)
        ```
        """
        _check_output(output, kind, getattr(self, "bridge_head", None))
        encoder = self._pooled_encoder(kind)
        if not self._is_raw(kind, inputs):
            _check_one_window(kind, num_windows, num_crops)
            inputs = as_batch(kind, inputs)
            check_finite(kind, inputs)
            with predicts_shape(encoder, inputs.shape[1:]):
                values = encoder.predict(inputs, batch_size=batch_size, verbose=0)
            return values[output][:, np.newaxis]
        reader = self._clip_reader(
            kind, inputs, num_windows, num_crops, short_clips, on_error
        )

        def encode(kind, batch):
            with predicts_shape(encoder, batch.shape[1:]):
                return encoder.predict(batch, batch_size=len(batch), verbose=0)

        clips_per_batch = max(1, batch_size // (num_windows * num_crops))
        with self._reading(reader):
            return encode_clips(reader, kind, encode, clips_per_batch)[output]

    def _pooled_encoder(self, kind):
        """Returns the `PooledEncoder` of a kind of input, compiled once."""
        cache = self.__dict__.setdefault("_encoders", EncoderCache())
        return cache.get(self.backbone, kind, getattr(self, "bridge_head", None))

    def _is_raw(self, kind, given):
        """Returns whether an input needs the preprocessor."""
        if kind != "image":
            return is_raw(given)
        if self.preprocessor is None and getattr(given, "ndim", 0) == 4:
            return False
        return is_raw_images(given, self._frame_size())

    def _clip_reader(
        self,
        kind,
        given,
        num_windows=1,
        num_crops=1,
        short_clips="repeat",
        on_error="skip",
    ):
        """Makes a `ClipReader` of raw clips, images or strings."""
        if self.preprocessor is None:
            raise ValueError(
                f"This model has no preprocessor for raw {kind}: pass arrays, or set "
                "`model.preprocessor`."
            )
        check_short_clips(short_clips)
        if num_windows < 1 or num_crops < 1:
            raise ValueError(
                "`num_windows` and `num_crops` must be at least 1. Received: "
                f"num_windows={num_windows}, num_crops={num_crops}"
            )
        has_time = kind in ("video", "audio")
        if not has_time:
            _check_one_window(kind, num_windows, num_crops if kind == "text" else 1)
        if kind == "audio":
            _check_one_window(kind, 1, num_crops)

        def convert(clips, **timing):
            inputs = {kind: clips}
            return self.preprocessor(inputs, num_windows, num_crops, **timing)[kind]

        return ClipReader(
            _clips_of(kind, given),
            convert,
            short_clips=short_clips if has_time else None,
            on_error=on_error,
            has_files=kind != "text",
        )

    @contextlib.contextmanager
    def _reading(self, *sources):
        """Runs a loop over `ClipReader`s or datasets, and reports on raw clips."""
        batches = [data for data in sources if isinstance(data, ClipBatches)]
        readers = [data for data in sources if isinstance(data, ClipReader)]
        readers += [data.reader for data in batches]
        if not readers:
            yield
            return
        try:
            with contextlib.ExitStack() as stack:
                for data in batches:
                    stack.enter_context(data.own_errors())
                yield
        finally:
            # Not by `setattr`: Keras would track it.
            self.__dict__["clip_report"] = report_of(readers)
        log_skipped(readers)

    def _frame_size(self):
        if self.preprocessor is None:
            return None
        return self.preprocessor.clip_spec.frame_size


def blanked(values, skipped):
    """Sets the outputs of the clips that were skipped to NaN.

    Args:
        values: float array with an entry per clip; later clips may be missing.
        skipped: list of the indices of the skipped clips.

    Returns:
        NumPy array.
    """
    skipped = [number for number in skipped if number < len(values)]
    if skipped:
        values = np.array(values)
        values[skipped] = np.nan
    return values


def _clips_of(kind, given):
    if kind == "image":
        return list_of_images(given)
    return given if isinstance(given, list | np.ndarray) else [given]


def _check_output(output, kind, bridge_head):
    possible = ["features_pooled"]
    if bridge_head is not None:
        of_video = kind in ("video", "image")
        possible += ["to_audio", "to_text"] if of_video else ["to_video"]
    if output not in possible:
        raise ValueError(
            f"The outputs for {kind} of this model are {possible}. "
            f"Received: output={output!r}"
        )


def _check_one_window(kind, num_windows, num_crops):
    if (num_windows, num_crops) != (1, 1):
        raise ValueError(
            "`num_windows` requires raw video or audio, and `num_crops` raw video or "
            "images (files, or arrays with their rates), not the array of a batch. "
            f"Received: {kind}, num_windows={num_windows}, num_crops={num_crops}"
        )
