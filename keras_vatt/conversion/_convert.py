"""Converts a checkpoint of the original code into a preset folder."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vatt.conversion._original_checkpoint import (
    OriginalCheckpoint,
    checkpoint_tensors,
    match_variables,
    read_key_listing,
)
from keras_vatt.conversion._original_config import layout_of, model_from_original_config
from keras_vatt.conversion._original_keys import Layout, is_model_key
from keras_vatt.models import VATT, VATTTokenizer
from keras_vatt.models._preset_task import task_class
from keras_vatt.storage import PresetFolder
from keras_vatt.storage._deferred_weights import deferred_weights, register_parameters
from keras_vatt.storage._provenance import Provenance


def convert(
    prefix: str | os.PathLike,
    config: str | dict[str, Any],
    output: str | os.PathLike,
    vocabulary: Sequence[str] | str | os.PathLike | None = None,
    progress: bool = False,
) -> Any:
    """Converts a checkpoint of the original code into a preset folder.

    Before the model is saved, it is run once to check that its outputs are finite.

    Models of other sizes and settings than the published ones are converted too.
    Weights that have no effect on the outputs are dropped: the vector of masked patches
    (`use_masking`), and all bridge heads but the last, whose outputs are the model's.

    Args:
        prefix: string or path. The checkpoint's files without `.index` and
            `.data-00000-of-00001`; or a folder with one checkpoint.
        config: string, the name or folder of a preset with the sizes of the
            checkpoint; or dict, the configuration that the original code was run with,
            such as `{"arch": "ut_fac", "backbones": {...}, "model_config": {...}}`.
        output: string or path of the new preset folder; see
            `keras_vatt.VATT.save_to_preset`.
        vocabulary: list of words, or path of a file with one word per line; see
            `keras_vatt.VATTTokenizer`. Defaults to `None`, a preset without a
            vocabulary, which accepts only word ids.
        progress: bool. Whether to show a progress bar. Defaults to `False`.

    Returns:
        The model, a `keras_vatt.VATT` or a classifier.

    Raises:
        FileNotFoundError: if the checkpoint doesn't exist.
        CheckpointMismatchError: if the checkpoint doesn't match the config.
        DamagedCheckpointError: if its files are damaged or incomplete.
        ValueError: if the config or the vocabulary is invalid, or a weight or an
            output of the model is not finite.

    Example:
    ```python
    from keras_vatt.conversion import convert

    convert("vatt/ckpt-500000", "vatt_medium_agnostic", "converted")
    model = keras_vatt.VATT.from_preset("converted")
    ```
    """
    checkpoint = OriginalCheckpoint(prefix)
    model = converted_model(config, lambda *_: checkpoint, progress)
    if vocabulary is not None:
        set_vocabulary(model, vocabulary)
    model.provenance = Provenance(
        description="Converted from a checkpoint of the original VATT code.",
        source=f"checkpoint {pathlib.Path(prefix).name!r} of google-research/vatt's "
        "code, converted by keras_vatt and run once to check it",
    )
    model.save_to_preset(output)
    return model


def converted_model(
    config: str | dict[str, Any],
    open_checkpoint: Callable[[Any, Layout], OriginalCheckpoint],
    progress: bool = False,
) -> Any:
    """Makes a model with the weights of a checkpoint of the original code.

    Args:
        config: string or dict; see `convert`.
        open_checkpoint: function from the model, whose variables have no values yet,
            and its layout to its checkpoint.
        progress: bool; see `convert`. Defaults to `False`.

    Returns:
        The model, a `keras_vatt.VATT` or a classifier.

    Raises:
        CheckpointMismatchError: if the checkpoint doesn't match the config.
        DamagedCheckpointError: if its files are damaged or incomplete.
        ValueError: if a weight or an output of the model is not finite.
    """
    with deferred_weights() as pending:
        model, layout = _make_model(config)
        checkpoint = open_checkpoint(model, layout)
        pending += checkpoint_tensors(model, layout, checkpoint, progress)
    register_parameters(model)
    _check_outputs(model)
    return model


def set_vocabulary(model: Any, vocabulary: Sequence[str] | str | os.PathLike) -> None:
    """Sets the vocabulary of a model's tokenizer.

    Args:
        model: a `keras_vatt.VATT` or a classifier.
        vocabulary: list of words, or path; see `convert`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the vocabulary is invalid, has more words than the model, or the
            model has no text modality.
    """
    backbone = model.backbone
    if "text" not in backbone.modalities:
        raise ValueError(
            "`vocabulary` must be `None` for a model without the text modality."
        )
    words = model.preprocessor.tokenizer.sequence_length
    tokenizer = VATTTokenizer(vocabulary, words)
    if tokenizer.vocabulary_size() > backbone.vocabulary_size:
        raise ValueError(
            f"`vocabulary` must have at most {backbone.vocabulary_size} words, the "
            "vocabulary size of the model. Received: "
            f"{tokenizer.vocabulary_size()} words"
        )
    model.preprocessor.tokenizer = tokenizer


def count_mapped(
    listing: str | os.PathLike, config: str | dict[str, Any]
) -> tuple[int, int]:
    """Counts the tensors of a key listing that match a model, without a checkpoint.

    A key listing is a text file with one tensor per line: key, shape and dtype,
    separated by tabs. Lines that begin with `#` are comments.

    Args:
        listing: string or path of the key listing.
        config: string or dict; see `keras_vatt.conversion.convert`.

    Returns:
        Tuple of two ints: the number of tensors that match a weight of the model, and
        the number of listed tensors without optimizer slots and counters.

    Raises:
        CheckpointMismatchError: if the listing doesn't match the config.
    """
    model, layout = _make_model(config)
    specs = read_key_listing(listing)
    mapped = match_variables(model, layout, specs)
    present = sum(is_model_key(key, layout) for key in specs)
    return len(mapped), present


def _make_model(config):
    if not isinstance(config, str):
        return model_from_original_config(config)
    task = task_class(PresetFolder(config, with_weights=False))
    model = task.from_preset(config, load_weights=False)
    return model, layout_of(model)


def _check_outputs(model):
    """Runs the model once on noise and checks that its outputs are finite.

    The inputs have only a few patches: they use all weights, like a whole clip, but
    need far less memory.
    """
    backbone, generator = model.backbone, np.random.default_rng(0)
    inputs = {"text": np.ones((1, 2), "int32")}
    if "video" in backbone.modalities:
        frames, rows, columns = backbone.video_patch_size
        shape = (1, 2 * frames, 2 * rows, 2 * columns, 3)
        inputs["video"] = generator.uniform(-1, 1, shape).astype("float32")
    if "audio" in backbone.modalities:
        shape = (1, 8 * backbone.audio_patch_size, 1)
        inputs["audio"] = generator.uniform(-1, 1, shape).astype("float32")
    is_classifier = not isinstance(model, VATT)
    for modality in backbone.modalities:
        batch = inputs[modality] if is_classifier else {modality: inputs[modality]}
        # `predict` would copy all weights on JAX.
        for output in keras.tree.flatten(model(batch)):
            values = ops.convert_to_numpy(ops.cast(output, "float32"))
            if not np.isfinite(values).all():
                raise ValueError(
                    "The outputs of the converted model contain NaN or infinity. "
                    "Check that the checkpoint is intact."
                )
