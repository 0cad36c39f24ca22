"""The harmonized training step: one gradient for the optimizer from one batch.

On one replica, with one group and no micro-batches, the step is this function:

```python
def reference_step(backend, model, batch):
    losses, outputs, vjps, gradients = model.branch_losses(), {}, {}, []
    for name, branch in model.branches().items():
        num_uses = sum(name in loss.branches for loss in losses)
        outputs[name], vjps[name], _ = backend.pullback(
            model, lambda _, branch=branch: branch(batch), {}, [], num_uses
        )
    for loss in losses:
        def weighted(own_outputs):
            return loss.weight * ops.mean(loss.per_sample(own_outputs, batch))
        own_outputs = {name: outputs[name] for name in loss.branches}
        _, cotangents = backend.value_and_cotangents(weighted, own_outputs)
        gradients.append(_sum_gradients(
            *(vjps[name]([cotangents[name]])[0][0] for name in loss.branches)
        ))
    gram = harmonization.gradient_gram(gradients)
    weights, apply = model.harmonizer(gram, model.num_steps.value)
    return harmonization.combine_gradients(gradients, weights), apply
```

`HarmonizedStep` computes the same result, with four additions:

- each branch has two stages: `encode` computes features of the samples of one replica,
  optionally in micro-batches, and `embed` maps the features of all replicas to the
  common spaces (`VATT.encode` does both);
- each group of samples is harmonized separately;
- replicas hold shards of the gradients;
- losses are multiplied by the loss scale of the optimizer.
"""

import functools

from keras import ops, tree

from keras_vatt import harmonization
from keras_vatt.layers._batch_slice import batch_slice
from keras_vatt.training._branch_scope import merged_updates
from keras_vatt.training._micro_batches import pullback_in_micro_batches
from keras_vatt.training._step_result import GroupStep, StepResult


