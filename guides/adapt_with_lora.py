"""
Title: Adapt a model with LoRA, and shrink it to int8
Description: Train a few low-rank matrices in place of a whole model.
Accelerator: GPU
"""

"""
## Introduction

Fine-tuning all of a large model takes memory for gradients and momentum, and each task
ends up with a copy of the whole model. LoRA
([Hu et al.](https://arxiv.org/abs/2106.09685)) freezes the model and learns a product
of two thin matrices for some of its kernels. This guide adapts a model to new sounds
so, keeps what was learned in a small file, adds it to the model for good, and makes
that one smaller by weights of 8 bits.

## Setup
"""

import os
import pathlib
import tempfile

import keras
import numpy as np

import keras_vatt
from keras_vatt.training import fine_tuning_optimizer

keras.utils.set_random_seed(0)
folder = pathlib.Path(tempfile.mkdtemp())
clips_per_class = int(os.environ.get("NUM_CLIPS", "64"))
epochs = int(os.environ.get("EPOCHS", "10"))

"""
Two classes of sounds, made here: tones and hisses. See the guide on fine-tuning for
more of them, and for where real ones come from.
"""

RATE = 16_000
random = np.random.default_rng(0)


def make_sound(label):
    time = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * random.uniform(200, 800) * time)
    hiss = random.normal(size=time.size) / 3
    wave = random.uniform(0.2, 0.9) * (tone, hiss)[label]
    return np.clip(wave, -1, 1).astype("float32"), RATE


def make_set(per_class):
    labels = np.repeat([0, 1], per_class)
    return [make_sound(label) for label in labels], labels


train_sounds, train_labels = make_set(clips_per_class)
test_sounds, test_labels = make_set(max(4, clips_per_class // 4))


def make_classifier():
    return keras_vatt.VATTAudioClassifier.from_preset(
        "vatt_tiny_agnostic",
        num_classes=2,
        class_names=("tone", "hiss"),
        modalities=("audio",),
    )


def accuracy(classifier):
    logits = classifier.predict(test_sounds, verbose=0)
    return float(np.mean(logits.argmax(axis=1) == test_labels))


def count(variables):
    return sum(int(np.prod(variable.shape)) for variable in variables)


"""
## Enable LoRA

`enable_lora` puts LoRA into the query and value projections of all blocks and freezes
the rest of the backbone. One of the two matrices starts with zeros, so the model says
what it said before. The head stays trainable.
"""

classifier = make_classifier()
before = count(classifier.trainable_variables)
classifier.backbone.enable_lora(rank=4)
after = count(classifier.trainable_variables)
print(f"trainable parameters: {before:,} before, {after:,} with LoRA")

"""
## Train

Compile after enabling it: the optimizer has to know which weights are trained.
"""

batch_size = 16
total_steps = epochs * -(-len(train_sounds) // batch_size)
classifier.compile(optimizer=fine_tuning_optimizer(0.1, total_steps=total_steps))
classifier.fit(train_sounds, train_labels, batch_size, epochs=epochs, verbose=0)
print(f"accuracy: {accuracy(classifier):.2f}, of chance: 0.50")

"""
## Keep what was learned

The LoRA weights alone are a small file, which goes onto the same backbone again. The
head is another layer: keep its weights too.
"""

classifier.backbone.save_lora_weights(str(folder / "sounds.lora.h5"))
head = classifier.classifier.get_weights()
print("bytes of LoRA:", (folder / "sounds.lora.h5").stat().st_size)

fresh = make_classifier()
fresh.backbone.load_lora_weights(str(folder / "sounds.lora.h5"))
fresh.classifier.set_weights(head)
print(f"accuracy of the backbone with it: {accuracy(fresh):.2f}")

"""
## Or add it to the model

A saved preset has the products added to its kernels: it loads anywhere, as a model
without LoRA, and says the same.
"""

classifier.save_to_preset(folder / "merged")
merged = keras_vatt.VATTAudioClassifier.from_preset(folder / "merged")
logits = [model.predict(test_sounds, verbose=0) for model in (classifier, merged)]
print("largest difference of logits:", np.abs(logits[0] - logits[1]).max())

"""
## Weights of 8 bits

`quantize("int8")` rounds the matrices of the backbone. Outputs change a little: look at
how much, on your own data. It pays for large models; in this tiny one most weights are
positions, which stay floats.
"""

merged.quantize("int8")
rounded = merged.predict(test_sounds, verbose=0)
print("largest difference of logits:", np.abs(rounded - logits[1]).max())
print(f"accuracy in int8: {accuracy(merged):.2f}")

merged.save_to_preset(folder / "int8")
again = keras_vatt.VATTAudioClassifier.from_preset(folder / "int8")
for name in ("merged", "int8"):
    size = (folder / name / "model.safetensors").stat().st_size
    print(f"bytes of weights, {name}: {size:,}")
print(f"accuracy of what was saved: {accuracy(again):.2f}")
