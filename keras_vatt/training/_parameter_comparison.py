"""Comparison of the losses' gradients at the parameters, for each group of samples."""

from keras import ops, tree

from keras_vatt import harmonization
from keras_vatt.harmonization._gram import variable_grams
from keras_vatt.training._comparison import compare_grams, empty_comparison
from keras_vatt.training._gradient_lists import (
    filled,
    is_nonfinite,
    scaled,
    sum_gradients,
    without_none,
)
from keras_vatt.training._sample_groups import (
    is_grouped,
    masks_groups,
    one_group,
    only_group,
)
from keras_vatt.training._step_result import GroupStep, StepResult
from keras_vatt.training._weighted_gradients import (
    fraction_applied,
    weighted_gradients,
    weights_of_samples,
)


def compare_parameters(step):
    """Computes a step whose losses are weighted group by group.

    Args:
        step: `HarmonizedStep`, after its forward pass.

    Returns:
        `StepResult`.
    """
    if step.model.group_by == "anchors" or not is_grouped(step.model):
        total = _sum_of_groups(step, lambda group: _step_of_anchors(step, group))
        return _result(step, total, *_joined(step, total))
    values, cotangents = step.differentiate()
    _, of_features = step.pull_back(step.vjp_of_embed, cotangents)
    total = _sum_of_groups(step, _step_of_samples(step, of_features))
    total = total._replace(losses=values)
    if not masks_groups(step.model):
        return _result(step, total, *_joined(step, total))
    # Samples of a skipped group leave the losses of the other groups, too. Negatives
    # that are not pushed away cost recall: see `benchmarks/skipped_clips.py`.
    weights, kept = total.decisions[:, :-1], total.decisions[:, -1] > 0
    sample_weights = weights_of_samples(step, weights, kept)
    gradients, nonfinite = weighted_gradients(step, sample_weights, of_features)
    nonfinite = ops.maximum(nonfinite, total.nonfinite)
    result = _result(step, total, gradients, nonfinite)
    return result._replace(applied=fraction_applied(step, kept))


def _result(step, total, gradients, nonfinite):
    return StepResult(
        gradients,
        total.losses,
        nonfinite,
        applied=total.applied / ops.cast(step.num_groups, "float32"),
        comparison=total.comparison.mean(step.num_groups),
    )


def _joined(step, total):
    gradients = step.replicas.join_shards(total.gradients)
    return without_none(gradients, step.model.trained_variables), total.nonfinite


def _sum_of_groups(step, group_step):
    """Sums the `GroupStep`s of all groups, over all replicas."""
    count = step.num_own_groups
    total = group_step(0) if _is_one(count) else _added_up(step, group_step, count)
    # The groups are summed before the all-gather: shards are smaller.
    summed = step.replicas.sum_over_groups(total._replace(losses=None))
    return summed._replace(losses=total.losses)


def _is_one(count):
    return isinstance(count, int) and count == 1


def _added_up(step, group_step, count):
    zero, num_losses = ops.zeros(()), len(step.losses)
    zero_shards = []
    if not masks_groups(step.model):
        zero_shards = step.replicas.zero_shards(step.model.trained_variables)

    def filled_step(index):
        group = group_step(index)
        return group._replace(gradients=filled(group.gradients, zero_shards))

    return step.replicas.add_up(
        filled_step,
        count,
        GroupStep(
            gradients=zero_shards,
            losses=ops.zeros((num_losses,)),
            nonfinite=zero,
            applied=zero,
            comparison=empty_comparison(num_losses),
            decisions=ops.zeros((step.num_groups, num_losses + 1)),
        ),
    )


def _step_of_anchors(step, group):
    """Harmonizes the gradients of one group's terms, through all samples."""
    values, cotangents = step.differentiate(group if is_grouped(step.model) else None)
    gradients, of_features = step.pull_back(step.vjp_of_embed, cotangents)
    of_rows = step.replicas.own_rows(of_features)
    return _harmonized(step, group, values, gradients, of_rows)


def _step_of_samples(step, of_features):
    """Returns a function from a group's index to its `GroupStep`."""
    of_rows = step.replicas.own_rows(of_features)
    num_own, first = step.num_own_groups, _first_own_group(step)

    def group_step(index):
        group = first + index
        own_terms, cotangents = step.differentiate(group)
        gradients, _ = step.pull_back(step.vjp_of_embed, cotangents)
        of_group = of_rows
        if not _is_one(num_own):
            of_group = tree.map_structure(
                lambda rows: only_group(rows, index, num_own), of_rows
            )
        return _harmonized(step, group, own_terms, gradients, of_group)

    return group_step


def _first_own_group(step):
    if step.replicas.index is None:
        return 0
    return step.replicas.index * step.num_groups // step.replicas.num_replicas


def _harmonized(step, group, losses, embed_gradients, of_rows):
    """Returns the `GroupStep` of one group, with this replica's shards."""
    model, replicas = step.model, step.replicas
    # All replicas of a group compute the same gradients of `embed`.
    part = 1 / replicas.replicas_in_group
    encode_gradients, _ = step.pull_back(step.vjp_of_encode, of_rows)
    shards = [
        replicas.sum_into_shards(sum_gradients(scaled(embed, part), encode))
        for embed, encode in zip(embed_gradients, encode_gradients, strict=True)
    ]
    gram, nonfinite = _gram(step, shards)
    weights, apply = step.harmonize(gram)
    applied = ops.cast(apply, "float32")
    decision = ops.concatenate([weights, applied[None]])
    gradients = []  # Of the weighted losses, if groups are masked.
    if not masks_groups(model):
        gradients = harmonization.combine_gradients(shards, weights * applied)
    return GroupStep(
        gradients=gradients,
        losses=losses,
        nonfinite=nonfinite,
        applied=applied,
        comparison=compare_grams(gram[None]),
        decisions=one_group(decision, group, step.num_groups),
    )


def _gram(step, shards):
    """Returns the Gram matrix to compare, and 1 if a gradient is not finite."""

    def summed(products):
        return step.replicas.sum_over_shards(products) / step.loss_scale**2

    if step.model.harmonized_variables != "shared":
        gram = summed(harmonization.gradient_gram(shards))
        return gram, is_nonfinite(gram)
    grams = summed(grams_of_variables(shards))
    return sum_of_shared(grams), is_nonfinite(ops.sum(grams, axis=0))


def grams_of_variables(gradients):
    """Returns the Gram matrix of each variable.

    Args:
        gradients: list with one list of gradients per loss, as for `gradient_gram`.

    Returns:
        float32 tensor of shape `(variables, K, K)`.

    Raises:
        ValueError: if there is no variable that all losses depend on.
    """
    per_variable = zip(*gradients, strict=True)
    if not any(all(x is not None for x in own) for own in per_variable):
        raise ValueError(
            "There is no variable that all losses depend on: compile with "
            '`harmonized_variables="all"`.'
        )
    return variable_grams(gradients)


def sum_of_shared(grams):
    """Sums the Gram matrices of the variables that all losses depend on.

    The gradient of a variable behind another output of the same branch is all zeros.

    Args:
        grams: float32 tensor of shape `(variables, K, K)`.

    Returns:
        float32 tensor of shape `(K, K)`.
    """
    is_shared = ops.all(ops.diagonal(grams, axis1=-2, axis2=-1) > 0, axis=-1)
    return ops.sum(ops.where(is_shared[:, None, None], grams, 0.0), axis=0)