class HarmonizedStep:
    """The gradients of one training step, on one replica.

    Args:
        backend: module of `keras_vatt.training.backends`, see `protocol.Backend`.
        model: the `HarmonizedModel`.
        replicas: `OneReplica`, or `MeshReplicas` (JAX) or `StrategyReplicas`
            (TensorFlow): the communication between devices.
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
            `StepResult`.
        """
        updates = self._run_forward()
        harmonized = self.model.harmonizer is not None
        step = self._grouped_step() if harmonized else self._plain_step()
        num_samples = self.replicas.count_samples(self.batch)
        num_valid = count_valid(self.losses, self.loss_inputs, num_samples)
        return step._replace(updates=updates, num_valid=num_valid)

    def _run_forward(self):
        self.outputs, self.vjp_of_embed, self.vjp_of_encode = {}, {}, {}
        updates = []
        for name, branch in self.model.used_branches(self.losses).items():
            features, self.vjp_of_encode[name], encode_updates = self._encode(
                branch, updates
            )
            outputs, self.vjp_of_embed[name], embed_updates = self.backend.pullback(
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
        """Number of calls of the VJP of each encoder."""
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
            ((embed_gradients, of_features),) = self.vjp_of_embed[name]([total])
            of_rows = self.replicas.own_rows(of_features)
            ((encode_gradients, _),) = self.vjp_of_encode[name]([of_rows])
            shared = _scaled(embed_gradients, 1 / self.replicas.num_replicas)
            gradients = _sum_gradients(gradients, shared, encode_gradients)
        gradients = self.replicas.sum_gradients(gradients)
        gram = harmonization.gradient_gram([gradients])
        return StepResult(
            gradients=self._without_none(gradients),
            losses=values,
            nonfinite=_is_nonfinite(gram),
            applied=ops.ones(()),
        )

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
        losses = step.losses
        # The groups are summed before the all-gather: shards are smaller.
        step = replicas.sum_over_groups(step._replace(losses=None))
        gradients = self._without_none(replicas.join_shards(step.gradients))
        mean = GroupStep(gradients, losses, *(x / model.num_groups for x in step[2:]))
        return StepResult(
            gradients, losses, mean.nonfinite, mean.applied, harmonized=mean
        )

    def _sum_of_groups(self, group_step, count):
        zero, zeros = ops.zeros(()), ops.zeros((len(self.losses),))
        zero_shards = self.replicas.zero_shards(self.model.trainable_variables)

        def filled_step(index):
            step = group_step(index)
            return step._replace(gradients=_filled(step.gradients, zero_shards))

        return self.replicas.add_up(
            filled_step,
            count,
            GroupStep(
                gradients=zero_shards,
                losses=zeros,
                nonfinite=zero,
                applied=zero,
                comparable=zero,
                cosine=zero,
                conflict=zero,
                norms=zeros,
            ),
        )

    def _group_step_by_anchors(self, group):
        """Harmonizes the gradients of one group's terms, through all samples."""
        values, cotangents = self._differentiate(group)
        gradients, of_features = self._pull_back(self.vjp_of_embed, cotangents)
        of_rows = self.replicas.own_rows(of_features)
        return self._harmonize(values, gradients, of_rows)

    def _group_step_by_samples(self):
        """Returns a function from a group's index to its `GroupStep`."""
        values, cotangents = self._differentiate()
        _, of_features = self._pull_back(self.vjp_of_embed, cotangents)
        of_rows = self.replicas.own_rows(of_features)
        num_own = self._num_encode_uses

        def group_step(index):
            group = self._first_own_group() + index
            _, cotangents = self._differentiate(group)
            gradients, _ = self._pull_back(self.vjp_of_embed, cotangents)
            of_group = of_rows
            if num_own > 1:
                of_group = tree.map_structure(
                    lambda rows: _only_group(rows, index, num_own), of_rows
                )
            return self._harmonize(values / num_own, gradients, of_group)

        return group_step

    def _first_own_group(self):
        if self.replicas.index is None:
            return 0
        return self.replicas.index * self.model.num_groups // self.replicas.num_replicas

    def _differentiate(self, group=None):
        """Computes the losses and, for each, the cotangents of its branches.

        The cotangents are those of the weighted loss times the optimizer's loss
        scale. With `group`, only the terms of that group's samples count.
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

    def _pull_back(self, vjps, cotangents):
        """Runs the backward pass of each branch for the losses that depend on it.

        Args:
            vjps: dict from branch to its VJP.
            cotangents: list with one dict from branch to cotangents per loss.

        Returns:
            Tuple of the gradients of each loss and a list like `cotangents` of the
            gradients of the branches' inputs.
        """
        gradients = [None] * len(self.losses)
        of_inputs = [{} for _ in self.losses]
        for name, vjp in vjps.items():
            users = [k for k, loss in enumerate(self.losses) if name in loss.branches]
            pulled = vjp([cotangents[k][name] for k in users])
            for k, (gradient, inputs) in zip(users, pulled, strict=True):
                gradients[k] = _sum_gradients(gradients[k], gradient)
                of_inputs[k][name] = inputs
        return gradients, of_inputs

    def _harmonize(self, losses, embed_gradients, of_rows):
        """Returns the `GroupStep` of one group, with this replica's shards."""
        replicas = self.replicas
        # All replicas of a group compute the same gradients of `embed`.
        part = 1 / replicas.replicas_in_group
        encode_gradients, _ = self._pull_back(self.vjp_of_encode, of_rows)
        shards = [
            replicas.sum_into_shards(_sum_gradients(_scaled(embed, part), encode))
            for embed, encode in zip(embed_gradients, encode_gradients, strict=True)
        ]
        gram = replicas.sum_over_shards(harmonization.gradient_gram(shards))
        gram = gram / self.loss_scale**2
        weights, apply = self.model.harmonizer(gram, self.model.num_steps.value)
        applied = ops.cast(apply, "float32")
        cosine = harmonization.smallest_cosine(gram)
        norms = harmonization.gradient_norms(gram)
        num_gradients = ops.sum(ops.cast(norms > 0, "int32"))
        return GroupStep(
            gradients=harmonization.combine_gradients(shards, weights * applied),
            losses=losses,
            nonfinite=_is_nonfinite(gram),
            applied=applied,
            comparable=ops.cast(num_gradients > 1, "float32"),
            cosine=cosine,
            conflict=ops.cast(cosine < 0, "float32"),
            norms=norms,
        )

    def _without_none(self, gradients):
        """Replaces `None` by zeros: a variable that no loss depends on."""
        return _filled(gradients, self.model.trainable_variables, _zeros)


def count_valid(losses, loss_inputs, num_samples):
    """Counts the samples of a batch that have each loss.

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
    """Sums lists of gradients; a list, or a gradient in it, may be `None`."""
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
    """Replaces the rows of all samples outside of a group by zeros."""
    static_size = rows.shape[0]
    if static_size is not None and static_size % num_groups:
        raise ValueError(
            "The batch size must be a multiple of `num_groups`. Received: "
            f"batch size {static_size}, num_groups={num_groups}"
        )
    # In a TensorFlow graph the size may be unknown until it runs: there, this
    # `reshape` refuses other sizes.
    row_shape = ops.shape(rows)[1:]
    grouped = ops.reshape(rows, (num_groups, -1, *row_shape))
    is_own = ops.cast(ops.equal(ops.arange(num_groups), group), rows.dtype)
    own = grouped * ops.reshape(is_own, (-1, *[1] * len(rows.shape)))
    return ops.reshape(own, (-1, *row_shape))
