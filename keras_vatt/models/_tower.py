"""A model of one modality, for inference and export."""

import os
from collections.abc import Sequence
from typing import Any

import keras

from keras_vatt.exporting import write_artifact
from keras_vatt.inference._checked_inputs import ChecksInputs

# Words per row for models with neither a tokenizer nor a position table of text.
_WORDS = 16
_INPUT_DTYPES = {
    "video": "uint8",
    "image": "uint8",
    "audio": "float32",
    "text": "int32",
}
_RANKS = {"video": 4, "image": 3, "audio": 2, "text": 1}


class VATTTower(ChecksInputs, keras.Model):
    """Computes the embeddings or logits of one modality, for inference and export.

    It shares the weights of the task that it is made from, and holds only the layers of
    its modality. `export` writes it for another runtime. Decoding and tokenization are
    not part of it: its inputs are the outputs of `task.preprocessor`, for text the word
    ids.

    Args:
        task: a `keras_vatt.VATT` or a classifier, for instance a
            `keras_vatt.VATTVideoClassifier`.
        modality: string, `"video"`, `"audio"` or `"text"`. Defaults to `None`, the
            modality of the classifier.
        clip_shape: tuple of ints, the shape of one clip or row: `(frames, height,
            width, 3)`, `(samples, 1)` or `(words,)`; for an image classifier
            `(height, width, 3)`. Defaults to `None`: the clip shape of the task's
            preprocessor, or without one the size of the position tables, for text 16
            words if there is no table.
        input_dtype: string. Dtype of the input. Defaults to `None`: `"uint8"` for
            video, `"float32"` for audio, `"int32"` for text.
        name: string. Defaults to `None`, the modality followed by `"_tower"`.

    Call arguments:
        inputs: tensor of shape `(clips, *clip_shape)`; see
            `VATTBackbone.encode_modality` for the ranges of values.

    Returns:
        Dict of tensors. For a `keras_vatt.VATT` it has `"features_pooled"` of shape
        `(clips, features_dim)`, and `"to_audio"` and `"to_text"` (video) or
        `"to_video"` (audio and text). For a classifier it has `"logits"` of shape
        `(clips, num_classes)`.

    Raises:
        ValueError: if the model has no such modality, `modality` is missing, or
            `clip_shape` has another rank.

    Example:
    ```python
    model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
    tower = keras_vatt.VATTTower(model, "text")
    words = model.preprocessor({"text": ["a red star"]})["text"]
    tower(words)["to_video"].shape  # (1, video_text_dim)
    tower.export("text_tower", format="tf_saved_model")  # on TensorFlow or JAX
    ```
    """

    def __init__(
        self,
        task: keras.Model,
        modality: str | None = None,
        clip_shape: Sequence[int] | None = None,
        input_dtype: str | None = None,
        name: str | None = None,
    ):
        modality = modality or getattr(task, "modality", None)
        if modality not in task.backbone.modalities:
            raise ValueError(
                f"`modality` must be one of {task.backbone.modalities}. "
                f"Received: modality={modality!r}"
            )
        super().__init__(name=name or f"{modality}_tower")
        self.modality = modality
        # The kind of input differs from the modality for an image classifier, whose
        # images go through the encoder of video.
        self.input_kind = getattr(task, "input_kind", None) or modality
        self.clip_shape = _checked_shape(
            self.input_kind, clip_shape or default_clip_shape(task, self.input_kind)
        )
        self.clip_dtype = input_dtype or _INPUT_DTYPES[self.input_kind]
        self.dtype_policy = task.dtype_policy
        # Keras doesn't track functions. An attribute `task` would add the weights,
        # optimizer and preprocessor of the whole task to the exported graph.
        self._outputs_of = lambda inputs: task.tower_outputs(modality, inputs)
        for part, layer in task.tower_layers(modality).items():
            setattr(self, part, layer)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> dict[str, Any]:
        # Sorted by name, as TensorFlow flattens a dict.
        return dict(sorted(self._outputs_of(inputs).items()))

    @property
    def vocabulary_size(self) -> int | None:
        """Number of word ids of a text tower; `None` for other modalities."""
        return getattr(self.stem, "vocabulary_size", None)

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the order of the exported model."""
        spec = keras.KerasTensor((1, *self.clip_shape), self.clip_dtype)
        return sorted(self.compute_output_spec(spec))

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        verbose: bool = False,
        **kwargs,
    ) -> None:
        """Exports the tower for another runtime, with named input and outputs.

        The input has the name of the modality (`"image"` for an image classifier), the
        outputs have the names of the call's dict. The batch axis of the exported model
        is dynamic; the other axes are `clip_shape`.

        | format | runtime | exported by the backend |
        |---|---|---|
        | `"tf_saved_model"` | TensorFlow, TensorFlow Serving | TensorFlow, JAX |
        | `"onnx"` | ONNX Runtime | TensorFlow, PyTorch |
        | `"litert"` | LiteRT (TensorFlow Lite) | TensorFlow |
        | `"torch"` | `torch.export.load` | PyTorch |

        Args:
            filepath: path of the file, or of the folder for `"tf_saved_model"`. It
                must end with `".tflite"` for `"litert"` and `".pt2"` for `"torch"`.
            format: string. Defaults to `"tf_saved_model"`.
            verbose: bool. Whether to print a summary of the exported model. Defaults to
                `False`.
            **kwargs: options of `keras.Model.export` for the format; for ONNX on
                PyTorch, of `torch.onnx.export`.

        Raises:
            ValueError: if this backend can't export the format, the file name has
                another ending, or the format needs a float32 model.
            ImportError: if a package of the extra `export` is missing.

        Example:
        ```python
        tower = keras_vatt.VATT.from_preset("vatt_tiny_agnostic").tower("audio")
        tower.export("audio.onnx", format="onnx")  # on TensorFlow or PyTorch

        session = onnxruntime.InferenceSession("audio.onnx")
        session.run(["to_video"], {"audio": waveforms})
        ```
        """
        if self.compute_dtype != "float32" and format in ("onnx", "litert"):
            raise ValueError(
                f"Format '{format}' needs a float32 model: load it with "
                f"`dtype='float32'`. Received: a model of {self.dtype_policy.name}"
            )
        spec = keras.InputSpec(
            shape=(None, *self.clip_shape), dtype=self.clip_dtype, name=self.input_kind
        )
        write_artifact(
            self, filepath, format, spec, self.output_names, verbose, **kwargs
        )


def default_clip_shape(task, kind):
    """Returns the shape of the clips that a task was made for.

    Args:
        task: a `keras_vatt.VATT` or a classifier.
        kind: string, `"video"`, `"image"`, `"audio"` or `"text"`.

    Returns:
        Tuple of ints: the shape of a clip from the preprocessor; without one, the size
        of the position tables.
    """
    backbone, preprocessor = task.backbone, task.preprocessor
    if kind == "text":
        tokenizer = getattr(preprocessor, "tokenizer", None)
        if tokenizer is not None:
            return (tokenizer.sequence_length,)
        return (backbone.text_positions or _WORDS,)
    if kind == "audio":
        if preprocessor is not None:
            return (preprocessor.clip_spec.audio_samples, 1)
        return (backbone.audio_clip_samples, 1)
    if preprocessor is not None:
        shape = preprocessor.clip_spec.video_shape
    else:
        extents = zip(backbone.video_positions, backbone.video_patch_size, strict=True)
        shape = (*(positions * patch for positions, patch in extents), 3)
    return shape if kind == "video" else shape[1:]


def _checked_shape(kind, clip_shape):
    clip_shape = tuple(clip_shape)
    rank = _RANKS[kind]
    if len(clip_shape) != rank or not all(size and size > 0 for size in clip_shape):
        raise ValueError(
            f"`clip_shape` of '{kind}' must have {rank} positive sizes, without the "
            f"axis of clips. Received: clip_shape={clip_shape}"
        )
    return clip_shape
