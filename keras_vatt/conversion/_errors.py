"""Errors of reading the checkpoints of the original code."""

from keras_vatt._errors import KerasVATTError


class CheckpointMismatchError(KerasVATTError, ValueError):
    """A checkpoint and a model do not fit: says all that is wrong.

    Attributes:
        problems: list of strings, one a tensor.
    """

    def __init__(self, problems):
        shown = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            f"The checkpoint does not fit the model in {len(problems)} tensors:\n"
            f"{shown}"
        )
        self.problems = problems


class DamagedCheckpointError(KerasVATTError, ValueError):
    """The files of a checkpoint are damaged, incomplete or of another form.

    Args:
        prefix: string or path of the checkpoint; see `TensorBundle`.
        reason: string that says what is wrong and in which file.
    """

    def __init__(self, prefix, reason):
        super().__init__(
            f"The checkpoint {str(prefix)!r} can't be read: {reason}. If its files may "
            "have changed since they were written, copy or download them again."
        )
        self.reason = reason
