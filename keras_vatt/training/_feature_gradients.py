"""The gradient of one loss at the features that its branches compute."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_vatt.training._branches import BranchLoss
from keras_vatt.training._harmonized_model import HarmonizedModel
from keras_vatt.training._harmonized_training import _backend


def loss_at_features(
    model: HarmonizedModel,
    loss: BranchLoss,
    features: dict[str, Any],
    loss_inputs: dict[str, Any] | None = None,
    training: bool = False,
) -> tuple[Any, dict[str, Any]]:
    """Computes a loss of each sample, and the gradient at the features of each sample.

    These are the gradients that `compile(compare="features")` compares, up to a
    constant factor. Only the `embed` stages run, so that features which were computed
    once can be compared again with other negatives. No variable changes.

    Args:
        model: a compiled `keras_vatt.training.HarmonizedModel`.
        loss: one of `model.branch_losses()`.
        features: dict from each branch of the loss to what its `encode` returns for a
            whole batch.
        loss_inputs: dict of tensors, such as masks, see `BranchLoss.per_sample`.
            Defaults to `None`, none.
        training: bool. Whether `embed` runs in training mode. Batch norm then depends
            on the other samples of the batch. Defaults to `False`.

    Returns:
        Tuple of the loss of each sample, a float32 tensor of shape `(samples,)`, and a
        dict like `features` of the gradients of the sum of these losses.
    """
    branches = model.branches()
    features = {name: features[name] for name in loss.branches}

    def terms_of(features):
        outputs = {
            name: branches[name].outputs(given, training=training)
            for name, given in features.items()
        }
        return loss.per_sample(outputs, loss_inputs or {})

    def gradients_of_sum():
        # The sum, as the mean of a large batch could underflow in float16.
        return _backend.value_and_cotangents(
            lambda features: ops.sum(terms_of(features)), features
        )

    # In scopes of their own, so that batch norm in training mode assigns no variable.
    terms, _ = _backend.forward(lambda: terms_of(features), [])
    (_, gradients), _ = _backend.forward(gradients_of_sum, [])
    return terms, gradients
