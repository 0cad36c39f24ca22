"""The error of an evaluation that a user can mend."""


class EvaluationError(Exception):
    """Settings, a preset or a set that don't go together; its message is one line."""
