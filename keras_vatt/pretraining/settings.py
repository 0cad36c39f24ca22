"""The settings of a pre-training run: defaults, recipe files, command line."""

import argparse
import dataclasses
import json
import pathlib
import tomllib

from keras_vatt.pretraining.errors import PretrainingError

_RECIPES = pathlib.Path(__file__).parent / "recipes"


def _setting(default, text, choices=None):
    return dataclasses.field(
        default=default, metadata={"help": text, "choices": choices}
    )


@dataclasses.dataclass(frozen=True)
class PretrainSettings:
    """Every setting of a run; what a run was made with is kept in its folder."""

    data: str | None = _setting(
        None,
        "folder of video files, manifest (.jsonl, .csv), or `demo`: a corpus made here",
    )
    preset: str = _setting(
        "vatt_tiny_agnostic", "built-in preset, preset folder, or hf://owner/name"
    )
    load_weights: bool = _setting(
        False, "start from the weights and the words of the preset, not from random"
    )
    output: str | None = _setting(None, "folder for all that the run makes")
    harmonizer: str = _setting(
        "curriculum+realign",
        "what is done with conflicting gradients: names joined by +, out of sum, "
        "realign, curriculum, pcgrad, gradvac, cagrad, mgda, imtlg, upgrad; or none",
    )
    threshold_start: float = _setting(
        -0.3, "curriculum: cosine below which the first steps are skipped"
    )
    threshold_end: float = _setting(
        0.0, "curriculum: cosine below which the last steps are skipped"
    )
    num_groups: int = _setting(
        1, "groups into which a batch is cut to compare gradients"
    )
    group_by: str = _setting(
        "samples",
        "what a group's gradient is: what reaches the model through its samples, or "
        "the gradient of its own terms of the losses",
        ["samples", "anchors"],
    )
    loss: str = _setting(
        "asymmetric", "form of the NCE loss", ["asymmetric", "symmetric"]
    )
    temperature: float = _setting(0.07, "temperature of the NCE loss")
    candidates: int = _setting(5, "captions of a clip that MIL-NCE chooses from")
    epochs: int = _setting(10, "epochs")
    steps_per_epoch: int | None = _setting(
        None, "steps of an epoch; one pass over the clips if not given"
    )
    checkpoint_steps: int | None = _setting(
        None, "steps between checkpoints; only at the end of each epoch if not given"
    )
    batch_size: int = _setting(8, "clips in a batch")
    learning_rate: float = _setting(1e-4, "Adam's learning rate after the warm-up")
    final_learning_rate: float = _setting(5e-5, "its value at the end of the cosine")
    warmup_steps: int | None = _setting(
        None, "steps of linear warm-up; 2 %% of all steps if not given"
    )
    dtype: str = _setting(
        "float32", "dtype policy", ["float32", "mixed_bfloat16", "mixed_float16"]
    )
    num_micro_batches: int = _setting(
        1, "parts in which a device encodes its clips, to save memory: the same step"
    )
    devices: str = _setting(
        "all", "accelerators to train on: all that there are, or one", ["all", "one"]
    )
    model_parallel: int = _setting(
        1, "devices among which a copy of the model is cut (JAX)"
    )
    num_processes: int = _setting(
        1,
        "processes of the run, one a host (JAX); 0: as many as Cloud TPU says, which "
        "knows the next two as well",
    )
    process_id: int | None = _setting(None, "number of this process, from 0")
    coordinator: str | None = _setting(
        None, "address and port of process 0, such as 10.0.0.1:1234"
    )
    rematerialize: bool = _setting(
        False, "compute activations again in the backward pass, to save memory"
    )
    num_frames: int | None = _setting(
        None, "frames of a clip; the preset's if not given"
    )
    frames_per_second: float | None = _setting(
        None, "frames that show one second; the preset's if not given"
    )
    frame_size: int | None = _setting(
        None, "height and width in pixels; the preset's if not given"
    )
    sampling_rate: int | None = _setting(
        None, "samples of the waveform per second; the preset's if not given"
    )
    noise: float = _setting(
        0.01, "noise added to a waveform, as a share of its largest sample"
    )
    mirror: float = _setting(0.0, "probability that pictures are mirrored")
    vocabulary: str | None = _setting(
        None, "word vocabulary file; made from the training captions if not given"
    )
    max_words: int = _setting(65_536, "size of a vocabulary made from captions")
    test_share: float = _setting(
        0.1, "share of files held out for retrieval where the corpus has no test split"
    )
    cache: bool = _setting(
        True, "decode the clips once (no cache: decode always, cut at random)"
    )
    demo_clips: int = _setting(2000, "clips that the demo corpus trains on")
    misaligned_audio: float = _setting(
        0.0, "demo corpus: share of clips with another clip's sound"
    )
    misaligned_text: float = _setting(
        0.0, "demo corpus: share of clips with another clip's caption"
    )
    threads: int | None = _setting(
        None, "threads that decode; the number of processors if not given"
    )
    seed: int = _setting(0, "seed of weights, data order, dropout and demo corpus")


