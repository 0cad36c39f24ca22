"""Models that compute one vector per clip."""

import keras
from keras import ops

from keras_vatt.inference._batch_dtypes import check_channels
from keras_vatt.inference._checked_inputs import ChecksInputs
from keras_vatt.training._kept_weights import KeepsWeights


def pooled_features(backbone, kind, inputs, training=None):
    """Computes the pooled features of clips, images or texts.

    An image is encoded as a clip of one temporal patch of equal frames, as in VATT's
    fine-tuning on ImageNet (arXiv 2104.11178). It gets the first position embedding in
    time. DropToken keeps all tokens of an image that has fewer of them than a clip
    keeps.

    Args:
        backbone: a VATT backbone.
        kind: string. `"video"`, `"audio"` or `"text"`, see
            `VATTBackbone.encode_modality`; or `"image"`.
        inputs: tensor; for images of shape `(images, height, width, 3)`, float in
            [-1, 1] or uint8 in [0, 255].
        training: bool. Whether dropout and DropToken are active.

    Returns:
        Tensor of shape `(examples, features_dim)`.

    Raises:
        ValueError: see `VATTBackbone.encode_modality`; or if images have the wrong
            rank.
    """
    if kind == "image":
        if len(inputs.shape) != 4:
            raise ValueError(
                "Images must have shape (images, height, width, 3). "
                f"Received: shape={tuple(inputs.shape)}"
            )
        check_channels(kind, inputs.shape)
        frames = backbone.video_patch_size[0]
        inputs = ops.repeat(ops.expand_dims(inputs, 1), frames, axis=1)
        kind = "video"
    features = backbone.encode_modality(kind, inputs, training, pooled_only=True)
    return features["features_pooled"]


class PooledEncoder(KeepsWeights, ChecksInputs, keras.Model):
    """A model that computes pooled features, and the embeddings of a bridge head.

    Args:
        backbone: a VATT backbone.
        kind: string. See `pooled_features`.
        bridge_head: a bridge head, whose embeddings are added. Defaults to `None`.

    Call arguments:
        inputs: see `pooled_features`.

    Returns:
        Dict from name to float32 tensor of shape `(examples, dim)`:
        `"features_pooled"`, and with a bridge head `"to_video"`, or `"to_audio"` and
        `"to_text"`.
    """

    def __init__(self, backbone, kind, bridge_head=None):
        super().__init__()
        self.backbone = backbone
        self.input_kind = kind
        self.bridge_head = bridge_head
        self.built = True

    def call(self, inputs):
        pooled = pooled_features(self.backbone, self.input_kind, inputs, training=False)
        outputs = {"features_pooled": pooled}
        if self.bridge_head is not None:
            modality = "video" if self.input_kind == "image" else self.input_kind
            embeddings = self.bridge_head({modality: pooled}, training=False)
            outputs |= embeddings[modality]
        return {name: ops.cast(rows, "float32") for name, rows in outputs.items()}


class EncoderCache:
    """A cache of the encoders of a model with their compiled programs.

    It is neither a container nor a layer, so that Keras does not track its content.
    """

    def __init__(self):
        self._encoders = {}

    def get(self, backbone, kind, bridge_head=None):
        """Returns the `PooledEncoder` of these arguments.

        A compiled program is valid as long as the weights are the same variables. After
        quantization or LoRA, a new encoder is made.
        """
        parts = [backbone] if bridge_head is None else [backbone, bridge_head]
        variables = [id(variable) for part in parts for variable in part.variables]
        made_for, encoder = self._encoders.get(kind, (None, None))
        if made_for != variables:
            encoder = PooledEncoder(backbone, kind, bridge_head)
            self._encoders[kind] = variables, encoder
        return encoder
