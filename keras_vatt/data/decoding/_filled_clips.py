"""A record of the clips that were filled because they are short."""

import contextlib
import contextvars

_REASONS = contextvars.ContextVar("reasons", default=None)


@contextlib.contextmanager
def filled_clips():
    """Records the clips that are filled within a `with` block, in this thread.

    It saves decoding with `short_clips="error"` first, only to learn of them.

    Yields:
        List that gets the reason for each filled window, such as
        `"lasts 0.80 s, a clip 3.20 s"`.
    """
    reasons = []
    token = _REASONS.set(reasons)
    try:
        yield reasons
    finally:
        _REASONS.reset(token)


def note_filled(reason):
    """Records a clip that is filled, if any `filled_clips` block wants to know.

    Args:
        reason: str. Length of the clip, in words.
    """
    reasons = _REASONS.get()
    if reasons is not None:
        reasons.append(reason)
