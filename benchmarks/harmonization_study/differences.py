"""Differences between arms, paired by seed, with corrected p-values."""

import dataclasses

import numpy as np
from scipy import stats

TASKS = ("text->video", "video->text", "audio->video", "video->audio")
# The outcome that claims are about, chosen before the confirming stage.
PRIMARY = "mean R@1"


@dataclasses.dataclass(frozen=True)
class Difference:
    """The mean difference between two arms over seeds.

    Args:
        mean: float.
        low: float. Lower end of the 95% interval of Student's t.
        high: float. Upper end.
        p: float. Two-sided p-value of the paired t-test.
        seeds: int. Number of seeds.
    """

    mean: float
    low: float
    high: float
    p: float
    seeds: int


def outcome(results, name):
    """Returns an outcome of a run; `PRIMARY` is the mean R@1 of the retrieval tasks."""
    outcomes = results["outcomes"]
    if name == PRIMARY:
        return float(np.mean([outcomes[f"{task} R@1"] for task in TASKS]))
    return outcomes[name]


def difference(values, reference):
    """Compares two arms.

    Args:
        values: dict from seed to the outcome of an arm.
        reference: dict from seed to the outcome of the arm it is compared with.

    Returns:
        `Difference` over the seeds that both have; `None` if there are fewer than two.
    """
    seeds = sorted(values.keys() & reference.keys())
    if len(seeds) < 2:
        return None
    pairs = np.array([values[s] - reference[s] for s in seeds])
    result = stats.ttest_1samp(pairs, 0.0)
    low, high = result.confidence_interval(0.95)
    return Difference(
        float(pairs.mean()), float(low), float(high), float(result.pvalue), len(seeds)
    )


def corrected(p_values):
    """Returns the p-values of several comparisons, corrected by Holm's method."""
    p_values = np.asarray(p_values, "float64")
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))
    steps = np.maximum.accumulate(p_values[order] * factors)
    result = np.empty_like(p_values)
    result[order] = np.minimum(steps, 1.0)
    return result.tolist()
