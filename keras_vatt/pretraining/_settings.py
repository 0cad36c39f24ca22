"""Settings of a pre-training run: defaults, recipe files, command line."""

import dataclasses
import json
import pathlib
import tomllib
from collections.abc import Mapping
from typing import Any, Literal

from keras_vatt import _setting_fields
from keras_vatt._files import write_json
from keras_vatt._setting_fields import check_type, option_of, setting, shorten
from keras_vatt.data._corpus_settings import (
    allow_outside_setting,
    caption_language_setting,
    num_workers_setting,
    short_clips_setting,
)
from keras_vatt.data.decoding._file_errors import ON_ERROR
from keras_vatt.pretraining._errors import PretrainingError

_RECIPES = pathlib.Path(__file__).parent / "recipes"
_MAX_BYTES = 1_000_000
VAL_LOSS = "val_loss"
TRACKERS = ("trackio", "wandb")
WORDPIECE = "wordpiece"
TOKENIZERS = ("words", WORDPIECE)
NO_PIECES = (
    f"--tokenizer {WORDPIECE} needs --vocabulary, the vocab.txt of an uncased BERT "
    "model, such as https://huggingface.co/google-bert/bert-base-uncased (30,522 word "
    "pieces)"
)


@dataclasses.dataclass(frozen=True)
class PretrainSettings:
    """Settings of a pre-training run, which are saved in its folder."""

    data: str | tuple[str, ...] | None = setting(
        None,
        "folder of video files, manifest (.jsonl, .csv), shards (folder, pattern), or "
        "dataset of the Hub, also at gs://, s3:// and hf://; or `demo`, a generated "
        "corpus; several are mixed in the proportions that follow a colon: --data "
        "a.jsonl:0.7 --data shards:0.3",
    )
    preset: str = setting(
        "vatt_tiny_agnostic",
        "architecture of a model with random weights: built-in preset, preset folder, "
        "or hf://owner/name",
    )
    initialize_from: str | None = setting(
        None,
        "preset whose architecture, weights and vocabulary the run starts from, in "
        "place of --preset",
    )
    freeze: str | None = setting(
        None,
        "modalities whose stem and encoder are not trained, joined by +, such as text; "
        "only with --initialize-from and a specific preset",
    )
    output: str | None = setting(None, "folder for all files of the run")
    harmonizer: str = setting(
        "curriculum+realign",
        "gradient harmonization: one or more of sum, realign, curriculum, pcgrad, "
        "gradvac, cagrad, mgda, imtlg, upgrad, alignedmtl, config, dualproj, fairgrad, "
        "krum, mean, nashmtl, random, joined by +; movinggradvac, modo, pcd or "
        "sdmgrad, alone; or none",
    )
    threshold_start: float = setting(
        -0.3,
        "curriculum: gradient cosine below which a step is skipped, at the first step",
        least=-1,
        most=1,
    )
    threshold_end: float = setting(
        0.0,
        "curriculum: gradient cosine below which a step is skipped, at the last step",
        least=-1,
        most=1,
    )
    compare: str = setting(
        "parameters",
        "gradients that are compared: of the parameters, as in the paper, or of the "
        "video features, with one backward pass for any number of groups",
        ["parameters", "features"],
    )
    num_groups: int | Literal["per_clip"] = setting(
        1,
        "groups per batch whose gradients are compared separately, or per_clip",
        least=1,
    )
    group_by: str = setting(
        "samples",
        "definition of the gradient of a group: of all losses, backpropagated only "
        "through its samples, or of the loss terms whose anchors are its samples",
        ["samples", "anchors"],
    )
    harmonized_variables: str = setting(
        "all",
        "variables whose gradients are compared: all, or those that all losses share",
        ["all", "shared"],
    )
    loss: str = setting(
        "asymmetric", "form of the NCE loss", ["asymmetric", "symmetric"]
    )
    temperature: float = setting(0.07, "temperature of the NCE loss", above=0)
    skip_fraction: float = setting(
        0.0,
        "fraction of the clips of a batch that each loss leaves out, those of the "
        "highest loss, below 1",
        least=0,
        most=0.99,
    )
    candidates: int = setting(5, "candidate captions per clip for MIL-NCE", least=1)
    epochs: int = setting(10, "number of epochs", least=1)
    steps_per_epoch: int | None = setting(
        None, "steps per epoch; one pass over the clips if not given", least=1
    )
    checkpoint_steps: int | None = setting(
        None,
        "steps between checkpoints; only at the end of each epoch if not given",
        least=1,
    )
    batch_size: int = setting(8, "clips per batch, over all devices", least=1)
    learning_rate: float = setting(
        1e-4, "learning rate of Adam after the warm-up", above=0
    )
    final_learning_rate: float = setting(
        5e-5, "learning rate at the end of the cosine decay", least=0
    )
    warmup_steps: int | None = setting(
        None, "steps of linear warm-up; 2 %% of all steps if not given", least=0
    )
    ema_momentum: float | None = setting(
        None,
        "momentum of an exponential moving average of the weights, such as 0.999; the "
        "averages are evaluated and saved, in place of the weights",
        least=0,
        most=1,
    )
    dtype: str = setting(
        "float32", "dtype policy", ["float32", "mixed_bfloat16", "mixed_float16"]
    )
    num_micro_batches: int = setting(
        1,
        "micro-batches in which a device encodes its clips, to save memory; the "
        "gradients are the same",
        least=1,
    )
    devices: str = setting(
        "all", "accelerators to train on: all available ones, or one", ["all", "one"]
    )
    model_parallel: int = setting(
        1, "devices over which each copy of the model is sharded (JAX)", least=1
    )
    num_processes: int = setting(
        1,
        "processes of the run, one per host (JAX); 0 on Cloud TPU, where JAX finds "
        "their number, --process-id and --coordinator itself",
        least=0,
    )
    process_id: int | None = setting(
        None, "index of this process, counted from 0", least=0
    )
    coordinator: str | None = setting(
        None, "address and port of process 0, such as 10.0.0.1:1234"
    )
    rematerialize: bool = setting(
        False, "recompute activations in the backward pass, to save memory"
    )
    num_frames: int | None = setting(
        None, "frames per clip; those of the preset if not given", least=1
    )
    frames_per_second: float | None = setting(
        None, "frame rate of the clips; that of the preset if not given", above=0
    )
    frame_size: int | None = setting(
        None, "height and width in pixels; those of the preset if not given", least=1
    )
    sampling_rate: int | None = setting(
        None, "sampling rate of waveforms; that of the preset if not given", least=1
    )
    noise: float = setting(
        0.01,
        "amplitude of the noise added to waveforms, as a fraction of their peak",
        least=0,
    )
    horizontal_flip: float = setting(
        0.0, "probability of flipping the frames of a clip", least=0, most=1
    )
    scale_jitter: float = setting(
        0.0,
        "probability of changing the aspect ratio of a clip and cropping it",
        least=0,
        most=1,
    )
    color_jitter: float = setting(
        0.0, "probability of changing the colors of a clip", least=0, most=1
    )
    random_area_crop: float = setting(
        0.0,
        "probability of cropping a clip to a random area and aspect ratio",
        least=0,
        most=1,
    )
    stored_frames_per_second: float = setting(
        10.0, "frame rate of stored clips that don't tell theirs", above=0
    )
    stored_sampling_rate: int = setting(
        48_000, "sampling rate of stored clips that don't tell theirs", least=1
    )
    tokenizer: str = setting(
        "words",
        "tokens of captions: the words of a vocabulary, or the pieces of BERT's words",
        list(TOKENIZERS),
    )
    vocabulary: str | None = setting(
        None,
        "vocabulary file, one word or piece per line; one of words is made from the "
        "train captions if not given",
    )
    max_words: int = setting(
        65_536, "maximum size of a vocabulary made from captions", least=1
    )
    test_fraction: float = setting(
        0.1,
        "fraction of files held out for retrieval if the corpus has no test split",
        least=0,
        most=1,
    )
    validation_steps: int | None = setting(
        None,
        "steps between validations: losses and retrieval on held-out clips; none if "
        "not given",
        least=1,
    )
    validation_clips: int = setting(
        1000, "number of held-out clips of a validation, evenly chosen", least=1
    )
    monitor: str = setting(
        VAL_LOSS,
        "result of validations by which they are compared, such as "
        "text->video/recall_at_10",
    )
    patience: int | None = setting(
        None,
        "end the run after so many validations without an improvement of --monitor",
        least=1,
    )
    tracker: str | None = setting(
        None,
        "experiment tracker that gets settings, logs and validations: trackio, or "
        "wandb (Weights & Biases)",
        list(TRACKERS),
    )
    cache: bool = setting(
        True, "decode each clip once; otherwise decode random clips in every epoch"
    )
    short_clips: str = short_clips_setting()
    on_error: str = setting(
        "skip",
        "rule for files that can't be used: skip and report them, or end the run",
        list(ON_ERROR),
    )
    allow_outside: bool = allow_outside_setting()
    caption_language: str = caption_language_setting()
    demo_clips: int = setting(2000, "demo corpus: number of train clips", least=1)
    misaligned_audio: float = setting(
        0.0, "demo corpus: fraction of clips with wrong audio", least=0, most=1
    )
    misaligned_text: float = setting(
        0.0, "demo corpus: fraction of clips with a wrong caption", least=0, most=1
    )
    num_workers: int | None = num_workers_setting()
    seed: int = setting(
        0,
        "random seed of weights, data order, dropout and demo corpus",
        least=0,
        most=2**32 - 1,
    )

    @property
    def starting_preset(self) -> str:
        """Preset whose architecture the run uses, `initialize_from` or `preset`."""
        return self.preset if self.initialize_from is None else self.initialize_from


