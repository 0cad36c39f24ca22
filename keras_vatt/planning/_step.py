"""Lowers the train step of pre-training for TPUs, without devices or values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax
import keras

from keras_vatt import harmonization
from keras_vatt._keras_internals import (
    leave_uninitialized,
    loss_tracker,
    set_layout,
    value_or_none,
)
from keras_vatt.data import ClipSpec
from keras_vatt.models import VATT
from keras_vatt.training import warmup_cosine


@dataclasses.dataclass(frozen=True)
class StepSettings:
    """The settings of a train step.

    Attributes:
        preset: string, name or folder of a preset.
        batch_size: int, clips in a batch, over all devices.
        candidates: int, captions per clip.
        harmonizer: string, harmonizer names joined by `+`, or `"none"`.
        num_groups: int or `"per_clip"`, number of groups of a batch that are
            harmonized separately.
        compare: string, see `keras_vatt.training.HarmonizedModel.compile`.
        group_by: string, see `keras_vatt.training.HarmonizedModel.compile`.
        num_micro_batches: int, number of parts in which a device encodes its clips.
        dtype: string, a dtype policy.
        rematerialize: bool, whether the backward pass recomputes the activations of
            the encoder blocks.
        trainable_word_embedding: bool, whether word vectors are trained. They are if
            `keras-vatt pretrain` starts from random weights.
        num_layers: int, the depth of a model with the widths of the preset. Defaults
            to `None`, the depth of the preset.
    """

    preset: str
    batch_size: int
    candidates: int = 5
    harmonizer: str = "curriculum+realign"
    num_groups: int | str = 1
    compare: str = "parameters"
    group_by: str = "samples"
    num_micro_batches: int = 1
    dtype: str = "mixed_bfloat16"
    rematerialize: bool = False
    trainable_word_embedding: bool = True
    num_layers: int | None = None


def make_model(
    settings: StepSettings, distribution: keras.distribution.Distribution
) -> VATT:
    """Creates and compiles the model of a step. Its variables have no values.

    Args:
        settings: `StepSettings`.
        distribution: `keras.distribution.Distribution`, as `make_distribution`
            returns it.

    Returns:
        `keras_vatt.VATT`.

    Raises:
        ValueError: if the preset or the harmonizer doesn't exist, or the settings
            contradict each other.
    """
    overrides = {
        "rematerialize": settings.rematerialize,
        "trainable_word_embedding": settings.trainable_word_embedding,
    }
    if settings.num_layers is not None:
        overrides["num_layers"] = settings.num_layers
    harmonizer = None
    if settings.harmonizer != "none":
        harmonizer = harmonization.get(settings.harmonizer)
    # Created outside the scope: the optimizer gives its step counter a value at once.
    optimizer = keras.optimizers.Adam(warmup_cosine(), epsilon=1e-7)
    with distribution.scope(), keras.StatelessScope():
        model = VATT.from_preset(
            settings.preset, load_weights=False, dtype=settings.dtype, **overrides
        )
        _leave_without_values(model.variables)
        for variable in model.variables:
            # Keras does this when a variable gets its value. The optimizer's slots get
            # the same layout.
            set_layout(variable, distribution.get_variable_layout(variable))
        model.compile(
            optimizer=optimizer,
            harmonizer=harmonizer,
            num_groups=settings.num_groups,
            group_by=settings.group_by,
            compare=settings.compare,
            num_micro_batches=settings.num_micro_batches,
        )
        # Keras creates its loss tracker although the model doesn't use it.
        for group in (*state_variables(model), loss_tracker(model).variables):
            _leave_without_values(group)
    return model


def _leave_without_values(variables: Iterable[keras.Variable]) -> None:
    """Prevents Keras from initializing variables when the scope ends.

    The devices of the plan don't exist on this machine, so they can't hold values. A
    step that read a value which is not among its arguments would fail.
    """
    for variable in variables:
        if value_or_none(variable) is None:
            leave_uninitialized(variable)


def batch_shapes(
    model: VATT, settings: StepSettings
) -> dict[str, tuple[tuple[int, ...], str]]:
    """Returns the shapes and dtypes of the batch that `fit` passes to the step.

    Args:
        model: `keras_vatt.VATT`.
        settings: `StepSettings`.

    Returns:
        Dict from name to a tuple of shape and dtype.
    """
    preprocessor = model.preprocessor
    spec = ClipSpec() if preprocessor is None else preprocessor.clip_spec
    words = getattr(getattr(preprocessor, "tokenizer", None), "sequence_length", 16)
    clips = settings.batch_size
    return {
        "video": ((clips, *spec.video_shape), "uint8"),
        "audio": ((clips, spec.audio_samples, 1), "float32"),
        "text": ((clips, settings.candidates, words), "int32"),
        "audio_mask": ((clips,), "float32"),
        "text_mask": ((clips,), "float32"),
    }


def state_variables(model: VATT) -> tuple[list[keras.Variable], ...]:
    """Returns the four lists of variables that the JAX trainer passes to the step."""
    return (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )


def lower_step(
    model: VATT,
    settings: StepSettings,
    distribution: keras.distribution.Distribution,
) -> jax.stages.Lowered:
    """Lowers the step as Keras' JAX trainer does, with shapes instead of arrays.

    Args:
        model: `keras_vatt.VATT`, from `make_model`.
        settings: `StepSettings`.
        distribution: the distribution that `make_model` was called with.

    Returns:
        `jax.stages.Lowered`.
    """
    with distribution.scope():
        state = tuple(
            [_abstract_variable(variable, distribution) for variable in group]
            for group in state_variables(model)
        )
        batch = {
            name: _abstract_array(shape, dtype, distribution.get_data_layout(shape))
            for name, (shape, dtype) in batch_shapes(model, settings).items()
        }
        shardings = jax.tree.map(lambda array: array.sharding, state)
        step = jax.jit(
            model.train_step, donate_argnums=0, out_shardings=(None, shardings)
        )
        platform = distribution.device_mesh.devices.flat[0].platform
        return step.trace(state, batch).lower(lowering_platforms=(platform,))


def _abstract_variable(variable: Any, distribution: Any) -> jax.ShapeDtypeStruct:
    layout = distribution.get_variable_layout(variable)
    return _abstract_array(tuple(variable.shape), variable.dtype, layout)


def _abstract_array(
    shape: tuple[int, ...], dtype: str, layout: Any
) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype, sharding=layout.backend_layout)
