"""The gradient of losses that are weighted sample by sample, in one backward pass.

The features of a sample get the weighted sum of the losses' cotangents, and each
encoder has one backward pass with these rows. The parameters of `embed` get the
gradient of the loss terms, each multiplied by the weight of its sample.
"""

from keras import ops

from keras_vatt.training._gradient_lists import merge_nests, sum_cotangents
from keras_vatt.training._sample_groups import (
    by_group,
    is_grouped,
    masks_groups,
    spread,
)
from keras_vatt.training._step_result import SampleWeights


def num_vjps(step):
    """Returns how often the step calls the VJPs of each `encode` and `embed`.

    Args:
        step: `HarmonizedStep`.

    Returns:
        Tuple of two ints.
    """
    model = step.model
    if model.harmonizer is None:
        return 1, 1
    if model.compare == "features":
        return 1, 2
    if model.group_by == "anchors" or not is_grouped(model):
        return step.num_own_groups, step.num_own_groups
    again = int(masks_groups(model))
    return step.num_own_groups + again, step.num_own_groups + 1 + again


def weights_of_samples(step, weights, kept):
    """Returns the `SampleWeights` of a step from the weights of its groups.

    Args:
        step: `HarmonizedStep`.
        weights: float32 tensor of shape `(groups, losses)`.
        kept: bool tensor of shape `(groups,)`.

    Returns:
        `SampleWeights`.
    """
    if not step.model.harmonizer.may_skip:
        # The flag is `False` only for weights that are not finite.
        weights = ops.where(kept[:, None], weights, 0.0)
        return SampleWeights(spread(weights, step.num_samples), None)
    # A skipped sample may still have a cotangent, where it is a negative of others.
    weights = ops.where(kept[:, None], weights, 1.0)
    return SampleWeights(
        spread(weights, step.num_samples), spread(kept, step.num_samples)
    )


def fraction_applied(step, kept):
    """Returns the fraction of the groups with a loss that are kept; 1 if none has."""
    has_loss = by_group(ops.max(step.is_valid, axis=1), step.num_groups)
    has_loss = ops.max(has_loss, axis=1)
    count = ops.sum(has_loss)
    fraction = ops.sum(ops.cast(kept, "float32") * has_loss) / ops.maximum(count, 1.0)
    return ops.where(count > 0, fraction, 1.0)


def weighted_gradients(step, sample_weights, of_features):
    """Computes the gradient of the weighted losses.

    Args:
        step: `HarmonizedStep`.
        sample_weights: `SampleWeights`.
        of_features: list with one dict from branch to the cotangents of its features
            per loss, of all samples. If samples are skipped, they are computed again.

    Returns:
        Tuple like that of `HarmonizedStep.finish`.
    """
    _, weighted = step.differentiate(sample_weights=sample_weights)
    total = sum_cotangents(weighted)
    if sample_weights.kept is None:
        (embed_gradients,), _ = step.pull_back(step.vjp_of_embed, [total])
    else:
        ones = ops.ones_like(sample_weights.weights)
        _, unweighted = step.differentiate(
            sample_weights=sample_weights._replace(weights=ones)
        )
        pulled, inputs = step.pull_back(step.vjp_of_embed, [*unweighted, total])
        embed_gradients, of_features = pulled[-1], inputs[:-1]
    rows = {
        name: _weighted_rows(step, name, of_features, sample_weights.weights)
        for name in step.outputs
    }
    return step.finish(embed_gradients, rows)


def _weighted_rows(step, name, of_features, weights):
    """Returns the cotangent of a branch's features, weighted sample by sample."""

    def weighted_sum(leaves):
        first = next(iter(leaves.values()))
        terms = [
            rows_of_samples(leaf, step.num_samples) * weights[:, k : k + 1]
            for k, leaf in leaves.items()
        ]
        rows = ops.reshape(sum(terms[1:], start=terms[0]), ops.shape(first))
        return ops.cast(rows, first.dtype)

    own = {
        k: cotangents[name]
        for k, cotangents in enumerate(of_features)
        if name in cotangents
    }
    return merge_nests(weighted_sum, own)


def rows_of_samples(leaf, num_samples):
    """Returns a float32 tensor with one row for each sample, from a feature tensor."""
    return ops.reshape(ops.cast(leaf, "float32"), (num_samples, -1))
