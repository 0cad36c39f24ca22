"""The base class of all harmonizers."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

# The smallest normal float32. Smaller squared norms lose precision, and some devices
# flush them to zero.
_SMALLEST_SQUARED_NORM = 1.1754944e-38


class Harmonizer:
    """Weights the gradients of K losses by their Gram matrix.

    A harmonizer is a pure function of the Gram matrix `G` (the K x K inner
    products of the gradients) and of the step. It returns one weight per loss, for
    the update `sum_k weights[k] * gradients[k]`, and a flag, whether to apply or to
    skip that update. It has no state, runs eagerly and inside any compiled
    program, and never branches in Python on a value.

    A subclass implements `harmonize(gram, step)`. `__call__` handles these cases for
    all subclasses:

    - If an entry of `G` or a weight is not finite, the weights are ones and the
      update is skipped.
    - A loss whose gradient is zero is ignored: the other losses are weighted
      without it, and its own weight is 1. (A batch without any
      valid audio has such a video-audio loss.) Squared norms below the smallest
      normal float32, about 1.2e-38, count as zero.

    Example:
    ```python
    import keras
    from keras import ops
    from keras_vatt import harmonization

    @keras.saving.register_keras_serializable(package="my_package")
    class Normalized(harmonization.Harmonizer):
        '''Normalizes every gradient.'''

        def harmonize(self, gram, step):
            return ops.divide_no_nan(1.0, harmonization.gradient_norms(gram)), True

    weights, apply = Normalized()([[4.0, 0.0], [0.0, 0.0]])  # [0.5, 1.0], True
    ```
    """

    def __call__(self, gram: Any, step: Any = 0) -> tuple[Any, Any]:
        """Computes the weights of the gradients.

        Args:
            gram: float tensor of shape `(K, K)`, as from `gradient_gram`. K must
                be known when the program is traced.
            step: int or integer tensor. Number of the training step, from 0.
                Read by schedules only. Defaults to `0`.

        Returns:
            Tuple `(weights, apply)`: a float32 tensor of shape `(K,)` and a bool
            scalar tensor, `False` to skip the step.

        Raises:
            ValueError: if `gram` is not a square matrix of known size.
        """
        gram = ops.cast(gram, "float32")
        _check_square(gram)
        finite = ops.all(ops.isfinite(gram))
        gram = ops.where(finite, gram, ops.eye(gram.shape[0], dtype="float32"))
        present = ops.diagonal(gram) >= _SMALLEST_SQUARED_NORM
        gram = ops.where(ops.logical_and(present[:, None], present), gram, 0.0)

        weights, apply = self.harmonize(gram, step)

        weights = ops.where(ops.logical_and(finite, present), weights, 1.0)
        finite = ops.logical_and(finite, ops.all(ops.isfinite(weights)))
        return ops.where(finite, weights, 1.0), ops.logical_and(apply, finite)

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        """Computes weights and flag from a clean Gram matrix; see the class.

        Args:
            gram: float32 tensor of shape `(K, K)`, finite. The row and column of
                a zero gradient are zero; its weight is ignored.
            step: int or integer tensor.

        Returns:
            Tuple `(weights, apply)`: a float32 tensor of shape `(K,)`, and a bool
            or a bool scalar tensor.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must implement `harmonize(gram, step)`."
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the serialized arguments of the constructor."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]):
        """Creates a harmonizer from the result of `get_config`."""
        return cls(
            **{
                name: keras.saving.deserialize_keras_object(value)
                for name, value in config.items()
            }
        )


def _check_square(gram):
    shape = tuple(gram.shape)
    if len(shape) != 2 or shape[0] != shape[1] or not shape[0]:
        raise ValueError(
            "`gram` must be a square matrix of known size, (K, K) for K losses. "
            f"Received: shape {shape}"
        )
