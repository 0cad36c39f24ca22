"""Comparison of the validations of a run: the best one, and early stopping."""

import math

from keras_vatt.pretraining._errors import PretrainingError


class Monitor:
    """Compares validations by one of their results.

    Recalls are better if they are higher, losses and ranks if they are lower. All
    answers follow from the rows, so that a resumed run needs no other state.

    Args:
        name: string, the name of the result.
        patience: int, the number of validations without improvement after which the
            run ends; `None` for no early stopping.
        known: list of strings, the names of all results.

    Raises:
        PretrainingError: if the name is unknown.
    """

    def __init__(self, name, patience, known):
        if name not in known:
            raise PretrainingError(
                f"there is no --monitor {name}: the results of a validation are "
                f"{', '.join(known)}"
            )
        self.name = name
        self.patience = patience
        self._sign = 1 if "recall" in name else -1

    def best(self, rows):
        """Returns the best row, the first of equal ones; `None` if there is none.

        Args:
            rows: list of dicts, the results of all validations in order.
        """
        numbers = [row for row in rows if not math.isnan(row[self.name])]
        return max(numbers, key=lambda row: self._sign * row[self.name], default=None)

    def is_over(self, rows):
        """Returns whether the run ends after these validations.

        Args:
            rows: list of dicts, the results of all validations in order.
        """
        best = self.best(rows)
        since = len(rows) if best is None else len(rows) - 1 - rows.index(best)
        return self.patience is not None and since >= self.patience
