"""Tasks of mteb that are made in memory, out of the demo corpus."""

import dataclasses

import datasets
import numpy as np
from mteb.abstasks.classification import AbsTaskClassification
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.abstasks.zeroshot_classification import AbsTaskZeroShotClassification
from PIL import Image

from keras_vatt.data.demo._clip_plans import CAPTIONS
from keras_vatt.data.demo._moving_shapes import (
    COLORS,
    COMBINATIONS,
    Appearance,
    render_moving_shape,
)
from tests.data._media import write_media

LOOK = Appearance(0.5, 0.5, 0.5, 0.8, 1.0, 40)


def make_metadata(name, type_, modalities, category, score):
    return TaskMetadata(
        name=name,
        type=type_,
        modalities=modalities,
        category=category,
        main_score=score,
        description="made in a test",
        reference=None,
        dataset={"path": "made/here", "revision": "1"},
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        date=None,
        domains=[],
        task_subtypes=[],
        license=None,
        annotations_creators=None,
        dialect=None,
        sample_creation=None,
        bibtex_citation="",
    )


def caption_of(combination, template=0):
    return CAPTIONS[template].format(**dataclasses.asdict(combination))


class CaptionedColors(AbsTaskClassification):
    """Classify the color that a caption names, in words of the tiny preset."""

    metadata = make_metadata(
        "CaptionedColors", "Classification", ["text"], "t2c", "accuracy"
    )

    def load_data(self, **kwargs):
        names = list(COLORS)
        parts = {
            part: datasets.Dataset.from_dict(
                {
                    "text": [caption_of(c, template) for c in COMBINATIONS],
                    "label": [names.index(c.color) for c in COMBINATIONS],
                }
            )
            for template, part in enumerate(("train", "test"))
        }
        self.dataset = datasets.DatasetDict(parts)
        self.data_loaded = True


def video_bytes(combination, folder):
    frames = render_moving_shape(combination, LOOK, num_frames=26, frame_size=64)
    path = folder / f"{combination}.mp4"
    write_media(path, list(frames), np.arange(26) / 10, rate=10)
    return {"bytes": path.read_bytes(), "path": None}


class CaptionsToVideos(AbsTaskRetrieval):
    """The captions of a dozen videos, each to find its own."""

    metadata = make_metadata(
        "CaptionsToVideos", "Any2AnyRetrieval", ["text", "video"], "t2v", "ndcg_at_10"
    )
    folder = None

    def load_data(self, **kwargs):
        chosen = COMBINATIONS[::10]
        names = [str(number) for number in range(len(chosen))]
        videos = [video_bytes(c, self.folder) for c in chosen]
        corpus = datasets.Dataset.from_dict({"id": names, "video": videos})
        corpus = corpus.cast_column("video", datasets.Video())
        texts = [caption_of(c) for c in chosen]
        queries = datasets.Dataset.from_dict({"id": names, "text": texts})
        split = {
            "queries": queries,
            "corpus": corpus,
            "relevant_docs": {name: {name: 1} for name in names},
            "top_ranked": None,
        }
        self.dataset = {"default": {"test": split}}
        self.data_loaded = True


class NamedImages(AbsTaskZeroShotClassification):
    """Classify the color of an image by the captions of the colors."""

    metadata = make_metadata(
        "NamedImages",
        "ZeroShotClassification",
        ["image", "text"],
        "i2t",
        "accuracy",
    )
    input_column_name = "image"
    label_column_name = "label"

    def load_data(self, **kwargs):
        chosen = COMBINATIONS[1::4]
        frames = [render_moving_shape(c, LOOK, 2, 64)[-1] for c in chosen]
        labels = [list(COLORS).index(c.color) for c in chosen]
        pictures = [Image.fromarray(frame) for frame in frames]
        part = datasets.Dataset.from_dict({"image": pictures, "label": labels})
        self.dataset = datasets.DatasetDict({"test": part})
        self.data_loaded = True

    def get_candidate_labels(self):
        return [f"a {color} star moving right" for color in COLORS]
