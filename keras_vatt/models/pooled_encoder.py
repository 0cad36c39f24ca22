"""From a batch of one kind of input to one vector a clip."""

import keras
from keras import ops


def pooled_features(backbone, kind, inputs, training=None):
    """The pooled features of clips, images or texts.

    An image is a clip that stands still for one temporal patch, as VATT is fine-tuned
    on ImageNet (arXiv 2104.11178). Of the positions in time it gets the
    first, which is what a table that is resampled to one row holds. DropToken leaves it
    whole wherever it has fewer tokens than a clip keeps.

    Args:
        backbone: a VATT backbone.
        kind: string. `"video"`, `"audio"` or `"text"`, see
            `VATTBackbone.encode_modality`; or `"image"`.
        inputs: of images a `(images, height, width, 3)` tensor, float in [-1, 1] or
            uint8 in [0, 255].
        training: bool. Whether dropout and DropToken are active.

    Returns:
        Tensor of shape `(rows, features_dim)`.

    Raises:
        ValueError: see `VATTBackbone.encode_modality`; or if images have another rank.
    """
    if kind == "image":
        if len(inputs.shape) != 4:
            raise ValueError(
                "Images have the shape (images, height, width, 3). "
                f"Received: shape={tuple(inputs.shape)}"
            )
        frames = backbone.video_patch_size[0]
        inputs = ops.repeat(ops.expand_dims(inputs, 1), frames, axis=1)
        kind = "video"
    features = backbone.encode_modality(kind, inputs, training, pooled_only=True)
    return features["features_pooled"]


class PooledEncoder(keras.Model):
    """A model that gives one vector a clip, for `predict`.

    Args:
        backbone: a VATT backbone.
        kind: string, see `pooled_features`.
        output: string. `"features_pooled"`, or an embedding of the bridge head.
            Defaults to `"features_pooled"`.
        bridge_head: the bridge head. Defaults to `None`.

    Raises:
        ValueError: if there is no such output.
    """

    def __init__(self, backbone, kind, output="features_pooled", bridge_head=None):
        super().__init__()
        self.kind = kind
        self.output_name = output
        self.backbone = backbone
        self.bridge_head = bridge_head
        modality = "video" if kind == "image" else kind
        possible = ["features_pooled"]
        if bridge_head is not None:
            embeddings = (
                ["to_audio", "to_text"] if modality == "video" else ["to_video"]
            )
            possible += embeddings
        if output not in possible:
            raise ValueError(
                f"The outputs for {kind} of this model are {possible}. "
                f"Received: output={output!r}"
            )
        self.modality = modality
        self.built = True

    def call(self, inputs):
        pooled = pooled_features(self.backbone, self.kind, inputs, training=False)
        if self.output_name == "features_pooled":
            return ops.cast(pooled, "float32")
        embeddings = self.bridge_head({self.modality: pooled}, training=False)
        return ops.cast(embeddings[self.modality][self.output_name], "float32")


class EncoderCache:
    """The encoders of a model, whose programs are compiled already.

    No container and no layer, so that Keras neither tracks nor saves what it holds.
    """

    def __init__(self):
        self._encoders = {}

    def get(self, backbone, kind, output, bridge_head):
        """The `PooledEncoder` of these arguments.

        What one has compiled holds as long as its weights are the same variables: after
        quantization or LoRA a new one is made.
        """
        parts = [backbone] if bridge_head is None else [backbone, bridge_head]
        variables = [id(variable) for part in parts for variable in part.variables]
        made_for, encoder = self._encoders.get((kind, output), (None, None))
        if made_for != variables:
            encoder = PooledEncoder(backbone, kind, output, bridge_head)
            self._encoders[kind, output] = variables, encoder
        return encoder
