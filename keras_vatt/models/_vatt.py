"""VATT: contrastive pre-training, and embeddings of video, audio and text."""

import functools
import numbers
from collections.abc import Mapping
from typing import Any, Self

import keras
import numpy as np

from keras_vatt.data.decoding._raw_clips import is_raw
from keras_vatt.harmonization import Harmonizer
from keras_vatt.inference._batch_dtypes import as_batch
from keras_vatt.inference._raw_batches import RawBatches
from keras_vatt.layers import FactorizedBridgeHead
from keras_vatt.losses import AsymmetricNCE, ContrastiveLoss
from keras_vatt.losses._contrastive import rounded_mask, valid_clips
from keras_vatt.models._backbone import VATTBackbone
from keras_vatt.models._clip_shapes import predicts_shape
from keras_vatt.models._layouts import encoder_layout_map
from keras_vatt.models._preprocessor import VATTPreprocessor
from keras_vatt.models._task import VATTTask, blanked
from keras_vatt.training import Branch, BranchLoss, HarmonizedModel
from keras_vatt.training._finite import check_finite

# The losses, in the order of the Gram matrix: the modality and the embedding of each
# side, and the masks of the valid pairs.
_PAIRS = {
    "video_audio": (("video", "to_audio"), ("audio", "to_video"), ("audio_mask",)),
    "video_text": (("video", "to_text"), ("text", "to_video"), ("text_mask",)),
    "audio_text": (
        ("audio", "to_video"),
        ("text", "to_video"),
        ("audio_mask", "text_mask"),
    ),
}


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATT(HarmonizedModel, VATTTask):
    """Video-Audio-Text Transformer, pre-trained by contrastive losses.

    A backbone computes features of video, audio and text, and a bridge head maps them
    into common spaces. The contrastive losses align the embeddings of the video, the
    audio and the text of a clip. `compile` takes a harmonizer for the gradients of
    these losses; see `keras_vatt.training.HarmonizedModel`.

    Args:
        backbone: a `keras_vatt.VATTAgnosticBackbone` or
            `keras_vatt.VATTSpecificBackbone`, with video and at least one other
            modality.
        bridge_head: a `keras_vatt.layers.FactorizedBridgeHead` or
            `keras_vatt.layers.JointBridgeHead`. Defaults to `None`, VATT's factorized
            head with its default widths.
        preprocessor: `keras_vatt.VATTPreprocessor` for raw clips and strings.
            Defaults to `None`.
        **kwargs: `name`.

    Raises:
        ValueError: if the backbone lacks video or has only video.

    Example:
    ```python
    model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic", load_weights=False)
    model.compile(optimizer="adam", harmonizer="realign")
    model.fit(dataset, epochs=10)
    embeddings = model.encode(text=np.ones((2, 16), "int32"))
    embeddings["text"]["to_video"]  # an array of shape (2, video_text_dim)
    ```
    """

    loss_inputs = ("audio_mask", "text_mask")
    pipeline_tag = "feature-extraction"
    usage_example = (
        'embeddings = model.encode(video="clip.mp4", audio="clip.mp4", '
        'text="a red star")\nembeddings["text"]["to_video"]  '
        '# compare with video\'s "to_text"'
    )

    def __init__(
        self,
        backbone: VATTBackbone,
        bridge_head: keras.layers.Layer | None = None,
        preprocessor: VATTPreprocessor | None = None,
        **kwargs,
    ):
        super().__init__(compile=False, **kwargs)
        if "video" not in backbone.modalities or len(backbone.modalities) < 2:
            raise ValueError(
                "A VATT needs a backbone with video and with audio or text. "
                f"Received: modalities={list(backbone.modalities)}. If this is the "
                "preset of a classifier, load it by the classifier's class."
            )
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.dtype_policy = backbone.dtype_policy
        self.bridge_head = bridge_head or FactorizedBridgeHead(
            dtype=backbone.dtype_policy, name="bridge_head"
        )
        self.build(None)

    def build(self, input_shape: Any = None) -> None:
        if not self.bridge_head.built:
            self.bridge_head.build(
                {
                    modality: (None, dim)
                    for modality, dim in self.backbone.feature_dims.items()
                }
            )
        self.built = True

    def call(
        self, inputs: Mapping[str, Any], training: bool | None = None
    ) -> dict[str, dict[str, Any]]:
        """Computes features and embeddings of the given modalities.

        Args:
            inputs: dict from modality to input; see `VATTBackbone.encode_modality`.
            training: bool. Whether dropout, DropToken and batch norm are in training
                mode.

        Returns:
            Dict from modality to a dict of `"features_pooled"` and `"features"` of the
            backbone, and the embeddings of the bridge head: `"to_audio"` and
            `"to_text"` for video, `"to_video"` for audio and text.
        """
        features = self.backbone(inputs, training=training)
        pooled = {m: outputs["features_pooled"] for m, outputs in features.items()}
        embeddings = self.bridge_head(pooled, training=training)
        return {m: features[m] | embeddings[m] for m in features}

    def encode(
        self,
        video: Any = None,
        audio: Any = None,
        text: Any = None,
        batch_size: int = 32,
        short_clips: str = "repeat",
        on_error: str = "skip",
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

        Returns:
            Dict like that of `call`, of NumPy arrays, with NaN for clips that were
            skipped.

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
        batches = {
            modality: self._encoder_batches(
                modality, inputs, batch_size, short_clips, on_error
            )
            for modality, inputs in given.items()
        }
        with self._reading(*batches.values()):
            return {m: self._encode_batches(m, of) for m, of in batches.items()}

    def _encoder_batches(self, modality, given, batch_size, short_clips, on_error):
        """Makes batches of one modality: `RawBatches`, or a list of 1-tuples."""
        if isinstance(given, list) and not given:
            raise ValueError(
                f"`encode` needs at least one clip. Received: {modality}=[]"
            )
        if is_raw(given) and modality != "text":
            reader = self._clip_reader(
                modality, given, short_clips=short_clips, on_error=on_error
            )
            return RawBatches(reader, batch_size=batch_size)
        inputs = self._as_array(modality, given)
        if modality == "text" and inputs.ndim == 3:
            inputs = inputs.reshape(-1, inputs.shape[-1])
        starts = range(0, max(len(inputs), 1), batch_size)
        return [(inputs[start : start + batch_size],) for start in starts]

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

    def _encode_batches(self, modality, batches):
        outputs = []
        for index in range(len(batches)):
            inputs = batches[index][0]
            with predicts_shape(self, inputs.shape[1:]):
                outputs.append(self.predict_on_batch({modality: inputs})[modality])
        values = {
            name: np.concatenate([batch[name] for batch in outputs])
            for name in outputs[0]
        }
        if not isinstance(batches, RawBatches):
            return values
        skipped = batches.reader.skipped
        return {name: blanked(rows, skipped) for name, rows in values.items()}

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str = "adam",
        harmonizer: Harmonizer | str | None = None,
        loss: ContrastiveLoss | None = None,
        loss_weights: Mapping[str, float] | None = None,
        num_groups: int = 1,
        **kwargs,
    ) -> None:
        """Prepares the model for pre-training.

        Args:
            optimizer: a Keras optimizer or its name. Defaults to `"adam"`.
            harmonizer: a `keras_vatt.harmonization.Harmonizer` or its name, such
                as `"curriculum+realign"`. Defaults to `None`, the gradient of the total
                loss.
            loss: a `keras_vatt.losses.ContrastiveLoss`. Defaults to `None`,
                `keras_vatt.losses.AsymmetricNCE(temperature=0.07)`.
            loss_weights: dict from `"video_audio"`, `"video_text"` and `"audio_text"`
                to floats. Missing pairs have the weight 0. The total loss is the
                weighted mean. `"audio_text"` needs a
                `keras_vatt.layers.JointBridgeHead`. Defaults to `None`, 1 for each pair
                of video and another modality of the backbone.
            num_groups: int. See `keras_vatt.training.HarmonizedModel.compile`.
                Defaults to `1`.
            **kwargs: `group_by` and `num_micro_batches` of
                `keras_vatt.training.HarmonizedModel.compile`, and `run_eagerly`,
                `steps_per_execution`, `jit_compile` and `auto_scale_loss` of
                `keras.Model.compile`.

        Raises:
            ValueError: if the loss is not a `ContrastiveLoss`, a weight is negative or
                not finite, a pair is unknown or not available in this model, or no
                weight is positive.
        """
        self.contrastive_loss = AsymmetricNCE() if loss is None else loss
        if not isinstance(self.contrastive_loss, ContrastiveLoss):
            raise ValueError(
                "`loss` must be a keras_vatt.losses.ContrastiveLoss, such as "
                f"keras_vatt.losses.SymmetricNCE(). Received: loss={loss!r}"
            )
        self.pair_weights = self._checked_weights(loss_weights)
        super().compile(
            optimizer=optimizer, harmonizer=harmonizer, num_groups=num_groups, **kwargs
        )

    def branches(self) -> dict[str, Branch]:
        """Returns one branch per modality: backbone, then bridge head."""
        return {
            modality: Branch(
                inputs=(modality,),
                encode=functools.partial(self._encode, modality),
                embed=functools.partial(self._embed, modality),
            )
            for modality in self.backbone.modalities
        }

    def branch_losses(self) -> list[BranchLoss]:
        """Returns the losses with a positive weight, one per pair of modalities."""
        total = sum(self.pair_weights.values())
        return [
            BranchLoss(
                name=f"{pair}_loss",
                branches=tuple(modality for modality, _ in _PAIRS[pair][:2]),
                weight=weight / total,
                per_sample=lambda outputs, batch, pair=pair: self._contrast(
                    pair, outputs, batch
                ),
                is_valid=functools.partial(_valid_clips, pair),
            )
            for pair, weight in self.pair_weights.items()
        ]

    @staticmethod
    def get_layout_map(
        device_mesh: keras.distribution.DeviceMesh, model_axis: str = "model"
    ) -> keras.distribution.LayoutMap:
        """Returns the layout map of the encoders for `ModelParallel`.

        Args:
            device_mesh: `keras.distribution.DeviceMesh`. The number of attention heads
                must be a multiple of its size along `model_axis`.
            model_axis: string, the axis of the mesh along which matrices are sharded.
                Defaults to `"model"`.

        Returns:
            `keras.distribution.LayoutMap`.

        Raises:
            ValueError: if the mesh has no such axis.

        Example:
        ```python
        mesh = keras.distribution.DeviceMesh((4, 2), ("batch", "model"))
        distribution = keras.distribution.ModelParallel(
            layout_map=keras_vatt.VATT.get_layout_map(mesh), batch_dim_name="batch"
        )
        with distribution.scope():
            model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
        ```
        """
        return encoder_layout_map(device_mesh, model_axis)

    def tower_outputs(self, modality: str, inputs: Any) -> dict[str, Any]:
        pooled = self._encode(modality, {modality: inputs}, training=False)
        return {"features_pooled": pooled} | self._embed(modality, pooled, False)

    def weight_groups(self) -> dict[str, keras.layers.Layer]:
        """Returns the layers that hold the weights, by stable name."""
        return {"backbone": self.backbone, "bridge_head": self.bridge_head}

    def _encode(self, modality, batch, training):
        if batch.get(modality) is None:
            raise ValueError(
                f"The batch has no '{modality}', which the losses need. To train "
                "without it, compile with `loss_weights` that leave out its pairs."
            )
        features = self.backbone.encode_modality(
            modality, batch[modality], training=training, pooled_only=True
        )
        return features["features_pooled"]

    def _embed(self, modality, pooled, training):
        return self.bridge_head({modality: pooled}, training=training)[modality]

    def _contrast(self, pair, outputs, batch):
        (first, to_second), (second, to_first), _ = _PAIRS[pair]
        return self.contrastive_loss.per_clip(
            outputs[first][to_second], outputs[second][to_first], _mask(pair, batch)
        )

    def _checked_weights(self, loss_weights):
        modalities = self.backbone.modalities
        if loss_weights is None:
            loss_weights = {
                f"video_{other}": 1.0
                for other in ("audio", "text")
                if other in modalities and "video" in modalities
            }
        if not isinstance(loss_weights, dict) or not all(
            pair in _PAIRS and _is_weight(weight)
            for pair, weight in loss_weights.items()
        ):
            raise ValueError(
                f"`loss_weights` must be a dict from {list(_PAIRS)} to finite "
                f"non-negative numbers. Received: loss_weights={loss_weights}"
            )
        weights = {
            pair: float(loss_weights[pair])
            for pair in _PAIRS
            if loss_weights.get(pair, 0) > 0
        }
        for pair in weights:
            if not set(pair.split("_")) <= set(modalities):
                raise ValueError(
                    f"The loss '{pair}' needs modalities that this model does not "
                    f"have. It has: {modalities}"
                )
        if not weights:
            raise ValueError(
                "At least one loss must have a positive weight. "
                f"Received: loss_weights={loss_weights}"
            )
        together = self.bridge_head.embeds_audio_and_text_together
        if "audio_text" in weights and not together:
            raise ValueError(
                "An audio-text loss needs a common space of audio and text: make the "
                "model with `bridge_head=keras_vatt.layers.JointBridgeHead()`."
            )
        return weights

    def get_compile_config(self) -> dict[str, Any] | None:
        config = super().get_compile_config()
        if config is not None:
            config["loss"] = keras.saving.serialize_keras_object(self.contrastive_loss)
            config["loss_weights"] = self.pair_weights
        return config

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config["bridge_head"] = keras.layers.serialize(self.bridge_head)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        config = dict(config)
        if isinstance(config.get("bridge_head"), dict):
            config["bridge_head"] = keras.layers.deserialize(config["bridge_head"])
        return super().from_config(config)


def _is_weight(value):
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_number and 0 <= value < float("inf")


def _mask(pair, batch):
    """Returns the mask of a pair, (batch, 1) or (batch, candidates), or `None`."""
    mask = None
    for name in _PAIRS[pair][2]:
        if batch.get(name) is None:
            continue
        factor = rounded_mask(batch[name])
        _check_mask(name, tuple(factor.shape))
        if len(factor.shape) == 1:
            factor = factor[:, None]
        mask = factor if mask is None else mask * factor
    return mask


def _check_mask(name, shape):
    has_candidates = name == "text_mask"
    if len(shape) == 1 or (len(shape) == 2 and (has_candidates or shape[1] == 1)):
        return
    alternative = " or (batch, candidates)" if has_candidates else ""
    raise ValueError(
        f"'{name}' must have the shape (batch,){alternative}. Received: shape={shape}"
    )


def _valid_clips(pair, batch):
    mask = _mask(pair, batch)
    return None if mask is None else valid_clips(mask)
