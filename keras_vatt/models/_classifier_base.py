"""Base class of the classifiers of one modality."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_vatt.data._class_labels import check_class_names
from keras_vatt.inference._pooled_encoder import pooled_features
from keras_vatt.layers import SeededDropout
from keras_vatt.models import _classifier_defaults as defaults
from keras_vatt.models._backbone import VATTBackbone
from keras_vatt.models._classifier_loops import ClassifierLoops
from keras_vatt.models._preprocessor import VATTPreprocessor
from keras_vatt.models._task import VATTTask
from keras_vatt.training._frozen_layers import freeze_layers, frozen_layers


class VATTClassifier(ClassifierLoops, VATTTask):
    """Base class of the classifiers: a Dense layer on the backbone's pooled feature.

    Raw clips are decoded batch by batch. Arrays, `tf.data` datasets and other inputs go
    directly to Keras. `fit` and `evaluate` compile a model that isn't compiled yet with
    the defaults of `compile`.

    With `classifier.backbone.trainable = False` only the head is trained. A frozen
    backbone runs in inference mode, without dropout and DropToken: frozen weights can't
    adapt to the noise. Compile again after you change `trainable`.
    """

    modality = None
    input_kind = None
    default_dropout = 0.0
    kernel_initializer = "glorot_uniform"

    def __init__(
        self,
        backbone: VATTBackbone,
        num_classes: int,
        dropout: float | None = None,
        class_names: Sequence[str] | None = None,
        multi_label: bool = False,
        preprocessor: VATTPreprocessor | None = None,
        name: str | None = None,
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
        self.dropout = self.default_dropout if dropout is None else dropout
        self.class_names = check_class_names(class_names, num_classes)
        self.multi_label = bool(multi_label)
        self.build(None)

    def build(self, input_shape: Any = None) -> None:
        if self.built:
            return
        self.output_dropout = SeededDropout(
            self.dropout, dtype=self.dtype_policy, name="output_dropout"
        )
        # Logits in float32, so that softmax and losses are accurate.
        self.classifier = keras.layers.Dense(
            self.num_classes,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self._bias_initializer(),
            dtype="float32",
            name="classifier",
        )
        feature_dim = self.backbone.feature_dims[self.modality]
        self.classifier.build((None, feature_dim))
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Computes the logits of clips.

        Args:
            inputs: the input of the modality; see `VATTBackbone.encode_modality`.
                Images have the shape `(images, height, width, 3)`.
            training: bool. Whether dropout and DropToken are active. In a frozen
                backbone they are never active.

        Returns:
            float32 tensor of shape `(clips, num_classes)`.
        """
        pooled = pooled_features(
            self.backbone,
            self.input_kind,
            inputs,
            training=training,
        )
        return self.classifier(self.output_dropout(pooled, training=training))

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str = "auto",
        loss: keras.losses.Loss | str = "auto",
        metrics: Sequence[keras.metrics.Metric | str] | str | None = "auto",
        auto_scale_loss: bool = True,
        **kwargs,
    ) -> None:
        """Prepares the model for training.

        Args:
            optimizer: a Keras optimizer or its name. Defaults to `"auto"`, Adam with a
                constant learning rate, 0.1 divided by the width of the features and at
                most 0.001, for training in some hundred steps. For VATT's recipe of
                100,000 steps use
                `keras_vatt.training.fine_tuning_optimizer(total_steps=...)`.
            loss: a loss of logits. Defaults to `"auto"`, VATT's loss:
                `keras_vatt.losses.SoftmaxCrossentropy(label_smoothing=0.1)`, or with
                `multi_label` `keras_vatt.losses.BalancedBinaryCrossentropy()`.
            metrics: list of metrics of logits. Defaults to `"auto"`: the accuracies
                `top_1` and `top_5`, the fractions of clips whose class is the first or
                among the first five; or with `multi_label` the areas `auc` and `pr_auc`
                under the ROC and the precision-recall curve, averaged over the classes.
            auto_scale_loss: bool, see `keras.Model.compile`. It is saved with the
                model. Defaults to `True`.
            **kwargs: the other arguments of `keras.Model.compile`.
        """
        self.auto_scale_loss = auto_scale_loss
        if isinstance(optimizer, str) and optimizer == "auto":
            feature_dim = self.backbone.feature_dims[self.modality]
            optimizer = defaults.default_optimizer(feature_dim)
        if isinstance(loss, str) and loss == "auto":
            loss = defaults.default_loss(self.multi_label)
        if isinstance(metrics, str) and metrics == "auto":
            metrics = defaults.default_metrics(self.multi_label, self.num_classes)
        super().compile(
            optimizer=optimizer,
            loss=loss,
            metrics=metrics,
            auto_scale_loss=auto_scale_loss,
            **kwargs,
        )

    def get_compile_config(self) -> dict[str, Any] | None:
        config = super().get_compile_config()
        # Keras doesn't save these.
        own = self.compiled and {
            "auto_scale_loss": self.auto_scale_loss,
            "frozen_layers": frozen_layers(self),
        }
        return config and config | own

    def compile_from_config(self, config: dict[str, Any]) -> None:
        config = dict(config)
        freeze_layers(self, config.pop("frozen_layers", ()))
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def weight_groups(self) -> dict[str, keras.layers.Layer]:
        """Returns the layers that hold the weights, by stable name."""
        return {"backbone": self.backbone, "classifier": self.classifier}

    def get_config(self) -> dict[str, Any]:
        names = self.class_names
        return super().get_config() | {
            "num_classes": self.num_classes,
            "dropout": self.dropout,
            "class_names": None if names is None else list(names),
            "multi_label": self.multi_label,
        }

    @classmethod
    def keeps_head(cls, saved: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
        """Returns whether a saved head fits the arguments; see `TaskFromPreset`."""
        if asked.get("num_classes") not in (None, saved.get("num_classes")):
            return False
        names = [config.get("class_names") for config in (saved, asked)]
        return None in names or list(names[0]) == list(names[1])

    def _bias_initializer(self):
        if not self.multi_label:
            return "zeros"
        # Each class starts with the probability `1 / num_classes`.
        others = max(self.num_classes - 1, 1)
        return keras.initializers.Constant(-math.log(others))
