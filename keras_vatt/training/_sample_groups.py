"""Groups of consecutive samples of a batch."""

from keras import ops


def is_grouped(model):
    """Returns whether a batch of a compiled model may have several groups."""
    return model.num_groups != 1


def masks_groups(model):
    """Returns whether groups may be left out of the losses of the other groups.

    It takes another pass through the losses and the encoders, after the comparison.
    """
    by_samples = model.compare == "parameters" and model.group_by == "samples"
    return by_samples and is_grouped(model) and model.harmonizer.may_skip


def only_group(rows, group, num_groups):
    """Replaces the rows of all samples outside of a group by zeros."""
    grouped = by_group(rows, num_groups)
    is_own = ops.cast(ops.equal(ops.arange(num_groups), group), rows.dtype)
    own = grouped * ops.reshape(is_own, (-1, *[1] * len(rows.shape)))
    return ops.reshape(own, (-1, *ops.shape(rows)[1:]))


def by_group(rows, num_groups):
    """Splits the first axis into groups and the rows of each group.

    Raises:
        ValueError: if the number of rows is not a multiple of `num_groups`.
    """
    static_size = rows.shape[0]
    is_known = static_size is not None and isinstance(num_groups, int)
    if is_known and static_size % num_groups:
        raise ValueError(
            "The size of each batch must be a multiple of `num_groups`, that of the "
            "last one too: choose another size, or leave out the rest, as with "
            "`dataset.batch(size, drop_remainder=True)`. "
            f"Received: batch size {static_size}, num_groups={num_groups}"
        )
    # In a TensorFlow graph the size may be unknown until it runs: there, this
    # `reshape` refuses other sizes.
    return ops.reshape(rows, (num_groups, -1, *ops.shape(rows)[1:]))


def spread(values, num_samples):
    """Repeats the value of each group for its samples.

    Args:
        values: tensor of shape `(groups, ...)`.
        num_samples: int or int scalar, a multiple of the number of groups.

    Returns:
        Tensor of shape `(num_samples, ...)`.
    """
    num_groups, *rest = ops.shape(values)
    shape = (num_groups, num_samples // num_groups, *rest)
    repeated = ops.broadcast_to(ops.expand_dims(values, 1), shape)
    return ops.reshape(repeated, (-1, *rest))


def one_group(value, group, num_groups):
    """Returns a tensor `(num_groups, ...)` of zeros with a value at one group."""
    is_own = ops.cast(ops.equal(ops.arange(num_groups), group), value.dtype)
    return ops.reshape(is_own, (-1, *[1] * len(value.shape))) * value[None]
