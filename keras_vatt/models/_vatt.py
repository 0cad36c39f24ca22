"""VATT: contrastive pre-training, and embeddings of video, audio and text."""

import functools
from collections.abc import Mapping
from typing import Any, Self

import keras

from keras_vatt.harmonization import Harmonizer
from keras_vatt.layers import FactorizedBridgeHead
from keras_vatt.losses import AsymmetricNCE, ContrastiveLoss
from keras_vatt.models._backbone import VATTBackbone
from keras_vatt.models._layouts import encoder_layout_map
from keras_vatt.models._modality_pairs import (
    PAIRS,
    checked_weights,
    kept_mask,
    pair_mask,
    valid_clips_of_pair,
)
from keras_vatt.models._preprocessor import VATTPreprocessor
from keras_vatt.models._task import VATTTask
from keras_vatt.models._vatt_encoding import EncodesClips
from keras_vatt.training import Branch, BranchLoss, HarmonizedModel


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATT(EncodesClips, HarmonizedModel, VATTTask):
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

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str = "adam",
        harmonizer: Harmonizer | str | None = None,
        loss: ContrastiveLoss | None = None,
        loss_weights: Mapping[str, float] | None = None,
        num_groups: int | str = 1,
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
            num_groups: int or `"per_clip"`. See
                `keras_vatt.training.HarmonizedModel.compile`. Defaults to `1`.
            **kwargs: `compare`, `group_by`, `harmonized_variables` and
                `num_micro_batches` of
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
        self.pair_weights = checked_weights(
            loss_weights, self.backbone.modalities, self.bridge_head
        )
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
                branches=tuple(modality for modality, _ in PAIRS[pair][:2]),
                weight=weight / total,
                per_sample=lambda outputs, batch, pair=pair: self._contrast(
                    pair, outputs, batch
                ),
                is_valid=functools.partial(valid_clips_of_pair, pair),
            )
            for pair, weight in self.pair_weights.items()
        ]

    def mask_samples(self, loss_inputs: dict[str, Any], kept: Any) -> dict[str, Any]:
        """Masks the audio and the captions of clips, as masks in the batch do.

        The videos of these clips are still negatives of the other clips.

        Args:
            loss_inputs: dict of tensors, the masks of the batch.
            kept: bool tensor of shape `(batch,)`, false for clips to leave out.

        Returns:
            Dict with the masks `"audio_mask"` and `"text_mask"`.
        """
        return loss_inputs | {
            name: kept_mask(loss_inputs.get(name), kept) for name in self.loss_inputs
        }

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
        (first, to_second), (second, to_first), _ = PAIRS[pair]
        return self.contrastive_loss.per_clip(
            outputs[first][to_second], outputs[second][to_first], pair_mask(pair, batch)
        )

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
