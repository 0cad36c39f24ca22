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
        gradients.append(sum_gradients(
            *(vjps[name]([cotangents[name]])[0][0] for name in loss.branches)
        ))
    gram = harmonization.gradient_gram(gradients)
    weights, apply = model.harmonizer(gram, model.num_steps.value)
    return harmonization.combine_gradients(gradients, weights), apply
```

`HarmonizedStep` computes the same result, with these additions:

- each branch has two stages: `encode` computes features of the samples of one replica,
  optionally in micro-batches, and `embed` maps the features of all replicas to the
  common spaces (`VATT.encode` does both);
- each group of samples is harmonized separately;
- the gradients may be compared at the features that `encode` returns instead of at the
  parameters (`_feature_comparison.py`, `_parameter_comparison.py`);
- replicas hold shards of the gradients;
- the gradient of regularizers and of `add_loss` is added, and not harmonized
  (`_added_losses.py`);
- losses are multiplied by the loss scale of the optimizer.
"""

import functools

from keras import ops

from keras_vatt.layers._batch_slice import batch_slice
from keras_vatt.training._added_losses import added_losses
from keras_vatt.training._branch_scope import merged_updates
from keras_vatt.training._feature_comparison import compare_features
from keras_vatt.training._gradient_lists import (
    is_nonfinite,
    scaled,
    sum_cotangents,
    sum_gradients,
    without_none,
)
from keras_vatt.training._micro_batches import pullback_in_micro_batches
from keras_vatt.training._parameter_comparison import compare_parameters
from keras_vatt.training._sample_groups import only_group
from keras_vatt.training._step_result import StepResult
from keras_vatt.training._weighted_gradients import num_vjps


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
        self.loss_scale = model.optimizer.scale_loss(ops.ones(()))
        loss_inputs = replicas.gather_rows(model.loss_inputs_of(batch))
        self.loss_inputs = model.whole_loss_inputs(loss_inputs)
        self.num_samples = replicas.count_samples(batch)
        self.losses = model.losses_for(batch, self.num_samples)
        self.is_valid = valid_samples(self.losses, self.loss_inputs, self.num_samples)
        per_clip = model.num_groups == "per_clip"
        self.num_groups = self.num_samples if per_clip else model.num_groups
        self._new_state = {}

    def take(self):
        """Computes the step; changes no variable.

        Returns:
            `StepResult`.
        """
        updates = self._run_forward()
        added = added_losses(self)
        if self.model.harmonizer is None:
            step = self._plain_step()
        elif self.model.compare == "features":
            step = compare_features(self)
        else:
            step = compare_parameters(self)
        return step._replace(
            gradients=sum_gradients(step.gradients, added.gradients),
            nonfinite=ops.maximum(step.nonfinite, added.nonfinite),
            updates=updates,
            num_valid=ops.sum(self.is_valid, axis=0),
            num_samples=self.num_samples,
            added_loss=added.value,
            state=self._new_state,
        )

    def harmonize(self, grams):
        """Calls the harmonizer on one or several Gram matrices; keeps its state.

        Args:
            grams: float32 tensor of shape `(..., K, K)`.

        Returns:
            Tuple of the weights, `(..., K)`, and the flags, `(...)`.
        """
        model = self.model
        num_steps = model.num_steps.value
        state = model.harmonizer_state.current()
        if not state:
            return model.harmonizer(grams, num_steps)
        weights, apply, self._new_state = model.harmonizer(grams, num_steps, state)
        return weights, apply

    def _run_forward(self):
        self.outputs, self.vjp_of_embed, self.vjp_of_encode = {}, {}, {}
        self._uses_of_encode, uses_of_embed = num_vjps(self)
        updates = []
        for name, branch in self.model.branches_for(self.batch, self.losses).items():
            features, self.vjp_of_encode[name], encode_updates = self._encode(
                branch, updates
            )
            features = self.replicas.gather_rows(features)
            outputs, self.vjp_of_embed[name], embed_updates = self._embed(
                branch, features, uses_of_embed
            )
            self.outputs[name] = outputs
            updates = merged_updates(updates, encode_updates, embed_updates)
        return updates

    def _embed(self, branch, features, num_uses):
        if branch.embed is None:
            return features, self._pass_through, []
        return self.backend.pullback(
            self.model,
            functools.partial(branch.embed, training=True),
            features,
            [],
            num_uses=num_uses,
            per_output=self._per_output,
        )

    def _pass_through(self, cotangents):
        """The VJP of a branch without `embed`."""
        no_gradients = [None] * len(self.model.trained_variables)
        return [(no_gradients, cotangent) for cotangent in cotangents]

    @property
    def _per_output(self):
        return any(loss.outputs is not None for loss in self.losses)

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
                self._per_output,
            )
        return self.backend.pullback(
            model,
            lambda _: self._encode_slice(branch, inputs),
            {},
            updates,
            num_uses=self._uses_of_encode,
            per_output=self._per_output,
        )

    def _encode_slice(self, branch, inputs, micro_batch=None):
        index = self.replicas.index
        if micro_batch is not None:
            first = 0 if index is None else index * self.model.num_micro_batches
            index = first + micro_batch
        with batch_slice(index):
            return branch.encode(inputs, training=True)

    @property
    def num_own_groups(self):
        """Number of the groups that this replica computes."""
        if self.model.group_by == "anchors" or self.replicas.num_replicas == 1:
            return self.num_groups
        return max(self.num_groups // self.replicas.num_replicas, 1)

    def _plain_step(self):
        values, cotangents = self.differentiate()
        of_embed, of_features = self.backend.pull_back_sum(
            self.vjp_of_embed, sum_cotangents(cotangents)
        )
        gradients, nonfinite = self.finish(of_embed, of_features)
        return StepResult(gradients, values, nonfinite, applied=ops.ones(()))

    def finish(self, embed_gradients, of_features):
        """Runs one backward pass of each encoder, and sums over the replicas.

        Args:
            embed_gradients: list of gradients of the `embed` stages.
            of_features: dict from branch to cotangents of the whole batch's features.

        Returns:
            Tuple of a list with one tensor per trainable variable, and a float32
            scalar, 1 if they hold a NaN or an infinity.
        """
        backend, replicas = self.backend, self.replicas
        of_rows = replicas.own_rows(of_features)
        of_encode, _ = backend.pull_back_sum(self.vjp_of_encode, of_rows)
        shared = scaled(embed_gradients, 1 / replicas.num_replicas)
        gradients = replicas.sum_gradients(sum_gradients(shared, of_encode))
        gradients = without_none(gradients, self.model.trained_variables)
        return gradients, is_nonfinite(backend.squared_norm(gradients))

    def differentiate(self, group=None, sample_weights=None):
        """Computes the losses and, for each, the cotangents of its branches.

        The cotangents are those of the weighted loss times the optimizer's loss
        scale.

        Args:
            group: int or int scalar. Only the terms of that group's samples count.
                Defaults to `None`, all of them.
            sample_weights: `SampleWeights`, constant factors of the terms and samples
                that are left out. Defaults to `None`.

        Returns:
            Tuple of a float32 tensor of shape `(losses,)` and a list of dicts from
            branch to cotangents.
        """
        loss_inputs, factors = self.loss_inputs, None
        if sample_weights is not None:
            loss_inputs, factors = self._weighted_terms(sample_weights)
        values, cotangents = [], []
        for index, loss in enumerate(self.losses):

            def scaled_loss(own_outputs, loss=loss, index=index):
                outputs = self._with_constants(loss, own_outputs)
                terms = loss.per_sample(outputs, loss_inputs)
                if group is not None:
                    terms = only_group(terms, group, self.num_groups)
                if factors is not None:
                    terms = terms * factors[:, index]
                return ops.mean(terms) * loss.weight * self.loss_scale

            value, cotangent = self.backend.value_and_cotangents(
                scaled_loss, self._outputs_of(loss)
            )
            values.append(value / (loss.weight * self.loss_scale))
            cotangents.append(cotangent)
        return ops.stack(values), cotangents

    def _outputs_of(self, loss):
        """Returns the outputs that a loss is differentiated with respect to."""
        own = {name: self.outputs[name] for name in loss.branches}
        if loss.outputs is None:
            return own
        return {
            name: {output: outputs[output] for output in loss.outputs}
            for name, outputs in own.items()
        }

    def _with_constants(self, loss, own_outputs):
        """Adds the outputs of a loss's branches that it does not depend on."""
        if loss.outputs is None:
            return own_outputs
        return {name: self.outputs[name] | own for name, own in own_outputs.items()}

    def _weighted_terms(self, sample_weights):
        weights, kept = sample_weights
        if kept is None:
            return self.loss_inputs, weights
        loss_inputs = self.model.mask_samples(self.loss_inputs, kept)
        # A term of a skipped sample counts nothing even if no mask leaves it out.
        return loss_inputs, weights * ops.cast(kept, "float32")[:, None]

    def pull_back(self, vjps, cotangents):
        """Runs the backward pass of each branch for the losses that depend on it.

        Args:
            vjps: dict from branch to its VJP.
            cotangents: list with one dict from branch to cotangents per loss.

        Returns:
            Tuple of the gradients of each loss and a list like `cotangents` of the
            gradients of the branches' inputs.
        """
        gradients = [None] * len(cotangents)
        of_inputs = [{} for _ in cotangents]
        for name, vjp in vjps.items():
            users = [k for k, branches in enumerate(cotangents) if name in branches]
            pulled = vjp([cotangents[k][name] for k in users])
            for k, (gradient, inputs) in zip(users, pulled, strict=True):
                gradients[k] = sum_gradients(gradients[k], gradient)
                of_inputs[k][name] = inputs
        return gradients, of_inputs


def valid_samples(losses, loss_inputs, num_samples):
    """Returns which samples of a batch have each loss.

    Args:
        losses: list of `BranchLoss`.
        loss_inputs: dict of tensors, the inputs of the losses for the whole batch.
        num_samples: int or int scalar, the number of samples of the whole batch.

    Returns:
        float32 tensor of shape `(samples, losses)`, 1 where a sample has the loss.
    """
    masks = [loss.is_valid and loss.is_valid(loss_inputs) for loss in losses]
    every = ops.ones((num_samples,), "float32")
    return ops.stack(
        [every if mask is None else ops.cast(mask, "float32") for mask in masks],
        axis=-1,
    )
