"""Devices and processes of a run, on one machine or on several."""

import concurrent.futures
import contextlib

import keras

from keras_vatt.models._layouts import make_distribution
from keras_vatt.pretraining._errors import PretrainingError


def join_processes(settings):
    """Connects to the other processes of the run, if it has more than one.

    Args:
        settings: `PretrainSettings`. If `num_processes` is 0, JAX finds the address of
            the coordinator and the processes itself, which works on Cloud TPU.

    Raises:
        PretrainingError: if the backend is not JAX.
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
    """Returns whether this process writes the files that are common to all."""
    return process_place()[0] == 0


def process_place():
    """Returns the index of this process and the number of processes.

    Returns:
        Tuple of two ints.
    """
    if keras.config.backend() != "jax":
        return 0, 1
    import jax

    return jax.process_index(), jax.process_count()


def flag_of_first_process(flag):
    """Returns a flag of the first process in all processes, which wait for it.

    Args:
        flag: bool, which only counts in the first process.

    Returns:
        bool.
    """
    if process_place()[1] == 1:
        return flag
    import numpy as np
    from jax.experimental import multihost_utils

    return bool(multihost_utils.broadcast_one_to_all(np.int32(flag)))


def cache_name():
    """Returns the name of this process' cache folder; empty if there is only one."""
    process, num_processes = process_place()
    return f"process-{process}" if num_processes > 1 else ""


def device_scope(settings):
    """Returns the context in which the model of a run is made and trained.

    Args:
        settings: `PretrainSettings`.

    Returns:
        `DeviceScope`.

    Raises:
        PretrainingError: if the backend doesn't support the settings, or the batch
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
    """Context that places a model on the devices of a run; can be entered again.

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

    def outside(self, function, *arguments):
        """Calls a function outside of this context, on one device.

        Args:
            function: callable.
            *arguments: its arguments.

        Returns:
            The result of the function.
        """
        if self.make is None:
            return function(*arguments)
        # Both distributions of Keras and strategies of TensorFlow are set per thread.
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            return executor.submit(function, *arguments).result()


def whole_array(value):
    """Returns the array of a variable, of which other processes may hold parts.

    All processes of a run must call it.

    Args:
        value: the value of a `keras.Variable`.

    Returns:
        NumPy array.
    """
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
            f"--model-parallel {model_parallel} must be a divisor of the number of "
            f"devices, {len(devices)}"
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
            f"--batch-size {settings.batch_size} is not a multiple of {size} "
            f"({num_replicas} replicas times {settings.num_micro_batches} "
            "micro-batches): change it, or train with --devices one"
        )


def _check_one_device(settings):
    if settings.model_parallel > 1:
        _check_backend("jax", "--model-parallel")
        raise PretrainingError(
            f"--model-parallel {settings.model_parallel} needs more than one device: "
            "leave it out to train on one"
        )


def _check_backend(wanted, option):
    backend = keras.config.backend()
    if backend != wanted:
        raise PretrainingError(
            f"{option} needs the JAX backend (KERAS_BACKEND=jax), not {backend}"
        )
