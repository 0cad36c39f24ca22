"""Plans of the clips of the demo corpus: their content and its parameters."""

import dataclasses

import numpy as np

from keras_vatt.data._manifest import Segment
from keras_vatt.data.demo._moving_shapes import COMBINATIONS, Appearance, Combination
from keras_vatt.data.demo._speech import Utterance

CAPTIONS = (
    "a {color} {shape} moving {motion}",
    "the {shape} is {color} and it moves {motion}",
    "{motion} goes the {color} {shape}",
)
_SENTENCE = "{color} {shape}, {motion}"
_VOICES = ("en-us", "en-us+m3", "en-us+f2")

FRAMES_PER_SECOND = 10
NUM_FRAMES = 26
DURATION = NUM_FRAMES / FRAMES_PER_SECOND


@dataclasses.dataclass(frozen=True)
class ClipPlan:
    """All parameters of one clip."""

    path: str
    split: str
    video: Combination
    audio: Combination
    text: Combination
    caption: str
    appearance: Appearance
    utterance: Utterance
    loudness: float
    delay: float

    def to_segment(self, folder):
        """Returns the `Segment` of the clip, with the ground truth in `extra`."""
        truth = {
            "video": str(self.video),
            "audio": str(self.audio),
            "text": str(self.text),
            "audio_aligned": self.audio == self.video,
            "text_aligned": self.text == self.video,
        }
        path = str(folder / self.path)
        return Segment(path, 0.0, DURATION, self.caption, self.split, truth)


def plan_train(count, seed, misaligned_audio, misaligned_text):
    """Draws the plans of the training clips.

    Args:
        count: int. Number of clips.
        seed: int.
        misaligned_audio: float. Probability of audio of another combination.
        misaligned_text: float. Probability of a caption of another combination.

    Returns:
        List of `ClipPlan`.
    """
    plans = []
    for index in range(count):
        generator = np.random.default_rng((seed, 0, index))
        video = COMBINATIONS[generator.integers(len(COMBINATIONS))]
        audio = _misalign(video, misaligned_audio, generator)
        text = _misalign(video, misaligned_text, generator)
        plans.append(_plan("train", index, video, audio, text, generator))
    return plans


def plan_test(count, seed):
    """Draws the plans of the test clips, which are never misaligned.

    Args:
        count: int. Number of clips.
        seed: int.

    Returns:
        List of `ClipPlan`.
    """
    order = np.random.default_rng((seed, 2)).permutation(len(COMBINATIONS))
    plans = []
    for index in range(count):
        generator = np.random.default_rng((seed, 1, index))
        video = COMBINATIONS[order[index % len(order)]]
        plans.append(_plan("test", index, video, video, video, generator))
    return plans


def _misalign(combination, probability, generator):
    """Returns another combination with a probability, otherwise the same one."""
    # Always drawn, so that the draws that follow don't depend on the probability.
    further = generator.integers(1, len(COMBINATIONS))
    position = COMBINATIONS.index(combination)
    other = COMBINATIONS[(position + further) % len(COMBINATIONS)]
    return other if generator.uniform() < probability else combination


def _plan(split, index, video, audio, text, generator):
    size, reach = generator.uniform((0.34, 0.85), (0.40, 1.0))
    column, row = generator.uniform(0.42, 0.58, size=2)
    appearance = Appearance(
        size=size,
        column=column,
        row=row,
        reach=reach,
        brightness=generator.uniform(0.8, 1.0),
        shade=int(generator.integers(10, 90)),
    )
    utterance = Utterance(
        text=_SENTENCE.format(**dataclasses.asdict(audio)),
        voice=_VOICES[generator.integers(len(_VOICES))],
        rate=int(generator.integers(150, 165)),
        pitch=int(generator.integers(45, 55)),
    )
    template = CAPTIONS[generator.integers(len(CAPTIONS))]
    return ClipPlan(
        path=f"{split}/{index:06d}.mp4",
        split=split,
        video=video,
        audio=audio,
        text=text,
        caption=template.format(**dataclasses.asdict(text)),
        appearance=appearance,
        utterance=utterance,
        loudness=generator.uniform(0.7, 0.95),
        delay=generator.uniform(0.1, 0.15),
    )
