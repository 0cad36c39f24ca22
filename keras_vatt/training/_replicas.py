"""What a training step exchanges between the replicas of a model."""

from keras import ops, tree


class OneReplica:
    """A model on one device, which has the whole batch: nothing is exchanged.

    Also says what the other kinds do, one for each way to have several devices.
    The batch lies on the replicas in consecutive slices. For harmonization the
    replicas fall into groups of consecutive ones; those of a group compute one
    gradient together, and each keeps a share of it.
    """

    num_replicas = 1
    replicas_in_group = 1
    # The number of this replica, an int or a scalar tensor; `None` if alone.
    index = None

    def count_samples(self, batch):
        """Number of samples of the whole batch, of which `batch` is this slice."""
        entries = [entry for entry in tree.flatten(batch) if entry is not None]
        return ops.shape(entries[0])[0]

    def gather_rows(self, tree):
        """From each replica's rows to those of all, in order."""
        return tree

    def own_rows(self, tree):
        """From the rows of all replicas to those of this one."""
        return tree

    def sum_gradients(self, gradients):
        """Sum over all replicas of a list of gradients, `None` where there is none."""
        return gradients

    def sum_into_shares(self, gradients):
        """Sum over the replicas of a group, of which each keeps a share."""
        return gradients

    def sum_over_shares(self, tensor):
        """Sum of what was computed from the shares of a group."""
        return tensor

    def sum_over_groups(self, tree):
        """Sum of what each group has, `None` where there is nothing."""
        return tree

    def join_shares(self, gradients):
        """From this replica's shares to whole gradients."""
        return gradients

    def add_up(self, function, count, zeros):
        """Sum of a function of an index, from 0 to below `count`.

        Args:
            function: function `index -> nest of tensors`, which may exchange something.
            count: int.
            zeros: nest of tensors, the sum of nothing.

        Returns:
            Nest of tensors.
        """
        return ops.fori_loop(
            0,
            count,
            lambda index, sums: tree.map_structure(ops.add, sums, function(index)),
            zeros,
        )

    def zero_shares(self, variables):
        """Zeros of the shapes of a replica's shares of gradients of variables."""
        return [ops.zeros(variable.shape, variable.dtype) for variable in variables]


def replicas_per_group(model, num_replicas):
    """How many replicas compute the gradient of one group together.

    Args:
        model: the `HarmonizedModel`.
        num_replicas: int, all replicas.

    Returns:
        int; `1` also where a replica has several groups.

    Raises:
        ValueError: if groups and replicas can't be divided by one another.
    """
    if model.group_by == "anchors":
        return num_replicas
    num_groups = model.num_groups
    if max(num_groups, num_replicas) % min(num_groups, num_replicas):
        raise ValueError(
            "The number of groups must divide that of the replicas of the model, or be "
            f"a multiple of it. Received: num_groups={num_groups} with {num_replicas} "
            "replicas"
        )
    return max(num_replicas // num_groups, 1)
