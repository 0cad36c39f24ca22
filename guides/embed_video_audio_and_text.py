"""
Title: Embed a video, a sound and a sentence
Description: One model turns files, arrays and strings into vectors to compare.
Accelerator: none
"""

"""
## Introduction

A pre-trained VATT maps a video, a sound and a sentence into common spaces, where what
belongs together is close. This guide finds videos by sentences and by sounds, with the
tiny model that comes with the package. It was trained on the demo corpus, in which
colored shapes move and a voice names them, and knows nothing else.

## Setup
"""

import os
import pathlib
import tempfile

import keras
import numpy as np

import keras_vatt
from keras_vatt.data import make_demo_corpus, read_corpus

keras.utils.set_random_seed(0)
folder = pathlib.Path(tempfile.mkdtemp())
num_clips = int(os.environ.get("NUM_CLIPS", "16"))
corpus = make_demo_corpus(
    folder / "corpus", train_clips=1, test_clips=num_clips, progress=False
)
clips = [segment for segment in read_corpus(corpus)[0] if segment.split == "test"]

"""
## Files in, vectors out

`encode` takes paths, bytes or open files, and strings. Of a file that is longer than
the model's clips, it takes the middle.
"""

model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
files = [clip.path for clip in clips]
captions = [clip.caption for clip in clips]
embeddings = model.encode(video=files, audio=files, text=captions)
for modality, arrays in embeddings.items():
    print(modality, {name: array.shape for name, array in arrays.items()})

"""
`features_pooled` is what classifiers are built on. The others are for comparing: a
video has one vector in the space it shares with sounds (`to_audio`) and one in the
space it shares with sentences (`to_text`); sounds and sentences each have `to_video`.

## Which video is meant?

The cosine of two vectors says how well they match.
"""


def cosines(queries, candidates):
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    candidates = candidates / np.linalg.norm(candidates, axis=1, keepdims=True)
    return queries @ candidates.T


video = embeddings["video"]
by_text = cosines(embeddings["text"]["to_video"], video["to_text"])
by_sound = cosines(embeddings["audio"]["to_video"], video["to_audio"])
for caption, similarities in list(zip(captions, by_text, strict=True))[:5]:
    print(f"{caption!r} finds the clip with: {captions[similarities.argmax()]!r}")
own = np.arange(len(clips))
print("sentences that find their video:", np.mean(by_text.argmax(axis=1) == own))
print("sounds that find their video:", np.mean(by_sound.argmax(axis=1) == own))

"""
`keras_vatt.evaluation.retrieval_metrics` gives the field's figures: recall at 1, 5 and
10, and ranks.

## Arrays with their rates

What is already in memory comes as a tuple of the array and its rate: frames per second
for a video, hertz for a sound. It is resampled to what the model takes.
"""

frames = np.random.default_rng(0).integers(0, 256, (75, 120, 160, 3), dtype="uint8")
stereo = np.zeros((3 * 44_100, 2), "float32")
outputs = model.encode(video=(frames, 25.0), audio=(stereo, 44_100))
print(outputs["video"]["features_pooled"].shape, outputs["audio"]["to_video"].shape)

"""
## Preprocess apart from the model

The preprocessor makes the arrays, in any thread; arrays that are batches already go
straight in.
"""

batch = model.preprocessor({"video": files[:2], "text": ["a red star", "a circle"]})
print({modality: (array.shape, array.dtype) for modality, array in batch.items()})
outputs = model.encode(**batch)

"""
## Of what the model is made

A preset says where its weights come from and what was measured with them.
"""

print(model.provenance.description)
print(model.provenance.evaluation)
