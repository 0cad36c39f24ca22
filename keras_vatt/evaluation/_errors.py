"""The error of evaluations."""


class EvaluationError(Exception):
    """Settings, a preset or a dataset that don't fit together.

    The message is one line, which a user can act on.
    """
