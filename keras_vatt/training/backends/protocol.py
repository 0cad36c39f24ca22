"""The functions of a backend that the harmonized step is written in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from keras_vatt.training._branch_scope import BranchScope
    from keras_vatt.training._harmonized_model import HarmonizedModel
    from keras_vatt.training._replicas import OneReplica

# A nest of tensors, and pairs of a variable and a value.
Nest = Any
Updates = list[tuple[Any, Any]]
# One tensor per trainable variable; `None` for a variable without a gradient.
Gradients = list[Any]


class VJP(Protocol):
    """The VJP of a function that has run forward.

    Attributes:
        added_loss: float32 scalar, the sum of the losses that layers added in the
            function; `None` if there are none.
    """

    added_loss: Any

    def __call__(self, cotangents: list[Nest]) -> list[tuple[Gradients, Nest]]:
        """Computes the gradients of the variables and of the inputs, for each."""

    def of_added_loss(
        self, cotangent: Any, of_outputs: Nest = None
    ) -> tuple[Gradients, Nest]:
        """Computes the gradients of the added loss; call it before `__call__`.

        Args:
            cotangent: float32 scalar, what the loss is multiplied by.
            of_outputs: cotangents of the outputs, whose gradients are added. Defaults
                to `None`, no cotangents.
        """


class Backend(Protocol):
    """The interface of the modules `jax`, `tensorflow` and `torch` of this package."""

    def check_devices(self) -> None:
        """Refuses devices that the backend can't train on.

        Raises:
            ValueError: under a distribution that the backend does not support.
        """

    def train_step(self, model: HarmonizedModel, *args: Nest) -> Nest:
        """Runs `model.update` on the arguments of Keras' trainer."""

    def test_step(self, model: HarmonizedModel, *args: Nest) -> Nest:
        """Runs `model.validate` on the arguments of Keras' trainer."""

    def forward(
        self, function: Callable[[], Nest], updates: Updates
    ) -> tuple[Nest, BranchScope]:
        """Runs a function without keeping activations for a backward pass.

        Args:
            function: function without arguments that returns a nest of tensors.
            updates: list of pairs of a variable and the value that it has inside the
                function, where that differs from its current value.

        Returns:
            Tuple of the function's result and the `BranchScope` that it ran in.
        """

    def map_slices(self, function: Callable[[Nest], Nest], slices: Nest) -> Nest:
        """Runs a function on each slice along the first axis and stacks the results."""

    def pullback(
        self,
        model: HarmonizedModel,
        function: Callable[[Nest], Nest],
        inputs: Nest,
        updates: Updates,
        num_uses: int,
        per_output: bool = False,
    ) -> tuple[Nest, VJP, Updates]:
        """Runs a function forward; returns its outputs and its VJP.

        Changes no variable.

        Args:
            model: the `HarmonizedModel`.
            function: function `inputs -> outputs`, nests of tensors.
            inputs: nest of float tensors that are differentiated too; may be empty.
            updates: list of pairs of a variable and the value that it has inside the
                function, where that differs from its current value.
            num_uses: int. Number of calls of the VJP that will follow; activations
                are freed after the last one.
            per_output: bool. Whether the function returns a dict and the cotangents
                are dicts with some of its keys: the backward pass does not visit what
                only other outputs depend on. Defaults to `False`.

        Returns:
            Tuple `(outputs, vjp, new_updates)`. `vjp` is a `VJP`: it takes a list of
            cotangents, each with the structure of `outputs`, and returns for each a
            pair: a list of gradients, one per trainable variable (`None` for a variable
            without one), and the gradients of `inputs`. `new_updates` are the variables
            that the function has assigned, with their new values.
        """

    def pull_back_sum(
        self, vjps: dict[str, VJP], cotangents: dict[str, Nest]
    ) -> tuple[Gradients, dict[str, Nest]]:
        """Runs VJPs once, for the last time, and sums the gradients of the variables.

        Args:
            vjps: dict from name to a VJP that `pullback` returned.
            cotangents: dict from the same names to cotangents of the outputs.

        Returns:
            Tuple of the summed gradients of the variables, `None` for a variable
            without one, and a dict from name to the gradients of the inputs.
        """

    def squared_norm(self, gradients: Gradients) -> Any:
        """Returns the squared norm of a gradient without `None`, in float32.

        It is not finite if the gradient is not finite.
        """

    def value_and_cotangents(
        self, function: Callable[[Nest], Any], outputs: Nest
    ) -> tuple[Any, Nest]:
        """Computes a scalar function of a nest of tensors, and its gradients."""

    def apply_gradients(
        self,
        model: HarmonizedModel,
        gradients: Gradients,
        apply: Any,
        replicas: OneReplica,
    ) -> None:
        """Updates the weights with the optimizer if `apply`, else changes nothing."""