# Do not affect results: a run may resume on another machine.
_PLACE = {"output", "devices", "num_processes", "process_id", "coordinator"}
# `on_error`, as a run that ended at a broken file may resume without the file.
_CHANGEABLE = _PLACE | {"on_error"}

_FIELDS = {field.name: field for field in dataclasses.fields(PretrainSettings)}


def resolve_settings(
    given: Mapping[str, Any], recipe: str | None = None
) -> PretrainSettings:
    """Returns the settings of a new run.

    Given settings take precedence over those of the recipe, and these over defaults.
    A given `initialize_from` takes precedence over the `preset` of the recipe.

    Args:
        given: dict of the settings that were given.
        recipe: string, name of a built-in recipe or path of a TOML file. Defaults
            to `None`, no recipe.

    Returns:
        `PretrainSettings`.

    Raises:
        PretrainingError: if the recipe does not exist or has an unknown setting, a
            setting is missing, of a wrong type or out of its range, or `preset` and
            `initialize_from` are both given and differ.
    """
    values = {} if recipe is None else _read_recipe(recipe)
    _check_one_start(given if given.get("initialize_from") else {**values, **given})
    return check_settings(PretrainSettings(**{**values, **given}))


def recipe_names():
    """Lists the names of the built-in recipes."""
    return sorted(path.stem for path in _RECIPES.glob("*.toml"))


