"""The exchange between the replicas of a `tf.distribute` strategy."""

import tensorflow as tf

from keras_vatt._keras_internals import gradients_summed_already
from keras_vatt.training._replicas import OneReplica, replicas_per_group


def strategy_replicas(model, batch):
    """Returns the replicas of the current strategy, from inside one of them.

    Args:
        model: the `HarmonizedModel`.
        batch: nest of tensors, this replica's slice of the batch.

    Returns:
        `StrategyReplicas`, or `OneReplica` for a single replica.

    Raises:
        ValueError: if `num_groups` is neither 1 nor a multiple of the number of
            replicas, or an argument of `compile` can't be used under a strategy.
    """
    context = tf.distribute.get_replica_context()
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if context is None or num_replicas == 1:
        return OneReplica()
    _check_compiled(model)
    if model.num_groups == "per_clip" and model.compare == "parameters":
        # There is no loop over collectives.
        raise ValueError(
            "Under a tf.distribute strategy, `num_groups='per_clip'` needs "
            "`compare='features'`."
        )
    in_group = replicas_per_group(model, num_replicas)
    if in_group not in (1, num_replicas):
        raise ValueError(
            "On TensorFlow, `num_groups` must be 1 or a multiple of the number of "
            f"replicas. Received: num_groups={model.num_groups} with {num_replicas} "
            "replicas"
        )
    return StrategyReplicas(context, num_replicas, in_group, batch)


class StrategyReplicas(OneReplica):
    """The replicas of a strategy.

    TensorFlow has no public reduce-scatter: a replica's shard of a gradient is the
    whole gradient, and two gradients take two all-reduces.

    Args:
        context: `tf.distribute.ReplicaContext`.
        num_replicas: int.
        replicas_in_group: int, 1 or `num_replicas`.
        batch: nest of tensors, this replica's slice of the batch.
    """

    def __init__(self, context, num_replicas, replicas_in_group, batch):
        self.context = context
        self.num_replicas = num_replicas
        self.replicas_in_group = replicas_in_group
        self.index = context.replica_id_in_sync_group
        # The slices of the last batch of a dataset may differ in size.
        num_own = tf.shape(tf.nest.flatten(batch)[0])[0]
        num_samples = context.all_gather(num_own[None], axis=0)
        self._num_own = num_own
        self._num_all = tf.reduce_sum(num_samples)
        self._num_before = tf.reduce_sum(num_samples[: self.index])

    def count_samples(self, batch):
        return self._num_all

    def gather_rows(self, tree):
        def gather(rows):
            return None if rows is None else self.context.all_gather(rows, axis=0)

        return tf.nest.map_structure(gather, tree)

    def own_rows(self, tree):
        def own(rows):
            per_sample = tf.shape(rows)[0] // self._num_all
            first = self._num_before * per_sample
            return rows[first : first + self._num_own * per_sample]

        return tf.nest.map_structure(own, tree)

    def sum_gradients(self, gradients):
        return self._sum(gradients)

    def sum_into_shards(self, gradients):
        return gradients if self.replicas_in_group == 1 else self._sum(gradients)

    def sum_over_shards(self, tensor):
        if self.replicas_in_group == 1:
            return tensor
        # All have summed the same numbers; the mean makes them equal bit for bit.
        return self.context.all_reduce("MEAN", tensor)

    def sum_over_groups(self, tree):
        return tree if self.replicas_in_group > 1 else self._sum(tree)

    def add_up(self, function, count, zeros):
        # A collective can't run inside a loop of the graph.
        sums = zeros
        for index in range(count):
            sums = tf.nest.map_structure(tf.add, sums, function(index))
        return sums

    def _sum(self, tree):
        """Sums all tensors of a nest in one all-reduce; `None` stays `None`."""
        leaves = tf.nest.flatten(tree)
        given = [leaf for leaf in leaves if leaf is not None]
        summed = iter(self.context.all_reduce("SUM", given))
        leaves = [None if leaf is None else next(summed) for leaf in leaves]
        return tf.nest.pack_sequence_as(tree, leaves)


def apply_gradients(optimizer, gradients, variables, apply, replicas):
    """Updates the weights with the optimizer if `apply`, else changes nothing.

    Args:
        optimizer: Keras optimizer.
        gradients: list of tensors, summed over all replicas.
        variables: list of Keras variables.
        apply: bool tensor, the same on all replicas.
        replicas: `OneReplica` or `StrategyReplicas`.
    """

    def apply_in_replica(*gradients):
        optimizer.apply(list(gradients), variables)

    if replicas.num_replicas == 1:
        tf.cond(apply, lambda: apply_in_replica(*gradients), lambda: None)
        return
    if tf.__internal__.distribute.strategy_supports_no_merge_call():
        with gradients_summed_already(optimizer):
            tf.cond(apply, lambda: apply_in_replica(*gradients), lambda: None)
        return

    def apply_across_replicas(strategy, apply, *gradients):
        # The optimizer uses `merge_call`, which can't run inside a `tf.cond` of a
        # replica: the condition is evaluated in the cross-replica context instead.
        def step():
            with gradients_summed_already(optimizer):
                strategy.extended.call_for_each_replica(apply_in_replica, gradients)

        tf.cond(strategy.experimental_local_results(apply)[0], step, lambda: None)

    replicas.context.merge_call(apply_across_replicas, (apply, *gradients))


def _check_compiled(model):
    """Refuses settings that fail under a strategy or silently give wrong results."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not isinstance(optimizer.variables[0].value, tf.distribute.DistributedValues):
        # Each replica would update the same variables.
        raise ValueError(
            "The optimizer was created outside of the strategy's scope. Create it and "
            "compile the model inside `with strategy.scope():`."
        )
    settings = {
        "steps_per_execution": model.steps_per_execution > 1,
        "jit_compile": bool(model.jit_compile),
        "gradient_accumulation_steps": optimizer.gradient_accumulation_steps,
        "ema_overwrite_frequency": optimizer.ema_overwrite_frequency
        if optimizer.use_ema
        else None,
    }
    refused = [name for name, is_set in settings.items() if is_set]
    if refused:
        raise ValueError(
            "A harmonized model can't be trained under a tf.distribute strategy with "
            f"{refused}. Leave it at its default; `num_micro_batches` of `compile` "
            "saves memory there."
        )
