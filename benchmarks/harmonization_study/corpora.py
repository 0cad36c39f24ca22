"""The corpora of the study, decoded once into arrays that all runs read."""

import dataclasses
import functools
import hashlib
import json
import pathlib

import numpy as np

from keras_vatt._files import write_json
from keras_vatt.data import (
    ClipSource,
    ClipSpec,
    make_dataset,
    make_demo_corpus,
    read_corpus,
)
from keras_vatt.models import VATTTokenizer

MODALITIES = ("video", "audio", "text")
SEED = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Clips:
    """Decoded clips, all of whose modalities match.

    Args:
        video: uint8 array `(clips, frames, pixels, pixels, 3)`.
        audio: float32 array `(clips, samples, 1)`.
        text: int32 array `(clips, 1, tokens)`.
        contents: list of tuples of strings: color, shape and motion, or category and
            name of a stamp.
    """

    video: np.ndarray
    audio: np.ndarray
    text: np.ndarray
    contents: list

    def batch(self, rows, pairing):
        """Returns the arrays of some clips, with the audio and text of a `Pairing`."""
        return {
            "video": self.video[rows],
            "audio": self.audio[pairing.audio[rows]],
            "text": self.text[pairing.text[rows]],
        }

    def take(self, rows):
        """Returns some of the clips."""
        arrays = (self.video[rows], self.audio[rows], self.text[rows])
        return Clips(*arrays, [self.contents[row] for row in rows])


@functools.lru_cache(maxsize=2)
def open_corpus(corpus, folder):
    """Returns the clips of a corpus by split, and the size of its vocabulary.

    Args:
        corpus: `settings.Corpus`.
        folder: path of a folder for media files and arrays, which are made if they are
            missing. (For the stamps, run `stamps.py` first.)

    Returns:
        Tuple of a dict with the `Clips` of `"train"`, `"validation"` and `"test"`, and
        an int.
    """
    arrays = decode(corpus, folder)
    facts = json.loads((arrays / "facts.json").read_text("utf-8"))
    splits = {
        split: Clips(
            *(np.load(arrays / f"{split}_{m}.npy", "r") for m in MODALITIES),
            [tuple(content) for content in contents],
        )
        for split, contents in facts["contents"].items()
    }
    return splits, facts["vocabulary_size"]


def decode(corpus, folder):
    """Decodes a corpus, unless it is; returns the folder of the arrays."""
    arrays = pathlib.Path(folder) / f"{corpus.name}_{_digest(corpus)}"
    if (arrays / "facts.json").is_file():
        return arrays
    arrays.mkdir(parents=True, exist_ok=True)
    segments = _segments(corpus, folder)
    tokenizer = VATTTokenizer.from_captions(
        (s.caption for s in segments["train"]), sequence_length=corpus.caption_tokens
    )
    for split, chosen in segments.items():
        source = ClipSource(chosen, _spec(corpus), tokenizer, candidates=1)
        (clips,) = make_dataset(source, len(source), training=False)
        for name in MODALITIES:
            np.save(arrays / f"{split}_{name}.npy", clips[name])
    facts = {
        "vocabulary_size": tokenizer.vocabulary_size(),
        "contents": {
            s: [_content(c) for c in chosen] for s, chosen in segments.items()
        },
    }
    write_json(arrays / "facts.json", facts, indent=None)
    return arrays


def _segments(corpus, folder):
    if corpus.name == "stamps":
        segments, _ = read_corpus(pathlib.Path(folder) / "stamps")
        splits = ("train", "validation", "test")
        return {s: [one for one in segments if one.split == s] for s in splits}
    folder = make_demo_corpus(
        pathlib.Path(folder) / f"demo_{corpus.corpus_clips}",
        train_clips=corpus.corpus_clips,
        test_clips=2 * corpus.test_clips,
        seed=SEED,
    )
    segments, _ = read_corpus(folder)
    test = [segment for segment in segments if segment.split == "test"]
    # Each of the 120 combinations comes once before any comes twice.
    return {
        "train": [segment for segment in segments if segment.split == "train"],
        "validation": test[: corpus.test_clips],
        "test": test[corpus.test_clips :],
    }


def _content(segment):
    truth = segment.extra
    if "stamp" in truth:
        return truth["category"], truth["stamp"]
    return tuple(truth["video"].split())


def _spec(corpus):
    return ClipSpec(
        num_frames=corpus.num_frames,
        frames_per_second=corpus.frames_per_second,
        frame_size=corpus.frame_size,
        sampling_rate=corpus.sampling_rate,
    )


def _digest(corpus):
    """Identifies the arrays; which of their clips a run uses does not matter."""
    ignored = ("train_clips", "candidates", "evaluated_on")
    facts = {k: v for k, v in dataclasses.asdict(corpus).items() if k not in ignored}
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