def save_settings(settings, path):
    """Writes settings to a JSON file."""
    write_json(path, dataclasses.asdict(settings))


def load_settings(path, given):
    """Reads the settings of an earlier run, to resume it.

    Args:
        path: string or path of the JSON file that `save_settings` wrote.
        given: dict of the settings that were given. They must be those of the file,
            except settings that may change in a run, such as `output`.

    Returns:
        `PretrainSettings`.

    Raises:
        PretrainingError: if the file is missing or damaged, a setting in it is unknown,
            of a wrong type or out of its range, or a given setting contradicts it.
    """
    where = f"the file {str(path)!r}"
    values = _read_settings(pathlib.Path(path))
    _check_known(where, values, "it is damaged, or from another version of keras_vatt")
    try:
        values = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
        saved = check_settings(PretrainSettings(**values))
    except PretrainingError as error:
        raise PretrainingError(f"{where} can't be used: {error}") from error
    for name, value in given.items():
        if getattr(saved, name) != value and name not in _CHANGEABLE:
            option = option_of(_FIELDS[name])
            raise PretrainingError(
                f"the run to resume was started with {option} {getattr(saved, name)}: "
                f"leave out {option}, or start a new run in another --output"
            )
    return check_settings(dataclasses.replace(saved, **given))


def check_settings(settings):
    """Checks settings for missing and wrong values.

    Args:
        settings: `PretrainSettings`.

    Returns:
        `settings`, unchanged.

    Raises:
        PretrainingError: if one is missing, of a wrong type or out of its range.
    """
    for name in ("data", "output"):
        if getattr(settings, name) is None:
            raise PretrainingError(f"--{name} is missing")
    _setting_fields.check_settings(settings, PretrainingError)
    if settings.validation_steps is None and (
        settings.patience is not None or settings.monitor != VAL_LOSS
    ):
        raise PretrainingError("--patience and --monitor need --validation-steps")
    if settings.tokenizer == WORDPIECE and (
        settings.vocabulary is None and settings.initialize_from is None
    ):
        raise PretrainingError(NO_PIECES)
    per_clip = settings.num_groups == "per_clip"
    if not per_clip and settings.batch_size % settings.num_groups:
        raise PretrainingError(
            f"--batch-size {settings.batch_size} must be a multiple of --num-groups "
            f"{settings.num_groups}"
        )
    return settings


def _check_one_start(given):
    preset, start = given.get("preset"), given.get("initialize_from")
    if None not in (preset, start) and preset != start:
        raise PretrainingError(
            f"--initialize-from {start} sets the architecture of the model: leave out "
            f"--preset {preset}"
        )


def _read_settings(path):
    if not path.exists():
        raise PretrainingError(
            f"there is no run to resume in --output: {str(path)!r} is missing"
        )
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            raise PretrainingError(
                f"{str(path)!r} is not a file, or is too large to be a settings file"
            )
        values = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise PretrainingError(
            f"{str(path)!r} can't be read: {error.strerror}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise PretrainingError(
            f"the settings in {str(path)!r} are damaged and can't be read: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error
    if not isinstance(values, dict):
        raise PretrainingError(
            f"{str(path)!r} is damaged: expected a JSON object of settings"
        )
    return values


def _read_recipe(recipe):
    path = pathlib.Path(recipe)
    if recipe in recipe_names():
        path = _RECIPES / f"{recipe}.toml"
    if not path.is_file():
        raise PretrainingError(
            f"there is no recipe {recipe!r}: pass a TOML file or one of "
            f"{', '.join(recipe_names())}"
        )
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        message = f"the recipe {recipe!r} is not valid TOML: {shorten(str(error))}"
        raise PretrainingError(message) from error
    where = f"the recipe {recipe!r}"
    _check_known(where, values)
    for name, value in values.items():
        check_type(_FIELDS[name], value, PretrainingError, f"{where} sets ")
    return values


def _check_known(where, values, reason=None):
    unknown = sorted(values.keys() - _FIELDS.keys())
    if unknown:
        names = f"{[name[:50] for name in unknown[:5]]}"
        raise PretrainingError(
            f"{where} has unknown settings: {names}" + (f"; {reason}" if reason else "")
        )
