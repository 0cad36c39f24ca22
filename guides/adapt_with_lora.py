"""
Title: Adapt a model with LoRA, and quantize it to int8
Description: Train a few low-rank matrices instead of a whole model.
Accelerator: GPU
"""

"""
## Introduction

Full fine-tuning of a large model needs memory for all gradients and optimizer states,
and every task needs its own copy of the model. LoRA
([Hu et al.](https://arxiv.org/abs/2106.09685)) freezes the model and learns the product
of two low-rank matrices for some of its kernels. This guide adapts a model to new audio
classes, saves the LoRA weights in a small file, merges them into the model, and
quantizes the result to int8.

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
The dataset has two classes of synthetic audio: tones and noise. See
[Fine-tune an audio classifier](fine_tune_an_audio_classifier.py) for more classes and
for real recordings.
"""

RATE = 16_000
random = np.random.default_rng(0)


def make_clip(label):
    time = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * random.uniform(200, 800) * time)
    noise = random.normal(size=time.size) / 3
    wave = random.uniform(0.2, 0.9) * (tone, noise)[label]
    return np.clip(wave, -1, 1).astype("float32"), RATE


def make_dataset(per_class):
    labels = np.repeat([0, 1], per_class)
    return [make_clip(label) for label in labels], labels


train_clips, train_labels = make_dataset(clips_per_class)
test_clips, test_labels = make_dataset(max(4, clips_per_class // 4))


def make_classifier():
    return keras_vatt.VATTAudioClassifier.from_preset(
        "vatt_tiny_agnostic",
        num_classes=2,
        class_names=("tone", "noise"),
        modalities=("audio",),
    )


def accuracy(classifier):
    logits = classifier.predict(test_clips, verbose=0)
    return float(np.mean(logits.argmax(axis=1) == test_labels))


def count(variables):
    return sum(int(np.prod(variable.shape)) for variable in variables)


"""
## Enable LoRA

`enable_lora` adds LoRA to the query and value projections of all blocks and freezes
the rest of the backbone. One of the two matrices starts at zero, so the outputs do not
change yet. The head stays trainable.
"""

classifier = make_classifier()
before = count(classifier.trainable_variables)
classifier.backbone.enable_lora(rank=4)
after = count(classifier.trainable_variables)
print(f"trainable parameters: {before:,} before, {after:,} with LoRA")

"""
## Train

Compile the model after `enable_lora`, because the optimizer tracks the trainable
weights.
"""

batch_size = 16
total_steps = epochs * -(-len(train_clips) // batch_size)
classifier.compile(optimizer=fine_tuning_optimizer(0.1, total_steps=total_steps))
classifier.fit(train_clips, train_labels, batch_size, epochs=epochs, verbose=0)
print(f"accuracy: {accuracy(classifier):.2f} (chance: 0.50)")

"""
## Save the LoRA weights

The LoRA weights alone are a small file that can be loaded into the same backbone. The
head is a separate layer, so save its weights too.
"""

classifier.backbone.save_lora_weights(str(folder / "sounds.lora.h5"))
head = classifier.classifier.get_weights()
print("size of the LoRA file in bytes:", (folder / "sounds.lora.h5").stat().st_size)

fresh = make_classifier()
fresh.backbone.load_lora_weights(str(folder / "sounds.lora.h5"))
fresh.classifier.set_weights(head)
print(f"accuracy after loading: {accuracy(fresh):.2f}")

"""
## Merge LoRA into the model

`save_to_preset` merges the low-rank products into the kernels. The preset loads as a
model without LoRA and gives the same outputs.
"""

classifier.save_to_preset(folder / "merged")
merged = keras_vatt.VATTAudioClassifier.from_preset(folder / "merged")
logits = [model.predict(test_clips, verbose=0) for model in (classifier, merged)]
print("largest difference of logits:", np.abs(logits[0] - logits[1]).max())

"""
## Quantize to int8

`quantize("int8")` stores the matrices of the backbone as int8 weights. The outputs
change slightly: measure by how much on your own data. Large models benefit most. In
this tiny one, most weights are position embeddings, which stay floats.
"""

merged.quantize("int8")
quantized = merged.predict(test_clips, verbose=0)
print("largest difference of logits:", np.abs(quantized - logits[1]).max())
print(f"accuracy in int8: {accuracy(merged):.2f}")

merged.save_to_preset(folder / "int8")
again = keras_vatt.VATTAudioClassifier.from_preset(folder / "int8")
for name in ("merged", "int8"):
    size = (folder / name / "model.safetensors").stat().st_size
    print(f"size of the {name} weights in bytes: {size:,}")
print(f"accuracy of the saved int8 model: {accuracy(again):.2f}")
