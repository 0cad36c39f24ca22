"""Batches that don't fit into memory at once, with the gradient of the whole batch.

A contrastive loss needs the features of all samples, but not at the same time all that
a backward pass needs of them. So the features are computed micro-batch by micro-batch
and kept; the losses' gradient with respect to them is taken; then each micro-batch runs
forward once more, and backward from its own features' gradient. (GradCache: Gao et
al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", 2021.)
"""

from keras import ops, tree


def pullback_in_micro_batches(
    backend, model, encode, batch, num_micro_batches, updates
):
    """Runs a branch forward in micro-batches; returns its outputs and the way back.

    Args:
        backend: module of the backend, such as `keras_vatt.training.backends.jax`.
        model: the `HarmonizedModel`.
        encode: function `(micro_batch, index) -> outputs`, nests of tensors.
        batch: nest of tensors, rows first.
        num_micro_batches: int.
        updates: list of pairs of variables and values that the branch starts from.

    Returns:
        Same as `pullback` in `keras_vatt/training/backends/jax.py`.
    """
    slices = (_split_rows(batch, num_micro_batches), ops.arange(num_micro_batches))
    variables = model.trainable_variables
    seen = {}

    def run_forward(one_slice):
        outputs, scope = backend.forward(lambda: encode(*one_slice), updates)
        # Lists of tensors may leave a compiled loop, variables may not.
        seen["variables"] = [variable for variable, _ in scope.updates]
        seen["reached"] = scope.was_read(variables)
        return outputs, [value for _, value in scope.updates]

    outputs, values = backend.map_slices(run_forward, slices)
    # Each micro-batch starts from the same seeds and leaves the same ones behind.
    new_updates = [
        (variable, value[0])
        for variable, value in zip(seen["variables"], values, strict=True)
    ]

    def pull_back(cotangents):
        scanned = (slices, _split_rows(cotangents, num_micro_batches))

        def add_gradients(index, totals):
            own_slice, own_cotangents = tree.map_structure(lambda x: x[index], scanned)
            _, walk_back, _ = backend.pullback(
                model, lambda _: encode(*own_slice), {}, updates, num_uses=1
            )
            gradients = [gradient for gradient, _ in walk_back(own_cotangents)]
            return [
                [total if g is None else total + g for total, g in _pairs(total, gs)]
                for total, gs in zip(totals, _reached(gradients), strict=True)
            ]

        def _reached(gradients):
            return [_selected(gradient, seen["reached"]) for gradient in gradients]

        zeros = [
            [ops.zeros(v.shape, v.dtype) for v in _selected(variables, seen["reached"])]
            for _ in cotangents
        ]
        totals = ops.fori_loop(0, num_micro_batches, add_gradients, zeros)
        return [(_spread(total, seen["reached"]), {}) for total in totals]

    return _join_rows(outputs), pull_back, new_updates


def _split_rows(batch, num_micro_batches):
    """Gives the arrays of a batch a first axis of micro-batches."""

    def split(tensor):
        num_rows = tensor.shape[0]
        if num_rows is not None and num_rows % num_micro_batches:
            raise ValueError(
                "The batch size of each replica must be a multiple of "
                f"`num_micro_batches`. Received: batch size {num_rows}, "
                f"num_micro_batches={num_micro_batches}"
            )
        rows = -1 if num_rows is None else num_rows // num_micro_batches
        return ops.reshape(tensor, (num_micro_batches, rows, *tensor.shape[1:]))

    return tree.map_structure(split, batch)


def _join_rows(tensors):
    return tree.map_structure(
        lambda tensor: ops.reshape(tensor, (-1, *tensor.shape[2:])), tensors
    )


def _pairs(first, second):
    return zip(first, second, strict=True)


def _selected(values, chosen):
    return [value for value, is_chosen in _pairs(values, chosen) if is_chosen]


def _spread(values, chosen):
    """Undoes `_selected`, `None` for what was not chosen."""
    values = iter(values)
    return [next(values) if is_chosen else None for is_chosen in chosen]
