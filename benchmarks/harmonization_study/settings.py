"""Settings of a run: corpus, noise, model, training, arm, learning rate and seed."""

import dataclasses
import itertools
import pathlib
import tomllib

CONFIGS = pathlib.Path(__file__).parent / "configs"


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The clips that runs choose from.

    Args:
        name: string. `"demo"`: moving shapes with a synthetic voice; `"stamps"`: Tux
            Paint's images with recorded voices, see `stamps.py`.
        train_clips: int. Number of train clips of a run. A seed chooses them from the
            corpus.
        corpus_clips: int. Number of train clips of the demo corpus.
        test_clips: int. Number of validation clips and of test clips of the demo
            corpus, a multiple of `candidates`.
        evaluated_on: string. `"validation"` to choose arms and learning rates,
            `"test"` to compare the chosen ones.
        candidates: int. Number of clips that a query is compared with.
        num_frames: int. Frames of a clip.
        frames_per_second: float.
        frame_size: int, in pixels.
        sampling_rate: int, in hertz.
        caption_tokens: int. Number of tokens of a caption.
    """

    name: str
    train_clips: int
    corpus_clips: int
    test_clips: int
    evaluated_on: str
    candidates: int
    num_frames: int
    frames_per_second: float
    frame_size: int
    sampling_rate: int
    caption_tokens: int


@dataclasses.dataclass(frozen=True)
class Noise:
    """The train clips that have the audio or the caption of another clip.

    Args:
        fraction: float. Probability that a pair is misaligned.
        where: string. `"both"` (audio and caption, drawn independently), `"audio"` or
            `"caption"`.
        kind: string. `"independent"`: each clip by itself, with the content of a
            clip of any other kind. `"clustered"`: whole videos, up to ten clips with
            the same content, whose audio and captions all come from clips with one
            other content, a near-duplicate (for the demo corpus: color, shape or
            motion differs; for the stamps: of the same category).
    """

    fraction: float
    where: str = "both"
    kind: str = "independent"


@dataclasses.dataclass(frozen=True)
class Model:
    """A small VATT.

    Args:
        towers: string. `"agnostic"`, one encoder for all modalities, or `"specific"`,
            one encoder for each.
        hidden_dim: int.
        num_layers: int.
        num_heads: int.
        video_patch_size: list of ints, frames x pixels x pixels.
        audio_patch_size: int, in samples.
        embedding_dim: int. Width of the common spaces.
    """

    towers: str
    hidden_dim: int
    num_layers: int
    num_heads: int
    video_patch_size: tuple[int, int, int]
    audio_patch_size: int
    embedding_dim: int


@dataclasses.dataclass(frozen=True)
class Training:
    """Optimization: Adam, with a linear warm-up and half a cosine.

    Args:
        steps: int. The same for all arms; steps that an arm skips count.
        batch_size: int.
        warmup_steps: int.
        final_rate: float. The last learning rate, as a fraction of the highest.
        log_steps: int. Steps between two entries of the curves.
    """

    steps: int
    batch_size: int
    warmup_steps: int
    final_rate: float
    log_steps: int


@dataclasses.dataclass(frozen=True)
class Arm:
    """The rule of a run for conflicting or misaligned clips; see `arms.py`.

    Args:
        rule: string. The name of a harmonizer or of a control.
        scope: string. What a rule decides on: `"batch"`, `"8 groups"`, `"clip"`, or
            `"pair"` (controls only).
        gradients: string. Gradients that harmonizers compare: of `"all"` parameters,
            of those that both losses `"shared"`, or of the video `"features"`.
        threshold: string. Thresholds of curricula, such as `"-0.3 to 0"`.
        fraction: float. Fraction of the clips that a control skips.
    """

    rule: str
    scope: str = ""
    gradients: str = ""
    threshold: str = ""
    fraction: float = 0.0

    def __str__(self):
        parts = [self.rule]
        parts += [f"at {self.threshold}"] if self.threshold else []
        parts += [f"{self.fraction:.0%}"] if self.fraction else []
        scope = " ".join(filter(None, (self.scope, self.gradients)))
        return " ".join(parts) + (f", {scope}" if scope else "")


# The plain sum, which measures the cosines of the clips without acting on them.
SUM = Arm("sum", "clip", "features")


@dataclasses.dataclass(frozen=True)
class Run:
    """All that a result depends on, besides the versions of the software."""

    corpus: Corpus
    noise: Noise
    model: Model
    training: Training
    arm: Arm
    learning_rate: float
    seed: int


def experiment_names():
    """Lists the experiments that have a config."""
    return sorted(path.stem for path in CONFIGS.glob("*.toml"))


def comparisons_of(name):
    """Returns the pairs of arms that an experiment compares, as two strings.

    Each arm is compared with the plain sum (of which `"audit"` is a copy). A config may
    list more pairs.
    """
    arms = dict.fromkeys(run.arm for run in runs_of(name))
    pairs = [
        (str(arm), str(SUM)) for arm in arms if arm.rule not in (SUM.rule, "audit")
    ]
    further = _config(name).get("comparisons", [])
    return pairs + [(pair["arm"], pair["with"]) for pair in further]


def runs_of(name):
    """Returns the list of `Run` of an experiment, those of one seed together."""
    config = _config(name)
    fixed = {
        "corpus": Corpus(**config["corpus"]),
        "model": _model(config["model"]),
        "training": Training(**config["training"]),
    }
    chosen = [
        (noise, arm, rate)
        for noise in _expanded(Noise, config["noise"])
        for block in config["arms"]
        for rate, arm in _arms(block, config)
    ]
    return [
        Run(**fixed, noise=noise, arm=arm, learning_rate=rate, seed=seed)
        for seed in config["seeds"]
        for noise, arm, rate in dict.fromkeys(chosen)
    ]


def _config(name):
    return tomllib.loads((CONFIGS / f"{name}.toml").read_text("utf-8"))


def _model(values):
    patch = tuple(values["video_patch_size"])
    return Model(**values | {"video_patch_size": patch})


def _arms(block, config):
    """Yields pairs of learning rate and arm; a block may have rates of its own."""
    block = dict(block)
    rates = block.pop("learning_rates", config.get("learning_rates"))
    yield from itertools.product(rates, _expanded(Arm, block))


def _expanded(cls, values):
    """Returns one object for each combination of the values that are lists."""
    lists = [v if isinstance(v, list) else [v] for v in values.values()]
    return [
        cls(**dict(zip(values, combination, strict=True)))
        for combination in itertools.product(*lists)
    ]
