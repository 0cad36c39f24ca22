"""Runs a part of a model without changing any of its variables."""

import keras


class BranchScope(keras.StatelessScope):
    """A nested `keras.StatelessScope` that records which variables were read.

    A variable without a value in this scope has its value of the enclosing scope.

    Args:
        mapping: list of pairs of a variable and its value.
    """

    def __init__(self, mapping):
        super().__init__(state_mapping=mapping)
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

    def was_read(self, variables):
        """Returns a list of bools, whether each of the variables was read."""
        return [id(variable) in self._read for variable in variables]


def merged_updates(*updates):
    """Merges lists of pairs of a variable and a value; the last value wins."""
    merged = {}
    for variable, value in sum(updates, start=[]):
        merged[id(variable)] = (variable, value)
    return list(merged.values())
