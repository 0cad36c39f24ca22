"""Refuses weights that are NaN or infinite, as a model of them gives no numbers."""

import ml_dtypes
import numpy as np

from keras_vatt.storage._preset_files import PresetError

_CHECKED_AT_A_TIME = 2**22


def check_finite(values, dtype, name):
    """Refuses values of a tensor that are not finite in the model.

    Args:
        values: NumPy array, as it is stored.
        dtype: string, the dtype of the variable that takes the values.
        name: string, what the variable is called in the message.

    Raises:
        PresetError: if a value is NaN or infinite, or larger than `dtype` holds.
    """
    if np.dtype(values.dtype).kind in "iub":
        return
    # Half precision could not be compared with the largest number of another dtype.
    wide = np.promote_types(values.dtype, np.float32)
    largest = wide.type(ml_dtypes.finfo(dtype).max)
    flat = values.reshape(-1)
    # In parts: the comparison of a large tensor would take as much memory again.
    for first in range(0, flat.size, _CHECKED_AT_A_TIME):
        part = flat[first : first + _CHECKED_AT_A_TIME].astype(wide, copy=False)
        if not (np.abs(part) <= largest).all():
            raise PresetError(
                f"The stored weights have numbers in {name!r} that are not finite as "
                f"{dtype}: they are those of a training that diverged, or were changed "
                "later. Take other weights."
            )
