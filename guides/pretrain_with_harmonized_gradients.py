"""
Title: Pre-train VATT with harmonized gradients
Description: From raw video files to a model that finds videos by sentences.
Accelerator: none
"""

"""
## Introduction

VATT learns from videos without labels: a contrastive loss pulls a video and its sound
together, another one the video and what is said in it. Both pull on the same encoder,
and where a clip's sound or caption doesn't belong to its picture, they pull in
different directions. Gradient harmonization looks at the angle between the two
gradients: it projects away what conflicts (realignment), and leaves out the steps on
which they disagree too much (curriculum).

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
# More clips and epochs give a useful model; these show the way.
num_clips = int(os.environ.get("NUM_CLIPS", "64"))
epochs = int(os.environ.get("EPOCHS", "2"))
batch_size = 16

"""
## A corpus of videos

The demo corpus has real mp4 files, in which a shape moves and a voice names it. A third
of the sounds is of another clip, as happens on the web.
"""

corpus = make_demo_corpus(
    folder / "corpus", train_clips=num_clips, test_clips=32, misaligned_audio=0.3
)
segments, findings = read_corpus(corpus)
train = [segment for segment in segments if segment.split == "train"]
test = [segment for segment in segments if segment.split == "test"]
print(train[0].caption, train[0].extra)

"""
## A model

The preset says how large the model is and what clips it takes. The vocabulary is that
of our captions.
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
## Batches

Clips are decoded once, by time: so many frames a second, and the sound of the same
seconds.
"""


def decoded(split, name):
    source = ClipSource(split, spec, tokenizer, candidates=1)
    build_cache(source, folder / name, progress=False)
    return CachedClips(folder / name, tokenizer)


train_clips, test_clips = decoded(train, "train"), decoded(test, "test")
dataset = make_dataset(train_clips, batch_size, training=True)

"""
## Training

The curriculum's threshold rises over the steps of the whole training. The logs tell the
cosine of the gradients, how often they conflict, and how many steps are left out.
"""

steps_per_epoch = len(train_clips) // batch_size
threshold = h.LinearThreshold(-0.3, 0.0, steps=epochs * steps_per_epoch)
model.compile(
    optimizer=keras.optimizers.Adam(1e-3),
    harmonizer=h.Chain([h.Curriculum(threshold), h.Realignment()]),
)
history = model.fit(dataset, epochs=epochs, steps_per_epoch=steps_per_epoch, verbose=2)
print("cosines of the gradients:", history.history["gradient_cosine"])

"""
## What it has learnt

Each held-out sentence looks for its video among all of them, and each sound too.
"""

print(format_retrieval(zero_shot_retrieval(model, make_dataset(test_clips, 16, False))))

"""
## Save it

The preset folder holds weights, vocabulary and the form of the clips.
"""

model.save_to_preset(folder / "preset")
again = keras_vatt.VATT.from_preset(folder / "preset")
sentence = again.preprocessor({"text": ["a red star moving left"]})
print(again.encode(**sentence)["text"]["to_video"].shape)
