"""The true train step of pre-training, compiled for TPUs that are not there."""

import dataclasses

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
    """What makes a train step.

    Attributes:
        preset: string, name or folder of a preset.
        batch_size: int, clips in a batch, over all devices.
        candidates: int, captions of a clip.
        harmonizer: string, names joined by `+`, or `"none"`.
        num_groups: int, groups of a batch that are harmonized on their own.
        group_by: string, see `keras_vatt.training.HarmonizedModel.compile`.
        num_micro_batches: int, parts in which a device encodes its clips.
        dtype: string, a dtype policy.
        rematerialize: bool, whether blocks compute their activations again.
        trainable_word_embedding: bool, whether word vectors are trained, as they
            are by `keras-vatt pretrain` from random weights.
        num_layers: int, for a shallower model of the same widths, or `None`.
    """

    preset: str
    batch_size: int
    candidates: int = 5
    harmonizer: str = "curriculum+realign"
    num_groups: int = 1
    group_by: str = "samples"
    num_micro_batches: int = 1
    dtype: str = "mixed_bfloat16"
    rematerialize: bool = False
    trainable_word_embedding: bool = True
    num_layers: int | None = None


def make_model(settings, distribution):
    """The model of a step, compiled, whose variables have shapes but no values.

    Args:
        settings: `StepSettings`.
        distribution: `keras.distribution.Distribution`, of `make_distribution`.

    Returns:
        `keras_vatt.VATT`.

    Raises:
        ValueError: if there is no such preset or harmonizer, or the settings
            contradict one another.
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
    # It makes a variable that has a value, the count of its steps: before the scope.
    optimizer = keras.optimizers.Adam(warmup_cosine(), epsilon=1e-7)
    with distribution.scope(), keras.StatelessScope():
        model = VATT.from_preset(
            settings.preset, load_weights=False, dtype=settings.dtype, **overrides
        )
        _leave_without_values(model.variables)
        for variable in model.variables:
            # As Keras does once a variable has a value; the optimizer's slots follow.
            set_layout(variable, distribution.get_variable_layout(variable))
        model.compile(
            optimizer=optimizer,
            harmonizer=harmonizer,
            num_groups=settings.num_groups,
            group_by=settings.group_by,
            num_micro_batches=settings.num_micro_batches,
        )
        # Keras makes a metric of the loss that the model does without.
        for group in (*state_variables(model), loss_tracker(model).variables):
            _leave_without_values(group)
    return model


def _leave_without_values(variables):
    """Keeps Keras from giving variables their first values when the scope ends.

    Nothing can be put on devices that aren't there. A step that read a value which
    is not handed to it would fail.
    """
    for variable in variables:
        if value_or_none(variable) is None:
            leave_uninitialized(variable)


def batch_shapes(model, settings):
    """What `fit` hands to the step.

    Args:
        model: `keras_vatt.VATT`.
        settings: `StepSettings`.

    Returns:
        Dict from name to a pair of a shape and a dtype.
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


def state_variables(model):
    """The variables that Keras' JAX trainer hands to `train_step`, in four groups."""
    return (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )


def lower_step(model, settings, distribution):
    """The step as Keras' JAX trainer jits it, with shapes in the place of arrays.

    Args:
        model: `keras_vatt.VATT`, of `make_model`.
        settings: `StepSettings`.
        distribution: that of `make_model`.

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


def _abstract_variable(variable, distribution):
    layout = distribution.get_variable_layout(variable)
    return _abstract_array(tuple(variable.shape), variable.dtype, layout)


def _abstract_array(shape, dtype, layout):
    return jax.ShapeDtypeStruct(shape, dtype, sharding=layout.backend_layout)
