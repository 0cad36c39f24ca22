"""The devices of a run: one, those of this machine, or those of many."""

import contextlib

import keras

from keras_vatt.models import VATT
from keras_vatt.models._layouts import make_distribution
from keras_vatt.pretraining._errors import PretrainingError


def join_processes(settings):
    """Meets the other processes of the run, if there are others.

    Args:
        settings: `PretrainSettings`. On Cloud TPU the address of the first process and
            the numbers are found by JAX itself: `num_processes` of 0 asks for that.

    Raises:
        PretrainingError: if the backend has no such thing.
    """
    if settings.num_processes == 1:
        return
    _check_backend("jax", "--num-processes")
    import jax

    if jax.distributed.is_initialized():
        return
    found_by_jax = settings.num_processes == 0
    keras.distribution.initialize(
        job_addresses=settings.coordinator,
        num_processes=None if found_by_jax else settings.num_processes,
        process_id=settings.process_id,
    )


def is_first_process():
    """Whether this process is the one that writes what all would write alike."""
    return process_place()[0] == 0


def process_place():
    """The number of this process, and that of all.

    Returns:
        Tuple of two ints.
    """
    if keras.config.backend() != "jax":
        return 0, 1
    import jax

    return jax.process_index(), jax.process_count()


def cache_name():
    """Name of this process' own folder of decoded clips; empty if it is alone."""
    process, num_processes = process_place()
    return f"process-{process}" if num_processes > 1 else ""


def device_scope(settings):
    """Context in which the model of a run is made and trained.

    Args:
        settings: `PretrainSettings`.

    Returns:
        `DeviceScope`.

    Raises:
        PretrainingError: if the backend can't do what is asked for, or the batch
            can't be divided among the devices.
    """
    backend = keras.config.backend()
    if backend == "tensorflow" and settings.model_parallel == 1:
        return _strategy_scope(settings)
    if backend != "jax":
        _check_one_device(settings)
        return DeviceScope()
    return _distribution_scope(settings)


class DeviceScope:
    """Context in which a model lies on the devices of a run; can be entered again.

    Args:
        make: function that returns a context manager, or `None` for one device.
    """

    def __init__(self, make=None):
        self.make = make
        self._entered = contextlib.ExitStack()

    def __enter__(self):
        if self.make is not None:
            self._entered.enter_context(self.make())
        return self

    def __exit__(self, *error):
        self._entered.close()

    def on_one_device(self, model):
        """The model outside of this context: the same one, or a copy of it.

        All processes of a run have to call it: each may hold a part of the weights.

        Args:
            model: `keras_vatt.VATT` that was made in this context.

        Returns:
            `keras_vatt.VATT`.
        """
        if self.make is None:
            return model
        copy = VATT.from_config(model.get_config())
        for target, source in zip(copy.variables, model.variables, strict=True):
            target.assign(_whole_array(source.value))
        return copy


def _whole_array(value):
    """The array of a variable, of which other processes may hold parts."""
    if getattr(value, "is_fully_addressable", True) or value.is_fully_replicated:
        return keras.ops.convert_to_numpy(value)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(value, tiled=True)


def _distribution_scope(settings):
    devices = keras.distribution.list_devices()
    model_parallel = settings.model_parallel
    if settings.devices == "one" or len(devices) == 1:
        _check_one_device(settings)
        return DeviceScope()
    if len(devices) % model_parallel:
        raise PretrainingError(
            f"--model-parallel {model_parallel} does not divide {len(devices)} devices"
        )
    _check_batch(settings, len(devices) // model_parallel)
    return DeviceScope(make_distribution(devices, model_parallel).scope)


def _strategy_scope(settings):
    import tensorflow as tf

    if settings.devices == "one":
        return DeviceScope()
    if tf.config.list_logical_devices("TPU"):
        strategy = tf.distribute.TPUStrategy()
    else:
        kinds = (tf.config.list_logical_devices(kind) for kind in ("GPU", "CPU"))
        devices = next(devices for devices in kinds if devices)
        if len(devices) == 1:
            return DeviceScope()
        strategy = tf.distribute.MirroredStrategy([d.name for d in devices])
    _check_batch(settings, strategy.num_replicas_in_sync)
    return DeviceScope(strategy.scope)


def _check_batch(settings, num_replicas):
    size = num_replicas * settings.num_micro_batches
    if settings.batch_size % size:
        raise PretrainingError(
            f"--batch-size {settings.batch_size} is no multiple of {size}: "
            f"{num_replicas} copies of the model times {settings.num_micro_batches} "
            "micro-batches. Or train with --devices one"
        )


def _check_one_device(settings):
    if settings.model_parallel > 1:
        _check_backend("jax", "--model-parallel")
        raise PretrainingError(
            f"--model-parallel {settings.model_parallel} needs more than one device"
        )


def _check_backend(wanted, option):
    backend = keras.config.backend()
    if backend != wanted:
        raise PretrainingError(
            f"{option} needs the JAX backend (KERAS_BACKEND=jax), this is {backend}"
        )
