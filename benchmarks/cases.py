"""Models and batches that the benchmarks measure."""

import argparse
import dataclasses

import keras
import numpy as np
from gradient_keeper import GradientKeeper

import keras_vatt

_AUDIO_PATCH = 4


@dataclasses.dataclass(frozen=True)
class Case:
    """Sizes of a model and a batch, which determine the video fraction of the FLOPs.

    Attributes:
        num_video: int, tokens of a video.
        num_audio: int, tokens of an audio clip.
        num_words: int, words of a caption.
        width: int, width of the tokens; the hidden width of the MLPs is 4 times larger.
        num_layers: int.
        batch_size: int.
    """

    num_video: int
    num_audio: int
    num_words: int = 16
    width: int = 256
    num_layers: int = 4
    batch_size: int = 8

    @property
    def video_fraction(self):
        """Fraction f of the video branch in the forward FLOPs, including attention."""
        video = self._forward_flops(self.num_video)
        others = self._forward_flops(self.num_audio) + self._forward_flops(
            self.num_words
        )
        return video / (video + others)

    @property
    def floor(self):
        """FLOPs of a harmonized step relative to those of a plain step: `1 + 2f/3`."""
        return 1 + 2 * self.video_fraction / 3

    def _forward_flops(self, num_tokens):
        """Returns the multiply-adds of the matrix products, up to a common factor."""
        length = num_tokens + 1  # The aggregation token.
        projections = 12 * self.width**2 * self.num_layers  # Attention, MLP.
        stem_and_head = 2 * self.width**2
        attention = 2 * length * self.width * self.num_layers
        return length * (projections + stem_and_head + attention)


# Keys are the rounded video fractions.
CASES = {
    "0.24": Case(num_video=98, num_audio=300),
    "0.54": Case(num_video=196, num_audio=150),
    "0.70": Case(num_video=392, num_audio=150),
}
QUICK_CASES = {
    name: dataclasses.replace(
        case,
        num_video=case.num_video // 14,
        num_audio=case.num_audio // 14,
        num_words=2,
        width=16,
        num_layers=1,
        batch_size=4,
    )
    for name, case in CASES.items()
}


def vatt(case, optimizer=None, rematerialize=False, **compile_arguments):
    """Returns a modality-agnostic VATT of the case's size with fixed weights.

    Patches and vocabulary are tiny, so that the transformers dominate the cost. Dropout
    and DropToken are off, because every scheme must give the same gradient.
    """
    keras.utils.set_random_seed(0)
    backbone = keras_vatt.VATTAgnosticBackbone(
        hidden_dim=case.width,
        intermediate_dim=4 * case.width,
        num_layers=case.num_layers,
        num_heads=case.width // 16,
        head_dim=16,
        projection_dim=case.width,
        video_patch_size=(1, 2, 2),
        audio_patch_size=_AUDIO_PATCH,
        video_positions=(case.num_video, 1, 1),
        audio_positions=case.num_audio,
        text_positions=case.num_words,
        vocabulary_size=1000,
        word_embedding_dim=32,
        token_keep_rate=1.0,
        dropout=0.0,
        rematerialize=rematerialize,
    )
    bridge_head = keras_vatt.layers.FactorizedBridgeHead(
        case.width, case.width // 2, name="bridge_head"
    )
    model = keras_vatt.VATT(backbone, bridge_head=bridge_head)
    model.compile(optimizer=optimizer or GradientKeeper(), **compile_arguments)
    return model


def random_batch(case):
    random = np.random.default_rng(0)
    size, video, audio = case.batch_size, case.num_video, _AUDIO_PATCH * case.num_audio
    words = (size, 1, case.num_words)
    return {
        "video": random.uniform(-1, 1, (size, video, 2, 2, 3)).astype("float32"),
        "audio": random.uniform(-1, 1, (size, audio, 1)).astype("float32"),
        "text": random.integers(1, 1000, words).astype("int32"),
    }


def case_parser(doc):
    """Returns an argument parser with the options of a script that measures cases.

    Args:
        doc: string, the docstring of the script.
    """
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument("--rounds", type=int, default=15, help="times that code runs")
    parser.add_argument("--quick", action="store_true", help="use tiny models")
    parser.add_argument(
        "--cases", nargs="+", choices=CASES, default=list(CASES), help="video fractions"
    )
    return parser


def chosen_cases(arguments):
    """Returns a dict from name to `Case`, from the parsed options."""
    cases = QUICK_CASES if arguments.quick else CASES
    return {name: cases[name] for name in arguments.cases}
