"""
Title: Fine-tune an audio classifier
Description: VATT's fine-tuning recipe on a labelled set of sounds.
Accelerator: GPU
"""

"""
## Introduction

A pre-trained VATT knows sounds, but not the classes that you care about. Fine-tuning
puts a new layer on its features and trains on labelled clips: that layer alone, or all
of the model. This guide does both, and compares them with a model that starts from
random weights.

To run in seconds it uses the tiny model that comes with the package, which has heard
nothing but a voice that names shapes, and sounds that are made here. For a real set,
`benchmarks/percussion_data.py` of this repository fetches recordings of percussion
instruments; `keras_vatt.data.datasets` reads the sets that VATT was tested on.

## Setup
"""

import os
import pathlib
import tempfile

import keras
import numpy as np

import keras_vatt
from keras_vatt.training import Mixup, fine_tuning_optimizer

keras.utils.set_random_seed(0)
folder = pathlib.Path(tempfile.mkdtemp())
clips_per_class = int(os.environ.get("NUM_CLIPS", "64"))
epochs = int(os.environ.get("EPOCHS", "10"))

"""
## Labelled sounds

A sound is a path, or a tuple of an array and its rate in hertz. These are one second
each, of random pitch, loudness and noise.
"""

RATE = 16_000
CLASS_NAMES = ("tone", "rising tone", "hiss", "clicks")
random = np.random.default_rng(0)


def make_sound(class_name, seconds=1.0):
    time = np.arange(int(seconds * RATE)) / RATE
    pitch = random.uniform(200, 800)
    wave = {
        "tone": np.sin(2 * np.pi * pitch * time),
        "rising tone": np.sin(2 * np.pi * pitch * time * (1 + 2 * time / seconds)),
        "hiss": random.normal(size=time.size) / 3,
        "clicks": (np.sin(2 * np.pi * random.uniform(4, 12) * time) > 0.99) * 1.0,
    }[class_name]
    noise = random.normal(size=time.size) * random.uniform(0.0, 0.05)
    wave = random.uniform(0.2, 1.0) * wave + noise
    return np.clip(wave, -1, 1).astype("float32"), RATE


def make_set(per_class):
    labels = np.repeat(np.arange(len(CLASS_NAMES)), per_class)
    return [make_sound(CLASS_NAMES[label]) for label in labels], labels


