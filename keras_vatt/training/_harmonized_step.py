"""From a batch to the one gradient that the optimizer is given."""

import functools

from keras import ops, tree

from keras_vatt import harmonization
from keras_vatt.layers._batch_slice import batch_slice
from keras_vatt.training._branch_scope import merged_updates
from keras_vatt.training._micro_batches import pullback_in_micro_batches


class HarmonizedStep:
    """The gradients of one training step, on one replica.

    Args:
        backend: module of the backend, such as `keras_vatt.training.backends.jax`.
        model: the `HarmonizedModel`.
        replicas: `OneReplica` or another kind.
        batch: dict of tensors, this replica's slice of the batch.
    """

    def __init__(self, backend, model, replicas, batch):
        self.backend = backend
        self.model = model
        self.replicas = replicas
        self.batch = batch
        self.losses = model.branch_losses()
        self.loss_scale = model.optimizer.scale_loss(ops.ones(()))
        self.loss_inputs = replicas.gather_rows(model.loss_inputs_of(batch))

    def take(self):
        """Computes the step; changes no variable.

        Returns:
            Dict: `"gradients"`, a list with one for each trainable variable;
            `"updates"`, pairs of other variables and their new values; and what
            `keras_vatt.training.StepMetrics` counts.
        """
        updates = self._run_forward()
        harmonized = self.model.harmonizer is not None
        step = self._grouped_step() if harmonized else self._plain_step()
        num_samples = self.replicas.count_samples(self.batch)
        num_valid = count_valid(self.losses, self.loss_inputs, num_samples)
        return step | {"updates": updates, "num_valid": num_valid}

    def _run_forward(self):
        self.outputs, self.walk_embed, self.walk_encode = {}, {}, {}
        updates = []
        for name, branch in self.model.used_branches(self.losses).items():
            features, self.walk_encode[name], encode_updates = self._encode(
                branch, updates
            )
            outputs, self.walk_embed[name], embed_updates = self.backend.pullback(
                self.model,
                functools.partial(branch.embed, training=True),
                self.replicas.gather_rows(features),
                [],
                num_uses=self._num_embed_uses,
            )
            self.outputs[name] = outputs
            updates = merged_updates(updates, encode_updates, embed_updates)
        return updates

    def _encode(self, branch, updates):
        model = self.model
        given = [name for name in branch.inputs if self.batch.get(name) is not None]
        inputs = {name: self.batch[name] for name in given}
        if model.num_micro_batches > 1:
            return pullback_in_micro_batches(
                self.backend,
                model,
                functools.partial(self._encode_slice, branch),
                inputs,
                model.num_micro_batches,
                updates,
            )
        return self.backend.pullback(
            model,
            lambda _: self._encode_slice(branch, inputs),
            {},
            updates,
            num_uses=self._num_encode_uses,
        )

    def _encode_slice(self, branch, inputs, micro_batch=None):
        index = self.replicas.index
        if micro_batch is not None:
            first = 0 if index is None else index * self.model.num_micro_batches
            index = first + micro_batch
        with batch_slice(index):
            return branch.encode(inputs, training=True)

    @property
    def _num_encode_uses(self):
        """How many times each encoder is walked backward."""
        if self.model.group_by == "anchors":
            return self.model.num_groups
        return max(self.model.num_groups // self.replicas.num_replicas, 1)

    @property
    def _num_embed_uses(self):
        whole_batch = self.model.group_by == "samples" and self.model.num_groups > 1
        return self._num_encode_uses + int(whole_batch)

    def _plain_step(self):
        values, cotangents = self._differentiate()
        gradients = None
        for name in self.outputs:
            own = [cotangent[name] for cotangent in cotangents if name in cotangent]
            total = tree.map_structure(lambda *leaves: sum(leaves), *own)
            ((embed_gradients, of_features),) = self.walk_embed[name]([total])
            of_rows = self.replicas.own_rows(of_features)
            ((encode_gradients, _),) = self.walk_encode[name]([of_rows])
            shared = _scaled(embed_gradients, 1 / self.replicas.num_replicas)
            gradients = _sum_gradients(gradients, shared, encode_gradients)
        gradients = self.replicas.sum_gradients(gradients)
        gram = harmonization.gradient_gram([gradients])
        return {
            "gradients": self._without_none(gradients),
            "losses": values,
            "nonfinite": _is_nonfinite(gram),
            "applied": ops.ones(()),
        }

    def _grouped_step(self):
        model, replicas = self.model, self.replicas
        num_own = self._num_encode_uses
        group_step = self._group_step_by_anchors
        if model.group_by == "samples" and model.num_groups > 1:
            group_step = self._group_step_by_samples()
        if num_own == 1:
            step = group_step(0)
        else:
            step = self._sum_of_groups(group_step, num_own)
        # Shares are summed while they are shares.
        averaged = (
            "nonfinite",
            "applied",
            "comparable",
            "cosine",
            "conflict",
            "norms",
        )
        summed = {name: step[name] for name in ("gradients", *averaged)}
        step |= replicas.sum_over_groups(summed)
        gradients = self._without_none(replicas.join_shares(step["gradients"]))
        return step | {
            "gradients": gradients,
            **{name: step[name] / model.num_groups for name in averaged},
        }

    def _sum_of_groups(self, group_step, count):
        zero, zeros = ops.zeros(()), ops.zeros((len(self.losses),))
        zero_shares = self.replicas.zero_shares(self.model.trainable_variables)

        def filled_step(index):
            step = group_step(index)
            return step | {"gradients": _filled(step["gradients"], zero_shares)}

        return self.replicas.add_up(
            filled_step,
            count,
            {
                "gradients": zero_shares,
                "losses": zeros,
                "nonfinite": zero,
                "applied": zero,
                "comparable": zero,
                "cosine": zero,
                "conflict": zero,
                "norms": zeros,
            },
        )

    def _group_step_by_anchors(self, group):
        """The whole batch's gradient of a group's terms of the losses."""
        values, cotangents = self._differentiate(group)
        gradients, of_features = self._walk(self.walk_embed, cotangents)
        of_rows = self.replicas.own_rows(of_features)
        return {"losses": values} | self._harmonize(gradients, of_rows)

    def _group_step_by_samples(self):
        """Function from a group of this replica to the gradient through its samples."""
        values, cotangents = self._differentiate()
        _, of_features = self._walk(self.walk_embed, cotangents)
        of_rows = self.replicas.own_rows(of_features)
        num_own = self._num_encode_uses

        def group_step(index):
            group = self._first_own_group() + index
            _, cotangents = self._differentiate(group)
            gradients, _ = self._walk(self.walk_embed, cotangents)
            of_group = of_rows
            if num_own > 1:
                of_group = tree.map_structure(
                    lambda rows: _only_group(rows, index, num_own), of_rows
                )
            return {"losses": values / num_own} | self._harmonize(gradients, of_group)

        return group_step

    def _first_own_group(self):
        if self.replicas.index is None:
            return 0
        return self.replicas.index * self.model.num_groups // self.replicas.num_replicas

    def _differentiate(self, group=None):
        """Values of the losses and, for each, the cotangents of its branches.

        Cotangents are those of the losses as weighted in the total, times the
        optimizer's loss scale. With `group` only that group's terms count.
        """
        num_groups = self.model.num_groups
        values, cotangents = [], []
        for loss in self.losses:

            def scaled_loss(own_outputs, loss=loss):
                terms = loss.per_sample(own_outputs, self.loss_inputs)
                if num_groups > 1 and group is not None:
                    terms = _only_group(terms, group, num_groups)
                return ops.mean(terms) * loss.weight * self.loss_scale

            own_outputs = {name: self.outputs[name] for name in loss.branches}
            value, cotangent = self.backend.value_and_cotangents(
                scaled_loss, own_outputs
            )
            values.append(value / (loss.weight * self.loss_scale))
            cotangents.append(cotangent)
        return ops.stack(values), cotangents

    def _walk(self, walks, cotangents):
        """Walks branches backward, each for the losses that it lies under.

        Args:
            walks: dict from branch to its `pull_back`.
            cotangents: list with one dict from branch to cotangents for each loss.

        Returns:
            Gradients of each loss, and a list like `cotangents` of those of what went
            into the branches.
        """
        gradients = [None] * len(self.losses)
        of_inputs = [{} for _ in self.losses]
        for name, walk in walks.items():
            users = [k for k, loss in enumerate(self.losses) if name in loss.branches]
            pulled = walk([cotangents[k][name] for k in users])
            for k, (gradient, inputs) in zip(users, pulled, strict=True):
                gradients[k] = _sum_gradients(gradients[k], gradient)
                of_inputs[k][name] = inputs
        return gradients, of_inputs

    def _harmonize(self, embed_gradients, of_rows):
        """One group's gradients, harmonized: its share of the sum, and what it was."""
        replicas = self.replicas
        # All replicas of a group have the same gradients of what sees the whole batch.
        part = 1 / replicas.replicas_in_group
        encode_gradients, _ = self._walk(self.walk_encode, of_rows)
        shares = [
            replicas.sum_into_shares(_sum_gradients(_scaled(embed, part), encode))
            for embed, encode in zip(embed_gradients, encode_gradients, strict=True)
        ]
        gram = replicas.sum_over_shares(harmonization.gradient_gram(shares))
        gram = gram / self.loss_scale**2
        weights, apply = self.model.harmonizer(gram, self.model.num_steps.value)
        applied = ops.cast(apply, "float32")
        cosine = harmonization.smallest_cosine(gram)
        norms = harmonization.gradient_norms(gram)
        num_gradients = ops.sum(ops.cast(norms > 0, "int32"))
        return {
            "gradients": harmonization.combine_gradients(shares, weights * applied),
            "nonfinite": _is_nonfinite(gram),
            "applied": applied,
            "comparable": ops.cast(num_gradients > 1, "float32"),
            "cosine": cosine,
            "conflict": ops.cast(cosine < 0, "float32"),
            "norms": norms,
        }

    def _without_none(self, gradients):
        """A variable that no loss reaches has gradient zero on every backend."""
        return _filled(gradients, self.model.trainable_variables, _zeros)


def count_valid(losses, loss_inputs, num_samples):
    """The number of samples of a batch that have each loss.

    Args:
        losses: list of `BranchLoss`.
        loss_inputs: dict of tensors, the inputs of the losses for the whole batch.
        num_samples: int or int scalar, the number of samples of the whole batch.

    Returns:
        float32 tensor of shape `(losses,)`.
    """
    masks = [loss.is_valid and loss.is_valid(loss_inputs) for loss in losses]
    every = ops.cast(num_samples, "float32")
    return ops.stack([every if mask is None else ops.sum(mask) for mask in masks])


def _sum_gradients(*gradients):
    """Sum of lists of gradients, `None` in place of a list or of a gradient of it."""
    given = [gradient for gradient in gradients if gradient is not None]
    return [_sum_of_given(leaves) for leaves in zip(*given, strict=True)]


def _sum_of_given(leaves):
    given = [leaf for leaf in leaves if leaf is not None]
    return sum(given[1:], start=given[0]) if given else None


def _scaled(gradients, factor):
    if factor == 1:
        return gradients
    return [None if gradient is None else gradient * factor for gradient in gradients]


def _filled(gradients, fillers, make=lambda filler: filler):
    return [
        make(filler) if gradient is None else gradient
        for gradient, filler in zip(gradients, fillers, strict=True)
    ]


def _zeros(variable):
    return ops.zeros(variable.shape, variable.dtype)


def _is_nonfinite(gram):
    # A sum of squares shows any NaN or infinity among its terms.
    return ops.cast(ops.logical_not(ops.all(ops.isfinite(gram))), "float32")


def _only_group(rows, group, num_groups):
    """The rows of a group of consecutive samples, zeros in place of the others."""
    static_size = rows.shape[0]
    if static_size is not None and static_size % num_groups:
        raise ValueError(
            "The batch size must be a multiple of `num_groups`. Received: "
            f"batch size {static_size}, num_groups={num_groups}"
        )
    # In a graph of TensorFlow, which may not know the size before it runs, this
    # refuses other sizes.
    row_shape = ops.shape(rows)[1:]
    grouped = ops.reshape(rows, (num_groups, -1, *row_shape))
    is_own = ops.cast(ops.equal(ops.arange(num_groups), group), rows.dtype)
    own = grouped * ops.reshape(is_own, (-1, *[1] * len(rows.shape)))
    return ops.reshape(own, (-1, *row_shape))
