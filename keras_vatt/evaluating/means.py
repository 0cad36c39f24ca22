"""The mean of metrics over the splits of a set."""

import dataclasses

import numpy as np

_AVERAGED = ("mean_average_precision", "roc_auc", "d_prime")


def mean_metrics(metrics):
    """`ClassificationMetrics` that are means over splits; clips are counted together.

    Args:
        metrics: list of `keras_vatt.evaluation.ClassificationMetrics`.

    Returns:
        `ClassificationMetrics`.
    """
    first = metrics[0]
    means = {n: float(np.mean([getattr(m, n) for m in metrics])) for n in _AVERAGED}
    return dataclasses.replace(
        first,
        num_examples=sum(m.num_examples for m in metrics),
        top_k={k: float(np.mean([m.top_k[k] for m in metrics])) for k in first.top_k},
        **means,
    )
