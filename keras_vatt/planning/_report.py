"""Renders plans as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_vatt.planning import _roofline as roofline
from keras_vatt.planning._topologies import PRICE_NOTE

if TYPE_CHECKING:
    from keras_vatt.planning._plan import Plan

_GIB, _MIB = 2**30, 2**20


def render(plan: Plan) -> str:
    """Renders a plan as lines of text.

    Args:
        plan: `keras_vatt.planning.Plan`.

    Returns:
        string.
    """
    parts = [_heading(plan), _memory(plan)]
    if plan.fits:
        parts += [_computation(plan), _collectives(plan), _time(plan), _cost(plan)]
    return "\n\n".join("\n".join(part) for part in parts)


def render_search(tried: dict[int, float | None]) -> str:
    """Renders the batch sizes that a search has tried as lines of text.

    Args:
        tried: dict from batch size to the bytes needed per device, or `None` if the
            batch did not fit.

    Returns:
        string.
    """
    lines = ["batch sizes tried"]
    for batch_size, needed in tried.items():
        result = "does not fit" if needed is None else f"{needed / _GIB:8.2f} GiB"
        lines.append(f"  {batch_size:8}  {result}")
    return "\n".join(lines)


def _heading(plan):
    settings, topology = plan.settings, plan.topology
    shape = " x ".join(f"{axis} {size}" for axis, size in plan.mesh.items())
    options = [settings.harmonizer, "Adam", settings.dtype]
    if settings.compare == "features":
        options.append(f"features compared, {settings.num_groups} groups")
    elif settings.num_groups != 1:
        options.append(f"{settings.num_groups} groups by {settings.group_by}")
    if settings.num_micro_batches > 1:
        options.append(f"{settings.num_micro_batches} micro-batches")
    if settings.rematerialize:
        options.append("rematerialized")
    per_copy = settings.batch_size / plan.mesh["batch"]
    return [
        f"{settings.preset} on {topology.name}: {topology.num_chips} chips, "
        f"{topology.num_devices} devices ({shape})",
        f"train step: {', '.join(options)}",
        f"batch {settings.batch_size}, {per_copy:g} per copy of the model, "
        f"{settings.candidates} captions per clip; {plan.parameters:,} parameters, "
        f"{plan.trained_parameters:,} trainable",
        f"compiled in {plan.compile_seconds:.0f} s by "
        + ", ".join(f"{name} {version}" for name, version in plan.versions.items()),
    ]


def _memory(plan):
    chip = plan.topology.chip
    available = (
        f"{chip.usable_gib:.2f} GiB available to a program "
        f"({chip.hbm_gib / chip.devices:g} GiB of memory per device, "
        f"{chip.hbm_gib:g} GiB per chip)"
    )
    if not plan.fits:
        wanted = ""
        if plan.wanted_bytes is not None:
            wanted = f", needs {plan.wanted_bytes / _GIB:.2f} GiB"
        return [
            f"memory: DOES NOT FIT into the {available}{wanted}",
            f"  {plan.refusal}",
        ]
    memory = plan.memory
    fraction = memory.total / (chip.usable_gib * _GIB)
    return [
        "memory per device",
        f"  weights, optimizer, batch  {memory.arguments / _GIB:8.2f} GiB",
        f"  temporaries of the step    {memory.temporaries / _GIB:8.2f} GiB",
        f"  program                    {memory.program / _GIB:8.2f} GiB",
        f"  peak                       {memory.total / _GIB:8.2f} GiB",
        f"  fits: {fraction:.0%} of the {available}",
    ]


def _computation(plan):
    num_devices = plan.topology.num_devices
    total = plan.flops * num_devices
    lines = [
        "computation per step",
        f"  FLOPs, counted by XLA      {plan.flops:10.3e} per device "
        f"{total:10.3e} in total",
        f"  FLOPs, from the sizes      {plan.analytic_flops / num_devices:10.3e} "
        f"per device {plan.analytic_flops:10.3e} in total "
        f"(XLA counts {total / plan.analytic_flops:.2f} times as many)",
        f"  same, without harmonizer   {plan.plain_flops / num_devices:10.3e} "
        f"per device {plan.plain_flops:10.3e} in total",
        f"  memory traffic             {plan.memory_bytes / _GIB:10.1f} GiB per device",
    ]
    settings = plan.settings
    loops_over_groups = settings.compare == "parameters" and settings.num_groups != 1
    if loops_over_groups or settings.num_micro_batches > 1:
        lines.append(
            "  XLA counts one iteration of each loop: its FLOPs and traffic are too low"
        )
    return lines


def _collectives(plan):
    lines = ["collectives per step, bytes per device"]
    if not plan.collectives:
        return [*lines, "  none"]
    lines.append(
        f"  {'':20} {'count':>6} {'result MiB':>11} {'sent MiB':>11}  "
        f"{'dtypes':14} group size"
    )
    for kind, own in plan.collectives.items():
        lines.append(
            f"  {kind:20} {own['count']:6} {own['result_bytes'] / _MIB:11.2f} "
            f"{own['sent_bytes'] / _MIB:11.2f}  {', '.join(own['dtypes']):14} "
            f"{', '.join(map(str, own['group_sizes']))}"
        )
    if plan.unknown_loops:
        lines.append(
            f"  {plan.unknown_loops} are in loops with an unknown trip count and count "
            "once"
        )
    return lines


def _time(plan):
    chip, line = plan.topology.chip, plan.roofline
    assumed = plan.assumptions
    return [
        "time per step, estimated by a roofline, not measured",
        f"  {roofline.FORMULA}",
        f"  with u = {assumed.flops_utilization:g} and "
        f"w = {assumed.bandwidth_utilization:g}, both assumed; a chip has "
        f"{chip.peak_flops / 1e12:g} TFLOP/s in bfloat16, {chip.hbm_bandwidth / 1e9:g} "
        f"GB/s to its memory, {chip.link_bandwidth / 1e9:g} GB/s to other chips",
        f"  compute        {line.compute * 1e3:9.1f} ms",
        f"  memory         {line.memory * 1e3:9.1f} ms",
        f"  communication  {line.communication * 1e3:9.1f} ms",
        f"  step           {line.seconds * 1e3:9.1f} ms, bound by {line.bound}; "
        f"{line.overlapped_seconds * 1e3:.1f} ms if communication fully overlaps; "
        f"{plan.settings.batch_size / line.seconds:,.0f} clips per second",
    ]


def _cost(plan):
    steps = plan.assumptions.steps
    hours = plan.roofline.seconds * steps / 3600
    source = PRICE_NOTE if plan.assumptions.price is None else "your price"
    return [
        f"cost of {steps:,} steps",
        f"  {hours:,.1f} hours on {plan.topology.num_chips} chips, "
        f"${plan.dollars(steps):,.0f} at ${plan.price:g} per chip-hour",
        f"  ({source})",
    ]
