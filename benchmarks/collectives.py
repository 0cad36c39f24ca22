"""What the train step sends between devices, harmonized and plain, counted by XLA.

    KERAS_BACKEND=jax python benchmarks/collectives.py --output results

The true train step of a preset is compiled for 2, 4 and 8 virtual devices of the CPU,
and its collectives are read from the compiled program. Bytes are those that each device
sends by the ring algorithms. There is no network here: nothing is timed.
"""

import argparse
import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import dataclasses

import jax
from report import environment, mebibytes, progress, write

from keras_vatt.planning import parse_topology
from keras_vatt.planning._plan import Planner
from keras_vatt.planning._step import StepSettings

# What is set otherwise in each step, from the number of devices.
STEPS = {
    "plain": lambda devices: {"harmonizer": "none"},
    "global": lambda devices: {},
    "a group a device": lambda devices: {"num_groups": devices},
}
COLUMNS = {
    "devices": lambda r: str(r["devices"]),
    "step": lambda r: r["step"],
    "all-reduce": lambda r: _of_kind(r, "all-reduce"),
    "reduce-scatter": lambda r: _of_kind(r, "reduce-scatter"),
    "all-gather": lambda r: _of_kind(r, "all-gather"),
    "MiB sent": lambda r: mebibytes(r["sent_bytes"]),
    "bytes / plain": lambda r: f"{r['ratio']:.3f}",
}


def main():
    arguments = _arguments()
    results = []
    for devices in arguments.devices:
        plain = None
        for name, changes in STEPS.items():
            progress(f"{devices} devices: {name}")
            collectives = compiled_collectives(arguments, devices, changes(devices))
            sent = sum(kind["sent_bytes"] for kind in collectives.values())
            plain = plain or sent
            results.append(
                {
                    "devices": devices,
                    "step": name,
                    "collectives": collectives,
                    "sent_bytes": sent,
                    "ratio": sent / plain,
                }
            )
    report = {
        "environment": environment(),
        "settings": vars(arguments),
        "results": results,
    }
    write(arguments.output, "collectives", report, COLUMNS)


def compiled_collectives(arguments, devices, changes):
    """Collectives of a step by kind, see `keras_vatt/planning/_collectives.py`."""
    settings = StepSettings(
        arguments.preset,
        devices * arguments.clips,
        dtype="float32",
        num_layers=arguments.layers,
    )
    settings = dataclasses.replace(settings, **changes)
    planner = Planner(
        settings, parse_topology("v5e:2x2"), devices=jax.devices()[:devices]
    )
    return planner.plan(settings.batch_size).to_dict()["collectives"]


def _of_kind(result, kind):
    found = result["collectives"].get(kind)
    return f"{found['count']} x" if found else "-"


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument("--preset", default="vatt_medium_agnostic")
    parser.add_argument("--layers", type=int, default=1, help="blocks of the encoder")
    parser.add_argument("--clips", type=int, default=2, help="clips of a device")
    parser.add_argument("--devices", type=int, nargs="+", default=[2, 4, 8])
    return parser.parse_args()


if __name__ == "__main__":
    main()
