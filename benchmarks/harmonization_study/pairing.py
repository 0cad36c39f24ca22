"""Pairs videos with the audio and the captions of other clips.

Misaligning arrays instead of media files gives all arms and noise levels of a seed the
same videos, for the price of one corpus.
"""

import dataclasses

import numpy as np

# The most clips of one video, which are misaligned together.
CLUSTER = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Pairing:
    """The clips that each video takes its audio and its caption from.

    Args:
        audio: int array `(clips,)`. Rows of the audio.
        text: int array `(clips,)`. Rows of the captions.
        audio_aligned: bool array `(clips,)`.
        text_aligned: bool array `(clips,)`.
    """

    audio: np.ndarray
    text: np.ndarray
    audio_aligned: np.ndarray
    text_aligned: np.ndarray


def pair_clips(contents, noise, seed):
    """Draws the `Pairing` of clips.

    Args:
        contents: list of tuples of strings, what a clip shows, such as `("red",
            "star", "left")`. Clips with the same content match each other.
        noise: `settings.Noise`.
        seed: int.

    Returns:
        `Pairing`.
    """
    random = np.random.default_rng((seed, 7))
    contents = np.array(contents)
    if noise.kind == "clustered":
        rows = _clustered(contents, noise.fraction, random)
        sources = {"audio": rows, "text": rows}
    else:
        sources = {
            name: _independent(contents, noise.fraction, random)
            for name in ("audio", "text")
        }
    own = np.arange(len(contents))
    if noise.where == "audio":
        sources["text"] = own
    if noise.where == "caption":
        sources["audio"] = own
    aligned = {
        f"{name}_aligned": (contents[rows] == contents).all(axis=1)
        for name, rows in sources.items()
    }
    return Pairing(**sources, **aligned)


def _independent(contents, fraction, random):
    # Drawn for all clips, so that a higher fraction misaligns these clips and more.
    position = random.uniform(size=len(contents))
    others = np.array(
        [_one_of(~(contents == own).all(axis=1), random) for own in contents]
    )
    return np.where(position < fraction, others, np.arange(len(contents)))


def _clustered(contents, fraction, random):
    rows = np.arange(len(contents))
    # Drawn for all videos, so that a higher fraction misaligns these and more.
    for video in videos(contents):
        is_off = random.uniform() < fraction
        source = contents[_one_of(_near(contents, contents[video[0]]), random)]
        same = np.flatnonzero((contents == source).all(axis=1))
        others = random.choice(same, size=len(video))
        rows[video] = others if is_off else video
    return rows


def videos(contents):
    """Returns int arrays of up to `CLUSTER` clips that have the same content."""
    _, content = np.unique(contents, axis=0, return_inverse=True)
    clips = [np.flatnonzero(content == own) for own in range(content.max() + 1)]
    return [
        video
        for same in clips
        for video in np.split(same, range(CLUSTER, len(same), CLUSTER))
    ]


def _near(contents, own):
    """Returns which clips differ from one in exactly one part of their content."""
    near = (contents != own).sum(axis=1) == 1
    return near if near.any() else ~(contents == own).all(axis=1)


def _one_of(allowed, random):
    return random.choice(np.flatnonzero(allowed))
