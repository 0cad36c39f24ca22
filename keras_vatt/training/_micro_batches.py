"""Gradients of the whole batch, computed in micro-batches to save memory.

A contrastive loss needs the features of all samples, but not all of their activations
at the same time. The features are computed one micro-batch at a time and kept; the
losses are differentiated with respect to them; then each micro-batch runs forward once
more, and backward from the gradient of its own features. (GradCache: Gao et
al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", 2021.)
"""

from keras import ops, tree


def pullback_in_micro_batches(
    backend, model, encode, batch, num_micro_batches, updates, per_output
):
    """Runs a branch forward in micro-batches; returns its outputs and its VJP.

    Args:
        backend: module of `keras_vatt.training.backends`, see `protocol.Backend`.
        model: the `HarmonizedModel`.
        encode: function `(micro_batch, index) -> outputs`, nests of tensors.
        batch: nest of tensors, examples first.
        num_micro_batches: int.
        updates: list of pairs of a variable and the value that the branch starts from.
        per_output: bool, see `pullback` of `protocol.Backend`.

    Returns:
        Same as `pullback` of `protocol.Backend`.

    Raises:
        ValueError: if a layer adds a loss, which is that of a micro-batch.
    """
    slices = (_split_rows(batch, num_micro_batches), ops.arange(num_micro_batches))
    variables = model.trainable_variables
    seen = {}

    def run_forward(one_slice):
        outputs, scope = backend.forward(lambda: encode(*one_slice), updates)
        _refuse_added_losses(scope)
        # Lists of tensors may leave a compiled loop, variables may not.
        seen["variables"] = [variable for variable, _ in scope.updates]
        seen["reached"] = scope.was_read(variables)
        return outputs, [value for _, value in scope.updates]

    outputs, values = backend.map_slices(run_forward, slices)
    # Each micro-batch starts from the same seeds and ends with the same new seeds.
    new_updates = [
        (variable, value[0])
        for variable, value in zip(seen["variables"], values, strict=True)
    ]

    def vjp(cotangents):
        scanned = (slices, _split_rows(cotangents, num_micro_batches))

        def add_gradients(index, totals):
            own_slice, own_cotangents = tree.map_structure(lambda x: x[index], scanned)
            _, vjp_of_slice, _ = backend.pullback(
                model,
                lambda _: encode(*own_slice),
                {},
                updates,
                num_uses=1,
                per_output=per_output,
            )
            gradients = [gradient for gradient, _ in vjp_of_slice(own_cotangents)]
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

    return _join_rows(outputs), _VJP(vjp), new_updates


class _VJP:
    """The VJP of a function that runs in micro-batches."""

    added_loss = None

    def __init__(self, vjp):
        self._vjp = vjp

    def __call__(self, cotangents):
        return self._vjp(cotangents)

    def of_added_loss(self, cotangent, of_outputs):
        """Computes the gradients of given outputs: there is no added loss."""
        ((gradients, of_inputs),) = self._vjp([of_outputs])
        return gradients, of_inputs


def _refuse_added_losses(scope):
    if scope.losses:
        raise ValueError(
            "With `num_micro_batches`, no layer may call `add_loss` or have an "
            "activity regularizer: its loss would be that of a micro-batch."
        )


def _split_rows(batch, num_micro_batches):
    """Splits the first axis of each array into micro-batches and their examples."""

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
    """Inverts `_selected`; values that were not chosen become `None`."""
    values = iter(values)
    return [next(values) if is_chosen else None for is_chosen in chosen]
