"""Plans a train step on TPUs: compiles it and reads the compiler's figures."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
import re
import time
from collections.abc import Callable
from typing import Any

import jax
from jax.experimental import topologies

from keras_vatt.models._layouts import make_distribution
from keras_vatt.planning._collectives import read_collectives, summarize
from keras_vatt.planning._errors import PlanningError
from keras_vatt.planning._model_flops import step_flops
from keras_vatt.planning._roofline import FORMULA, Roofline, cost, estimate
from keras_vatt.planning._search import largest_fitting
from keras_vatt.planning._step import (
    StepSettings,
    batch_shapes,
    lower_step,
    make_model,
)
from keras_vatt.planning._topologies import PRICE_NOTE, Topology
from keras_vatt.training._replicas import replicas_per_group
from keras_vatt.training._sample_groups import masks_groups

GIB = 2**30
_OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"
_WANTED = re.compile(
    r"\(([\d.]+)([KMGT]?)\) exceeds available HBM|Used ([\d.]+)([KMGT]?) of "
)
_SCALES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class Assumptions:
    """The assumptions of a plan.

    Attributes:
        flops_utilization: float, fraction of the peak FLOP/s that a step reaches.
        bandwidth_utilization: float, fraction of the bandwidths of memory and links
            that a step reaches.
        price: float, US dollars per chip-hour, or `None` for the price in `CHIPS`.
        steps: int, number of training steps.
    """

    flops_utilization: float = 0.4
    bandwidth_utilization: float = 0.7
    price: float | None = None
    steps: int = 500_000


@dataclasses.dataclass(frozen=True)
class Memory:
    """Memory of one device in bytes.

    Attributes:
        arguments: int, weights, optimizer slots, metrics and batch.
        temporaries: int, buffers that exist only during a step.
        program: int, machine code.
        peak: int, maximum of arguments, results and temporaries together.
    """

    arguments: int
    temporaries: int
    program: int
    peak: int

    @property
    def total(self) -> int:
        """Bytes that a device needs."""
        return self.peak + self.program


@dataclasses.dataclass(frozen=True)
class Plan:
    """The figures of a train step on a slice of TPUs.

    If the step does not fit into the memory of a device, `memory` and `roofline` are
    `None`, and XLA's counts and `collectives` are zero or empty.

    Attributes:
        settings: `StepSettings`.
        topology: `Topology`.
        mesh: dict from mesh axis to its number of devices.
        parameters: int, number of parameters.
        trained_parameters: int, number of trainable parameters.
        lower_seconds, compile_seconds: floats, time of lowering and of compilation on
            this machine.
        fits: bool, whether the step fits into the memory of a device.
        refusal: string, the compiler's message if it doesn't, else `None`.
        wanted_bytes: int, the memory needed if it doesn't fit and the message says so,
            else `None`.
        memory: `Memory`, or `None`.
        flops: float, FLOPs per device, counted by XLA.
        analytic_flops: float, FLOPs of all devices, computed from the model's sizes.
        plain_flops: float, the same for a step without a harmonizer.
        memory_bytes: float, bytes that a device moves to and from its memory.
        collectives: dict, collectives by kind: `"count"`, `"result_bytes"`,
            `"sent_bytes"`, `"dtypes"` and `"group_sizes"`.
        unknown_loops: int, number of collectives in loops with an unknown trip count.
        roofline: `Roofline`, or `None`.
        assumptions: `Assumptions`.
        versions: dict from package to version, or `None` if it is not installed.
    """

    settings: StepSettings
    topology: Topology
    mesh: dict[str, int]
    parameters: int
    trained_parameters: int
    lower_seconds: float
    compile_seconds: float
    fits: bool
    analytic_flops: float
    plain_flops: float
    assumptions: Assumptions
    versions: dict[str, str | None]
    refusal: str | None = None
    wanted_bytes: int | None = None
    memory: Memory | None = None
    flops: float = 0.0
    memory_bytes: float = 0.0
    collectives: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    unknown_loops: int = 0
    roofline: Roofline | None = None

    @property
    def price(self) -> float:
        """US dollars per chip-hour."""
        given = self.assumptions.price
        return self.topology.chip.price if given is None else given

    @property
    def device_flops(self) -> float:
        """FLOPs per device from which the step time is estimated.

        XLA counts only one iteration of each loop, so this is the larger one of XLA's
        count and the count from the model's sizes.
        """
        return max(self.flops, self.analytic_flops / self.topology.num_devices)

    def dollars(self, steps: int) -> float:
        """Computes the cost of a number of steps in US dollars."""
        seconds = self.roofline.seconds * steps
        return cost(seconds, self.topology.num_chips, self.price)

    def to_dict(self) -> dict[str, Any]:
        """Returns all figures as a dict that can be written as JSON."""
        result = dataclasses.asdict(self)
        result["topology"] = self.topology.name
        result["chip"] = dataclasses.asdict(self.topology.chip)
        result["assumptions"] |= {"price": self.price, "price_note": PRICE_NOTE}
        result["assumptions"]["formula"] = FORMULA
        if self.roofline is not None:
            result["memory"]["total"] = self.memory.total
            result["roofline"] |= {
                "seconds": self.roofline.seconds,
                "overlapped_seconds": self.roofline.overlapped_seconds,
                "bound": self.roofline.bound,
            }
            result["dollars"] = self.dollars(self.assumptions.steps)
        return result


class Planner:
    """Plans train steps that differ only in their batch size.

    Args:
        settings: `StepSettings`. Their batch size is not used.
        topology: `Topology`.
        model_parallel: int, number of devices over which each copy of the model is
            sharded. Defaults to `1`.
        assumptions: `Assumptions`. Defaults to `None`, the default assumptions.
        devices: list of JAX devices to compile for. Defaults to `None`, the devices of
            the topology.
        say: function that gets each line of progress. Defaults to `None`.

    Raises:
        PlanningError: if the compiler does not support the topology, or the model or
            the settings can't be used with its devices.
    """

    def __init__(
        self,
        settings: StepSettings,
        topology: Topology,
        model_parallel: int = 1,
        assumptions: Assumptions | None = None,
        devices: list[jax.Device] | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings
        self.topology = topology
        self.assumptions = assumptions or Assumptions()
        self.say = say or (lambda line: None)
        if topology.num_devices % model_parallel:
            raise PlanningError(
                f"--model-parallel {model_parallel} does not divide the "
                f"{topology.num_devices} devices of {topology.name}"
            )
        self.distribution = make_distribution(
            devices or _tpu_devices(topology), model_parallel
        )
        self.num_copies = topology.num_devices // model_parallel
        self.say(f"building {settings.preset} without its weights")
        try:
            self.model = make_model(settings, self.distribution)
            replicas_per_group(self.model, self.num_copies)
        except ValueError as error:
            raise PlanningError(str(error)) from error

    @property
    def unit(self) -> int:
        """The smallest batch size. All batch sizes must be multiples of it."""
        num_groups = self.settings.num_groups
        return math.lcm(
            self.num_copies * self.settings.num_micro_batches,
            1 if num_groups == "per_clip" else num_groups,
        )

    def check(self, batch_size: int) -> None:
        """Raises a `PlanningError` if the batch size is not a multiple of `unit`."""
        if batch_size < 1 or batch_size % self.unit:
            raise PlanningError(
                f"--batch-size {batch_size} is not a multiple of {self.unit}, which "
                f"{self.num_copies} copies of the model on {self.topology.name}, "
                f"--num-micro-batches {self.settings.num_micro_batches} and "
                f"--num-groups {self.settings.num_groups} require"
            )

    def plan(self, batch_size: int) -> Plan:
        """Compiles the step for one batch size.

        Args:
            batch_size: int, clips in a batch, over all devices.

        Returns:
            `Plan`.

        Raises:
            PlanningError: if the batch size is not a multiple of `unit`.
        """
        self.check(batch_size)
        settings = dataclasses.replace(self.settings, batch_size=batch_size)
        self.say(f"batch {batch_size}: tracing")
        start = time.monotonic()
        lowered = lower_step(self.model, settings, self.distribution)
        lowered_at = time.monotonic()
        self.say(f"batch {batch_size}: compiling, which can take minutes")
        compiled, refusal = _compile(lowered)
        end = time.monotonic()
        mesh = self.distribution.device_mesh
        facts = {
            "settings": settings,
            "topology": self.topology,
            "mesh": dict(zip(mesh.axis_names, mesh.shape, strict=True)),
            "parameters": self.model.count_params(),
            "trained_parameters": sum(
                math.prod(v.shape) for v in self.model.trainable_variables
            ),
            "lower_seconds": lowered_at - start,
            "compile_seconds": end - lowered_at,
            "assumptions": self.assumptions,
            "versions": _versions(),
            **self._analytic_flops(settings),
        }
        if compiled is None:
            self.say(f"batch {batch_size}: does not fit")
            wanted = wanted_bytes(refusal)
            return Plan(**facts, fits=False, refusal=refusal, wanted_bytes=wanted)
        plan = read_compiled(compiled, facts)
        self.say(f"batch {batch_size}: {plan.memory.total / GIB:.2f} GiB per device")
        return plan

    def search(self) -> tuple[Plan, dict[int, float | None]]:
        """Compiles the step for several batch sizes to find the largest that fits.

        Returns:
            Tuple `(plan, tried)`: the plan of the largest batch that fits, or of the
            smallest one if none fits; and a dict from the batch sizes tried to the
            bytes needed per device, or `None` if the batch did not fit.
        """
        plans = {}

        def measure(units):
            plans[units] = self.plan(units * self.unit)
            return plans[units].memory.total if plans[units].fits else None

        found = largest_fitting(measure, self.topology.chip.usable_gib * GIB)
        tried = {units * self.unit: found.tried[units] for units in sorted(found.tried)}
        return plans[found.units or min(plans)], tried

    def _backward_passes(self, settings):
        """Numbers of backward passes of a device that compare, and that combine."""
        if settings.compare == "features":
            return 1, 0
        num_groups = settings.num_groups
        if num_groups == "per_clip":
            num_groups = settings.batch_size
        if settings.group_by == "anchors" or num_groups == 1:
            return num_groups, 0
        masked = int(masks_groups(self.model))
        return max(num_groups // self.num_copies, 1), masked

    def _analytic_flops(self, settings):
        shapes = {
            name: shape
            for name, (shape, _) in batch_shapes(self.model, settings).items()
        }
        backward_passes, combining_passes = self._backward_passes(settings)
        compares = settings.harmonizer != "none" and settings.compare == "parameters"
        harmonized = step_flops(
            self.model,
            shapes,
            harmonized=compares,
            backward_passes=backward_passes,
            combining_passes=combining_passes,
            micro_batches=settings.num_micro_batches > 1,
        )
        plain = step_flops(self.model, shapes, harmonized=False)
        return {"analytic_flops": harmonized, "plain_flops": plain}


def read_compiled(compiled: jax.stages.Compiled, facts: dict[str, Any]) -> Plan:
    """Creates a plan from a compiled step.

    Args:
        compiled: `jax.stages.Compiled`.
        facts: dict, the attributes of the plan that don't depend on `compiled`.

    Returns:
        `Plan`.
    """
    stats = compiled.memory_analysis()
    arguments, temporaries = stats.argument_size_in_bytes, stats.temp_size_in_bytes
    results = stats.output_size_in_bytes - stats.alias_size_in_bytes
    analysis = compiled.cost_analysis()
    found = read_collectives(compiled.as_text())
    plan = Plan(
        **facts,
        fits=True,
        memory=Memory(
            arguments=arguments,
            temporaries=temporaries,
            program=stats.generated_code_size_in_bytes,
            peak=max(
                # Some compilers report a peak below the sum of the buffers.
                getattr(stats, "peak_memory_in_bytes", 0),
                arguments + temporaries + results,
            ),
        ),
        flops=analysis["flops"],
        memory_bytes=analysis["bytes accessed"],
        collectives=summarize(found),
        unknown_loops=sum(not c.count_is_known for c in found),
    )
    return dataclasses.replace(
        plan,
        roofline=estimate(
            plan.topology.chip,
            plan.device_flops,
            plan.memory_bytes,
            sum(kind["sent_bytes"] for kind in plan.collectives.values()),
            plan.assumptions.flops_utilization,
            plan.assumptions.bandwidth_utilization,
        ),
    )


def wanted_bytes(refusal: str) -> int | None:
    """Reads the memory that a program needs from the compiler's refusal.

    Args:
        refusal: string, the compiler's out-of-memory message.

    Returns:
        int, bytes; or `None` if the message doesn't contain them.
    """
    found = _WANTED.search(refusal)
    if found is None:
        return None
    number, scale = (found[1], found[2]) if found[1] else (found[3], found[4])
    return int(float(number) * _SCALES[scale])


def _compile(lowered):
    """Returns the program and `None`, or `None` and the out-of-memory message."""
    try:
        return lowered.compile(), None
    except jax.errors.JaxRuntimeError as error:
        if _OUT_OF_MEMORY not in str(error):
            raise
        return None, str(error).splitlines()[0]


def _tpu_devices(topology):
    try:
        described = topologies.get_topology_desc(
            platform="tpu", topology_name=topology.name, **topology.options()
        )
    except jax.errors.JaxRuntimeError as error:
        message = str(error).splitlines()[0]
        raise PlanningError(
            f"the compiler does not support {topology.name}: {message}"
        ) from error
    return list(described.devices)


def _versions():
    names = ("jax", "libtpu", "keras", "keras-vatt")
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions
