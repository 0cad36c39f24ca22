"""A plan: what the compiler says of a train step on a slice of TPUs."""

import dataclasses
import importlib.metadata
import math
import re
import time

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

GIB = 2**30
_OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"
_WANTED = re.compile(
    r"\(([\d.]+)([KMGT]?)\) exceeds available HBM|Used ([\d.]+)([KMGT]?) of "
)
_SCALES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class Assumptions:
    """What a plan takes on trust.

    Attributes:
        flops_utilization: float, share of the peak FLOP/s.
        bandwidth_utilization: float, share of the bandwidths of memory and links.
        price: float, US dollars for a chip and hour, or `None`, the table's.
        steps: int, steps of a training.
    """

    flops_utilization: float = 0.4
    bandwidth_utilization: float = 0.7
    price: float | None = None
    steps: int = 500_000


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes of one device.

    Attributes:
        arguments: int, of weights, optimizer slots, metrics and batch.
        temporaries: int, of what lives within a step.
        program: int, of the machine code.
        peak: int, of arguments, results and temporaries at the worst moment.
    """

    arguments: int
    temporaries: int
    program: int
    peak: int

    @property
    def total(self):
        """int, what a device needs."""
        return self.peak + self.program


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is known of a step once it has been compiled, or has not.

    Attributes:
        settings: `StepSettings`.
        topology: `Topology`.
        mesh: dict from axis to its devices.
        parameters: int.
        trained_parameters: int.
        lower_seconds, compile_seconds: floats, what the compilation took here.
        fits: bool, whether the compiler accepted the program.
        refusal: string, what it said otherwise, or `None`.
        wanted_bytes: int, what the refused program wanted, or `None`.
        memory: `Memory`, or `None`.
        flops: float, of one device, as XLA counts them.
        analytic_flops: float, of all devices, counted from the model's sizes.
        plain_flops: float, likewise of a plain step.
        memory_bytes: float, what one device moves to and from its memory.
        collectives: dict, of `summarize`.
        unknown_loops: int, collectives in loops of unknown length.
        roofline: `Roofline`, or `None`.
        assumptions: `Assumptions`.
        versions: dict from package to its version.
    """

    settings: StepSettings
    topology: Topology
    mesh: dict
    parameters: int
    trained_parameters: int
    lower_seconds: float
    compile_seconds: float
    fits: bool
    analytic_flops: float
    plain_flops: float
    assumptions: Assumptions
    versions: dict
    refusal: str | None = None
    wanted_bytes: int | None = None
    memory: Memory | None = None
    flops: float = 0.0
    memory_bytes: float = 0.0
    collectives: dict = dataclasses.field(default_factory=dict)
    unknown_loops: int = 0
    roofline: Roofline | None = None

    @property
    def price(self):
        """US dollars for a chip and hour, a float."""
        given = self.assumptions.price
        return self.topology.chip.price if given is None else given

    @property
    def device_flops(self):
        """FLOPs of one device that the step time is taken from, a float.

        XLA counts the body of a loop once, as if it went round once: where the
        model's own count is higher it is the better one.
        """
        return max(self.flops, self.analytic_flops / self.topology.num_devices)

    def dollars(self, steps):
        """US dollars that so many steps cost, a float."""
        seconds = self.roofline.seconds * steps
        return cost(seconds, self.topology.num_chips, self.price)

    def to_dict(self):
        """Everything, as JSON takes it."""
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
    """Makes plans of steps that differ in their batch alone.

    Args:
        settings: `StepSettings`, of which the batch size is set anew for each plan.
        topology: `Topology`.
        model_parallel: int, devices that share one copy of the model. Defaults to
            `1`.
        assumptions: `Assumptions`. Defaults to `None`, its defaults.
        devices: list of JAX devices to compile for. Defaults to `None`, those of
            the topology.
        say: function that is given lines about the progress. Defaults to `None`.

    Raises:
        PlanningError: if the compiler does not know the topology, or the model does
            not fit the devices' mesh.
    """

    def __init__(
        self,
        settings,
        topology,
        model_parallel=1,
        assumptions=None,
        devices=None,
        say=None,
    ):
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
        self.say(f"making {settings.preset} without its weights")
        try:
            self.model = make_model(settings, self.distribution)
            replicas_per_group(self.model, self.num_copies)
        except ValueError as error:
            raise PlanningError(str(error)) from error

    @property
    def unit(self):
        """The smallest batch, of which every other is a multiple, an int."""
        return math.lcm(
            self.num_copies * self.settings.num_micro_batches, self.settings.num_groups
        )

    def check(self, batch_size):
        """Refuses a batch that the devices can't share evenly."""
        if batch_size < 1 or batch_size % self.unit:
            raise PlanningError(
                f"--batch-size {batch_size} is no multiple of {self.unit}: "
                f"{self.topology.name} has {self.num_copies} copies of the model, with "
                f"{self.settings.num_micro_batches} micro-batches each, and "
                f"{self.settings.num_groups} groups"
            )

    def plan(self, batch_size):
        """Compiles the step for one batch size.

        Args:
            batch_size: int.

        Returns:
            `Plan`.
        """
        self.check(batch_size)
        settings = dataclasses.replace(self.settings, batch_size=batch_size)
        self.say(f"batch {batch_size}: tracing")
        start = time.monotonic()
        lowered = lower_step(self.model, settings, self.distribution)
        lowered_at = time.monotonic()
        self.say(f"batch {batch_size}: compiling, which takes minutes")
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
        self.say(f"batch {batch_size}: {plan.memory.total / GIB:.2f} GiB a device")
        return plan

    def search(self):
        """Compiles the step for several batch sizes, to find the largest that fits.

        Returns:
            Tuple of `Plan`, of the largest that fits or of the smallest if none
            does, and a dict from the batch sizes tried to the bytes of a device,
            `None` where it did not fit.
        """
        plans = {}

        def measure(units):
            plans[units] = self.plan(units * self.unit)
            return plans[units].memory.total if plans[units].fits else None

        found = largest_fitting(measure, self.topology.chip.usable_gib * GIB)
        tried = {units * self.unit: found.tried[units] for units in sorted(found.tried)}
        return plans[found.units or min(plans)], tried

    def _analytic_flops(self, settings):
        shapes = {
            name: shape
            for name, (shape, _) in batch_shapes(self.model, settings).items()
        }
        walks = settings.num_groups
        if settings.group_by == "samples":
            walks = max(settings.num_groups // self.num_copies, 1)
        harmonized = step_flops(
            self.model,
            shapes,
            harmonized=settings.harmonizer != "none",
            walks=walks,
            micro_batches=settings.num_micro_batches > 1,
        )
        plain = step_flops(self.model, shapes, harmonized=False)
        return {"analytic_flops": harmonized, "plain_flops": plain}


def read_compiled(compiled, facts):
    """A plan from a compiled step.

    Args:
        compiled: `jax.stages.Compiled`.
        facts: dict, what is known of the plan besides.

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
                # Some compilers say less than what they list.
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


def wanted_bytes(refusal):
    """How much memory a refused program wanted.

    Args:
        refusal: string, the compiler's message.

    Returns:
        int, or `None` if the message does not say.
    """
    found = _WANTED.search(refusal)
    if found is None:
        return None
    number, scale = (found[1], found[2]) if found[1] else (found[3], found[4])
    return int(float(number) * _SCALES[scale])


def _compile(lowered):
    """The compiled program and `None`, or `None` and why it does not fit."""
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
            f"the compiler refuses {topology.name}: {message}"
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
