"""
Title: Zero-shot retrieval and classification
Description: Retrieve and classify videos without training, and measure accuracy.
Accelerator: none
"""

"""
## Introduction

A model that was pre-trained with contrastive losses can be used without further
training: matching captions and videos have a high cosine similarity. This guide
measures retrieval with the standard protocol (as on MSR-VTT and YouCook2), classifies
videos by text, and searches a folder.

It uses the tiny model that is included in the package and the kind of corpus that the
model was trained on: shapes move, and a voice describes them.

## Setup
"""

import os
import pathlib
import tempfile

import keras

import keras_vatt
from keras_vatt.data import make_demo_corpus, read_corpus
from keras_vatt.metrics import retrieval_intervals, retrieval_ranks
from keras_vatt.search import MediaIndex, embed_folder

keras.utils.set_random_seed(0)
folder = pathlib.Path(tempfile.mkdtemp())
num_clips = int(os.environ.get("NUM_CLIPS", "60"))
corpus = make_demo_corpus(
    folder / "corpus", train_clips=1, test_clips=num_clips, progress=False
)
clips = [segment for segment in read_corpus(corpus)[0] if segment.split == "test"]
files = [clip.path for clip in clips]
captions = [clip.caption for clip in clips]

"""
## Extract one vector per window

`extract_features` decodes files batch by batch and returns one vector per window of a
clip, with the shape `(clips, windows, dim)`. Text has one window.
"""

model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
videos = model.extract_features("video", files, output="to_text", num_windows=4)
text = model.extract_features("text", captions, output="to_video")
print("videos:", videos.shape, "text:", text.shape)

"""
## Recall at k

All videos are ranked for each caption. Recall at k is the fraction of captions whose
video is among the first k. Windows are combined by averaging either their embeddings or
their cosine similarities, as in the original implementation. Ties count as their
expected value under random order, so a model with constant outputs scores at chance.

The confidence intervals are computed by bootstrap over the queries.
"""

for window_average in ("embedding", "similarity"):
    ranks = retrieval_ranks(text, videos, window_average=window_average)
    metrics, intervals = ranks.metrics(), retrieval_intervals(ranks)
    low, high = intervals["recall_at_1"]
    print(
        f"text->video, mean {window_average}: R@1 {metrics.recall_at_1:.3f} "
        f"(95 %: {low:.3f} to {high:.3f}), R@10 {metrics.recall_at_10:.3f}, "
        f"median rank {metrics.median_rank:.0f} of {metrics.num_candidates}"
    )

"""
The other directions are video-to-text and audio-to-video retrieval.
"""

metrics = retrieval_ranks(videos, text).metrics()
print(f"video->text: R@1 {metrics.recall_at_1:.3f}")
audio = model.extract_features("audio", files, output="to_video", num_windows=4)
videos_for_audio = model.extract_features(
    "video", files, output="to_audio", num_windows=4
)
metrics = retrieval_ranks(audio, videos_for_audio).metrics()
print(f"audio->video: R@1 {metrics.recall_at_1:.3f}")

"""
`keras-vatt evaluate --task retrieval --data FOLDER --preset ...` runs this evaluation
on a folder of captioned videos, or on MSR-VTT and YouCook2 with their official splits.

## Classify without training

Classes are given as text, and no labeled clips are needed. Each template turns a class
name into a sentence like those of the training data, and the vectors of these sentences
are averaged.
"""

colors = ["red", "green", "blue", "yellow"]
shapes = ["star", "circle", "square", "triangle"]
found = keras_vatt.zero_shot_classify(
    model,
    [f"{color} {shape}" for color in colors for shape in shapes],
    video=files[:4],
    templates=("a {} moving left", "a {} moving up"),
    top_k=2,
)
for caption, best in zip(captions, found, strict=False):
    names = ", ".join(f"{name} ({probability:.2f})" for name, probability in best)
    print(f"{caption!r}: {names}")

"""
## Search a folder

`embed_folder` embeds each file once and splits long files into windows. `MediaIndex`
then answers text, audio and video queries. `keras-vatt embed` and `keras-vatt search
--serve` do the same from the command line and in the browser.
"""

embed_folder(model, corpus / "test", folder / "index", progress=False)
index = MediaIndex.load(folder / "index")
print(captions[0])
for result in index.search(model, text=captions[0], top_k=3):
    print(f"{result.score:.3f}  {result.path}  from {result.start:.1f} s")

"""
A query can combine video and audio. It is compared with the windows by the normalized
mean of the unit vectors in the video-audio space. Text shares a space with video only,
unless the model has a `keras_vatt.layers.JointBridgeHead`.
"""

for result in index.search(model, video=files[0], audio=files[0], top_k=3):
    print(f"{result.score:.3f}  {result.path}  by {result.modality}")

"""
Files shorter than a clip are repeated from their beginning. `short_clips="pad"` appends
black frames and silence, and `short_clips="error"` leaves them out. Queries follow the
rule of the index. The report that `embed_folder` returns names every file that cannot
be decoded.
"""
