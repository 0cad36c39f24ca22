"""Results of a run: logs, plots, retrieval metrics, and facts for the model card."""

import csv
import dataclasses
import pathlib

from keras_vatt._files import atomic_write, write_json, write_text
from keras_vatt.evaluation import format_retrieval
from keras_vatt.pretraining._corpus import data_sources
from keras_vatt.storage._provenance import Provenance
from keras_vatt.training import plot_cosines, plot_gradients, plot_losses


def save_history(history, path):
    """Writes the logs of all epochs to a CSV file; see `save_table`."""
    save_table([{"epoch": n, **logs} for n, logs in enumerate(history, 1)], path)


def save_table(rows, path):
    """Writes rows to a CSV file.

    The file is replaced, not appended to, so that a resumed run repeats no row in it.

    Args:
        rows: list of dicts, not empty.
        path: path of the file.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    with (
        atomic_write(path) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, list(names))
        writer.writeheader()
        writer.writerows(rows)


def save_plots(checkpoint, folder):
    """Plots losses and gradients of all epochs to image files in a folder.

    Args:
        checkpoint: `keras_vatt.training.RunCheckpoint` of the run.
        folder: path.
    """
    folder.mkdir(exist_ok=True)
    plot_losses(checkpoint.history, folder / "losses.png")
    plot_gradients(checkpoint.history, folder / "gradients.png")
    if any(checkpoint.cosine_counts):
        plot_cosines(checkpoint.cosine_counts, folder / "cosines.png")


def run_provenance(settings, history, results, plots):
    """Returns the provenance of the weights of a run, for the card of its preset.

    Args:
        settings: `PretrainSettings`.
        history: list of dicts, the logs of each epoch.
        results: dict from task to retrieval metrics.
        plots: path of the folder with the plots.

    Returns:
        `keras_vatt.Provenance`.
    """
    losses = {n: round(v, 4) for n, v in history[-1].items() if n.endswith("loss")}
    evaluation = {
        f"zero-shot {task}": dataclasses.asdict(metrics)
        for task, metrics in results.items()
    }
    images = {path.name: path.read_bytes() for path in sorted(plots.glob("*.png"))}
    training = {f"final {name}": value for name, value in losses.items()}
    return _provenance(settings, training, evaluation, images)


def validated_provenance(settings, row):
    """Returns the provenance of the weights that a validation has evaluated.

    Args:
        settings: `PretrainSettings`.
        row: dict, the results of the validation.

    Returns:
        `keras_vatt.Provenance`.
    """
    evaluation = {}
    for name, value in row.items():
        task, is_retrieval, metric = name.partition("/")
        if is_retrieval:
            evaluation.setdefault(f"validation {task}", {})[metric] = value
    losses = {n: round(v, 4) for n, v in row.items() if n.endswith("loss")}
    training = {"step": row["step"], "chosen by": settings.monitor, **losses}
    return _provenance(settings, training, evaluation, {})


def _provenance(settings, training, evaluation, plots):
    shown = ["harmonizer", "loss", "epochs", "batch_size", "learning_rate", "seed"]
    if settings.ema_momentum is not None:
        shown.append("ema_momentum")
    options = {name: getattr(settings, name) for name in shown}
    if "curriculum" in settings.harmonizer:
        options["thresholds"] = (
            f"{settings.threshold_start} to {settings.threshold_end}"
        )
    names = [
        "demo corpus" if source == "demo" else pathlib.PurePath(source).name
        for source, _ in data_sources(settings.data)
    ]
    is_harmonized = settings.harmonizer not in ("none", "sum")
    how = "with" if is_harmonized else "without"
    return Provenance(
        description=f"VATT, pre-trained {how} gradient harmonization.",
        source=f"`keras-vatt pretrain` on {', '.join(map(repr, names))}, from "
        f"{'random' if settings.initialize_from is None else 'the'} weights of "
        f"{pathlib.Path(settings.starting_preset).name!r}",
        training=options | training,
        evaluation=evaluation,
        plots=plots,
    )


def save_retrieval(results, folder):
    """Writes retrieval results as text and as JSON, and returns the text."""
    table = format_retrieval(results)
    write_text(folder / "retrieval.txt", table)
    rows = {task: dataclasses.asdict(metrics) for task, metrics in results.items()}
    write_json(folder / "retrieval.json", rows)
    return table
