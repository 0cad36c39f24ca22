"""Decides which clips the corpus of stamps has, and which recordings are held out.

Every language has about one speaker, so a stamp has no second recording of the same
word by another speaker of the same language. A held-out recording is therefore one in a
language of which the train split has a relative: the same stamp in another Romance or
another Slavic language, where the word is often a cognate. The voice is known from
recordings of other stamps, and the image from clips with the stamp's other recordings.
"""

import collections
import dataclasses
import re
import zlib

import numpy as np

from keras_vatt.data import Segment
from keras_vatt.data.demo._clip_plans import DURATION

_FAMILIES = (("ca", "es", "fr", "ro"), ("be", "bg", "ru"))
_RELATIVES = {
    language: set(family) - {language} for family in _FAMILIES for language in family
}


@dataclasses.dataclass(frozen=True)
class StampClip:
    """All parameters of one clip.

    Args:
        path: str. Path relative to the folder of the corpus.
        split: str.
        stamp: `stamps_package.Stamp`.
        recording: `stamps_package.Recording`.
        fingerprint: str. Equal for recordings with the same audio.
        pan: int. Number of the path over the image.
        seed: int. Seed of the corpus.
    """

    path: str
    split: str
    stamp: object
    recording: object
    fingerprint: str
    pan: int
    seed: int

    def generator(self):
        """Returns the random generator of the clip, which no other clip has."""
        key = zlib.crc32(self.recording.path.encode())
        return np.random.default_rng((self.seed, key, self.pan))

    def to_segment(self, folder):
        """Returns the `Segment` of the clip, with the ground truth in `extra`."""
        truth = {
            "stamp": self.stamp.name,
            "category": self.stamp.category,
            "language": self.recording.language,
            "recording": self.recording.path,
            "recording_id": self.fingerprint,
            "pan": self.pan,
            "audio_aligned": True,
            "text_aligned": True,
        }
        path = str(folder / self.path)
        return Segment(path, 0.0, DURATION, self.stamp.caption, self.split, truth)


def plan_clips(stamps, fingerprints, held_out, pans, seed):
    """Plans the clips of all splits.

    Args:
        stamps: list of `Stamp`, whose images and recordings can all be read.
        fingerprints: dict from the path of each recording to a str that is equal for
            recordings with the same audio.
        held_out: dict from the name of a split to its number of clips.
        pans: int. Number of train clips per recording of a stamp.
        seed: int.

    Returns:
        List of `StampClip`.

    Raises:
        ValueError: If too few recordings can be held out.
    """
    split_of = _draw_held_out(stamps, fingerprints, held_out, seed)
    clips, counts = [], collections.Counter()
    for stamp in stamps:
        for recording in stamp.recordings:
            split = split_of.get(recording.path, "train")
            for pan in range(pans if split == "train" else 1):
                path = f"{split}/{counts[split]:06d}.mp4"
                fingerprint = fingerprints[recording.path]
                clips.append(
                    StampClip(path, split, stamp, recording, fingerprint, pan, seed)
                )
                counts[split] += 1
    return clips


def normalize_caption(caption):
    """Returns the words of a caption, to recognize captions that say the same."""
    return " ".join(re.findall(r"\w+", caption.casefold()))


def _draw_held_out(stamps, fingerprints, held_out, seed):
    """Returns the split of each held-out recording.

    No two stamps with a held-out recording have a caption or a recording in common, and
    no held-out recording is that of another stamp as well.
    """
    generator = np.random.default_rng(seed)
    uses = collections.Counter(
        fingerprints[r.path] for s in stamps for r in s.recordings
    )
    chosen, seen = [], set()
    for index in generator.permutation(len(stamps)):
        stamp = stamps[index]
        candidates = [
            recording.path
            for recording in stamp.recordings
            if uses[fingerprints[recording.path]] == 1
            and _has_relative(recording, stamp)
        ]
        facts = {fingerprints[recording.path] for recording in stamp.recordings}
        facts.add(normalize_caption(stamp.caption))
        if candidates and not facts & seen:
            chosen.append(candidates[generator.integers(len(candidates))])
            seen |= facts
    needed = sum(held_out.values())
    if needed > len(chosen):
        raise ValueError(
            f"{needed} recordings can't be held out: {len(chosen)} stamps have a "
            "distinct caption, and a recording with another one in a related language."
        )
    splits = [split for split, count in held_out.items() for _ in range(count)]
    return dict(zip(chosen, splits, strict=False))


def _has_relative(recording, stamp):
    """Returns whether a stamp has another recording in a related language."""
    relatives = _RELATIVES.get(recording.language, set())
    return any(other.language in relatives for other in stamp.recordings)
