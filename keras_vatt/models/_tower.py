"""One modality of a model as a model of its own: what is exported."""

import keras

from keras_vatt.exporting import write_artifact
from keras_vatt.inference._checked_inputs import ChecksInputs

# Words of a row where neither a tokenizer nor a table of positions says it.
_WORDS = 16
_INPUT_DTYPES = {
    "video": "uint8",
    "image": "uint8",
    "audio": "float32",
    "text": "int32",
}
_RANKS = {"video": 4, "image": 3, "audio": 2, "text": 1}


class VATTTower(ChecksInputs, keras.Model):
    """The inference of one modality: from an array of clips to its vectors.

    It shares the weights of the task that it is made from, of which it keeps only
    what its modality needs. `export` writes it for another runtime. Decoding and
    tokenization are not part of it: it takes what `task.preprocessor` returns, for
    text the ids of words.

    Args:
        task: a `keras_vatt.VATT` or a classifier, for instance a
            `keras_vatt.VATTVideoClassifier`.
        modality: string, `"video"`, `"audio"` or `"text"`. Defaults to `None`, the
            modality of the classifier.
        clip_shape: tuple of ints, the shape of one clip or row: `(frames, height,
            width, 3)`, `(samples, 1)` or `(words,)`; of an image classifier
            `(height, width, 3)`. Defaults to `None`: that of the clips of the task's
            preprocessor, and without one that of the position tables, for text 16
            words where there is no table.
        input_dtype: string. Type of the input. Defaults to `None`: `"uint8"` for
            video, `"float32"` for audio, `"int32"` for text.
        name: string. Defaults to `None`, the modality and `"_tower"`.

    Call arguments:
        inputs: tensor of shape `(clips, *clip_shape)`; see
            `VATTBackbone.encode_modality` for the ranges of values.

    Returns:
        Dict of tensors. Of a `keras_vatt.VATT` for all modalities `"features_pooled"`,
        `(clips, features_dim)`, for video `"to_audio"` and `"to_text"`, for audio and
        text `"to_video"`; of a classifier `"logits"`, `(clips, num_classes)`.

    Raises:
        ValueError: if the model has no such modality, none is named, or `clip_shape`
            has another rank.

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
        self, task, modality=None, clip_shape=None, input_dtype=None, name=None
    ):
        modality = modality or getattr(task, "modality", None)
        if modality not in task.backbone.modalities:
            raise ValueError(
                f"`modality` must be one of {task.backbone.modalities}. "
                f"Received: modality={modality!r}"
            )
        super().__init__(name=name or f"{modality}_tower")
        self.modality = modality
        # What goes in, if it is not the modality itself: an image classifier has
        # images go through the tower of video.
        self.input_kind = getattr(task, "input_kind", None) or modality
        self.clip_shape = _checked_shape(
            self.input_kind, clip_shape or default_clip_shape(task, self.input_kind)
        )
        self.clip_dtype = input_dtype or _INPUT_DTYPES[self.input_kind]
        self.dtype_policy = task.dtype_policy
        # A function is not tracked: the exported graph would otherwise come with the
        # weights, optimizer and preprocessor of the whole task.
        self._outputs_of = lambda inputs: task.tower_outputs(modality, inputs)
        for part, layer in task.tower_layers(modality).items():
            setattr(self, part, layer)
        self.built = True

    def call(self, inputs, training=None):
        # In the order of the names, which is how TensorFlow flattens a dict.
        return dict(sorted(self._outputs_of(inputs).items()))

    @property
    def vocabulary_size(self):
        """Number of word ids that the tower of text knows, else `None`."""
        return getattr(self.stem, "vocabulary_size", None)

    @property
    def output_names(self):
        """Names of the outputs in order, a list of strings."""
        spec = keras.KerasTensor((1, *self.clip_shape), self.clip_dtype)
        return sorted(self.compute_output_spec(spec))

    def export(self, filepath, format="tf_saved_model", verbose=False, **kwargs):
        """Writes the tower for another runtime, with named input and outputs.

        The input is named as the modality (of an image classifier `"image"`), the
        outputs as in the dict that calling the tower gives. What is exported takes any
        number of clips or rows of words; their other axes are `clip_shape`.

        | format | runtime | written with the backend |
        |---|---|---|
        | `"tf_saved_model"` | TensorFlow, TensorFlow Serving | TensorFlow, JAX |
        | `"onnx"` | ONNX Runtime | TensorFlow, PyTorch |
        | `"litert"` | LiteRT (TensorFlow Lite) | TensorFlow |
        | `"torch"` | `torch.export.load` | PyTorch |

        Args:
            filepath: path of the file, or of the folder for `"tf_saved_model"`. It
                must end with `".tflite"` for `"litert"` and `".pt2"` for `"torch"`.
            format: string. Defaults to `"tf_saved_model"`.
            verbose: bool. Whether to print what was written. Defaults to `False`.
            **kwargs: options of `keras.Model.export` for the format; of
                `torch.onnx.export` for ONNX on PyTorch.

        Raises:
            ValueError: if this backend can't write the format, the file's name doesn't
                end as it must, or the numbers are not float32 and the format needs
                that.
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
                f"Format '{format}' is written from float32. Load the model with "
                f"`dtype='float32'`. Received: a model of {self.dtype_policy.name}"
            )
        spec = keras.InputSpec(
            shape=(None, *self.clip_shape), dtype=self.clip_dtype, name=self.input_kind
        )
        write_artifact(
            self, filepath, format, spec, self.output_names, verbose, **kwargs
        )


def default_clip_shape(task, kind):
    """Shape of the clips that a task was made for.

    Args:
        task: a `keras_vatt.VATT` or a classifier.
        kind: string, `"video"`, `"image"`, `"audio"` or `"text"`.

    Returns:
        Tuple of ints: the shape that the preprocessor gives; without a preprocessor,
        what fills the position tables.
    """
    backbone, preprocessor = task.backbone, task.preprocessor
    if kind == "text":
        tokenizer = getattr(preprocessor, "tokenizer", None)
        if tokenizer is not None:
            return (tokenizer.sequence_length,)
        return (getattr(backbone, "text_positions", _WORDS),)
    if kind == "audio":
        if preprocessor is not None:
            return (preprocessor.clip_spec.audio_samples, 1)
        return (backbone.audio_positions * backbone.audio_patch_size, 1)
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
            f"`clip_shape` of '{kind}' has {rank} positive numbers, without the axis "
            f"of clips. Received: clip_shape={clip_shape}"
        )
    return clip_shape
