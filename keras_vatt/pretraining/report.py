"""What a run leaves for its reader: logs, plots, retrieval results."""

import csv
import dataclasses
import json

from keras_vatt.evaluation import format_retrieval
from keras_vatt.training import plot_gradients, plot_losses


def save_history(history, path):
    """Write the logs of all epochs to a CSV file.

    The whole file is written anew: after a crash it never holds an epoch twice.
    """
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", *history[0]])
        writer.writeheader()
        for epoch, logs in enumerate(history, start=1):
            writer.writerow({"epoch": epoch, **logs})
    partial.replace(path)


def save_plots(history, folder):
    """Draw losses and gradients of all epochs into a folder."""
    folder.mkdir(exist_ok=True)
    plot_losses(history, folder / "losses.png")
    plot_gradients(history, folder / "gradients.png")


def save_retrieval(results, folder):
    """Write retrieval results as text and as JSON; return the text."""
    table = format_retrieval(results)
    (folder / "retrieval.txt").write_text(table + "\n", encoding="utf-8")
    rows = {task: dataclasses.asdict(metrics) for task, metrics in results.items()}
    text = json.dumps(rows, indent=2)
    (folder / "retrieval.json").write_text(text + "\n", encoding="utf-8")
    return table
