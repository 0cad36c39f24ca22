"""Run by the tests in a process of its own: plans of the true step on 4 devices.

Prints, as JSON, what they say of data parallelism and of matrices cut in two.
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
        # Four devices, whatever they are called.
        parse_topology("v5e:2x2"),
        model_parallel=model_parallel,
        devices=jax.devices(),
    )
    return planner.plan(batch_size).to_dict()


def main():
    # Four clips a copy of the model, in each.
    plans = {
        "harmonized": plan(16),
        "plain": plan(16, harmonizer="none"),
        "groups": plan(16, num_groups=8),
        "cut": plan(8, model_parallel=2),
    }
    print(json.dumps(plans))


if __name__ == "__main__":
    main()
