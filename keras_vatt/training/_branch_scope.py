"""Running a part of a model without changing any of its variables."""

import keras


class BranchScope(keras.StatelessScope):
    """A `keras.StatelessScope` inside another one, which knows what was read.

    A variable that has no value in this scope has that of the scope around it.

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
        """List of pairs of a variable and the value it was to be assigned."""
        return list(self._updates.values())

    def was_read(self, variables):
        """List of bools, which of the variables were read."""
        return [id(variable) in self._read for variable in variables]


def merged_updates(*updates):
    """Pairs of variables and values, the last value of each variable."""
    merged = {}
    for variable, value in sum(updates, start=[]):
        merged[id(variable)] = (variable, value)
    return list(merged.values())
