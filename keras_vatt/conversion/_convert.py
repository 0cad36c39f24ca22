"""From a checkpoint of the original code to a preset folder."""

import pathlib

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
from keras_vatt.conversion._original_keys import is_model_key
from keras_vatt.models import VATT, VATTTokenizer
from keras_vatt.models._preset_task import task_class
from keras_vatt.storage import PresetFolder
from keras_vatt.storage._deferred_weights import deferred_weights, register_parameters
from keras_vatt.storage._provenance import Provenance


def convert(prefix, config, output, vocabulary=None, progress=False):
    """Turn a checkpoint of the original code into a preset folder.

    The model that comes out is run once before it is saved: an output that is not
    finite is refused.

    Args:
        prefix: string or path. The checkpoint; see `OriginalCheckpoint`.
        config: dict, see `model_from_original_config`; or string, a preset with
            the sizes of the checkpoint.
        output: string or path of the preset folder; see `VATT.save_to_preset`.
        vocabulary: list of words or path; see `VATTTokenizer`. Defaults to `None`.
        progress: bool. Whether to show a progress bar. Defaults to `False`.

    Returns:
        The model.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
        CheckpointMismatchError: if it doesn't fit the config.
        DamagedCheckpointError: if its files are damaged or incomplete.
        ValueError: if the config or the vocabulary is none.

    Example:
    ```python
    from keras_vatt.conversion import convert

    convert("vatt/ckpt-500000", "vatt_medium_agnostic", "converted")
    model = keras_vatt.VATT.from_preset("converted")
    ```
    """
    checkpoint = OriginalCheckpoint(prefix)
    with deferred_weights() as pending:
        model, layout = _make_model(config)
        pending += checkpoint_tensors(model, layout, checkpoint, progress)
    register_parameters(model)
    if vocabulary is not None:
        model.preprocessor.tokenizer = _tokenizer(model, vocabulary)
    _check_outputs(model)
    model.provenance = Provenance(
        description="Converted from a checkpoint of the original VATT code.",
        source=f"checkpoint {pathlib.Path(prefix).name!r} of google-research/vatt's "
        "code, converted by keras_vatt and run once to check it",
    )
    model.save_to_preset(output)
    return model


def count_mapped(listing, config):
    """How many tensors of a key listing a model takes.

    Args:
        listing: path; see `read_key_listing`.
        config: see `convert`.

    Returns:
        Tuple of two ints: tensors that are mapped, and tensors of the model that are
        listed.

    Raises:
        CheckpointMismatchError: if the listing doesn't fit the config.
    """
    model, layout = _make_model(config)
    specs = read_key_listing(listing)
    mapped = match_variables(model, layout, specs)
    present = sum(is_model_key(key) for key in specs)
    return len(mapped), present


def _make_model(config):
    if not isinstance(config, str):
        return model_from_original_config(config)
    task = task_class(PresetFolder(config, with_weights=False))
    model = task.from_preset(config, load_weights=False)
    return model, layout_of(model)


def _tokenizer(model, vocabulary):
    backbone = model.backbone
    if "text" not in backbone.modalities:
        raise ValueError("A vocabulary was given, and the model has no text.")
    words = model.preprocessor.tokenizer.sequence_length
    tokenizer = VATTTokenizer(vocabulary, words)
    if tokenizer.vocabulary_size() != backbone.vocabulary_size:
        raise ValueError(
            f"The vocabulary has {tokenizer.vocabulary_size()} words, the model "
            f"{backbone.vocabulary_size}."
        )
    return tokenizer


def _check_outputs(model):
    """Run the model once, on noise.

    A few patches pass all weights as a whole clip does, in far less memory.
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
        # Not by `predict`, which on JAX copies all weights.
        for output in keras.tree.flatten(model(batch)):
            values = ops.convert_to_numpy(ops.cast(output, "float32"))
            if not np.isfinite(values).all():
                raise ValueError("The converted model gives NaN or infinity.")
