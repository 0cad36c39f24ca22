"""Errors raised while converting checkpoints of the original code."""

from __future__ import annotations

import os

from keras_vatt._errors import KerasVATTError


class CheckpointMismatchError(KerasVATTError, ValueError):
    """A checkpoint whose tensors don't match the weights of the model.

    The message lists all problems.

    Args:
        problems: list of strings, one per mismatch. Also an attribute.
    """

    def __init__(self, problems: list[str]) -> None:
        shown = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            "The checkpoint does not match the model. Problems found: "
            f"{len(problems)}. Check that `config` has the sizes of the checkpoint.\n"
            f"{shown}"
        )
        self.problems = problems


class DamagedCheckpointError(KerasVATTError, ValueError):
    """A checkpoint whose files are damaged, incomplete or not supported.

    Args:
        prefix: string or path. The checkpoint's files without `.index` and
            `.data-00000-of-00001`.
        reason: string, what is wrong and in which file. Also an attribute.
    """

    def __init__(self, prefix: str | os.PathLike, reason: str) -> None:
        super().__init__(
            f"The checkpoint {str(prefix)!r} can't be read: {reason}. If its files may "
            "have changed since they were written, copy or download them again."
        )
        self.reason = reason
