"""Estimates memory, communication, time and cost of training on TPUs, without TPUs.

Google's compiler (`pip install "keras-vatt[plan]"`) compiles the real train step for
the given chips on this machine. Memory and communication are read from the compiled
program. Time and cost are estimates of a roofline model with stated assumptions, not
measurements. A compilation takes minutes, whatever the batch size.
"""

import os
import sys
import time

import keras

from keras_vatt._files import write_json
from keras_vatt._setting_fields import parser_of
from keras_vatt.planning import PlanningError, parse_topology
from keras_vatt.planning._environment import prepare_compiler


def add_arguments(parser):
    """Adds the options of the command."""
    parser.add_argument(
        "--preset",
        default="vatt_medium_agnostic",
        help="built-in preset, preset folder, or hf://owner/name",
    )
    parser.add_argument(
        "--topology",
        required=True,
        metavar="TPU:NxM",
        help="TPU version and number of chips along each dimension, such as v4:4x4x8 "
        "or v5e:16x16",
    )
    parser.add_argument(
        "--batch-size", type=int, help="clips per batch, over all devices"
    )
    parser.add_argument(
        "--search",
        action="store_true",
        help="find the largest batch that fits, with about four compilations",
    )
    parser.add_argument(
        "--model-parallel",
        type=int,
        default=1,
        metavar="N",
        help="devices over which each copy of the model is sharded",
    )
    _add_step_arguments(parser)
    _add_assumptions(parser)
    parser.add_argument("--json", metavar="FILE", help="also write the plan to FILE")


def _add_step_arguments(parser):
    parser.add_argument(
        "--harmonizer",
        default="curriculum+realign",
        help="gradient harmonization, as in `keras-vatt pretrain`; or none",
    )
    parser.add_argument(
        "--compare",
        default="parameters",
        choices=["parameters", "features"],
        help="gradients that are compared, as in `keras-vatt pretrain`",
    )
    parser.add_argument(
        "--num-groups",
        type=parser_of(int, ["per_clip"]),
        default=1,
        help="groups per batch whose gradients are harmonized separately, or per_clip",
    )
    parser.add_argument(
        "--group-by",
        default="samples",
        choices=["samples", "anchors"],
        help="definition of the gradient of a group, as in `keras-vatt pretrain`",
    )
    parser.add_argument(
        "--num-micro-batches",
        type=int,
        default=1,
        metavar="M",
        help="micro-batches in which a device encodes its clips, to save memory",
    )
    parser.add_argument("--candidates", type=int, default=5, help="captions per clip")
    parser.add_argument(
        "--dtype",
        default="mixed_bfloat16",
        choices=["float32", "mixed_bfloat16", "mixed_float16"],
        help="dtype policy",
    )
    parser.add_argument(
        "--remat",
        action="store_true",
        help="recompute activations in the backward pass, to save memory",
    )
    parser.add_argument(
        "--frozen-words",
        action="store_true",
        help="don't train the word embedding; `keras-vatt pretrain` trains it when it "
        "starts from random weights",
    )
    parser.add_argument(
        "--num-layers",
        type=int,
        help="layers of a shallower model of the same width; those of the preset if "
        "not given",
    )


def _add_assumptions(parser):
    parser.add_argument(
        "--flops-utilization",
        type=float,
        default=0.4,
        help="assumed fraction of the chips' peak FLOP/s",
    )
    parser.add_argument(
        "--bandwidth-utilization",
        type=float,
        default=0.7,
        help="assumed fraction of the bandwidth of memory and interconnect",
    )
    parser.add_argument(
        "--price",
        type=float,
        help="price in US dollars per chip and hour; an assumed list price if not "
        "given",
    )
    parser.add_argument(
        "--steps", type=int, default=500_000, help="number of train steps to price"
    )


def run(arguments):
    """Runs the command."""
    topology = parse_topology(arguments.topology)
    _check(arguments)
    prepare_compiler(keras.config.backend())
    plan, tried = _plan(arguments, topology)
    _show(arguments, plan, tried)


def _check(arguments):
    if (arguments.batch_size is None) != arguments.search:
        raise PlanningError("give one of --batch-size and --search")
    for name in ("model_parallel", "num_groups", "num_micro_batches", "candidates"):
        value = getattr(arguments, name)
        if value != "per_clip" and value < 1:
            option = "--" + name.replace("_", "-")
            raise PlanningError(f"{option} must be at least 1, not {value}")
    folder = os.path.dirname(arguments.json or "")
    if folder and not os.path.isdir(folder):
        # Checked here because the compilation before the write takes minutes.
        raise PlanningError(f"--json needs an existing folder, not {folder!r}")
    for name in ("flops_utilization", "bandwidth_utilization"):
        value = getattr(arguments, name)
        if not 0 < value <= 1:
            option = "--" + name.replace("_", "-")
            raise PlanningError(f"{option} must be above 0 and at most 1, not {value}")


def _plan(arguments, topology):
    # Imported here because they import JAX, which the checks before do not need.
    from keras_vatt.planning._plan import Assumptions, Planner
    from keras_vatt.planning._step import StepSettings

    settings = StepSettings(
        preset=arguments.preset,
        batch_size=arguments.batch_size,
        candidates=arguments.candidates,
        harmonizer=arguments.harmonizer,
        num_groups=arguments.num_groups,
        compare=arguments.compare,
        group_by=arguments.group_by,
        num_micro_batches=arguments.num_micro_batches,
        dtype=arguments.dtype,
        rematerialize=arguments.remat,
        trainable_word_embedding=not arguments.frozen_words,
        num_layers=arguments.num_layers,
    )
    assumptions = Assumptions(
        flops_utilization=arguments.flops_utilization,
        bandwidth_utilization=arguments.bandwidth_utilization,
        price=arguments.price,
        steps=arguments.steps,
    )
    planner = Planner(
        settings,
        topology,
        model_parallel=arguments.model_parallel,
        assumptions=assumptions,
        say=_timed_printer(),
    )
    if arguments.search:
        return planner.search()
    return planner.plan(arguments.batch_size), None


def _timed_printer():
    """Returns a function that prints a line and the elapsed time to standard error."""
    start = time.monotonic()

    def say(line):
        minutes, seconds = divmod(int(time.monotonic() - start), 60)
        print(f"[{minutes:3}:{seconds:02}] {line}", file=sys.stderr, flush=True)

    return say


def _show(arguments, plan, tried):
    from keras_vatt.planning._report import render, render_search

    print(render(plan))
    if tried is not None:
        print("\n" + render_search(tried))
    if arguments.json is None:
        return
    content = plan.to_dict() | {"search": tried}
    write_json(arguments.json, content)
