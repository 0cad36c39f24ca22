"""What the replicas of a `tf.distribute` strategy exchange in a training step."""

import contextlib

import tensorflow as tf

from keras_vatt.training._replicas import OneReplica, replicas_per_group


def strategy_replicas(model, batch):
    """The replicas of the current strategy, seen from the one that asks.

    Args:
        model: the `HarmonizedModel`.
        batch: nest of tensors, this replica's slice of the batch.

    Returns:
        `StrategyReplicas`, or `OneReplica` if there are no others.

    Raises:
        ValueError: if groups are neither one nor a multiple of the replicas, or the
            model was compiled with what can't be used under a strategy.
    """
    context = tf.distribute.get_replica_context()
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if context is None or num_replicas == 1:
        return OneReplica()
    _check_compiled(model)
    in_group = replicas_per_group(model, num_replicas)
    if in_group not in (1, num_replicas):
        raise ValueError(
            "On TensorFlow the number of groups must be 1 or a multiple of that of the "
            f"replicas. Received: num_groups={model.num_groups} with {num_replicas} "
            "replicas"
        )
    return StrategyReplicas(context, num_replicas, in_group, batch)


class StrategyReplicas(OneReplica):
    """The replicas of a strategy.

    There is no public reduce-scatter, so that a replica's share of a gradient is the
    whole of it: two gradients cost two all-reduces.

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
        # The last batch of a dataset may not be cut evenly.
        num_own = tf.shape(tf.nest.flatten(batch)[0])[0]
        num_samples = context.all_gather(num_own[None], axis=0)
        self._num_own = num_own
        self._num_all = tf.reduce_sum(num_samples)
        self._num_before = tf.reduce_sum(num_samples[: self.index])

    def count_samples(self, batch):
        return self._num_all

    def gather_rows(self, tree):
        return tf.nest.map_structure(
            lambda rows: self.context.all_gather(rows, axis=0), tree
        )

    def own_rows(self, tree):
        def own(rows):
            per_sample = tf.shape(rows)[0] // self._num_all
            first = self._num_before * per_sample
            return rows[first : first + self._num_own * per_sample]

        return tf.nest.map_structure(own, tree)

    def sum_gradients(self, gradients):
        return self._sum(gradients)

    def sum_into_shares(self, gradients):
        return gradients if self.replicas_in_group == 1 else self._sum(gradients)

    def sum_over_shares(self, tensor):
        if self.replicas_in_group == 1:
            return tensor
        # All have summed the same numbers; now they agree to the last bit.
        return self.context.all_reduce("MEAN", tensor)

    def sum_over_groups(self, tree):
        return tree if self.replicas_in_group > 1 else self._sum(tree)

    def add_up(self, function, count, zeros):
        # A replica can't leave a loop of the graph to meet the others.
        sums = zeros
        for index in range(count):
            sums = tf.nest.map_structure(tf.add, sums, function(index))
        return sums

    def _sum(self, tree):
        """Sum of all tensors of a nest in one exchange, `None` left out."""
        leaves = tf.nest.flatten(tree)
        given = [leaf for leaf in leaves if leaf is not None]
        summed = iter(self.context.all_reduce("SUM", given))
        leaves = [None if leaf is None else next(summed) for leaf in leaves]
        return tf.nest.pack_sequence_as(tree, leaves)


def apply_gradients(optimizer, gradients, variables, apply, replicas):
    """Lets the optimizer take its step if `apply`, else changes nothing.

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
        with _reduced_already(optimizer):
            tf.cond(apply, lambda: apply_in_replica(*gradients), lambda: None)
        return

    def apply_across_replicas(strategy, apply, *gradients):
        # A branch of a `tf.cond` in a replica can't hold a `merge_call`, which the
        # optimizer makes: the condition goes above the replicas.
        def step():
            with _reduced_already(optimizer):
                strategy.extended.call_for_each_replica(apply_in_replica, gradients)

        tf.cond(strategy.experimental_local_results(apply)[0], step, lambda: None)

    replicas.context.merge_call(apply_across_replicas, (apply, *gradients))


def _check_compiled(model):
    """Refuses what would fail under a strategy, or be wrong without a word."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not isinstance(optimizer.variables[0].value, tf.distribute.DistributedValues):
        # Each replica would take the step on the same variables.
        raise ValueError(
            "The optimizer was made outside of the strategy's scope: make it, and "
            "compile the model, inside of `with strategy.scope():`."
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


@contextlib.contextmanager
def _reduced_already(optimizer):
    """Keeps an optimizer from summing gradients over the replicas once more.

    Its own way to be told so, an argument of `apply_gradients`, is gone from Keras 3.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    name = "_all_reduce_sum_gradients"
    if not hasattr(optimizer, name):
        raise NotImplementedError(
            f"This version of Keras has changed how optimizers sum gradients ({name} "
            "is missing): training under a tf.distribute strategy needs Keras 3.15."
        )
    object.__setattr__(optimizer, name, list)
    try:
        yield
    finally:
        object.__delattr__(optimizer, name)
