"""Errors of a plan that whoever asked for it can mend."""


class PlanningError(ValueError):
    """What can't be planned as asked; its message is one clear line."""
