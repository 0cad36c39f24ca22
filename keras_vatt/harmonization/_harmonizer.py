"""The base class of all harmonizers."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._gram import squared_norms

# The smallest normal float32. Smaller squared norms lose precision, and some devices
# flush them to zero.
_SMALLEST_SQUARED_NORM = 1.1754944e-38


class Harmonizer:
    """Weights the gradients of K losses by their Gram matrix.

    A harmonizer is a pure function of the Gram matrix `G` (the K x K inner
    products of the gradients) and of the step. It returns one weight per loss, for
    the update `sum_k weights[k] * gradients[k]`, and a flag, whether to apply or to
    skip that update. It has no state (`StatefulHarmonizer` has one), runs eagerly and
    inside any compiled program, and never branches in Python on a value.

    It also takes a batch of Gram matrices, such as one per clip, of shape
    `(..., K, K)`, and computes weights and flag of each matrix on its own.

    A subclass implements `harmonize(gram, step)` for `(..., K, K)`: it reads K from
    `gram.shape[-1]` and reduces over the last one or two axes only, never over all.
    `__call__` handles these cases for all subclasses, for each matrix on its own:

    - If an entry of `G` or a weight is not finite, the weights are ones and the
      update is skipped.
    - A loss whose gradient is zero is ignored: the other losses are weighted
      without it, and its own weight is 1. (A batch without any
      valid audio has such a video-audio loss.) Squared norms below the smallest
      normal float32, about 1.2e-38, count as zero.

    Attributes:
        may_skip: bool. Whether the flag may be `False` for a finite Gram matrix. A
            training step that harmonizes groups of samples takes another pass for
            those that are left out. Defaults to `True`; a subclass that never skips
            sets it to `False`.

    Example:
    ```python
    import keras
    from keras import ops
    from keras_vatt import harmonization

    @keras.saving.register_keras_serializable(package="my_package")
    class Normalized(harmonization.Harmonizer):
        '''Scales every gradient to the norm of the longest.'''

        may_skip = False

        def harmonize(self, gram, step):
            norms = harmonization.gradient_norms(gram)  # (..., K)
            largest = ops.max(norms, axis=-1, keepdims=True)
            return ops.divide_no_nan(largest, norms), True

    weights, apply = Normalized()([[4.0, 0.0], [0.0, 1.0]])  # [1, 2], True
    weights, apply = Normalized()(ops.ones((8, 2, 2)))  # of shapes (8, 2) and (8,)
    ```
    """

    may_skip = True

    def __call__(self, gram: Any, step: Any = 0) -> tuple[Any, Any]:
        """Computes the weights of the gradients.

        Args:
            gram: float tensor of shape `(..., K, K)`: a Gram matrix as from
                `gradient_gram`, or a batch of them. K must be known when the
                program is traced, the leading axes need not be.
            step: int or integer tensor. Number of the training step, from 0.
                Read by schedules only. Defaults to `0`.

        Returns:
            Tuple `(weights, apply)`: a float32 tensor of shape `(..., K)` and a
            bool tensor of shape `(...)`, `False` to skip the step.

        Raises:
            ValueError: if `gram` holds no square matrices of known size, or if
                `harmonize` returns weights or flags of another shape.
        """
        gram, finite, present = _clean(gram)
        weights, apply = self.harmonize(gram, step)
        weights, apply, usable = self._check(gram, weights, apply, finite, present)
        return weights, ops.logical_and(apply, usable)

    def initial_state(self, num_losses: int) -> dict[str, Any]:
        """Returns the state before the first step.

        Args:
            num_losses: int. Number of losses.

        Returns:
            Dict from name to float32 NumPy array. Empty for a harmonizer without
            state.
        """
        return {}

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        """Computes weights and flags from clean Gram matrices; see the class.

        Args:
            gram: float32 tensor of shape `(..., K, K)`, finite. The row and column of
                a zero gradient are zero; its weight is ignored.
            step: int or integer tensor.

        Returns:
            Tuple `(weights, apply)`: a float32 tensor of shape `(..., K)`, and a bool
            tensor of shape `(...)`, or a Python bool for all matrices.
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

    def _check(self, gram, weights, apply, finite, present):
        weights = ops.cast(weights, "float32")
        self._check_shape("weights", weights, tuple(gram.shape[:-1]))
        if not isinstance(apply, bool):
            apply = ops.cast(apply, "bool")
            self._check_shape("apply", apply, tuple(gram.shape[:-2]))
        weights = ops.where(ops.logical_and(finite, present), weights, 1.0)
        all_finite = ops.all(ops.isfinite(weights), axis=-1, keepdims=True)
        usable = ops.logical_and(finite, all_finite)
        return ops.where(usable, weights, 1.0), apply, usable[..., 0]

    def _check_shape(self, name, output, expected):
        # A `harmonize` written for one (K, K) matrix would mix those of a batch.
        shape = tuple(output.shape)
        if not _fits(shape, expected):
            raise ValueError(
                f"`{type(self).__name__}.harmonize` must return `{name}` of shape "
                f"{expected}, computed from the last two axes of `gram` alone. "
                f"Received: shape {shape}"
            )


