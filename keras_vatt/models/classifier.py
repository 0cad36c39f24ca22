"""Classifiers on one modality of a VATT backbone."""

import math

import keras

from keras_vatt.layers import SeededDropout
from keras_vatt.models.task import VATTTask


class _VATTClassifier(VATTTask):
    """What the classifiers share: the backbone's pooled feature, a Dense layer."""

    modality = None

    def __init__(
        self, backbone, num_classes, dropout=0.0, preprocessor=None, name=None
    ):
        super().__init__(compile=False, name=name)
        if self.modality not in backbone.modalities:
            raise ValueError(
                f"{type(self).__name__} needs a backbone with '{self.modality}'. "
                f"Received: modalities={backbone.modalities}"
            )
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.dtype_policy = backbone.dtype_policy
        self.num_classes = num_classes
        self.dropout = dropout
        self.build(None)

    def build(self, input_shape=None):
        if self.built:
            return
        self.output_dropout = SeededDropout(
            self.dropout, dtype=self.dtype_policy, name="output_dropout"
        )
        # Logits in float32, so that softmax and losses are accurate.
        self.classifier = keras.layers.Dense(
            self.num_classes,
            kernel_initializer=self._kernel_initializer(),
            bias_initializer=self._bias_initializer(),
            dtype="float32",
            name="classifier",
        )
        feature_dim = self.backbone.feature_dims[self.modality]
        self.classifier.build((None, feature_dim))
        self.built = True

    def call(self, inputs, training=None):
        """Logits of clips.

        Args:
            inputs: the input of the modality; see
                `VATTBackbone.encode_modality`.
            training: bool. Whether dropout and DropToken are active.

        Returns:
            float32 tensor of shape `(clips, num_classes)`.
        """
        features = self.backbone.encode_modality(
            self.modality, inputs, training, pooled_only=True
        )
        pooled = self.output_dropout(features["features_pooled"], training=training)
        return self.classifier(pooled)

    def weight_groups(self):
        """The parts whose weights make up the model, by stable name."""
        return {"backbone": self.backbone, "classifier": self.classifier}

    def get_config(self):
        config = super().get_config()
        config.update({"num_classes": self.num_classes, "dropout": self.dropout})
        return config

    def _kernel_initializer(self):
        raise NotImplementedError

    def _bias_initializer(self):
        raise NotImplementedError


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATTVideoClassifier(_VATTClassifier):
    """Classifies video clips: one class a clip, softmax over the logits.

    Args:
        backbone: a VATT backbone with `"video"`.
        num_classes: int. Number of classes.
        dropout: float. Dropout rate before the classifier. Defaults to `0.5`.
        preprocessor: turns raw media into the model's input. Defaults to `None`.
        **kwargs: `name`.

    Example:
    ```python
    classifier = keras_vatt.VATTVideoClassifier(backbone, num_classes=400)
    classifier(np.zeros((2, 32, 224, 224, 3), "float32")).shape  # (2, 400)
    ```
    """

    modality = "video"
    pipeline_tag = "video-classification"
    usage_example = (
        'clips = model.preprocessor({"video": ["clip.mp4"]})["video"]\n'
        "logits = model.predict(clips)  # their softmax is the probabilities"
    )

    def __init__(self, backbone, num_classes, dropout=0.5, preprocessor=None, **kwargs):
        super().__init__(backbone, num_classes, dropout, preprocessor, **kwargs)

    def _kernel_initializer(self):
        return "glorot_normal"

    def _bias_initializer(self):
        return "zeros"


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATTAudioClassifier(_VATTClassifier):
    """Classifies sounds: any number of classes a clip, sigmoid over each logit.

    The bias starts at `-log(num_classes - 1)`, where each class has the
    probability `1 / num_classes`.

    Args:
        backbone: a VATT backbone with `"audio"`.
        num_classes: int. Number of classes.
        dropout: float. Dropout rate before the classifier. Defaults to `0.0`.
        preprocessor: turns raw media into the model's input. Defaults to `None`.
        **kwargs: `name`.

    Example:
    ```python
    classifier = keras_vatt.VATTAudioClassifier(backbone, num_classes=527)
    classifier(np.zeros((2, 153_600, 1), "float32")).shape  # (2, 527)
    ```
    """

    modality = "audio"
    pipeline_tag = "audio-classification"
    usage_example = (
        'sounds = model.preprocessor({"audio": ["sound.wav"]})["audio"]\n'
        "logits = model.predict(sounds)  # the sigmoid of each is its probability"
    )

    def _kernel_initializer(self):
        return "glorot_uniform"

    def _bias_initializer(self):
        others = max(self.num_classes - 1, 1)
        return keras.initializers.Constant(-math.log(others))
