"""The parts of a harmonized model: branches of the forward pass, and losses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Branch:
    """A part of the forward pass of a `HarmonizedModel`, usually one modality.

    Attributes:
        inputs: tuple of strings, the entries of the batch that it reads.
        encode: function `(batch, training) -> features`, from a dict of these entries
            to a nest of float tensors whose first axis has the same number of rows for
            each sample. It must treat samples independently: it runs on the samples of
            one replica or micro-batch.
        embed: function `(features, training) -> outputs`, nests of float tensors. It
            runs on the whole batch, as batch norm requires. All replicas repeat it:
            keep it small. Defaults to `None`: the features are the outputs.
    """

    inputs: tuple[str, ...]
    encode: Callable
    embed: Callable | None = None

    def __call__(self, batch: Any, training: bool | None = True) -> Any:
        """Computes the branch's outputs for a whole batch, on one device."""
        return self.outputs(self.encode(batch, training=training), training=training)

    def outputs(self, features: Any, training: bool | None = True) -> Any:
        """Computes the branch's outputs from the features of a whole batch."""
        if self.embed is None:
            return features
        return self.embed(features, training=training)


@dataclasses.dataclass(frozen=True)
class BranchLoss:
    """One of the losses of a `HarmonizedModel`.

    Attributes:
        name: string, the name under which it is logged.
        branches: tuple of strings, the branches that it depends on. The other branches
            get no gradient from it.
        weight: float, its factor in the total loss.
        per_sample: function `(outputs, batch) -> (batch_size,)` float32 tensor,
            the loss of each sample, whose mean is the loss; `outputs` is a dict
            with the outputs of `branches`, `batch` one with the model's
            `loss_inputs`.
        is_valid: function `batch -> (batch_size,)` float32 tensor, 1 for a sample that
            has this loss and 0 for one that lacks a modality. Logs hold the mean over
            the valid samples of all batches. Defaults to `None`, all samples are
            valid.
        outputs: tuple of strings, the outputs that it depends on, of branches whose
            `encode` and `embed` return dicts. The VJP of such a branch does not visit
            the layers of other outputs. Defaults to `None`, all outputs.
    """

    name: str
    branches: tuple[str, ...]
    weight: float
    per_sample: Callable
    is_valid: Callable | None = None
    outputs: tuple[str, ...] | None = None
