"""The exchange of tensors between the replicas of a model in a training step."""

from keras import ops, tree


class OneReplica:
    """A model on one device, which has the whole batch: nothing is exchanged.

    Subclasses exchange tensors between several devices by the same interface. Each
    replica has a slice of the batch; slices are consecutive. For harmonization,
    consecutive replicas form groups. The replicas of a group compute one gradient
    together, and each keeps a shard of it.
    """

    num_replicas = 1
    replicas_in_group = 1
    # The index of this replica, an int or a scalar tensor; `None` if it is alone.
    index = None

    def count_samples(self, batch):
        """Returns the number of samples of the whole batch, from this slice of it."""
        entries = [entry for entry in tree.flatten(batch) if entry is not None]
        return ops.shape(entries[0])[0]

    def gather_rows(self, tree):
        """All-gathers the examples of all replicas, in order; `None` stays `None`."""
        return tree

    def own_rows(self, tree):
        """Returns this replica's slice of the examples of all replicas."""
        return tree

    def sum_gradients(self, gradients):
        """Sums gradients over all replicas (all-reduce); `None` stays `None`."""
        return gradients

    def sum_into_shards(self, gradients):
        """Sums gradients over a group; each replica keeps a shard (reduce-scatter)."""
        return gradients

    def sum_over_shards(self, tensor):
        """Sums a tensor that was computed from shards over the replicas of a group."""
        return tensor

    def sum_over_groups(self, tree):
        """Sums a nest of tensors over the groups; `None` stays `None`."""
        return tree

    def join_shards(self, gradients):
        """All-gathers whole gradients from the shards of a group."""
        return gradients

    def add_up(self, function, count, zeros):
        """Sums a function over the indices 0 to `count - 1`.

        Args:
            function: function `index -> nest of tensors`, which may exchange tensors
                between replicas.
            count: int.
            zeros: nest of zero tensors, the start of the sum.

        Returns:
            Nest of tensors.
        """
        return ops.fori_loop(
            0,
            count,
            lambda index, sums: tree.map_structure(ops.add, sums, function(index)),
            zeros,
        )

    def zero_shards(self, variables):
        """Returns zeros with the shapes of the shards of the variables' gradients."""
        return [ops.zeros(variable.shape, variable.dtype) for variable in variables]


def replicas_per_group(model, num_replicas):
    """Returns the number of replicas that compute one group's gradient together.

    Args:
        model: the `HarmonizedModel`.
        num_replicas: int, all replicas.

    Returns:
        int; `1` also if a replica has several groups.

    Raises:
        ValueError: if neither number divides the other.
    """
    if model.group_by == "anchors" or model.compare == "features":
        return num_replicas
    num_groups = model.num_groups
    if num_groups == "per_clip":
        return 1
    if max(num_groups, num_replicas) % min(num_groups, num_replicas):
        raise ValueError(
            "`num_groups` must divide the number of replicas of the model or be a "
            f"multiple of it. Received: num_groups={num_groups} with {num_replicas} "
            "replicas"
        )
    return max(num_replicas // num_groups, 1)
