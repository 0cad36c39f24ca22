"""A way to take a step, ready to run."""

import dataclasses
from collections.abc import Callable

from keras import ops

from keras_vatt import harmonization


@dataclasses.dataclass(frozen=True, eq=False)
class Scheme:
    """A way to take a step.

    Attributes:
        run: function without arguments that takes a step and returns once it is done.
        gradients: function without arguments, the combined gradient as a list of
            arrays, one a trainable variable. `None` if it is not to be compared.
        compiled_bytes: int, the temporary memory that the compiler plans, or `None`.
    """

    run: Callable
    gradients: Callable | None = None
    compiled_bytes: int | None = None


def branch_loss_value(model, index, outputs, batch):
    """One loss as weighted in the total, from the outputs of the branches."""
    loss = model.branch_losses()[index]
    own = {name: outputs[name] for name in loss.branches}
    return loss.weight * ops.mean(loss.per_sample(own, batch))


def realigned(gradients):
    """Algorithm 1, from a list of gradients, each a list of tensors."""
    gram = harmonization.gradient_gram(gradients)
    weights, _ = harmonization.Realignment()(gram, 0)
    return harmonization.combine_gradients(gradients, weights)
