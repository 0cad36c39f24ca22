"""Checks of class names and labels before training."""

from collections.abc import Sequence

import numpy as np


def check_class_names(
    names: Sequence[str] | None, num_classes: int
) -> tuple[str, ...] | None:
    """Checks the names of classes.

    Args:
        names: Sequence of strings, or `None`.
        num_classes: int.

    Returns:
        Tuple of strings, or `None` if `names` is `None`.

    Raises:
        ValueError: If they are not strings, or not one per class.
    """
    if names is None:
        return None
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"`class_names` must be a sequence of strings. Received: {names!r:.200}"
        )
    if len(names) != num_classes:
        raise ValueError(
            "`class_names` must have one name per class. Received: "
            f"{len(names)} names for num_classes={num_classes}"
        )
    return tuple(names)


def check_labels(labels: object, num_classes: int, multi_label: bool) -> None:
    """Raises a `ValueError` if labels don't fit the classes.

    Args:
        labels: List or NumPy array. Other types, such as tensors, are not checked.
        num_classes: int.
        multi_label: bool. Whether a clip may have several classes.

    Raises:
        ValueError: If classes are out of range, or rows have another length.
    """
    if not isinstance(labels, list | np.ndarray):
        return
    labels = np.asarray(labels)
    is_rows = labels.ndim == 2 and labels.shape[1] == num_classes
    if is_rows and (not multi_label or ((labels >= 0) & (labels <= 1)).all()):
        return
    if multi_label:
        raise ValueError(
            f"With `multi_label`, each clip must have a row of {num_classes} numbers: "
            "1 for each of its classes, 0 elsewhere. Received: labels of shape "
            f"{labels.shape}{_range_of(labels)}"
        )
    is_column = labels.ndim == 1 or (labels.ndim == 2 and labels.shape[1] == 1)
    is_whole = np.issubdtype(labels.dtype, np.number) and (labels % 1 == 0).all()
    if not (is_column and is_whole and _in_range(labels, num_classes)):
        raise ValueError(
            f"Labels must be classes from 0 to {num_classes - 1}, or rows of "
            f"{num_classes} probabilities. Received: labels of {labels.dtype} of shape "
            f"{labels.shape}{_range_of(labels)}"
        )


def label_rows(labels: object, num_classes: int) -> np.ndarray:
    """Converts labels to rows with one number per class.

    Args:
        labels: Array of classes, shape `(clips,)` or `(clips, 1)`, or such rows.
        num_classes: int.

    Returns:
        NumPy array of float32, shape `(clips, num_classes)`.
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
