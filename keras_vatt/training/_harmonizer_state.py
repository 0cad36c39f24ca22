"""The state that some harmonizers keep over the steps."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class HarmonizerState(keras.metrics.Metric):
    """The variables with the state of a harmonizer, held by a model.

    It is a metric so that Keras' trainers pass its variables to the compiled step.
    `reset_state` changes nothing: the state lasts over epochs.

    Args:
        initial: dict from name to array, see `Harmonizer.initial_state`. May be empty.
    """

    def __init__(self, initial: dict[str, Any]) -> None:
        super().__init__(name="harmonizer_state", dtype="float32")
        self.values = {}
        for name, array in initial.items():
            variable = self.add_variable(
                shape=array.shape,
                initializer="zeros",
                # All replicas compute the same state.
                aggregation="only_first_replica",
                name=name,
            )
            variable.assign(array)
            self.values[name] = variable

    def current(self) -> dict[str, Any]:
        """Returns the state as a dict of tensors."""
        return {name: variable.value for name, variable in self.values.items()}

    def assign(self, state: dict[str, Any], finite: Any) -> None:
        """Assigns the state after a step, if that step is finite.

        Args:
            state: dict of tensors, with the names of the variables.
            finite: bool scalar.
        """
        for name, variable in self.values.items():
            variable.assign(ops.where(finite, state[name], variable.value))

    def restore(self, arrays: dict[str, Any]) -> None:
        """Assigns a saved state, a dict of arrays.

        A state of another harmonizer is left out: training starts with a new state.
        """
        shapes = {name: tuple(array.shape) for name, array in arrays.items()}
        if shapes != {name: tuple(v.shape) for name, v in self.values.items()}:
            return
        for name, variable in self.values.items():
            variable.assign(arrays[name])

    def result(self) -> dict[str, Any]:
        """An empty dict: the state is not logged."""
        return {}

    def reset_state(self) -> None:
        """Changes nothing."""
