"""Models of every class of preset, for tests of LoRA and quantization."""

import keras
import numpy as np

import keras_vatt
from tests.models.tiny import tiny_backbone, tiny_batch, tiny_vatt

KINDS = ["agnostic VATT", "agnostic A", "specific VATT", "specific V"]


def model_of(kind, **overrides):
    form, task = kind.split()
    if task == "VATT":
        return tiny_vatt(form, **overrides)
    modality = {"V": "video", "A": "audio"}[task]
    cls = {"V": keras_vatt.VATTVideoClassifier, "A": keras_vatt.VATTAudioClassifier}
    backbone = tiny_backbone(form, modalities=(modality,), **overrides)
    return cls[task](backbone, num_classes=3)


def inputs_of(model):
    batch = tiny_batch(4)
    if getattr(model, "modality", None):
        return batch[model.modality]
    return {modality: batch[modality] for modality in model.backbone.modalities}


def outputs_of(model):
    """Returns the outputs of a model for a batch, a list of arrays."""
    outputs = model(inputs_of(model), training=False)
    leaves = keras.tree.flatten(outputs)
    return [keras.ops.convert_to_numpy(keras.ops.cast(x, "float32")) for x in leaves]


def assert_same_outputs(model, expected, rtol=0.0, atol=0.0):
    actual = outputs_of(model)
    assert len(actual) == len(expected) > 0
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


def one_step_of_sgd(model, rate=0.5):
    """Trains a classifier or the backbone of a VATT for one step."""
    if getattr(model, "modality", None):
        trained, targets = model, np.eye(3, dtype="float32")[[0, 1, 2, 0]]
    else:
        trained, targets = model.backbone, None
    if targets is None:
        return _step_of_a_backbone(trained, rate)
    trained.compile(keras.optimizers.SGD(rate), "mse", metrics=None)
    return trained.train_on_batch(inputs_of(model), targets)


class PooledFeatures(keras.Model):
    """Returns the pooled features of all modalities, concatenated."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def call(self, inputs, training=None):
        features = self.backbone(inputs, training=training)
        return keras.ops.concatenate(
            [features[m]["features_pooled"][:4] for m in self.backbone.modalities],
            axis=-1,
        )


def _step_of_a_backbone(backbone, rate):
    batch = tiny_batch(4, candidates=1)
    inputs = {modality: batch[modality] for modality in backbone.modalities}
    model = PooledFeatures(backbone)
    model.compile(keras.optimizers.SGD(rate), "mse")
    targets = np.zeros(model(inputs).shape, "float32")
    return model.train_on_batch(inputs, targets)
