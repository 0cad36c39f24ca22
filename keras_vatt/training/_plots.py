"""Plots of a training run, from the logs of its epochs."""

from __future__ import annotations

import os

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def plot_losses(history: list[dict[str, float]], path: str | os.PathLike) -> None:
    """Plots the losses of a run over its epochs.

    Args:
        history: list of dicts, the logs of each epoch, such as
            the `history` of a `keras_vatt.training.RunCheckpoint`.
        path: str or path of the image file; its suffix sets the format.

    Example:
    ```python
    plot_losses([{"loss": 4.1}, {"loss": 3.2}], "losses.png")
    ```
    """
    names = [n for n in _names(history) if n.endswith("loss")]
    _draw(history, path, [("loss", names)])


def plot_gradients(history: list[dict[str, float]], path: str | os.PathLike) -> None:
    """Plots cosine, conflicts and norms of the losses' gradients over the epochs.

    At the top the cosine between them; in the middle the fractions of conflicting,
    skipped and non-finite steps; at the bottom their norms.

    Args:
        history: list of dicts, see `plot_losses`.
        path: str or path of the image file; its suffix sets the format.

    Example:
    ```python
    plot_gradients([{"gradient_cosine": 0.1, "conflict_rate": 0.4}], "cosine.png")
    ```
    """
    names = _names(history)
    panels = [
        ("gradient cosine", [n for n in names if n == "gradient_cosine"]),
        ("fraction of steps", [n for n in names if n.endswith("_rate")]),
        ("gradient norm", [n for n in names if n.endswith("_gradient_norm")]),
    ]
    _draw(history, path, [(label, names) for label, names in panels if names])


def _names(history):
    return list(history[0]) if history else []


def _draw(history, path, panels):
    # Not pyplot, whose state and backend belong to the user.
    figure = Figure(figsize=(8, 1 + 3 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(max(len(panels), 1), 1, sharex=True, squeeze=False)[:, 0]
    epochs = range(1, len(history) + 1)
    marker = "." if len(epochs) < 9 else ""
    for panel, (label, names) in zip(axes, panels, strict=False):
        for name in names:
            values = [logs.get(name, float("nan")) for logs in history]
            panel.plot(epochs, values, label=name, marker=marker)
        panel.set_ylabel(label)
        panel.grid(alpha=0.3)
        panel.legend()
    axes[-1].set_xlabel("epoch")
    figure.savefig(path, dpi=120)
