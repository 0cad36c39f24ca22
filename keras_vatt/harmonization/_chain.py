"""A sequence of harmonizers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._harmonizer import Harmonizer, StatefulHarmonizer


@keras.saving.register_keras_serializable(package="keras_vatt")
class Chain(Harmonizer):
    """Applies harmonizers in order, each to the gradients as weighted so far.

    The weights are multiplied. The step is applied only if every member applies it.
    A member gets the Gram matrix `diag(w) G diag(w)` for the weights `w` so far. The
    combined method of
    https://arxiv.org/abs/2211.02077 is
    `Chain([Curriculum(...), Realignment()])`: the curriculum skips steps, and
    realignment projects the gradients of the others.

    Args:
        harmonizers: non-empty list of `Harmonizer`s.

    Raises:
        ValueError: if the list is empty or holds anything else, such as a
            `StatefulHarmonizer`.

    Example:
    ```python
    from keras_vatt import harmonization

    chain = harmonization.Chain(
        [harmonization.Curriculum(-0.5), harmonization.Realignment()]
    )
    gram = [[1.0, -0.25], [-0.25, 1.0]]
    weights, apply = chain(gram)  # [1.25, 1.25], True
    ```
    """

    def __init__(self, harmonizers: Sequence[Harmonizer]) -> None:
        harmonizers = list(harmonizers)
        if not harmonizers or not all(isinstance(h, Harmonizer) for h in harmonizers):
            raise ValueError(
                "`harmonizers` must be a non-empty list of `Harmonizer` instances, as "
                "`keras_vatt.harmonization.get` returns for names. "
                f"Received: {harmonizers}"
            )
        stateful = [h for h in harmonizers if isinstance(h, StatefulHarmonizer)]
        if stateful:
            raise ValueError(
                "`Chain` takes harmonizers without a state over the steps. `CRMOGM` "
                "can smooth the weights of a whole chain. Received: "
                f"{[type(harmonizer).__name__ for harmonizer in stateful]}"
            )
        self.harmonizers = harmonizers
        self.may_skip = any(harmonizer.may_skip for harmonizer in harmonizers)

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        weights, apply = ops.ones_like(gram[..., 0]), True
        for harmonizer in self.harmonizers:
            # Not `gram * outer(weights, weights)`: the outer product could overflow.
            reweighted = weights[..., :, None] * (gram * weights[..., None, :])
            more_weights, also_apply = harmonizer(reweighted, step)
            weights = weights * more_weights
            apply = ops.logical_and(apply, also_apply)
        return weights, apply

    def get_config(self) -> dict[str, Any]:
        return {
            "harmonizers": [
                keras.saving.serialize_keras_object(harmonizer)
                for harmonizer in self.harmonizers
            ]
        }