class StatefulHarmonizer(Harmonizer):
    """Weights the gradients of K losses by this Gram matrix and earlier ones.

    The memory is explicit: a dict from name to float32 tensor goes in, a new one comes
    out. The harmonizer stays a pure function, and whoever calls it holds the state. It
    starts with `initial_state(num_losses)`; to reset it, start again from there.

    A subclass implements `initial_state(num_losses)` and `harmonize(gram, step,
    state)`. It takes one matrix of shape `(K, K)`: the steps of a batch of matrices
    would have no order. `__call__` handles the cases of the base class. In addition, a
    Gram matrix or weights that are not finite leave the state as it was, and so does a
    new state that is not finite.

    Attributes:
        may_skip: bool. See `Harmonizer`.

    Example:
    ```python
    import keras
    import numpy as np
    from keras_vatt import harmonization

    @keras.saving.register_keras_serializable(package="my_package")
    class Fading(harmonization.StatefulHarmonizer):
        '''Divides the gradients by the number of the step, from 1.'''

        may_skip = False

        def initial_state(self, num_losses):
            return {"count": np.zeros((), "float32")}

        def harmonize(self, gram, step, state):
            count = state["count"] + 1.0
            weights = keras.ops.ones_like(gram[..., 0]) / count
            return weights, True, {"count": count}

    fading, gram = Fading(), [[4.0, 0.0], [0.0, 1.0]]
    weights, apply, state = fading(gram)  # [1, 1], True
    weights, apply, state = fading(gram, 1, state)  # [0.5, 0.5], True
    ```
    """

    def __call__(
        self, gram: Any, step: Any = 0, state: dict[str, Any] | None = None
    ) -> tuple[Any, Any, dict[str, Any]]:
        """Computes the weights of the gradients and the next state.

        Args:
            gram: float tensor of shape `(K, K)`: a Gram matrix as from
                `gradient_gram`. K must be known when the program is traced.
            step: int or integer tensor. Number of the training step, from 0.
                Read by schedules only. Defaults to `0`.
            state: dict from name to tensor, as the step before returned it. Defaults
                to `None`: the initial state.

        Returns:
            Tuple `(weights, apply, new_state)`: a float32 tensor of shape `(K,)`, a
            scalar bool tensor, `False` to skip the step, and a dict with the names and
            shapes of `state`.

        Raises:
            ValueError: if `gram` is not a square matrix of known size, or is a batch of
                them; if the names in `state` are not those of `initial_state`; or if
                `harmonize` returns weights or flags of another shape.
        """
        gram, finite, present = _clean(gram)
        if len(gram.shape) != 2:
            raise ValueError(
                f"`{type(self).__name__}` has a state over the steps and takes one "
                "Gram matrix of shape (K, K), not a batch of them. "
                f"Received: shape {tuple(gram.shape)}"
            )
        state = self._checked_state(state, gram.shape[-1])
        weights, apply, new_state = self.harmonize(gram, step, state)
        weights, apply, usable = self._check(gram, weights, apply, finite, present)
        kept = usable
        for value in new_state.values():
            kept = ops.logical_and(kept, ops.all(ops.isfinite(value)))
        new_state = {
            name: ops.where(kept, new_state[name], old) for name, old in state.items()
        }
        return weights, ops.logical_and(apply, usable), new_state

    def harmonize(self, gram: Any, step: Any, state: dict[str, Any]) -> Any:
        """Computes weights, flag and next state from a clean Gram matrix.

        Args:
            gram: float32 tensor of shape `(K, K)`, finite. The row and column of a zero
                gradient are zero; its weight is ignored. It should leave the state of
                its loss as it was.
            step: int or integer tensor.
            state: dict from name to float32 tensor.

        Returns:
            Tuple `(weights, apply, new_state)`: a float32 tensor of shape `(K,)`, a
            scalar bool tensor or Python bool, and a dict like `state`.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must implement `harmonize(gram, step, state)`."
        )

    def _checked_state(self, state, num_losses):
        initial = self.initial_state(num_losses)
        state = initial if state is None else state
        if set(state) != set(initial):
            raise ValueError(
                f"`state` of `{type(self).__name__}` must have the names "
                f"{sorted(initial)}. Received: {sorted(state)}"
            )
        return {name: ops.cast(state[name], "float32") for name in initial}


def _clean(gram):
    gram = ops.cast(gram, "float32")
    _check_square(gram)
    finite = ops.all(ops.isfinite(gram), axis=(-2, -1), keepdims=True)
    gram = ops.where(finite, gram, ops.eye(gram.shape[-1], dtype="float32"))
    present = squared_norms(gram) >= _SMALLEST_SQUARED_NORM
    both = ops.logical_and(present[..., :, None], present[..., None, :])
    return ops.where(both, gram, 0.0), finite[..., 0], present


def _check_square(gram):
    shape = tuple(gram.shape)
    if len(shape) < 2 or shape[-2] != shape[-1] or not shape[-1]:
        raise ValueError(
            "`gram` must hold square matrices of known size, (..., K, K) for K "
            f"losses. Received: shape {shape}"
        )


def _fits(shape, expected):
    # `None`, a size that is not known yet, fits any size. A known size in place of an
    # unknown one does not: it was computed over the batch.
    return len(shape) == len(expected) and all(
        size in (None, wanted) for size, wanted in zip(shape, expected, strict=True)
    )
