"""Several harmonizers, one after the other."""

import keras
from keras import ops

from keras_vatt.harmonization._harmonizer import Harmonizer


@keras.saving.register_keras_serializable(package="keras_vatt")
class Chain(Harmonizer):
    """Applies harmonizers in order, each to the gradients as the last left them.

    Weights multiply; the step is applied if every member says so. The Gram matrix
    that a member sees is `diag(w) G diag(w)` for the weights `w` so far. "Both" of
    https://arxiv.org/abs/2211.02077 is
    `Chain([Curriculum(...), Realignment()])`: first the curriculum, then
    realignment on what it keeps.

    Args:
        harmonizers: non-empty list of `Harmonizer`s.

    Raises:
        ValueError: if the list is empty or holds anything else.

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

    def __init__(self, harmonizers):
        harmonizers = list(harmonizers)
        if not harmonizers or not all(isinstance(h, Harmonizer) for h in harmonizers):
            raise ValueError(
                "`harmonizers` must be a non-empty list of `Harmonizer` instances. "
                f"Received: {harmonizers}"
            )
        self.harmonizers = harmonizers

    def harmonize(self, gram, step):
        weights, apply = ops.ones(gram.shape[0], dtype="float32"), True
        for harmonizer in self.harmonizers:
            # One factor after the other: the product of two could overflow.
            reweighted = weights[:, None] * (gram * weights)
            more_weights, also_apply = harmonizer(reweighted, step)
            weights = weights * more_weights
            apply = ops.logical_and(apply, also_apply)
        return weights, apply

    def get_config(self):
        return {
            "harmonizers": [
                keras.saving.serialize_keras_object(harmonizer)
                for harmonizer in self.harmonizers
            ]
        }
