"""Makes and exports the towers of tasks."""

import os
from collections.abc import Sequence
from typing import Any

import keras

from keras_vatt.models._tower import VATTTower


class ExportsTowers:
    """Mixin of the tasks whose modalities can be exported."""

    def tower(
        self,
        modality: str | None = None,
        clip_shape: Sequence[int] | None = None,
        input_dtype: str | None = None,
    ) -> VATTTower:
        """Makes a model of one modality, for inference and export.

        Args:
            modality: string, `"video"`, `"audio"` or `"text"`. Defaults to `None`, the
                modality of a classifier.
            clip_shape: tuple of ints, the shape of one clip or row of words. Defaults
                to `None`, the shape of the clips that the model was made for.
            input_dtype: string. Defaults to `None`: `"uint8"` for video, `"float32"`
                for audio, `"int32"` for text.

        Returns:
            `keras_vatt.VATTTower`, with the weights of this model.

        Raises:
            ValueError: see `keras_vatt.VATTTower`.

        Example:
        ```python
        model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
        model.tower("audio").export("audio_tower", format="tf_saved_model")
        ```
        """
        return VATTTower(self, modality, clip_shape, input_dtype)

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        verbose: bool = False,
        modality: str | None = None,
        clip_shape: Sequence[int] | None = None,
        input_dtype: str | None = None,
        **kwargs,
    ) -> None:
        """Exports the tower of one modality for another runtime.

        Short for `model.tower(modality).export(filepath, format)`; see
        `keras_vatt.VATTTower.export` for the formats and names. Decoding and
        tokenization are not exported.

        Args:
            filepath: path of the file, or of the folder for `"tf_saved_model"`.
            format: string: `"tf_saved_model"`, `"onnx"`, `"litert"` (`.tflite`) or
                `"torch"` (`.pt2`). Defaults to `"tf_saved_model"`.
            verbose: bool. Whether to print a summary of the exported model. Defaults to
                `False`.
            modality: string. Defaults to `None`, the modality of a classifier.
            clip_shape: see `tower`. Defaults to `None`.
            input_dtype: see `tower`. Defaults to `None`.
            **kwargs: see `keras_vatt.VATTTower.export`.

        Raises:
            ValueError: see `keras_vatt.VATTTower` and its `export`.
            ImportError: if a package of the extra `export` is missing.

        Example:
        ```python
        model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
        model.export("video_tower", format="tf_saved_model", modality="video")
        ```
        """
        tower = self.tower(modality, clip_shape, input_dtype)
        tower.export(filepath, format, verbose, **kwargs)

    def tower_outputs(self, modality: str, inputs: Any) -> dict[str, Any]:
        """Computes the outputs of the tower of a modality, in inference mode.

        Args:
            modality: string.
            inputs: tensor; see `VATTBackbone.encode_modality`.

        Returns:
            Dict of tensors; see `keras_vatt.VATTTower`.
        """
        return {"logits": self(inputs, training=False)}

    def tower_layers(self, modality: str) -> dict[str, keras.layers.Layer]:
        """Returns the layers of the tower of a modality.

        Args:
            modality: string.

        Returns:
            Dict from name to layer.
        """
        parts = self.weight_groups()
        backbone = parts.pop("backbone")
        return backbone.modality_layers(modality) | parts
