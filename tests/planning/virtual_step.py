"""Plans train steps on 4 virtual devices. The tests run it in a separate process.

Prints plans with data parallelism and with model parallelism as JSON.
"""

import dataclasses
import json

import jax

from keras_vatt.planning import parse_topology
from keras_vatt.planning._plan import Planner
from keras_vatt.planning._step import StepSettings

SETTINGS = StepSettings("vatt_tiny_agnostic", 16, dtype="float32", num_layers=1)


def plan(batch_size, model_parallel=1, **changes):
    settings = dataclasses.replace(SETTINGS, **changes)
    planner = Planner(
        settings,
        # Any topology with four devices.
        parse_topology("v5e:2x2"),
        model_parallel=model_parallel,
        devices=jax.devices(),
    )
    return planner.plan(batch_size).to_dict()


def main():
    # Each plan has four clips per copy of the model.
    plans = {
        "harmonized": plan(16),
        "plain": plan(16, harmonizer="none"),
        "groups": plan(16, num_groups=8),
        "features": plan(16, num_groups="per_clip", compare="features"),
        "cut": plan(8, model_parallel=2),
    }
    print(json.dumps(plans))


if __name__ == "__main__":
    main()
