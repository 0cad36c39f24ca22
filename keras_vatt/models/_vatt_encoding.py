"""Embeddings of raw clips and arrays by a VATT."""

from typing import Any

import numpy as np

from keras_vatt.data.decoding._raw_clips import is_raw
from keras_vatt.inference._batch_dtypes import as_batch
from keras_vatt.inference._clip_lists import encode_clips
from keras_vatt.inference._clip_reader import ClipReader
from keras_vatt.models._clip_shapes import predicts_shape
from keras_vatt.training._finite import check_finite


class EncodesClips:
    """Mixin of `VATT` that encodes clips in inference mode."""

    def encode(
        self,
        video: Any = None,
        audio: Any = None,
        text: Any = None,
        batch_size: int = 32,
        short_clips: str = "repeat",
        on_error: str = "skip",
        all_tokens: bool = False,
    ) -> dict[str, dict[str, np.ndarray]]:
        """Computes features and embeddings in inference mode, as NumPy arrays.

        Raw clips are decoded batch by batch. See `extract_features` for several windows
        per clip. The modalities may have different numbers of clips.

        Args:
            video: array of shape `(clips, frames, height, width, 3)`, float in [-1, 1]
                or uint8 in [0, 255]; or a raw clip or a list of raw clips: paths,
                `keras_vatt.data.MediaSegment`s, bytes, or tuples of frames and their
                rate. Defaults to `None`.
            audio: array of shape `(clips, samples, 1)`, float in [-1, 1]; or a raw clip
                or a list of raw clips: paths, `keras_vatt.data.MediaSegment`s, bytes,
                or tuples of samples and their rate. Defaults to `None`.
            text: int array of word ids, 0 = padding, of shape `(rows, words)` or
                `(batch, candidates, words)`; or a string or a list of strings.
                Defaults to `None`.
            batch_size: int. Number of clips or rows per batch. Defaults to `32`.
            short_clips: string. Rule for raw video and audio shorter than the model's
                clips: `"repeat"`, `"pad"` or `"error"`; see `VATTVideoConverter.call`.
                Defaults to `"repeat"`.
            on_error: string. `"skip"` logs a file that can't be used, adds it to
                `clip_report` and continues; `"raise"` raises its error. Defaults to
                `"skip"`.
            all_tokens: bool. Whether to return the features of all tokens, too. Without
                them, the last block computes only one token, and less is copied.
                Defaults to `False`.

        Returns:
            Dict from modality to a dict of NumPy arrays, with NaN for clips that were
            skipped: `"features_pooled"` and the embeddings `"to_audio"`, `"to_text"`
            and `"to_video"`; with `all_tokens=True` also `"features"`. See `call`.

        Raises:
            ValueError: if there is no input or an empty list, an input has the wrong
                rank or values that are not finite, or the model has no preprocessor or
                vocabulary for raw inputs.
            keras_vatt.data.MediaError: if no clip of a modality can be used, or with
                `on_error="raise"` if any clip can't be used.

        Example:
        ```python
        model.encode(video="clip.mp4", audio="clip.mp4", text="a red star")
        ```
        """
        given = {"video": video, "audio": audio, "text": text}
        given = {m: x for m, x in given.items() if x is not None}
        if not given:
            raise ValueError("Pass at least one of video, audio and text to `encode`.")
        sources = {
            modality: self._encoder_source(modality, inputs, short_clips, on_error)
            for modality, inputs in given.items()
        }
        with self._reading(*sources.values()):
            return {
                modality: _encode_source(
                    self._batch_encoder(modality, all_tokens),
                    modality,
                    source,
                    batch_size,
                )
                for modality, source in sources.items()
            }

    def _encoder_source(self, modality, given, short_clips, on_error):
        """Returns a `ClipReader` of raw clips, or the array of a batch."""
        if isinstance(given, list) and not given:
            raise ValueError(
                f"`encode` needs at least one clip. Received: {modality}=[]"
            )
        if is_raw(given) and modality != "text":
            return self._clip_reader(
                modality, given, short_clips=short_clips, on_error=on_error
            )
        inputs = self._as_array(modality, given)
        if modality == "text" and inputs.ndim == 3:
            inputs = inputs.reshape(-1, inputs.shape[-1])
        return inputs

    def _as_array(self, modality, given):
        if not is_raw(given):
            batch = as_batch(modality, given)
            check_finite(modality, batch)
            return batch
        if self.preprocessor is None:
            raise ValueError(
                f"This model has no preprocessor for raw {modality}: pass arrays, or "
                "set `model.preprocessor`."
            )
        return self.preprocessor({modality: given})[modality]

    def _batch_encoder(self, modality, all_tokens):
        """Returns a function `(modality, batch) -> outputs`."""
        if all_tokens:
            return self._encode_all_tokens
        pooled_encoder = self._pooled_encoder(modality)

        def encode(modality, batch):
            with predicts_shape(pooled_encoder, batch.shape[1:]):
                return pooled_encoder.predict_on_batch(batch)

        return encode

    def _encode_all_tokens(self, modality, batch):
        with predicts_shape(self, batch.shape[1:]):
            return self.predict_on_batch({modality: batch})[modality]


def _encode_source(encode, modality, source, batch_size):
    if isinstance(source, ClipReader):
        outputs = encode_clips(source, modality, encode, batch_size)
        # One window per clip.
        return {name: values[:, 0] for name, values in outputs.items()}
    starts = range(0, max(len(source), 1), batch_size)
    outputs = [encode(modality, source[start : start + batch_size]) for start in starts]
    return {
        name: np.concatenate([batch[name] for batch in outputs]) for name in outputs[0]
    }
