"""Names and labels of classes, checked before anything is trained on them."""

import numpy as np


def check_class_names(names, num_classes):
    """Names of classes as a tuple of strings, `None` if there are none.

    Raises:
        ValueError: if they are no strings, or not one for each class.
    """
    if names is None:
        return None
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"`class_names` is a sequence of strings. Received: {names!r:.200}"
        )
    if len(names) != num_classes:
        raise ValueError(
            "`class_names` has a name for each class. Received: "
            f"{len(names)} names for num_classes={num_classes}"
        )
    return tuple(names)


def check_labels(labels, num_classes, multi_label):
    """Refuse labels that don't fit the classes, as far as they lie open.

    Args:
        labels: list or NumPy array; anything else (`None`, a tensor) passes.
        num_classes: int.
        multi_label: bool.

    Raises:
        ValueError: if classes are out of range, or rows have another length.
    """
    if not isinstance(labels, list | np.ndarray):
        return
    labels = np.asarray(labels)
    is_rows = labels.ndim == 2 and labels.shape[1] == num_classes
    if is_rows and (not multi_label or ((labels >= 0) & (labels <= 1)).all()):
        return
    if multi_label:
        raise ValueError(
            f"With `multi_label` each clip has a row of {num_classes} numbers, 1 for "
            "each of its labels and 0 elsewhere. Received: labels of shape "
            f"{labels.shape}{_range_of(labels)}"
        )
    is_column = labels.ndim == 1 or (labels.ndim == 2 and labels.shape[1] == 1)
    is_whole = np.issubdtype(labels.dtype, np.number) and (labels % 1 == 0).all()
    if not (is_column and is_whole and _in_range(labels, num_classes)):
        raise ValueError(
            f"Labels are classes from 0 to {num_classes - 1}, or rows of "
            f"{num_classes} probabilities. Received: labels of {labels.dtype} of shape "
            f"{labels.shape}{_range_of(labels)}"
        )


def label_rows(labels, num_classes):
    """Labels as rows with a number for each class.

    Args:
        labels: classes of shape `(clips,)` or `(clips, 1)`, or such rows.
        num_classes: int.

    Returns:
        float32 NumPy array of shape `(clips, num_classes)`.
    """
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == num_classes:
        return labels.astype(np.float32)
    return np.eye(num_classes, dtype=np.float32)[labels.reshape(-1).astype(int)]


def _in_range(labels, num_classes):
    return ((labels >= 0) & (labels < num_classes)).all()


def _range_of(labels):
    if not labels.size or not np.issubdtype(labels.dtype, np.number):
        return ""
    return f" from {labels.min()} to {labels.max()}"
