"""Lists of gradients, one tensor per variable; `None` stands for a zero gradient."""

from keras import ops, tree

from keras_vatt import harmonization


def sum_gradients(*gradients):
    """Sums lists of gradients; a list, or a gradient in it, may be `None`."""
    given = [gradient for gradient in gradients if gradient is not None]
    return [_sum_of_given(leaves) for leaves in zip(*given, strict=True)]


def sum_cotangents(cotangents):
    """Sums the cotangents of each branch over the losses that depend on it.

    Args:
        cotangents: list with one dict from branch to cotangents per loss.

    Returns:
        Dict from branch to cotangents.
    """
    return merge_nests(lambda leaves: sum(leaves.values()), dict(enumerate(cotangents)))


def merge_nests(function, nests):
    """Merges nests of the same structure, in which dicts may lack some of the keys.

    Args:
        function: function from a dict of leaves, with the keys of the nests that have
            this leaf, to one leaf.
        nests: non-empty dict of nests.

    Returns:
        Nest with all leaves.
    """
    first = next(iter(nests.values()))
    if isinstance(first, dict):
        names = dict.fromkeys(name for nest in nests.values() for name in nest)
        return {
            name: merge_nests(
                function, {k: nest[name] for k, nest in nests.items() if name in nest}
            )
            for name in names
        }
    flat = [tree.flatten(nest) for nest in nests.values()]
    merged = [
        function(dict(zip(nests, leaves, strict=True)))
        for leaves in zip(*flat, strict=True)
    ]
    return tree.pack_sequence_as(first, merged)


def sum_of_vjps(vjps, cotangents):
    """Computes `Backend.pull_back_sum` from one VJP after the other."""
    total, of_inputs = None, {}
    for name, vjp in vjps.items():
        ((gradients, of_inputs[name]),) = vjp([cotangents[name]])
        total = sum_gradients(total, gradients)
    return total, of_inputs


def squared_norm(gradients):
    """Computes `Backend.squared_norm` like an entry of a Gram matrix."""
    return harmonization.gradient_gram([gradients])[0, 0]


def scaled(gradients, factor):
    """Multiplies all gradients by a Python number."""
    if factor == 1:
        return gradients
    return [None if gradient is None else gradient * factor for gradient in gradients]


def filled(gradients, fillers):
    """Replaces `None` by the filler of the same variable."""
    check_any_gradient(gradients)
    pairs = zip(gradients, fillers, strict=True)
    return [filler if gradient is None else gradient for gradient, filler in pairs]


def without_none(gradients, variables):
    """Replaces `None` by zeros: a variable that no loss depends on."""
    check_any_gradient(gradients)
    return [
        ops.zeros(variable.shape, variable.dtype) if gradient is None else gradient
        for gradient, variable in zip(gradients, variables, strict=True)
    ]


def check_any_gradient(gradients):
    """Refuses gradients that are all `None`.

    Raises:
        ValueError: if no loss depends on a trainable variable.
    """
    if gradients and all(gradient is None for gradient in gradients):
        raise ValueError(
            "No loss depends on a trainable variable, so that training would change "
            "nothing. The branches must call layers of the model, trainable ones, "
            "without `stop_gradient` or a detour through NumPy. Received: "
            f"{len(gradients)} trainable variables, none with a gradient"
        )


def is_nonfinite(products):
    """Returns 1 if a product of gradients is a NaN or an infinity, else 0, float32."""
    # A sum of squares shows any NaN or infinity among its terms.
    return ops.cast(ops.logical_not(ops.all(ops.isfinite(products))), "float32")


def _sum_of_given(leaves):
    given = [leaf for leaf in leaves if leaf is not None]
    return sum(given[1:], start=given[0]) if given else None
