"""VATT: backbone, bridge head, contrastive pre-training, embeddings."""

import functools
import numbers

import keras
import numpy as np

from keras_vatt.data.decoding._raw_clips import is_raw
from keras_vatt.inference._batch_dtypes import as_batch
from keras_vatt.inference._raw_batches import RawBatches
from keras_vatt.layers import FactorizedBridgeHead
from keras_vatt.losses import AsymmetricNCE, ContrastiveLoss
from keras_vatt.losses._contrastive import rounded_mask, valid_clips
from keras_vatt.models._layouts import encoder_layout_map
from keras_vatt.models._task import VATTTask, blanked
from keras_vatt.training import Branch, BranchLoss, HarmonizedModel
from keras_vatt.training._finite import check_finite

# The losses in the order of the Gram matrix: the pair, then where each side's
# embedding is and which masks say that a pair is valid.
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
    """Video-Audio-Text Transformer, pre-trained by contrast, used as an encoder.

    A backbone gives features of video, audio and text, a bridge head maps them
    into common spaces, and contrastive losses pull matching clips, sounds and
    captions together. `compile` takes a harmonizer for the gradients of these
    losses; see `keras_vatt.training.HarmonizedModel`.

    Args:
        backbone: a `keras_vatt.VATTAgnosticBackbone` or
            `keras_vatt.VATTSpecificBackbone`.
        bridge_head: a `keras_vatt.layers.FactorizedBridgeHead` or
            `keras_vatt.layers.JointBridgeHead`. Defaults to `None`, the
            factorized head of VATT with its widths.
        preprocessor: turns raw media and strings into the model's input.
            Defaults to `None`.
        **kwargs: `name`.

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

    def __init__(self, backbone, bridge_head=None, preprocessor=None, **kwargs):
        super().__init__(compile=False, **kwargs)
        if "video" not in backbone.modalities or len(backbone.modalities) < 2:
            raise ValueError(
                "A VATT compares video with sound or text, and this backbone has "
                f"{list(backbone.modalities)} only. A classifier's preset is loaded by "
                "the class of the classifier."
            )
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.dtype_policy = backbone.dtype_policy
        self.bridge_head = bridge_head or FactorizedBridgeHead(
            dtype=backbone.dtype_policy, name="bridge_head"
        )
        self.build(None)

    def build(self, input_shape=None):
        if not self.bridge_head.built:
            self.bridge_head.build(
                {
                    modality: (None, dim)
                    for modality, dim in self.backbone.feature_dims.items()
                }
            )
        self.built = True

    def call(self, inputs, training=None):
        """Features and embeddings of the modalities that are given.

        Args:
            inputs: dict from any of `"video"`, `"audio"` and `"text"` to its
                input; see `VATTBackbone.encode_modality`.
            training: bool. Whether dropout, DropToken and batch norm are in
                training mode.

        Returns:
            Dict from modality to a dict: `"features_pooled"` and `"features"` of
            the backbone, and the embeddings of the bridge head: for video
            `"to_audio"` and `"to_text"`, for audio and text `"to_video"`.
        """
        features = self.backbone(inputs, training=training)
        pooled = {m: outputs["features_pooled"] for m, outputs in features.items()}
        embeddings = self.bridge_head(pooled, training=training)
        return {m: features[m] | embeddings[m] for m in features}

    def encode(
        self,
        video=None,
        audio=None,
        text=None,
        batch_size=32,
        short_clips="repeat",
        on_error="skip",
    ):
        """Features and embeddings in inference mode, as NumPy arrays.

        Args:
            video: array of shape `(clips, frames, height, width, 3)`, float in
                [-1, 1] or uint8 in [0, 255]; or raw: a path, a
                `keras_vatt.data.MediaSegment`, bytes, a tuple of frames and their
                rate, or a list of these. Defaults to `None`, not given.
            audio: array of shape `(clips, samples, 1)`, float in [-1, 1]; or raw:
                a path, a `keras_vatt.data.MediaSegment`, bytes, a tuple of samples
                and their rate, or a list of these. Defaults to `None`.
            text: int array of word ids, 0 = padding, of shape `(rows, words)` or
                `(batch, candidates, words)`; or a string or a list of strings.
                Defaults to `None`.
            batch_size: int. How many clips or rows run at a time. The numbers
                of clips and rows of the modalities may differ. Defaults to
                `32`.
            short_clips: string. Rule for raw video and audio shorter than the model's
                clips: `"repeat"`, `"pad"` or `"error"`; see `VATTVideoConverter.call`.
                Defaults to `"repeat"`.
            on_error: string. `"skip"` logs a file that can't be used, adds it to
                `clip_report` and continues; `"raise"` raises its error. Defaults to
                `"skip"`.

        Returns:
            Dict as `call` returns it, with NumPy arrays. They are NaN for clips that
            were skipped.

        Raises:
            ValueError: if nothing or an empty list is given, an input has the wrong
                rank, a NaN or an infinity, or raw input is given to a model without
                preprocessor or vocabulary.
            keras_vatt.data.MediaError: if no clip of a modality can be used, or with
                `on_error="raise"` if one can't.

        Raw clips are decoded batch by batch. For several windows of each, see
        `extract_features`.

        Example:
        ```python
        model.encode(video="clip.mp4", audio="clip.mp4", text="a red star")
        ```
        """
        given = {"video": video, "audio": audio, "text": text}
        given = {m: x for m, x in given.items() if x is not None}
        if not given:
            raise ValueError("Give `encode` at least one of video, audio and text.")
        batches = {
            modality: self._encoder_batches(
                modality, inputs, batch_size, short_clips, on_error
            )
            for modality, inputs in given.items()
        }
        with self._reading(*batches.values()):
            return {m: self._encode_batches(m, of) for m, of in batches.items()}

    def _encoder_batches(self, modality, given, batch_size, short_clips, on_error):
        """Batches of one modality: `RawBatches`, or a list of tuples of an array."""
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
                f"This model has no preprocessor for raw {modality}: give arrays, or "
                "set `model.preprocessor`."
            )
        return self.preprocessor({modality: given})[modality]

    def _encode_batches(self, modality, batches):
        outputs = [
            self.predict_on_batch({modality: batches[index][0]})[modality]
            for index in range(len(batches))
        ]
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
        optimizer="adam",
        harmonizer=None,
        loss=None,
        loss_weights=None,
        num_groups=1,
        **kwargs,
    ):
        """Prepares the model for pre-training.

        Args:
            optimizer: a Keras optimizer or its name. Defaults to `"adam"`.
            harmonizer: a `keras_vatt.harmonization.Harmonizer` or its name, such
                as `"curriculum+realign"`. `None` is the plain step on the total
                loss. Defaults to `None`.
            loss: a `keras_vatt.losses.ContrastiveLoss`. Defaults to `None`,
                `keras_vatt.losses.AsymmetricNCE(temperature=0.07)`.
            loss_weights: dict from `"video_audio"`, `"video_text"` and
                `"audio_text"` to floats; a pair that is left out has weight 0.
                The total is the weighted sum divided by the sum of weights.
                `"audio_text"` needs a `keras_vatt.layers.JointBridgeHead`.
                Defaults to `None`, 1 for each pair of video and another
                modality that the backbone has.
            num_groups: int. See `keras_vatt.training.HarmonizedModel.compile`.
                Defaults to `1`.
            **kwargs: `group_by` and `num_micro_batches` of
                `keras_vatt.training.HarmonizedModel.compile`, and `run_eagerly`,
                `steps_per_execution`, `jit_compile` and `auto_scale_loss` of
                `keras.Model.compile`.

        Raises:
            ValueError: if the loss is no `ContrastiveLoss`, or a weight is not
                finite, negative, or for a pair that is unknown or that this model can't
                compare, or if no weight is positive.
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

    def branches(self):
        """One branch a modality: backbone, then bridge head."""
        return {
            modality: Branch(
                inputs=(modality,),
                encode=functools.partial(self._encode, modality),
                embed=functools.partial(self._embed, modality),
            )
            for modality in self.backbone.modalities
        }

    def branch_losses(self):
        """Video-audio, video-text, audio-text: those with a weight."""
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
    def get_layout_map(device_mesh, model_axis="model"):
        """How to cut the encoders among devices, for `ModelParallel`.

        Args:
            device_mesh: `keras.distribution.DeviceMesh`. The number of attention heads
                must be a multiple of its size along `model_axis`.
            model_axis: string, the axis of the mesh along which matrices are cut.
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

    def tower_outputs(self, modality, inputs):
        pooled = self._encode(modality, {modality: inputs}, training=False)
        return {"features_pooled": pooled} | self._embed(modality, pooled, False)

    def weight_groups(self):
        """The parts whose weights make up the model, by stable name."""
        return {"backbone": self.backbone, "bridge_head": self.bridge_head}

    def _encode(self, modality, batch, training):
        if batch.get(modality) is None:
            raise ValueError(
                f"The batch has no '{modality}', which the losses need. Leave its "
                "pairs out of `loss_weights` in `compile` to train without it."
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
                f"`loss_weights` must be a dict from {list(_PAIRS)} to finite weights "
                f"of at least 0. Received: loss_weights={loss_weights}"
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
                "An audio-text loss needs audio and text in one space: build the "
                "model with `bridge_head=keras_vatt.layers.JointBridgeHead()`."
            )
        return weights

    def get_compile_config(self):
        config = super().get_compile_config()
        if config is not None:
            config["loss"] = keras.saving.serialize_keras_object(self.contrastive_loss)
            config["loss_weights"] = self.pair_weights
        return config

    def get_config(self):
        config = super().get_config()
        config["bridge_head"] = keras.layers.serialize(self.bridge_head)
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if isinstance(config.get("bridge_head"), dict):
            config["bridge_head"] = keras.layers.deserialize(config["bridge_head"])
        return super().from_config(config)


def _is_weight(value):
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_number and 0 <= value < float("inf")


def _mask(pair, batch):
    """Mask of shape (batch, 1) or (batch, candidates) of a pair, `None` without one."""
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
        f"'{name}' must have the shape (batch,){alternative}. Received: shape {shape}"
    )


def _valid_clips(pair, batch):
    mask = _mask(pair, batch)
    return None if mask is None else valid_clips(mask)
