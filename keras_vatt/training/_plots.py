"""Plots of a training run, from the logs of its epochs."""

from __future__ import annotations

import os

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from keras_vatt.training._cosine_histogram import BIN_EDGES


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


def plot_cosines(
    cosine_counts: list[list[float] | None], path: str | os.PathLike
) -> None:
    """Plots the distribution of the gradients' cosines over the epochs.

    Args:
        cosine_counts: list of histograms, such as the `cosine_counts` of a
            `keras_vatt.training.RunCheckpoint`.
        path: str or path of the image file; its suffix sets the format.

    Example:
    ```python
    plot_cosines([[0.0] * 19 + [3.0, 5.0] + [0.0] * 19], "cosines.png")
    ```
    """
    empty = [0.0] * (len(BIN_EDGES) - 1)
    counts = np.array([counts or empty for counts in cosine_counts])
    counts = counts.reshape(-1, len(empty))
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    figure = Figure(figsize=(8, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    epochs = np.arange(len(counts) + 1) + 0.5
    mesh = axes.pcolormesh(epochs, BIN_EDGES, fractions.T, cmap="Blues", vmin=0.0)
    axes.axhline(0.0, color="black", linewidth=0.8)
    axes.set_xlabel("epoch")
    axes.set_ylabel("gradient cosine")
    figure.colorbar(mesh, label="fraction of groups")
    figure.savefig(path, dpi=120)


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
