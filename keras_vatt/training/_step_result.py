"""Results of a training step, as its parts pass them on."""

from typing import Any, NamedTuple

from keras_vatt.training._comparison import Comparison


class GroupStep(NamedTuple):
    """The harmonized step of one group of samples, or a sum over groups.

    Attributes:
        gradients: list of tensors, one per trainable variable, or shards of them;
            `None` for a variable that no loss depends on.
        losses: float32 tensor of shape `(losses,)`.
        nonfinite: float32 scalar, 1 if a gradient holds a NaN or an infinity.
        applied: float32 scalar, 1 if the harmonizer applies the step.
        comparison: `Comparison`, with the measures of the gradients.
        decisions: float32 tensor of shape `(groups, losses + 1)`, in the row of each
            group the weights of its gradients and `applied`; zeros in other rows.
    """

    gradients: list[Any]
    losses: Any
    nonfinite: Any
    applied: Any
    comparison: Comparison
    decisions: Any


class SampleWeights(NamedTuple):
    """The weights that a harmonizer gave to the losses of each sample.

    Attributes:
        weights: float32 tensor of shape `(samples, losses)`.
        kept: bool tensor of shape `(samples,)`, false for samples that are skipped;
            `None` if the harmonizer never skips.
    """

    weights: Any
    kept: Any


class StepResult(NamedTuple):
    """One training step: the gradients for the optimizer and what metrics count.

    Attributes:
        gradients: list with one tensor per trainable variable.
        losses: float32 tensor of shape `(losses,)`, the value of each loss.
        nonfinite: float32 scalar, above 0 if a gradient holds a NaN or an infinity.
        applied: float32 scalar, the fraction of the groups whose step is applied.
        comparison: `Comparison`, the means over the groups; `None` without a
            harmonizer.
        updates: list of pairs of a non-trainable variable and its new value.
        num_valid: float32 tensor of shape `(losses,)`, the samples that have each
            loss.
        num_samples: int or int scalar, the size of the batch.
        added_loss: float32 scalar, the sum of the losses that are not harmonized.
        state: dict of tensors, the harmonizer's state after the step.
    """

    gradients: list[Any]
    losses: Any
    nonfinite: Any
    applied: Any
    comparison: Comparison | None = None
    updates: list[tuple[Any, Any]] = []
    num_valid: Any = None
    num_samples: Any = None
    added_loss: Any = None
    state: dict[str, Any] = {}
