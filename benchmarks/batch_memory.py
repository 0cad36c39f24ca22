"""Memory of the harmonized step against the batch: what saves it, and how much.

    KERAS_BACKEND=jax python benchmarks/batch_memory.py --output results

The true train step is compiled for one device of the CPU; the memory is what XLA plans
for its temporary buffers. Beside the table a plot is written. Operations are not given:
XLA counts those of a loop, which micro-batches are, for one round only.
"""

import argparse
import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import dataclasses

import jax
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from report import environment, mebibytes, progress, write

from keras_vatt.planning import parse_topology
from keras_vatt.planning._plan import Planner
from keras_vatt.planning._step import StepSettings

WAYS = {
    "whole batch": {},
    "rematerialized": {"rematerialize": True},
    "4 micro-batches": {"num_micro_batches": 4},
    "4 micro-batches, rematerialized": {"num_micro_batches": 4, "rematerialize": True},
}
COLUMNS = {
    "batch": lambda r: str(r["batch_size"]),
    "way": lambda r: r["way"],
    "temporary MiB": lambda r: mebibytes(r["temporary_bytes"]),
}


def main():
    arguments = _arguments()
    results = []
    for batch_size in arguments.batches:
        for way, changes in WAYS.items():
            progress(f"batch {batch_size}: {way}")
            plan = compiled_plan(arguments.preset, batch_size, changes)
            results.append(
                {
                    "batch_size": batch_size,
                    "way": way,
                    "temporary_bytes": plan["memory"]["temporaries"],
                }
            )
    report = {
        "environment": environment(),
        "settings": vars(arguments),
        "results": results,
    }
    write(arguments.output, "batch_memory", report, COLUMNS)
    plot(results, pathlib.Path(arguments.output) / "batch_memory.png")


def compiled_plan(preset, batch_size, changes):
    """The plan of a step as a dict, see `keras_vatt.planning.Plan`."""
    settings = StepSettings(preset, batch_size, candidates=1, dtype="float32")
    settings = dataclasses.replace(settings, **changes)
    planner = Planner(settings, parse_topology("v5e:1x1"), devices=jax.devices()[:1])
    return planner.plan(batch_size).to_dict()


def plot(results, path):
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for way in WAYS:
        own = [result for result in results if result["way"] == way]
        axes.plot(
            [result["batch_size"] for result in own],
            [result["temporary_bytes"] / 2**20 for result in own],
            marker="o",
            label=way,
        )
    axes.set_xlabel("clips in a batch")
    axes.set_ylabel("temporary memory, MiB")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument("--preset", default="vatt_tiny_agnostic")
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64, 256])
    return parser.parse_args()


if __name__ == "__main__":
    main()
