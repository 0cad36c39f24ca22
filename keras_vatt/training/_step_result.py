"""Results of a training step, as its parts pass them on."""

from typing import Any, NamedTuple


class GroupStep(NamedTuple):
    """The harmonized step of one group of samples, or a sum over groups.

    Attributes:
        gradients: list of tensors, one per trainable variable, or shards of them;
            `None` for a variable that no loss depends on.
        losses: float32 tensor of shape `(losses,)`.
        nonfinite: float32 scalar, 1 if a gradient holds a NaN or an infinity.
        applied: float32 scalar, 1 if the harmonizer applies the step.
        comparable: float32 scalar, 1 if at least two losses have a gradient.
        cosine: float32 scalar, the smallest cosine between two gradients.
        conflict: float32 scalar, 1 if that cosine is negative.
        norms: float32 tensor of shape `(losses,)`, the norms of the gradients.
    """

    gradients: list[Any]
    losses: Any
    nonfinite: Any
    applied: Any
    comparable: Any
    cosine: Any
    conflict: Any
    norms: Any


class StepResult(NamedTuple):
    """One training step: the gradients for the optimizer and what metrics count.

    Attributes:
        gradients: list with one tensor per trainable variable.
        losses: float32 tensor of shape `(losses,)`, the value of each loss.
        nonfinite: float32 scalar, above 0 if a gradient holds a NaN or an infinity.
        applied: float32 scalar, the fraction of the groups whose step is applied.
        harmonized: `GroupStep`, the means over the groups; `None` without a
            harmonizer.
        updates: list of pairs of a non-trainable variable and its new value.
        num_valid: float32 tensor of shape `(losses,)`, the samples that have each
            loss.
    """

    gradients: list[Any]
    losses: Any
    nonfinite: Any
    applied: Any
    harmonized: GroupStep | None = None
    updates: list[tuple[Any, Any]] = []
    num_valid: Any = None