# Where a process runs is no matter of the run's: it may resume elsewhere.
_PLACE = {"output", "devices", "num_processes", "process_id", "coordinator"}

_FIELDS = {field.name: field for field in dataclasses.fields(PretrainSettings)}


def add_arguments(parser):
    """Add an option for each setting. An option that isn't given isn't set."""
    for name, field in _FIELDS.items():
        text = field.metadata["help"]
        if field.default is not None:
            text += f" (default: {field.default})"
        keywords = {"help": text, "default": argparse.SUPPRESS}
        if field.type is bool:
            keywords["action"] = argparse.BooleanOptionalAction
        else:
            keywords["type"] = _type_of(field)
            keywords["choices"] = field.metadata["choices"]
            keywords["metavar"] = None if keywords["choices"] else name.upper()
        parser.add_argument("--" + name.replace("_", "-"), **keywords)


def resolve_settings(given, recipe=None):
    """Settings from the command line, over a recipe, over the defaults.

    Args:
        given: dict of the settings that were given.
        recipe: string, name of a built-in recipe or path of a TOML file. Defaults
            to `None`.

    Returns:
        `PretrainSettings`.

    Raises:
        PretrainingError: if there is no such recipe or it has an unknown setting.
    """
    values = {} if recipe is None else _read_recipe(recipe)
    return _checked(PretrainSettings(**values | given))


def recipe_names():
    """List of the built-in recipes' names."""
    return sorted(path.stem for path in _RECIPES.glob("*.toml"))


def save_settings(settings, path):
    """Write settings to a JSON file."""
    text = json.dumps(dataclasses.asdict(settings), indent=2)
    pathlib.Path(path).write_text(text + "\n", encoding="utf-8")


def load_settings(path, given):
    """Read the settings of an earlier run, which what is given must not contradict."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise PretrainingError(f"there is no run to resume: {str(path)!r} is missing")
    saved = json.loads(path.read_text("utf-8"))
    for name, value in given.items():
        if saved.get(name) != value and name not in _PLACE:
            option = "--" + name.replace("_", "-")
            raise PretrainingError(
                f"the run to resume was started with {option} {saved.get(name)}; "
                f"leave {option} out or start a new run in another --output"
            )
    return PretrainSettings(**saved | given)


def _read_recipe(recipe):
    path = pathlib.Path(recipe)
    if recipe in recipe_names():
        path = _RECIPES / f"{recipe}.toml"
    if not path.is_file():
        raise PretrainingError(
            f"there is no recipe {recipe!r}: give a TOML file or one of "
            f"{', '.join(recipe_names())}"
        )
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise PretrainingError(f"the recipe {recipe!r} is no TOML: {error}") from error
    unknown = set(values) - set(_FIELDS)
    if unknown:
        raise PretrainingError(
            f"the recipe {recipe!r} has unknown settings: {sorted(unknown)}"
        )
    for name, value in values.items():
        _check_type(recipe, name, value)
    return values


def _check_type(recipe, name, value):
    kind = _type_of(_FIELDS[name])
    fits = type(value) is kind or (kind is float and type(value) is int)
    choices = _FIELDS[name].metadata["choices"]
    if not fits or (choices and value not in choices):
        raise PretrainingError(
            f"the recipe {recipe!r} sets {name} = {value!r}; expected "
            f"{' or '.join(choices) if choices else kind.__name__}"
        )


def _checked(settings):
    for name in ("data", "output"):
        if getattr(settings, name) is None:
            raise PretrainingError(f"--{name} is missing")
    positive = (
        "epochs",
        "batch_size",
        "num_groups",
        "candidates",
        "steps_per_epoch",
        "checkpoint_steps",
    )
    for name in positive:
        value = getattr(settings, name)
        if value is not None and value < 1:
            option = "--" + name.replace("_", "-")
            raise PretrainingError(f"{option} must be at least 1, not {value}")
    if settings.batch_size % settings.num_groups:
        raise PretrainingError(
            f"--batch-size {settings.batch_size} is no multiple of --num-groups "
            f"{settings.num_groups}"
        )
    return settings


def _type_of(field):
    for kind in (bool, int, float, str):
        if field.type in (kind, kind | None):
            return kind
    raise TypeError(f"{field.name} has the type {field.type}")
