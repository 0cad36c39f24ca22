"""Compares the losses' gradients at the features that several losses depend on.

All that differs between two losses of a sample passes through the features of that
sample. Their cotangents come from the small `embed` stages alone, so that the Gram
matrix of each sample costs no backward pass of an encoder. This is our method, not the
paper's: the paper compares the gradients of the parameters.
"""

from keras import ops, tree

from keras_vatt.harmonization._gram import symmetric_matrix
from keras_vatt.training._comparison import compare_grams, is_comparable
from keras_vatt.training._gradient_lists import is_nonfinite
from keras_vatt.training._sample_groups import by_group
from keras_vatt.training._step_result import StepResult
from keras_vatt.training._weighted_gradients import (
    fraction_applied,
    rows_of_samples,
    weighted_gradients,
    weights_of_samples,
)


def compare_features(step):
    """Computes a step whose losses are weighted sample by sample, or group by group.

    Args:
        step: `HarmonizedStep`, after its forward pass.

    Returns:
        `StepResult`.
    """
    values, cotangents = step.differentiate()
    _, of_features = step.pull_back(step.vjp_of_embed, cotangents)
    grams = by_group(_sample_grams(step, of_features), step.num_groups)
    grams = ops.sum(grams, axis=1) / step.loss_scale**2

    comparable = is_comparable(grams)
    weights, kept = step.harmonize(grams)
    # With one loss, there is nothing to compare: it counts as in the plain step.
    weights = ops.where(comparable[:, None], weights, 1.0)
    kept = ops.logical_or(kept, ops.logical_not(comparable))

    sample_weights = weights_of_samples(step, weights, kept)
    gradients, nonfinite = weighted_gradients(step, sample_weights, of_features)
    nonfinite = ops.maximum(nonfinite, is_nonfinite(grams))
    return StepResult(
        gradients,
        values,
        nonfinite,
        applied=fraction_applied(step, kept),
        comparison=compare_grams(grams).mean(step.num_groups),
    )


def _sample_grams(step, of_features):
    """Returns the Gram matrix of each sample's cotangents, `(samples, K, K)`.

    Only features count that at least two losses depend on. A sample has no cotangent
    from a loss that it lacks a modality for, although it may be a negative there.
    """
    size, is_valid = len(step.losses), step.is_valid
    products = [[ops.zeros_like(is_valid[:, 0])] * size for _ in range(size)]
    for name in step.outputs:
        users = [k for k in range(size) if name in of_features[k]]
        if len(users) < 2:
            continue
        rows = {k: _flat_rows(step, of_features[k][name]) for k in users}
        for i in users:
            for j in users:
                if i <= j:
                    product = ops.sum(rows[i] * rows[j], axis=-1)
                    products[i][j] = products[i][j] + product
    grams = symmetric_matrix(products)
    return grams * is_valid[:, :, None] * is_valid[:, None, :]


def _flat_rows(step, features):
    leaves = [
        rows_of_samples(leaf, step.num_samples) for leaf in tree.flatten(features)
    ]
    return leaves[0] if len(leaves) == 1 else ops.concatenate(leaves, axis=-1)
