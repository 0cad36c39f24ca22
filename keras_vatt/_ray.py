"""Runs independent pieces of work on a cluster, with Ray Data."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from keras_vatt._errors import KerasVATTError

_LOCAL = "local"


class ClusterError(KerasVATTError):
    """A cluster can't be reached, or its workers failed."""


def run_on_cluster(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    address: str | None = None,
    keeps_workers: bool = False,
) -> Iterator[Any]:
    """Calls a function for each item on the nodes of a cluster.

    Ray schedules a task per item. The task of a killed worker or of a lost node runs
    again elsewhere, so the function must give the same if it is called twice.

    Args:
        function: Function of one item; or, with `keeps_workers`, a function without
            arguments that returns one. It and the items can be pickled.
        items: Sequence of items.
        address: str. Address of the cluster, such as `"auto"`, `"10.0.0.1:6379"` or
            `"ray://10.0.0.1:10001"`. Defaults to `None`, a new one on this machine.
        keeps_workers: bool. Whether a worker makes the function once, for all of its
            items: one worker per GPU of the cluster, or one per node if it has none.
            Defaults to `False`.

    Yields:
        Results, in the order of the items.

    Raises:
        ClusterError: If Ray is not installed, the cluster can't be reached, or its
            workers failed repeatedly.
        KerasVATTError: The first error of a call that a user can fix, and `OSError`
            likewise. No further calls are started.
    """
    ray = _connected(address)
    # As bytes, since Arrow has no columns of objects.
    rows = [{"item": ray.cloudpickle.dumps(item)} for item in items]
    dataset = ray.data.from_items(rows, override_num_blocks=max(1, len(rows)))
    if keeps_workers:
        dataset = dataset.map(
            _Worker, fn_constructor_args=(function,), **_kept_workers(ray, len(rows))
        )
    else:
        dataset = dataset.map(_call, fn_args=(function,))
    with _cluster_errors(ray):
        for row in dataset.iter_rows():
            result, error = ray.cloudpickle.loads(row["outcome"])
            if error is not None:
                raise error
            yield result


def _call(row, function):
    """Calls the function for the item of a row."""
    from ray import cloudpickle

    try:
        outcome = function(cloudpickle.loads(row["item"])), None
    except (KerasVATTError, OSError) as error:
        # Returned, as Ray raises an exception of its own, without the cause.
        outcome = None, _portable(error)
    return {"outcome": cloudpickle.dumps(outcome)}


def _portable(error):
    """Returns an exception, or one that can be pickled with the same message."""
    from ray import cloudpickle

    try:
        cloudpickle.loads(cloudpickle.dumps(error))
    except Exception:
        return ClusterError(str(error))
    return error


class _Worker:
    """Makes the function at its first call, and keeps it for many rows."""

    def __init__(self, factory):
        self._factory = factory
        self._function = None

    def __call__(self, row):
        return _call(row, self._call)

    def _call(self, item):
        # Not by `__init__`, whose errors Ray takes for those of the cluster.
        if self._function is None:
            self._function = self._factory()
        return self._function(item)


def _kept_workers(ray, num_items):
    """Returns the options of a map with one worker per GPU or per node."""
    gpus = int(ray.cluster_resources().get("GPU", 0))
    nodes = sum(node["Alive"] for node in ray.nodes())
    count = max(1, min(gpus or nodes, num_items))
    compute = ray.data.ActorPoolStrategy(size=count)
    return {"compute": compute, "num_cpus": 1} | ({"num_gpus": 1} if gpus else {})


def _connected(address):
    """Returns the module of Ray, connected to a cluster."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ClusterError(
            'the engine "ray" needs Ray: pip install "keras-vatt[ray]"'
        ) from error
    if not ray.is_initialized():
        try:
            ray.init(
                address=address or _LOCAL,
                log_to_driver=False,
                logging_level="error",
                runtime_env={"env_vars": _environment()},
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ClusterError(
                f"no cluster answers at {address!r}: {str(error)[:300]}"
            ) from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    return ray


def _environment():
    """Returns the variables that the workers need to do the same as this process."""
    names = ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL")
    return {name: os.environ[name] for name in names if name in os.environ}


@contextlib.contextmanager
def _cluster_errors(ray):
    """Raises errors of the cluster, but not of the function, as `ClusterError`."""
    try:
        yield
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError as error:
        raise ClusterError(f"the cluster failed: {str(error)[:500]}") from error
