"""
Title: Zero-shot retrieval and classification
Description: Find videos by sentences and sounds, name what they show, and measure it.
Accelerator: none
"""

"""
## Introduction

A model that was pre-trained by contrast can be used as it is: a sentence and a video
that belong together have a high cosine. This guide measures how often that is so, the
way the field does (MSR-VTT, YouCook2), names videos by sentences, and searches a
folder.

It uses the tiny model that comes with the package and the corpus that it was trained
on, in which shapes move and a voice says what they do.

## Setup
"""

import os
import pathlib
import tempfile

import keras

import keras_vatt
from keras_vatt.data import make_demo_corpus, read_corpus
from keras_vatt.evaluation import retrieval_intervals, retrieval_ranks
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
## One vector for each window

`extract_features` decodes files batch by batch, and gives a vector for each of several
windows of a clip: `(clips, windows, dim)`. A sentence has one.
"""

model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
videos = model.extract_features("video", files, output="to_text", num_windows=4)
sentences = model.extract_features("text", captions, output="to_video")
print("videos:", videos.shape, "sentences:", sentences.shape)

"""
## Recall at k

For each sentence all videos are ranked. Recall at k is the share of sentences whose own
video is among the first k. The windows are averaged in one of the two ways of the
original: the vectors, or the cosines. Ties count by what chance would give, so that a
model that says the same of everything gets no credit.

One number says little without its uncertainty: the intervals resample the queries.
"""

for window_average in ("embedding", "similarity"):
    ranks = retrieval_ranks(sentences, videos, window_average=window_average)
    metrics, intervals = ranks.metrics(), retrieval_intervals(ranks)
    low, high = intervals["recall_at_1"]
    print(
        f"text->video, mean {window_average}: R@1 {metrics.recall_at_1:.3f} "
        f"(95 %: {low:.3f} to {high:.3f}), R@10 {metrics.recall_at_10:.3f}, "
        f"median rank {metrics.median_rank:.0f} of {metrics.num_candidates}"
    )

"""
The other way round a video looks for its sentence, and a sound for its video.
"""

metrics = retrieval_ranks(videos, sentences).metrics()
print(f"video->text: R@1 {metrics.recall_at_1:.3f}")
sounds = model.extract_features("audio", files, output="to_video", num_windows=4)
pictures = model.extract_features("video", files, output="to_audio", num_windows=4)
metrics = retrieval_ranks(sounds, pictures).metrics()
print(f"audio->video: R@1 {metrics.recall_at_1:.3f}")

"""
`keras-vatt evaluate --task retrieval --data FOLDER --preset ...` does all of this for a
folder of captioned videos, or for MSR-VTT and YouCook2 with their own split files.

## Name what a video shows

Classes are given as sentences; no label is needed to train on. Templates put each into
sentences as the model knows them, whose vectors are averaged.
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

The same as a library: files are embedded once, long ones in windows, and asked by
text, sound or video. `keras-vatt embed` and `keras-vatt search --serve` do it from the
command line, with a page in the browser.
"""

embed_folder(model, corpus / "test", folder / "index", progress=False)
index = MediaIndex.load(folder / "index")
print(captions[0])
for result in index.search(model, text=captions[0], top_k=3):
    print(f"{result.score:.3f}  {result.path}  from {result.start:.1f} s")

"""
A clip with audio can be asked by both, and windows be compared by both: of the vectors
in the video-audio space, the mean of the unit vectors is taken and normalized again.
Text lives in a space with video alone, unless the model has a `JointBridgeHead`.
"""

for result in index.search(model, video=files[0], audio=files[0], top_k=3):
    print(f"{result.score:.3f}  {result.path}  by {result.modality}")

"""
Files shorter than a clip are repeated from their beginning; `short_clips="pad"` appends
black frames and silence, and `"error"` leaves them out. Queries follow the rule of the
index. Whatever can't be decoded is named in the report that `embed_folder` returns.
"""
