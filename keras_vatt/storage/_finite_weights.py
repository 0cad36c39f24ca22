"""Refuses weights that are NaN or infinite."""

import ml_dtypes
import numpy as np

from keras_vatt.storage._preset_files import PresetError

_CHECKED_AT_A_TIME = 2**22


def check_finite(values, dtype, name):
    """Refuses a tensor with values that are not finite in the dtype of the model.

    Args:
        values: NumPy array, as stored.
        dtype: string, the dtype of the variable.
        name: string, the name of the variable, for the message.

    Raises:
        PresetError: if a value is NaN, infinite, or too large for `dtype`.
    """
    if np.dtype(values.dtype).kind in "iub":
        return
    # In at least float32: the limit of another dtype may not exist in half precision.
    wide = np.promote_types(values.dtype, np.float32)
    largest = wide.type(ml_dtypes.finfo(dtype).max)
    flat = values.reshape(-1)
    # In chunks: comparing a large tensor at once would double its memory.
    for first in range(0, flat.size, _CHECKED_AT_A_TIME):
        part = flat[first : first + _CHECKED_AT_A_TIME].astype(wide, copy=False)
        if not (np.abs(part) <= largest).all():
            raise PresetError(
                f"The stored weights of {name!r} have values that are not finite in "
                f"{dtype}: the training diverged, or the file was changed. Use other "
                "weights."
            )
