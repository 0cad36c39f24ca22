"""Measures of how the gradients of the losses compare, for the logs of a step."""

from typing import Any, NamedTuple

from keras import ops

from keras_vatt import harmonization
from keras_vatt.training._cosine_histogram import NUM_BINS, count_cosines


class Comparison(NamedTuple):
    """Measures of the gradients of groups of samples: sums over the groups, or means.

    Attributes:
        comparable: float32 scalar, 1 for a group in which two losses have a gradient.
        cosine: float32 scalar, the smallest cosine between two gradients.
        conflict: float32 scalar, 1 for a group in which that cosine is negative.
        norms: float32 tensor of shape `(losses,)`, the norms of the gradients.
        histogram: float32 tensor of shape `(bins,)`, see `count_cosines`; always a sum.
    """

    comparable: Any
    cosine: Any
    conflict: Any
    norms: Any
    histogram: Any

    def mean(self, num_groups):
        """Returns the means over the groups, from the sums."""
        count = ops.cast(num_groups, "float32")
        return Comparison(*(x / count for x in self[:-1]), histogram=self.histogram)


def compare_grams(grams):
    """Computes the `Comparison` of some groups, summed, from their Gram matrices.

    Args:
        grams: float32 tensor of shape `(groups, losses, losses)`.

    Returns:
        `Comparison`.
    """
    cosines = harmonization.smallest_cosine(grams)
    comparable = ops.cast(is_comparable(grams), "float32")
    return Comparison(
        comparable=ops.sum(comparable),
        cosine=ops.sum(cosines),
        conflict=ops.sum(ops.cast(cosines < 0, "float32")),
        norms=ops.sum(harmonization.gradient_norms(grams), axis=0),
        histogram=count_cosines(cosines, comparable),
    )


def is_comparable(grams):
    """Returns a bool tensor `(groups,)`, whether two losses have a gradient."""
    has_gradient = ops.cast(harmonization.gradient_norms(grams) > 0, "int32")
    return ops.sum(has_gradient, axis=-1) > 1


def empty_comparison(num_losses):
    """Returns the `Comparison` of no groups."""
    zero = ops.zeros(())
    return Comparison(
        comparable=zero,
        cosine=zero,
        conflict=zero,
        norms=ops.zeros((num_losses,)),
        histogram=ops.zeros((NUM_BINS,)),
    )
