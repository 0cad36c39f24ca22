"""Krum: the gradient in the densest neighborhood."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._gram import cosine_matrix, gradient_norms
from keras_vatt.harmonization._harmonizer import Harmonizer

_FAR = 1e9  # Beyond any distance of vectors of norm at most 1.
_TIE = 1e-5


@keras.saving.register_keras_serializable(package="keras_vatt")
class Krum(Harmonizer):
    """Selects the gradients that are closest to their neighbors.

    "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent" (Blanchard
    et al., NeurIPS 2017; https://arxiv.org/abs/1703.02757). The score of a gradient is
    the sum of its distances to the `K - num_byzantine - 2` nearest others. The update
    is the mean of the `num_selected` gradients with the lowest scores. Like TorchJD,
    and unlike the paper, it does not square the distances.

    Equally good gradients split the weight: with three losses, the two that are closest
    to each other always do. Zero gradients are not counted; at least one neighbor is.

    The method ignores outliers, not conflicts: the losses that are not selected have
    weight 0. It suits many losses of one kind.

    Args:
        num_byzantine: int. Number of gradients that may be arbitrarily wrong. Defaults
            to `0`.
        num_selected: int. Number of gradients to average. Defaults to `1`.

    Raises:
        ValueError: on construction, if `num_byzantine` is negative or `num_selected`
            less than 1; when called, with fewer than `num_byzantine + 3` or
            `num_selected` losses.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[1.0, 1.0, 1.0], [1.0, 4.0, 4.0], [1.0, 4.0, 5.0]]
    weights, apply = harmonization.Krum()(gram)  # [0, 0.5, 0.5], True
    ```
    """

    may_skip = False

    def __init__(self, num_byzantine: int = 0, num_selected: int = 1) -> None:
        if num_byzantine < 0 or num_selected < 1:
            raise ValueError(
                "`num_byzantine` must be at least 0 and `num_selected` at least 1. "
                f"Received: num_byzantine={num_byzantine}, "
                f"num_selected={num_selected}"
            )
        self.num_byzantine = num_byzantine
        self.num_selected = num_selected

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        size = gram.shape[-1]
        fewest = max(self.num_byzantine + 3, self.num_selected)
        if size < fewest:
            raise ValueError(
                f"`Krum(num_byzantine={self.num_byzantine}, num_selected="
                f"{self.num_selected})` takes at least {fewest} losses. Received: "
                f"{size} losses"
            )
        norms = gradient_norms(gram)
        present = norms > 0
        count = ops.sum(ops.cast(present, "float32"), axis=-1, keepdims=True)
        num_neighbors = ops.maximum(count - self.num_byzantine - 2, 1.0)
        nearest = ops.sort(_distances(gram, norms), axis=-1)
        counted = ops.arange(size, dtype="float32") < num_neighbors[..., None]
        # Where there is no other gradient, all distances are `_FAR`.
        scores = ops.sum(ops.where(counted, nearest, 0.0), axis=-1)
        scores = ops.where(present, scores, _FAR * size)
        num_selected = ops.minimum(count, self.num_selected)
        return _lowest(scores, num_selected), True

    def get_config(self) -> dict[str, Any]:
        return {
            "num_byzantine": self.num_byzantine,
            "num_selected": self.num_selected,
        }


def _distances(gram, norms):
    cosines = cosine_matrix(gram)
    norms = ops.divide_no_nan(norms, ops.max(norms, axis=-1, keepdims=True))
    ours, theirs = norms[..., :, None], norms[..., None, :]
    # Not the sum of three entries of the Gram matrix: more digits cancel there.
    squares = (ours - theirs) ** 2 + 2.0 * ours * theirs * (1.0 - cosines)
    distances = ops.sqrt(squares)
    is_other = ops.logical_not(ops.eye(gram.shape[-1], dtype="bool"))
    neighbors = ops.logical_and(is_other, theirs > 0)
    return ops.where(neighbors, distances, _FAR)


def _lowest(scores, num_selected):
    ordered = ops.sort(scores, axis=-1)
    ranks = ops.arange(scores.shape[-1], dtype="float32")
    last = ops.sum(ops.where(ranks == num_selected - 1.0, ordered, 0.0), axis=-1)
    last = last[..., None]
    lower = ops.cast(scores < last * (1.0 - _TIE) - _TIE**2, "float32")
    lower_or_tied = ops.cast(scores <= last * (1.0 + _TIE) + _TIE**2, "float32")
    tied = lower_or_tied - lower
    left = num_selected - ops.sum(lower, axis=-1, keepdims=True)
    shares = ops.divide_no_nan(left, ops.sum(tied, axis=-1, keepdims=True))
    return ops.divide_no_nan(lower + shares * tied, num_selected)
