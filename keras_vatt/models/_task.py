"""What the VATT tasks share."""

import contextlib

import keras
import keras_nlp
import numpy as np

from keras_vatt._keras_internals import PREPROCESSOR_NAMES, set_untracked
from keras_vatt.data.decoding._images import is_raw_images, list_of_images
from keras_vatt.data.decoding._raw_clips import is_raw
from keras_vatt.data.decoding._short_clips import check_short_clips
from keras_vatt.inference._batch_dtypes import as_batch
from keras_vatt.inference._checked_inputs import ChecksInputs
from keras_vatt.inference._clip_reader import ClipReader, log_skipped, report_of
from keras_vatt.inference._pooled_encoder import EncoderCache
from keras_vatt.inference._raw_batches import ClipBatches, RawBatches
from keras_vatt.models._backbone import VATTBackbone
from keras_vatt.models._presets import TaskFromPreset
from keras_vatt.models._quantization import QuantizesBackbone
from keras_vatt.models._tower_export import ExportsTowers
from keras_vatt.training._finite import check_finite
from keras_vatt.training._kept_weights import KeepsWeights


class _PlainLoops:
    """The loops of Keras in place of KerasHub's.

    Batches come decoded and tokenized, from pipelines that know time, masks and
    candidates: KerasHub's mapping of the preprocessor over the data, and the kinds of
    dataset that it can't take, are not wanted here.
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
    keras_nlp.models.Task,
):
    """A VATT backbone with something around it, fed with decoded batches.

    Attributes:
        clip_report: `keras_vatt.data.CorpusReport` of the latest call on raw clips:
            how many were used, which were skipped and why, and which were repeated or
            padded as they are short. `None` before the first.
    """

    backbone_cls = VATTBackbone
    clip_report = None

    def __setattr__(self, name, value):
        if name in PREPROCESSOR_NAMES:
            # KerasHub's property and its place. Past Keras' tracker, which takes no
            # layer once a model is built: there are no weights to track.
            set_untracked(self, name, value)
            return
        super().__setattr__(name, value)

    def extract_features(
        self,
        kind,
        inputs,
        output="features_pooled",
        num_windows=1,
        num_crops=1,
        batch_size=32,
        short_clips="repeat",
        on_error="skip",
    ):
        """One vector for each window of a clip, in inference mode.

        Raw clips are decoded batch by batch. VATT's linear probes train on one window
        of each clip and test on 4 (see `keras_vatt.evaluation`).

        Args:
            kind: string. `"video"`, `"audio"`, `"image"` (by way of the video encoder)
                or `"text"`.
            inputs: raw clips, images or strings, one or a list; or the array of a
                batch. See `keras_vatt.VATTPreprocessor`.
            output: string. `"features_pooled"`, the backbone's; or an embedding of a
                `keras_vatt.VATT`: `"to_audio"` or `"to_text"` of video and images,
                `"to_video"` of the others. Defaults to `"features_pooled"`.
            num_windows: int. Windows of each raw clip. Defaults to `1`, its middle.
            num_crops: int. Crops of each window of video, or of each image. Defaults to
                `1`, the centre.
            batch_size: int. How many windows run at a time. Defaults to `32`.
            short_clips: string. Rule for raw video and audio shorter than the model's
                clips: `"repeat"`, `"pad"` or `"error"`; see `VATTVideoConverter.call`.
                Defaults to `"repeat"`.
            on_error: string. `"skip"` logs a file that can't be used, adds it to
                `clip_report` and continues; `"raise"` raises its error. Defaults to
                `"skip"`.

        Returns:
            float32 NumPy array of shape `(clips, num_windows * num_crops, dim)`. It is
            NaN for clips that were skipped.

        Raises:
            ValueError: if the model has no such modality or output, or windows or
                crops are asked for of what has none.
            keras_vatt.data.MediaError: if no clip can be used, or with
                `on_error="raise"` if one can't.

        Example:
        ```python
        model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
        sound = np.zeros(48_000, "float32"), 16_000
        model.extract_features("audio", [sound], num_windows=4).shape  # (1, 4, 128)
        ```
        """
        bridge_head = getattr(self, "bridge_head", None)
        _check_output(output, kind, bridge_head)
        cache = self.__dict__.setdefault("_encoders", EncoderCache())
        encoder = cache.get(self.backbone, kind, bridge_head)
        if not self._is_raw(kind, inputs):
            _check_one_window(kind, num_windows, num_crops)
            inputs = as_batch(kind, inputs)
            check_finite(kind, inputs)
            values = encoder.predict(inputs, batch_size=batch_size, verbose=0)
            return values[output][:, np.newaxis]
        reader = self._clip_reader(
            kind, inputs, num_windows, num_crops, short_clips, on_error
        )
        rows_per_clip = num_windows * num_crops
        batches = RawBatches(reader, batch_size=batch_size, rows_per_clip=rows_per_clip)
        with self._reading(batches):
            values = encoder.predict(batches, verbose=0)[output]
        values = values.reshape(-1, rows_per_clip, values.shape[-1])
        return blanked(values, reader.skipped)

    def _is_raw(self, kind, given):
        """Whether an input has to go through the preprocessor."""
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
        """A `ClipReader` of raw clips, images or strings."""
        if self.preprocessor is None:
            raise ValueError(
                f"This model has no preprocessor for raw {kind}: give arrays, or set "
                "`model.preprocessor`."
            )
        check_short_clips(short_clips)
        if num_windows < 1 or num_crops < 1:
            raise ValueError(
                "There is at least one window and one crop. Received: "
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
    def _reading(self, *datasets):
        """A loop over datasets: `ClipBatches` raise errors of theirs, and a report."""
        batches = [data for data in datasets if isinstance(data, ClipBatches)]
        if not batches:
            yield
            return
        readers = [data.reader for data in batches]
        try:
            with contextlib.ExitStack() as stack:
                for data in batches:
                    stack.enter_context(data.own_errors())
                yield
        finally:
            # Past Keras' tracker.
            self.__dict__["clip_report"] = report_of(readers)
        log_skipped(readers)

    def _frame_size(self):
        if self.preprocessor is None:
            return None
        return self.preprocessor.clip_spec.frame_size


def blanked(values, skipped):
    """Outputs with NaN for the clips that were skipped.

    Args:
        values: float array with an entry for each clip, perhaps of the first only.
        skipped: list of numbers of clips.

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
            "Windows are taken of raw video and sound (files, or arrays with their "
            "rates), and crops of raw video and images; not of a batch of arrays, and "
            f"not of text. Received: {kind}, num_windows={num_windows}, "
            f"num_crops={num_crops}"
        )
