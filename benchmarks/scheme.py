"""A way to compute a training step, ready to run."""

import dataclasses
from collections.abc import Callable

from keras import ops

from keras_vatt import harmonization


@dataclasses.dataclass(frozen=True, eq=False)
class Scheme:
    """A way to compute a training step.

    Attributes:
        run: function without arguments that runs a step and returns when it is done.
        gradients: function without arguments that returns the combined gradient, a
            list with one array per trainable variable. `None` if it is not to be
            compared.
        compiled_bytes: int, the temporary memory that the compiler plans, or `None`.
    """

    run: Callable
    gradients: Callable | None = None
    compiled_bytes: int | None = None


def branch_loss_value(model, index, outputs, batch):
    """Returns one weighted loss, from the outputs of the branches."""
    loss = model.branch_losses()[index]
    own = {name: outputs[name] for name in loss.branches}
    return loss.weight * ops.mean(loss.per_sample(own, batch))


def realigned(gradients):
    """Applies Algorithm 1 to a list of gradients, each a list of tensors."""
    gram = harmonization.gradient_gram(gradients)
    weights, _ = harmonization.Realignment()(gram, 0)
    return harmonization.combine_gradients(gradients, weights)
