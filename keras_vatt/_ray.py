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
        Exception: The first error of a call, after which no others are started.
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
    with _own_errors(ray):
        for row in dataset.iter_rows():
            yield ray.cloudpickle.loads(row["result"])


def _call(row, function):
    """Calls the function for the item of a row."""
    from ray import cloudpickle

    return {"result": cloudpickle.dumps(function(cloudpickle.loads(row["item"])))}


class _Worker:
    """Makes the function once, and calls it for the items of many rows."""

    def __init__(self, factory):
        self._function = factory()

    def __call__(self, row):
        return _call(row, self._function)


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
def _own_errors(ray):
    """Raises an error of a call as it was raised there."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        cause = _cause_of(error)
        if isinstance(cause, KerasVATTError | OSError):
            raise cause from error
        raise
    except ray.exceptions.RayError as error:
        raise ClusterError(f"the cluster failed: {str(error)[:500]}") from error


def _cause_of(error):
    """Returns the exception that the function raised."""
    while True:
        inner = getattr(error, "cause", None) or error.__cause__
        if inner is None or inner is error:
            return error
        error = inner
