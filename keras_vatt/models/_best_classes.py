"""The most probable classes of clips."""

import numpy as np


def best_classes(probabilities, names, top_k):
    """Returns the most probable classes of each clip.

    Args:
        probabilities: array of shape `(clips, classes)`; NaN for skipped clips.
        names: sequence with a name for each class.
        top_k: int. Number of classes per clip; all if there are fewer.

    Returns:
        List with a list per clip of tuples `(name, probability)`, the most probable
        first. The list of a skipped clip is empty.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top_k]
    return [
        [(names[i], float(row[i])) for i in indices if not np.isnan(row[i])]
        for row, indices in zip(probabilities, order, strict=True)
    ]
