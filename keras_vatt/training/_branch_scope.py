"""Runs a part of a model without changing any of its variables."""

import keras
from keras import ops


class BranchScope(keras.StatelessScope):
    """A nested `keras.StatelessScope` that records which variables were read.

    It also collects the losses of `add_loss` and of activity regularizers. A variable
    without a value in this scope has its value of the enclosing scope.

    Args:
        mapping: list of pairs of a variable and its value.
    """

    def __init__(self, mapping):
        super().__init__(state_mapping=mapping, collect_losses=True)
        self._read = set()
        self._updates = {}

    def get_current_value(self, variable):
        self._read.add(id(variable))
        value = super().get_current_value(variable)
        if value is None and self.original_scope is not None:
            return self.original_scope.get_current_value(variable)
        return value

    def add_update(self, update):
        variable, _ = update
        self._updates[id(variable)] = update
        super().add_update(update)

    @property
    def updates(self):
        """List of pairs of an assigned variable and its new value."""
        return list(self._updates.values())

    def added_loss(self):
        """Returns the sum of the collected losses, float32; `None` if there are none.

        Call it inside of the scope, where the backend records gradients.
        """
        if not self.losses:
            return None
        totals = [ops.sum(ops.cast(loss, "float32")) for loss in self.losses]
        return sum(totals[1:], start=totals[0])

    def was_read(self, variables):
        """Returns a list of bools, whether each of the variables was read."""
        return [id(variable) in self._read for variable in variables]


def merged_updates(*updates):
    """Merges lists of pairs of a variable and a value; the last value wins."""
    merged = {}
    for variable, value in sum(updates, start=[]):
        merged[id(variable)] = (variable, value)
    return list(merged.values())
