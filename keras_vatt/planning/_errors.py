"""Errors of a plan that whoever asked for it can mend."""

from keras_vatt._errors import KerasVATTError


class PlanningError(KerasVATTError, ValueError):
    """What can't be planned as asked; its message is one clear line."""