train_sounds, train_labels = make_set(clips_per_class)
test_sounds, test_labels = make_set(max(4, clips_per_class // 4))

"""
## A classifier on a preset

`from_preset` puts a new head onto the backbone of any preset with sound. With
`modalities=("audio",)` what belongs to video and text alone is left out.
"""


def make_classifier(load_weights=True):
    return keras_vatt.VATTAudioClassifier.from_preset(
        "vatt_tiny_agnostic",
        load_weights=load_weights,
        num_classes=len(CLASS_NAMES),
        class_names=CLASS_NAMES,
        modalities=("audio",),
    )


"""
## The recipe

Without `compile`, `fit` trains with Adam at a constant rate, which takes a thousand
steps or so. VATT itself is fine-tuned by gradient descent with momentum. The learning
rate rises to 5e-3 and falls along a cosine to zero at `total_steps`; gradients of the
backbone are clipped to a norm of 0.75 together, and those of the head are not clipped.
The original takes 100,000 steps. In as few as here the head needs a higher peak to get
anywhere.
"""

batch_size = 16
total_steps = epochs * -(-len(train_sounds) // batch_size)


def fit(classifier, peak, mixup=None):
    classifier.compile(optimizer=fine_tuning_optimizer(peak, total_steps=total_steps))
    return classifier.fit(
        train_sounds,
        train_labels,
        batch_size=batch_size,
        epochs=epochs,
        mixup=mixup,
        verbose=0,
    )


def accuracy(classifier):
    logits = classifier.predict(test_sounds, verbose=0)
    return float(np.mean(logits.argmax(axis=1) == test_labels))


results = {}

"""
## The head alone

With a frozen backbone only the last layer is trained, which is quick and needs few
clips.
"""

frozen = make_classifier()
frozen.backbone.trainable = False
fit(frozen, peak=0.5)
results["head on a frozen backbone"] = accuracy(frozen)

"""
## All of the model

Training everything does more where there are clips enough. Compare it with the same
model that starts from random weights: what they differ in is what pre-training is
worth.
"""

full = make_classifier()
fit(full, peak=0.05)
results["all weights"] = accuracy(full)

scratch = make_classifier(load_weights=False)
fit(scratch, peak=0.05)
results["all weights, from random ones"] = accuracy(scratch)

"""
## Mixup

On AudioSet VATT mixes each sound with another one, and their labels likewise, anew in
each epoch.
"""

mixed = make_classifier()
fit(mixed, peak=0.05, mixup=Mixup())
results["all weights, mixup"] = accuracy(mixed)

print(f"chance: {1 / len(CLASS_NAMES):.2f}")
for name, value in results.items():
    print(f"{name}: {value:.2f}")

"""
These are single runs with few sounds: run several seeds before you believe a
difference.

## What it came to on a real set

`benchmarks/percussion.py` compares the same on 591 recordings of percussion in ten
classes, from fifteen kits, with the tiny model that comes with the package. About 30 %
of the recordings are held out, by whole kits, others for each of three seeds. All
fine-tuning takes 40 epochs in batches of 32; of VATT's recipe (peak 0.08) and Adam
(peak 0.001) the one is taken that is better on kits held out of the training kits.
Accuracy on the held-out kits:

| method | mean | seed 0 | seed 1 | seed 2 |
|---|---|---|---|---|
| all weights, pre-trained | .378 | .450 | .290 | .393 |
| all weights, from random ones | .331 | .381 | .268 | .343 |
| logistic regression on pre-trained features | .290 | .312 | .210 | .348 |
| logistic regression on features of random weights | .169 | .138 | .138 | .230 |
| logistic regression on a log-mel spectrogram, 16 kHz | .490 | .594 | .319 | .556 |
| logistic regression on a log-mel spectrogram, 4 kHz | .504 | .594 | .333 | .584 |
| most frequent class | .158 | .131 | .152 | .191 |

Pre-training on a voice that names shapes helped on each seed, by .047 in the mean;
three seeds are too few to say more. A spectrogram and a linear classifier beat this
model clearly: it is there to try things with, not for its accuracy. From random weights
VATT's recipe alone learned nothing in 40 epochs (seed 0, whatever the peak): it is made
for 100,000 steps from a trained model.

`benchmarks/spoken_language.py` does so on speech: volunteers who say the same words in
nine languages, 477 clips of 53 things to train on and 207 of 23 others to test on, with
20 epochs in batches of 8. Accuracy on the test clips, of single runs unless there are
three numbers:

| method | accuracy |
|---|---|
| defaults, pre-trained | .744 .763 .734 |
| 1 epoch of momentum, the defaults of earlier versions | .435 |
| VATT's recipe, peak 0.08, pre-trained | .734 |
| defaults, from random weights | .556 |
| defaults, from random weights, on a log-mel spectrogram in place of patches | .990 |
| logistic regression on pre-trained features | .633 |
| logistic regression on features of random weights | .319 |
| logistic regression on a log-mel spectrogram, 16 kHz | .981 |
| logistic regression on a log-mel spectrogram, 4 kHz | .990 |

With a column of a spectrogram in place of each patch of samples, the same encoder gets
almost all clips right from random weights. So it is neither the size of the model nor
its 4 kHz that hold it back, but its input: it has to learn from patches of raw samples
what a spectrogram gives away, and neither 477 clips nor its small pre-training corpus
teach it that.

## Long and short sounds, and files that are broken

`fit` takes a random window of a longer clip, anew in each epoch; `evaluate` takes the
middle. For a prediction the logits of several windows are averaged: VATT tests on 4 of
each clip. A clip that is shorter than the model's, as the ones above are, is repeated;
`short_clips="pad"` appends silence.

A file that can't be decoded doesn't end a training: a warning names it, and another
clip of the list replaces it. `evaluate` leaves it out, `predict` gives NaN for it, and
`classify` no class. `clip_report` lists what was skipped, repeated or padded in the
latest call. `on_error="raise"` stops at the first such file.
"""

long_sound = make_sound("clicks", seconds=20.0)
for name, probability in full.classify(long_sound, top_k=2, num_windows=4)[0]:
    print(f"{name}: {probability:.2f}")

broken = folder / "broken.wav"
broken.write_bytes(b"no audio")
print(full.classify([long_sound, broken], top_k=1))
print(full.clip_report)

"""
## Save and load

The preset has the backbone, the head, the names of the classes and the preprocessor.
"""

full.save_to_preset(folder / "my_sounds")
again = keras_vatt.VATTAudioClassifier.from_preset(folder / "my_sounds")
print("the loaded model's accuracy:", f"{accuracy(again):.2f}")
