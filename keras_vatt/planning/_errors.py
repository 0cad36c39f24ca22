"""User-facing errors of planning."""

from keras_vatt._errors import KerasVATTError


class PlanningError(KerasVATTError, ValueError):
    """A request that can't be planned. The message is a single line."""
