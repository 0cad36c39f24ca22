"""A small corpus with everything that can be wrong, and a tokenizer for it."""

import numpy as np

from keras_vatt.data import ClipSpec, Segment
from tests.data._media import clicks, numbered_picture, write_media

SPEC = ClipSpec(num_frames=8, frame_size=16, sampling_rate=8_000)
WORDS = 4


def tokenize(texts):
    """Turn each word into its length plus 1, and drop other tokens."""
    rows = np.zeros((len(texts), WORDS), np.int32)
    for row, text in zip(rows, texts, strict=True):
        words = [word for word in text.split() if word.isalpha()][:WORDS]
        row[: len(words)] = [len(word) + 1 for word in words]
    return rows


def write_corpus(folder):
    """Write videos of 4 seconds, at 10 frames per second, and name their segments."""
    folder.mkdir(exist_ok=True)
    images = [numbered_picture(number) for number in range(40)]
    times = np.arange(40) / 10
    sound = (clicks(np.arange(0.5, 4.0, 0.5), 4.0, 16_000), 16_000)
    write_media(folder / "talk.mp4", images, times, sound, rate=10)
    write_media(folder / "mute.mp4", images, times, rate=10)
    silence = (np.zeros(64_000, np.float32), 16_000)
    write_media(folder / "quiet.mp4", images, times, silence, rate=10)
    write_media(folder / "brief.mp4", images[:5], times[:5], sound, rate=10)
    write_media(folder / "heard.mp4", sound=sound)
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(3_000))
    return [
        Segment(str(folder / "talk.mp4"), 0.0, 1.0, "a short one"),
        Segment(str(folder / "talk.mp4"), 1.0, 3.5, "the longer caption here"),
        Segment(str(folder / "mute.mp4"), 1.0, 3.0, "without sound"),
        Segment(str(folder / "brief.mp4"), caption="half a second"),
        Segment(str(folder / "quiet.mp4"), 1.0, 3.0, "not a word is said"),
        Segment(str(folder / "heard.mp4"), caption="only sound"),
        Segment(str(folder / "talk.mp4"), 3.0, 4.0),
        Segment(str(folder / "noise.mp4"), caption="no file at all"),
        Segment(str(folder / "talk.mp4"), 9.0, 11.0, "behind the end"),
        Segment(str(folder / "quiet.mp4"), 0.0, 2.0, "..."),
        Segment(str(folder / "gone.mp4"), caption="not there"),
    ]
