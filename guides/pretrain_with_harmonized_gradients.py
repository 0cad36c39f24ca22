"""
Title: Pre-train VATT with harmonized gradients
Description: Train on raw video files and retrieve videos by captions.
Accelerator: none
"""

"""
## Introduction

VATT learns from videos without labels. One contrastive loss aligns a video with its
audio, and another one aligns the video with its captions. Both losses train the same
encoder. If the audio or the caption of a clip does not match its frames, their
gradients conflict. Gradient harmonization measures the angle between the two gradients.
It projects conflicting gradients onto each other's normal planes (realignment) and
skips steps on which they disagree too much (curriculum).

## Setup
"""

import os
import pathlib
import tempfile

import keras

import keras_vatt
from keras_vatt import harmonization as h
from keras_vatt.data import (
    CachedClips,
    ClipSource,
    build_cache,
    make_dataset,
    make_demo_corpus,
    read_corpus,
)
from keras_vatt.evaluation import format_retrieval, zero_shot_retrieval

keras.utils.set_random_seed(0)
folder = pathlib.Path(tempfile.mkdtemp())
# These values keep the guide fast. A useful model needs more clips and epochs.
num_clips = int(os.environ.get("NUM_CLIPS", "64"))
epochs = int(os.environ.get("EPOCHS", "2"))
batch_size = 16

"""
## Create a corpus

The demo corpus consists of mp4 files in which a shape moves and a voice names it. For a
third of the clips, the audio comes from another clip, to imitate misaligned web videos.
"""

corpus = make_demo_corpus(
    folder / "corpus", train_clips=num_clips, test_clips=32, misaligned_audio=0.3
)
segments, findings = read_corpus(corpus)
train = [segment for segment in segments if segment.split == "train"]
test = [segment for segment in segments if segment.split == "test"]
print(train[0].caption, train[0].extra)

"""
## Create a model

The preset defines the size of the model and the shape of its clips. The vocabulary is
built from the captions of the corpus.
"""

tokenizer = keras_vatt.VATTTokenizer.from_captions(s.caption for s in train)
spec = keras_vatt.VATTPreprocessor.from_preset("vatt_tiny_agnostic").clip_spec
model = keras_vatt.VATT.from_preset(
    "vatt_tiny_agnostic",
    load_weights=False,
    vocabulary_size=tokenizer.vocabulary_size(),
    preprocessor=keras_vatt.VATTPreprocessor.from_clip_spec(spec, tokenizer),
)

"""
## Create batches

Each clip is decoded once and cached: frames at the rate of the preset, and the audio of
the same time span.
"""


def decoded(split, name):
    source = ClipSource(split, spec, tokenizer, candidates=1)
    build_cache(source, folder / name, progress=False)
    return CachedClips(folder / name, tokenizer)


train_clips, test_clips = decoded(train, "train"), decoded(test, "test")
dataset = make_dataset(train_clips, batch_size, training=True)

"""
## Train

The threshold of the curriculum rises over all training steps. The logs contain the
cosine of the gradients, the conflict rate and the skip rate.
"""

steps_per_epoch = len(train_clips) // batch_size
threshold = h.LinearThreshold(-0.3, 0.0, steps=epochs * steps_per_epoch)
model.compile(
    optimizer=keras.optimizers.Adam(1e-3),
    harmonizer=h.Chain([h.Curriculum(threshold), h.Realignment()]),
)
history = model.fit(dataset, epochs=epochs, steps_per_epoch=steps_per_epoch, verbose=2)
print("gradient cosines:", history.history["gradient_cosine"])

"""
## Evaluate

Each held-out caption and each audio clip retrieves its video among all test videos.
"""

print(format_retrieval(zero_shot_retrieval(model, make_dataset(test_clips, 16, False))))

"""
## Save

The preset folder contains the weights, the vocabulary and the clip settings.
"""

model.save_to_preset(folder / "preset")
again = keras_vatt.VATT.from_preset(folder / "preset")
sentence = again.preprocessor({"text": ["a red star moving left"]})
print(again.encode(**sentence)["text"]["to_video"].shape)
