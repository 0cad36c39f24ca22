"""Measures how much memory rematerialization saves in a training step, and its time.

Run once for each backend:

    KERAS_BACKEND=torch python benchmarks/rematerialization.py --output results
    TF_ENABLE_ONEDNN_OPTS=0 KERAS_BACKEND=tensorflow python ...
    XLA_FLAGS=--xla_disable_hlo_passes=cse_barrier_expander KERAS_BACKEND=jax python ...

TensorFlow's oneDNN keeps freed memory, which cannot be measured. On a CPU, XLA merges
the second run of a block with the first one, unless the flag says otherwise.

The model has 12 blocks. The gradients are stored in every step, rematerialized or not;
what the peak is above their size are the activations and other temporary tensors.
"""

import argparse
import dataclasses
import importlib

import keras
import numpy as np
from cases import CASES, random_batch, vatt
from measurement import interleaved, peak_of_step, quartiles
from report import environment, mebibytes, milliseconds, progress, spread, write

schemes = importlib.import_module(f"schemes_{keras.config.backend()}")

WAYS = {"plain": {}, "harmonized": {"harmonizer": "realign"}}
COLUMNS = {
    "batch": lambda r: str(r["batch_size"]),
    "step": lambda r: r["way"],
    "rematerialized": lambda r: "yes" if r["rematerialize"] else "no",
    "ms": lambda r: milliseconds(r["seconds"][1]),
    "time ratio": lambda r: spread(r["time_ratio"]),
    "peak MiB": lambda r: mebibytes(r["peak_bytes"]),
    "peak without gradients MiB": lambda r: mebibytes(r["activation_bytes"]),
    "ratio": lambda r: f"{r['activation_ratio']:.3f}",
    "planned MiB": lambda r: mebibytes(r["compiled_bytes"]),
}


def main():
    arguments = _arguments()
    facts, results = environment(), []
    for batch_size in arguments.batches:
        case = dataclasses.replace(
            CASES["0.54"],
            num_layers=arguments.layers,
            width=arguments.width,
            batch_size=batch_size,
        )
        for way, given in WAYS.items():
            progress(f"batch {batch_size}: {way}")
            results += measured_way(case, way, given, arguments.rounds)
    report = {"environment": facts, "settings": vars(arguments), "results": results}
    write(arguments.output, "rematerialization", report, COLUMNS)


def measured_way(case, way, given, num_rounds):
    """Returns the results without and with rematerialization, a list of dicts."""
    batch = random_batch(case)
    steps, gradient_bytes = {}, 0
    for rematerialize in (False, True):
        model = vatt(case, rematerialize=rematerialize, **given)
        gradient_bytes = sum(
            4 * int(np.prod(variable.shape)) for variable in model.trainable_variables
        )
        steps[rematerialize] = schemes.train_step(model, batch)
    for step in list(steps.values()) * 2:
        step.run()
    runs = {rematerialize: step.run for rematerialize, step in steps.items()}
    usages = interleaved(runs, num_rounds)
    peaks = {rematerialize: peak_of_step(run) for rematerialize, run in runs.items()}
    activations = {key: peak - gradient_bytes for key, peak in peaks.items()}
    return [
        {
            "batch_size": case.batch_size,
            "way": way,
            "rematerialize": rematerialize,
            "seconds": quartiles([u.seconds for u in usages[rematerialize]]),
            "time_ratio": quartiles(
                [
                    own.seconds / plain.seconds
                    for own, plain in zip(
                        usages[rematerialize], usages[False], strict=True
                    )
                ]
            ),
            "peak_bytes": peaks[rematerialize],
            "activation_bytes": activations[rematerialize],
            "activation_ratio": activations[rematerialize] / activations[False],
            "compiled_bytes": steps[rematerialize].compiled_bytes,
        }
        for rematerialize in (False, True)
    ]


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3, help="times that code runs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
