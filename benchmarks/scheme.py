"""A way to compute a training step, ready to run."""

import dataclasses
from collections.abc import Callable

from keras import ops

from keras_vatt import harmonization

_TEMPERATURE = 0.07


@dataclasses.dataclass(frozen=True, eq=False)
class Scheme:
    """A way to compute a training step.

    Attributes:
        run: function without arguments that runs a step and returns when it is done.
        gradients: function without arguments that returns the combined gradient, a
            list of arrays. `None` if it is not to be compared.
        compiled_bytes: int, the temporary memory that the compiler plans, or `None`.
    """

    run: Callable
    gradients: Callable | None = None
    compiled_bytes: int | None = None


def losses_by_hand(model, batch):
    """Returns the two losses of a step that uses none of our training package.

    Args:
        model: `keras_vatt.VATT`, of which only backbone and bridge head are used.
        batch: dict of tensors.
    """
    pooled = {
        modality: model.backbone.encode_modality(
            modality, batch[modality], training=True, pooled_only=True
        )["features_pooled"]
        for modality in ("video", "audio", "text")
    }
    outputs = model.bridge_head(pooled, training=True)
    return [
        _nce(outputs["video"][f"to_{other}"], outputs[other]["to_video"]) / 2
        for other in ("audio", "text")
    ]


def _nce(video, other):
    similarities = ops.matmul(ops.normalize(video), ops.transpose(ops.normalize(other)))
    similarities = similarities / _TEMPERATURE
    pooled = ops.concatenate([similarities, ops.transpose(similarities)], axis=1)
    return ops.mean(ops.logsumexp(pooled, axis=1) - ops.diagonal(similarities))


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
