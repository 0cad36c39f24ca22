"""The true train step of pre-training, compiled for TPUs that are not there."""

import contextlib
import dataclasses
import inspect

import jax
import keras
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from keras_vatt import harmonization
from keras_vatt.data import ClipSpec
from keras_vatt.models import VATT
from keras_vatt.planning.errors import PlanningError
from keras_vatt.training import HarmonizedModel, warmup_cosine
from keras_vatt.training import jax as training_on_jax

BATCH_AXIS, MODEL_AXIS = "batch", "model"


@dataclasses.dataclass(frozen=True)
class StepSettings:
    """What makes a train step.

    Attributes:
        preset: string, name or folder of a preset.
        batch_size: int, clips in a batch, over all devices.
        candidates: int, captions of a clip.
        harmonizer: string, names joined by `+`, or `"none"`.
        num_groups: int, groups of a batch that are harmonized on their own.
        num_micro_batches: int, parts of a batch whose gradients are summed.
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
    num_micro_batches: int = 1
    dtype: str = "mixed_bfloat16"
    rematerialize: bool = False
    trainable_word_embedding: bool = True
    num_layers: int | None = None


def make_mesh(devices, model_parallel=1):
    """The devices in a line, or in a rectangle of batch and model.

    Args:
        devices: list of JAX devices.
        model_parallel: int, how many devices share one copy of the model. Defaults
            to `1`.

    Returns:
        `jax.sharding.Mesh`.
    """
    if model_parallel == 1:
        return Mesh(np.array(devices), (BATCH_AXIS,))
    return Mesh(np.array(devices).reshape(-1, model_parallel), (BATCH_AXIS, MODEL_AXIS))


def make_model(settings):
    """The model of a step, compiled, whose variables have shapes but no values.

    Args:
        settings: `StepSettings`.

    Returns:
        `keras_vatt.VATT`.
    """
    learning_rate = warmup_cosine()
    # It makes a variable that has a value, the count of its steps: before the scope.
    optimizer = keras.optimizers.Adam(learning_rate, epsilon=1e-7)
    overrides = {
        "rematerialize": settings.rematerialize,
        "trainable_word_embedding": settings.trainable_word_embedding,
    }
    if settings.num_layers is not None:
        overrides["num_layers"] = settings.num_layers
    compile_options = _accumulation(settings)
    harmonizer = None
    if settings.harmonizer != "none":
        harmonizer = harmonization.get(settings.harmonizer)
    with keras.StatelessScope(initialize_variables=False):
        model = VATT.from_preset(
            settings.preset, load_weights=False, dtype=settings.dtype, **overrides
        )
        model.compile(
            optimizer=optimizer,
            harmonizer=harmonizer,
            num_groups=settings.num_groups,
            **compile_options,
        )
    return model


def _accumulation(settings):
    """Arguments of `compile` for gradients that are summed over micro-batches."""
    if settings.num_micro_batches == 1:
        return {}
    if "num_micro_batches" not in inspect.signature(HarmonizedModel.compile).parameters:
        raise PlanningError(
            "--num-micro-batches: this version takes whole batches only"
        )
    return {"num_micro_batches": settings.num_micro_batches}


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


def lower_step(model, settings, mesh):
    """The step as Keras' JAX trainer jits it, with shapes in the place of arrays.

    Args:
        model: `keras_vatt.VATT`, of `make_model`.
        settings: `StepSettings`.
        mesh: `jax.sharding.Mesh`, of `make_mesh`.

    Returns:
        `jax.stages.Lowered`.
    """
    shardings = _state_shardings(model, mesh)
    state = tuple(
        [_shape_of(*pair) for pair in zip(*group, strict=True)]
        for group in zip(state_variables(model), shardings, strict=True)
    )
    split = NamedSharding(mesh, PartitionSpec(BATCH_AXIS))
    batch = {
        name: jax.ShapeDtypeStruct(shape, dtype, sharding=split)
        for name, (shape, dtype) in batch_shapes(model, settings).items()
    }
    step = jax.jit(model.train_step, donate_argnums=0, out_shardings=(None, shardings))
    with _data_parallel(mesh):
        return step.trace(state, batch).lower(lowering_platforms=(_platform(mesh),))


def _shape_of(variable, sharding):
    shape = tuple(variable.shape)
    return jax.ShapeDtypeStruct(shape, variable.dtype, sharding=sharding)


def _platform(mesh):
    return mesh.devices.flat[0].platform


def _data_parallel(mesh):
    """Lets the train step know the mesh over which it splits the batch itself."""
    split_batch = getattr(training_on_jax, "data_parallel_mesh", None)
    if split_batch is None:
        # The compiler splits it, from the shardings of the arguments.
        return contextlib.nullcontext()
    model_axis = MODEL_AXIS if MODEL_AXIS in mesh.axis_names else None
    return split_batch(mesh, batch_axis=BATCH_AXIS, model_axis=model_axis)


def _state_shardings(model, mesh):
    """For each group of `state_variables`, a list of shardings."""
    copied = NamedSharding(mesh, PartitionSpec())
    groups = state_variables(model)
    if MODEL_AXIS not in mesh.axis_names:
        return tuple([copied] * len(group) for group in groups)
    if not hasattr(model, "get_layout_map"):
        raise PlanningError(
            "--model-parallel needs a model that says how to cut its weights, by "
            f"`get_layout_map`: {type(model).__name__} does not"
        )
    layouts = model.get_layout_map(mesh)
    by_path = {
        variable.path: _cut(layouts, variable, mesh) or copied
        for variable in (*groups[0], *groups[1])
    }
    slots = [_of_slot(variable, groups[0], by_path) or copied for variable in groups[2]]
    return (
        [by_path[variable.path] for variable in groups[0]],
        [by_path[variable.path] for variable in groups[1]],
        slots,
        [copied] * len(groups[3]),
    )


def _cut(layouts, variable, mesh):
    """The sharding that a `keras.distribution.LayoutMap` has for a variable."""
    layout = layouts[variable.path]
    axes = getattr(layout, "axes", layout)
    return None if axes is None else NamedSharding(mesh, PartitionSpec(*axes))


def _of_slot(slot, variables, by_path):
    """The sharding of the variable whose slot of the optimizer it is, or `None`."""
    for variable in variables:
        is_named_so = variable.path.replace("/", "_") in slot.path
        if is_named_so and variable.shape == slot.shape:
            return by_path[variable.path]
    return None
