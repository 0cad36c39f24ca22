"""Runs independent pieces of work on a cluster, with Ray Data."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from keras_vatt._errors import KerasVATTError

_LOCAL = "local"


class ClusterError(KerasVATTError):
    """A cluster can't be reached, or its workers failed."""


def run_on_cluster(
    function: Callable[[Any], Any], items: Sequence[Any], address: str | None = None
) -> Iterator[Any]:
    """Calls a function for each item on the nodes of a cluster.

    Ray schedules a task per item. The task of a killed worker or of a lost node runs
    again elsewhere, so the function must give the same if it is called twice.

    Args:
        function: Function of one item, which can be pickled.
        items: Sequence of items, which can be pickled.
        address: str. Address of the cluster, such as `"auto"`, `"10.0.0.1:6379"` or
            `"ray://10.0.0.1:10001"`. Defaults to `None`, a new one on this machine.

    Yields:
        Results, in any order.

    Raises:
        ClusterError: If Ray is not installed or the cluster can't be reached.
        Exception: The first error of a call, after which no others are started.
    """
    data = _ray_data(address)
    rows = [{"item": item} for item in items]
    dataset = data.from_items(rows, override_num_blocks=max(1, len(rows)))
    dataset = dataset.map(lambda row: {"result": function(row["item"])})
    with _own_errors():
        for row in dataset.iter_rows():
            yield row["result"]


def _ray_data(address):
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
                address=address or _LOCAL, log_to_driver=False, logging_level="error"
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ClusterError(
                f"no cluster answers at {address!r}: {str(error)[:300]}"
            ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Items are few and large: each is a task.
    context.execution_options.preserve_order = False
    return ray.data


@contextlib.contextmanager
def _own_errors():
    """Raises an error of a call as it was raised there."""
    import ray

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
