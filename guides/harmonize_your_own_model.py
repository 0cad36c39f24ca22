"""
Title: Harmonize your own multi-task model
Description: Train a Keras model with two losses whose gradients may conflict.
Accelerator: none
"""

"""
## Introduction

A model with several losses is usually trained on their sum. Where the gradients of two
losses point in opposite directions, the step that helps one of them harms the other.
A *harmonizer* computes a weight for the gradient of each loss, so that the step harms
none of them, or as little as possible.

`keras_vatt.training.MultiTaskModel` is a functional Keras model whose `compile` takes a
harmonizer. `fit`, `evaluate`, `predict`, metrics, callbacks and saving work as in
`keras.Model`. This guide trains a small convolutional model on images of handwritten
digits, with two tasks: name the digit, and tell whether it is odd.

## Setup
"""

import os
import pathlib
import tempfile

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_vatt import harmonization
from keras_vatt.training import MultiTaskModel

keras.utils.set_random_seed(0)
epochs = int(os.environ.get("EPOCHS", "10"))

"""
## Load the data

scikit-learn ships 1,797 images of 8 x 8 pixels. The targets are a dict with an array
for each task.
"""

digits = load_digits()
images = digits.images[..., None].astype("float32") / 16.0
train_images, test_images, train_digits, test_digits = train_test_split(
    images, digits.target, test_size=0.3, random_state=0, stratify=digits.target
)


def targets_of(values):
    return {"digit": values, "is_odd": values % 2}


train_targets, test_targets = targets_of(train_digits), targets_of(test_digits)

"""
## Create the model

The convolution is shared by both tasks. A dict of outputs names the tasks: losses,
metrics and targets are found by these names.
"""


def create_model():
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(16, 3, activation="relu")(inputs)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(32, activation="relu")(x)
    outputs = {
        "digit": keras.layers.Dense(10, name="digit")(x),
        "is_odd": keras.layers.Dense(1, name="is_odd")(x),
    }
    return MultiTaskModel(inputs, outputs)


"""
## Compile and train

`harmonizer` is a name or an object of `keras_vatt.harmonization`. `"upgrad"` projects
each gradient onto the directions that harm no task, and sums the results. Where nothing
conflicts, the step is that of the plain sum. The guide
[Choose a method](harmonizers.md) compares the methods.

Losses and metrics are those of Keras. `loss_weights` multiply the losses before their
gradients are compared.
"""

losses = {
    "digit": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "is_odd": keras.losses.BinaryCrossentropy(from_logits=True),
}
model = create_model()
model.compile(
    optimizer=keras.optimizers.Adam(1e-3),
    loss=losses,
    metrics={
        "digit": ["accuracy"],
        "is_odd": [keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)],
    },
    harmonizer="upgrad",
)
history = model.fit(
    train_images,
    train_targets,
    batch_size=64,
    epochs=epochs,
    validation_data=(test_images, test_targets),
    verbose=2,
).history

"""
## Read the logs

Besides the losses and metrics, `fit` logs how the gradients compare:

- `gradient_cosine`: the cosine of the angle between the two gradients, the smallest of
  all pairs if there are more than two losses. It is NaN if no step had two gradients
  that are not zero;
- `conflict_rate`: the fraction of steps in which it is negative;
- `digit_gradient_norm` and `is_odd_gradient_norm`;
- `skip_rate`: the fraction of steps that were skipped, by a `Curriculum` or because a
  gradient is not finite, and `nonfinite_rate`, of the latter alone.

If `conflict_rate` stays at 0, `"upgrad"` trains exactly as the plain sum does. A step
with a NaN changes no weight, also without a harmonizer.
"""

for name in ("gradient_cosine", "conflict_rate", "digit_gradient_norm"):
    print(name, [round(float(value), 3) for value in history[name]])

"""
## Compare with the plain sum

`harmonizer=None`, the default, trains on the weighted sum of the losses. One run of
each shows nothing but that both work: differences of this size are those of another
seed. [Choose a method](harmonizers.md#measured) has intervals over five seeds.
"""

plain = create_model()
plain.compile(optimizer=keras.optimizers.Adam(1e-3), loss=losses)
plain.fit(train_images, train_targets, batch_size=64, epochs=epochs, verbose=0)
for name, trained in {"plain sum": plain, "harmonized": model}.items():
    print(name, trained.evaluate(test_images, test_targets, verbose=0)[:3])

"""
## Leave out labels

A sample without a label for one of the tasks gets the weight 0 for that loss. Its
target must still be a valid number, such as 0: a NaN makes the loss of the whole batch
NaN, and the step is skipped. The gradient of a loss that no sample of a batch has is
zero: the harmonizer ignores it.
"""

has_label = {
    "digit": (train_digits != 3).astype("float32"),
    "is_odd": np.ones(len(train_digits), "float32"),
}
model.fit(
    train_images, train_targets, sample_weight=has_label, batch_size=64, verbose=0
)

"""
## Compare sample by sample

By default, the gradients of whole batches are compared, over all trainable variables.
With `compare="features"`, those of each sample are compared at the features, the output
of the last layer that both tasks share. A step then costs as much as with the plain
sum. (This is a method of this library.) It needs outputs that depend on the inputs
through the shared features alone, and a harmonizer without state.

`num_groups` cuts batches into groups of consecutive samples; with `"per_clip"`, the
name comes from video, each sample is a group. A number must divide the size of each
batch, that of the last one too: use `drop_remainder=True` or another batch size.

This example combines both algorithms of
[the paper](https://arxiv.org/abs/2211.02077): a curriculum leaves out samples whose
gradients disagree by more than a threshold, and realignment projects those of others.
"""

per_sample = create_model()
per_sample.compile(
    optimizer=keras.optimizers.Adam(1e-3),
    loss=losses,
    harmonizer=harmonization.Chain(
        [harmonization.Curriculum(-0.1), harmonization.Realignment()]
    ),
    compare="features",
    num_groups="per_clip",
)
history = per_sample.fit(
    train_images, train_targets, batch_size=64, epochs=epochs, verbose=0
).history
print("left out:", [round(float(value), 3) for value in history["skip_rate"]])

"""
## Save and load

The file holds the weights, the optimizer, the losses, the harmonizer with its state,
and the number of steps that its schedules read. Import `keras_vatt.training` before you
load it.
"""

path = pathlib.Path(tempfile.mkdtemp()) / "digits.keras"
model.save(path)
loaded = keras.saving.load_model(path)
print(loaded.predict(test_images[:4], verbose=0)["is_odd"].shape)

"""
## What to know

- Regularizers and `add_loss` are one more term of the step, which is added and not
  harmonized.
- A layer that one task uses alone has one backward pass, a layer that K tasks share has
  K of them. The forward pass runs once.
- Groups need losses with one value per sample; all losses of Keras have one.
- An output without a loss needs no targets. Outputs may also be a list: the names are
  then those of their layers.
- `harmonized_variables="shared"` compares the gradients of the variables alone that all
  losses reach; `num_micro_batches` saves memory. Some harmonizers, such as
  `keras_vatt.harmonization.CRMOGM`, keep a state over the steps, which is saved.
- The training step does not call `compute_loss`, and layers that assign trained weights
  in their forward pass, such as `SpectralNormalization`, are refused.
- On several devices, with `keras.distribution` on JAX or `tf.distribute` on TensorFlow,
  the step is that of one device. `BatchNormalization` is refused there: each device
  would see a part of the batch.
- For losses that compare the parts of a model with each other, such as contrastive
  losses, subclass `keras_vatt.training.HarmonizedModel`. `keras_vatt.VATT` is one.
"""
