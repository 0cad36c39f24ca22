"""
Title: Embed video, audio and text
Description: Turn files, arrays and strings into vectors that can be compared.
Accelerator: none
"""

"""
## Introduction

A pre-trained VATT maps video, audio and text into common spaces, where matching clips
and captions are close to each other. This guide retrieves videos by text and by audio
with the tiny model that is included in the package. That model was trained only on the
demo corpus, whose videos show moving colored shapes while a voice names them.

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
## Encode files

`encode` accepts paths, bytes, open files and strings. If a file is longer than the
model's clips, `encode` uses the middle of the file.
"""

model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
files = [clip.path for clip in clips]
captions = [clip.caption for clip in clips]
embeddings = model.encode(video=files, audio=files, text=captions)
for modality, arrays in embeddings.items():
    print(modality, {name: array.shape for name, array in arrays.items()})

"""
`features_pooled` is the input of classifiers. The other outputs are for comparisons
across modalities: each video has a vector in the space shared with audio (`to_audio`)
and one in the space shared with text (`to_text`). Audio and text each have a vector
`to_video`.

## Retrieve videos

The cosine similarity of two vectors measures how well they match.
"""


def cosines(queries, candidates):
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    candidates = candidates / np.linalg.norm(candidates, axis=1, keepdims=True)
    return queries @ candidates.T


video = embeddings["video"]
by_text = cosines(embeddings["text"]["to_video"], video["to_text"])
by_audio = cosines(embeddings["audio"]["to_video"], video["to_audio"])
for caption, similarities in list(zip(captions, by_text, strict=True))[:5]:
    print(f"{caption!r} retrieves the clip of: {captions[similarities.argmax()]!r}")
own = np.arange(len(clips))
print("captions that retrieve their video:", np.mean(by_text.argmax(axis=1) == own))
print("audio clips that retrieve their video:", np.mean(by_audio.argmax(axis=1) == own))

"""
`keras_vatt.metrics.retrieval_metrics` computes the standard metrics: recall at 1, 5 and
10, and the median and mean rank.

## Encode arrays

Pass data that is already in memory as a tuple of the array and its rate: frames per
second for video, hertz for audio. `encode` resamples it to the rate of the model.
"""

frames = np.random.default_rng(0).integers(0, 256, (75, 120, 160, 3), dtype="uint8")
stereo = np.zeros((3 * 44_100, 2), "float32")
outputs = model.encode(video=(frames, 25.0), audio=(stereo, 44_100))
print(outputs["video"]["features_pooled"].shape, outputs["audio"]["to_video"].shape)

"""
## Preprocess separately

The preprocessor converts clips and strings to arrays and can run in any thread.
`encode` accepts these batches directly.
"""

batch = model.preprocessor({"video": files[:2], "text": ["a red star", "a circle"]})
print({modality: (array.shape, array.dtype) for modality, array in batch.items()})
outputs = model.encode(**batch)

"""
## Inspect the provenance

A preset records the origin of its weights and their evaluation results.
"""

print(model.provenance.description)
print(model.provenance.evaluation)
